package mail_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/mail"
)

func TestSendGrid(t *testing.T) {
	t.Parallel()
	var header http.Header
	var path, body string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		header, path, body = r.Header, r.Method+" "+r.URL.Path, string(raw)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(api.Close)
	m := message("zoe@example.com")
	s := sender(t, "sendgrid+http://SG.key@"+strings.TrimPrefix(api.URL, "http://")+"?sandbox=true", "local")
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if path != "POST /v3/mail/send" || header.Get("Authorization") != "Bearer SG.key" || header.Get("Content-Type") != "application/json" {
		t.Errorf("sent to %s with %v", path, header)
	}
	var got struct {
		Personalizations []struct {
			To []struct{ Email, Name string }
			CA map[string]string `json:"custom_args"`
		}
		Content  []struct{ Type, Value string }
		Subject  string
		Headers  map[string]string
		ReplyTo  struct{ Email string }           `json:"reply_to"`
		Tracking map[string]struct{ Enable bool } `json:"tracking_settings"`
		Settings map[string]struct{ Enable bool } `json:"mail_settings"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	p := got.Personalizations[0]
	if p.To[0].Email != "zoe@example.com" || p.To[0].Name != "Zoë Ångström" || p.CA["message_id"] != m.ID || got.Headers["Message-ID"] != "<"+m.ID+">" ||
		got.Headers["List-Unsubscribe"] == "" || got.Subject != m.Subject || got.ReplyTo.Email != "help@example.com" ||
		got.Content[0].Type != "text/plain" || got.Content[1].Value != m.HTML || !got.Settings["sandbox_mode"].Enable {
		t.Errorf("sent %s", body)
	}
	for _, kind := range []string{"click_tracking", "open_tracking", "subscription_tracking"} {
		if v, said := got.Tracking[kind]; !said || v.Enable {
			t.Errorf("%s is not off", kind)
		}
	}
}

func TestSendGridAnswers(t *testing.T) {
	t.Parallel()
	for status, temporary := range map[int]bool{
		200: false, 202: false, 302: true, 400: false, 401: true, 403: true, 413: false, 429: true, 500: true, 503: true,
	} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://example.com/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("{\"errors\":[{\"message\":\"a\nb\"}]}"))
		}))
		t.Cleanup(api.Close)
		err := sender(t, "sendgrid+http://SG.key@"+strings.TrimPrefix(api.URL, "http://"), "local").Send(t.Context(), message("a@example.com"))
		var no *mail.Rejected
		switch {
		case status/100 == 2 && err != nil,
			temporary && errs.KindOf(err) != errs.Unavailable,
			status/100 != 2 && !temporary && (!errors.As(err, &no) || no.Hard || no.Code != status):
			t.Errorf("%d: %v", status, err)
		}
		if err != nil && strings.Contains(err.Error(), "SG.key") {
			t.Errorf("%d: the error tells the key", status)
		}
		api.Close()
		if err := sender(t, "sendgrid+http://SG.key@"+strings.TrimPrefix(api.URL, "http://"), "local").Send(t.Context(), message("a@example.com")); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("gone: %v", err)
		}
	}
}

// A request that was heard and not answered may have made a mail; one that
// nobody heard has not.
func TestSendGridUnanswered(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	s := sender(t, "sendgrid+http://SG.key@"+server.Listener.Addr().String(), "local")
	var unknown *mail.Unanswered
	if err := s.Send(t.Context(), message("a@example.com")); !errors.As(err, &unknown) {
		t.Errorf("not answered: %v", err)
	}
	server.Close()
	if err := s.Send(t.Context(), message("a@example.com")); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("not heard: %v", err)
	}
}
