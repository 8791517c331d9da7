package mailbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/standin/mailbox"
)

func open(t *testing.T, opts ...mailbox.Option) *mailbox.Box {
	t.Helper()
	b, err := mailbox.Open("127.0.0.1:0", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func send(t *testing.T, b *mailbox.Box, to, subject, html string) error {
	t.Helper()
	raw := "From: Us <us@example.com>\r\nTo: <" + to + ">\r\nSubject: " + subject + "\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		"see https://example.com/?a=3D1 =C3=A9\r\n--b\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n" + html + "\r\n--b--\r\n"
	return smtp.SendMail(b.Addr(), nil, "us@example.com", []string{to}, []byte(raw))
}

func get(t *testing.T, b *mailbox.Box, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	b := open(t)
	for i, to := range []string{"ada@example.com", "bob@example.com", "ada@example.com"} {
		if err := send(t, b, to, fmt.Sprintf("=?utf-8?q?=C3=A9_%d_<script>?=", i), `<script>alert(1)</script><p class="x">"quoted"</p>`); err != nil {
			t.Fatal(err)
		}
	}
	var list struct{ Results []mailbox.Message }
	if err := json.Unmarshal(get(t, b, "GET", "/_local/mail/api/messages?to=Ada@example.com", "").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Results) != 2 || list.Results[0].Subject != "é 2 <script>" || list.Results[0].Links[0] != "https://example.com/?a=1" ||
		!strings.Contains(list.Results[0].Text, "é") || !strings.Contains(list.Results[0].HTML, "<script>") || list.Results[0].MessageID != "1@example.com" {
		t.Fatalf("listed %+v", list.Results)
	}
	at := "/_local/mail/messages/" + list.Results[0].ID
	for path, want := range map[string]string{
		"/_local/mail/": "é 1 &lt;script&gt;", "/_local/mail/?to=bob@example.com": "é 1", "/_local/mail": "bob@example.com",
		at + "/": `srcdoc="&lt;base target=&#34;_blank&#34;&gt;&lt;script&gt;`, at + "/raw/": "Content-Transfer-Encoding: quoted-printable",
		"/_local/mail/app/verify-email?token=x":                 "POST /api/v1/auth/verify-email/",
		"/_local/mail/app/reset-password?token=x":               `name="password"`,
		"/_local/mail/app/accept-invitation?token=x":            `name="first_name"`,
		"/_local/mail/app/confirm-email?token=x":                `name="access_token"`,
		"/_local/mail/app/tasks/1":                              "/tasks/1",
		"/_local/mail/app/<script>":                             "&lt;script&gt;",
		"/_local/mail/assets/app.js":                            "fetch(",
		"/_local/mail/assets/style.css":                         "color-scheme",
		"/_local/mail/api/messages/" + list.Results[0].ID + "/": `"subject":"é 2 <script>"`,
	} {
		w := get(t, b, "GET", path, "")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src 'unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	if page := get(t, b, "GET", at+"/", "").Body.String(); strings.Contains(page, "<script>alert") || strings.Contains(page, "allow-scripts") || strings.Contains(page, "allow-same-origin") {
		t.Errorf("a mail's script could run: %s", page)
	}
	if w := get(t, b, "GET", "/_local/mail/messages/none/", ""); w.Code != http.StatusNotFound {
		t.Errorf("an unknown message is %d", w.Code)
	}
	if w := get(t, b, "DELETE", "/_local/mail/api/messages/", ""); w.Code != http.StatusNoContent || len(b.Messages("")) != 0 {
		t.Error("not cleared")
	}
	if page := get(t, b, "GET", "/_local/mail/", "").Body.String(); !strings.Contains(page, "Nothing has been sent") {
		t.Error("an empty mailbox does not say so")
	}
}

func TestMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	b, err := mailbox.Open("127.0.0.1:0", mailbox.WithDir(dir), mailbox.WithKeep(3))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := send(t, b, "ada@example.com", fmt.Sprint(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "torn.json"), []byte(`{"id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, mailbox.WithDir(dir), mailbox.WithKeep(2))
	if got := again.Messages(""); len(got) != 2 || got[0].Subject != "4" || got[1].Subject != "3" {
		t.Errorf("after the restart: %+v", got)
	}
	if err := again.Clear(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*-*.json")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := mailbox.Open("256.0.0.1:0"); err == nil {
		t.Error("listens nowhere")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mailbox.Open("127.0.0.1:0", mailbox.WithDir(file)); err == nil {
		t.Error("keeps messages in a file")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, c := range []struct{ body, want string }{
		{`{"fault":"temporary"}`, "451"}, {`{"fault":"permanent"}`, "550"}, {`{"fault":"policy"}`, "5.7.1"}, {`{"fault":"down"}`, "EOF"},
		{`{"fault":"permanent","only":"bob@example.com"}`, ""}, {`{"fault":""}`, ""},
	} {
		if w := get(t, b, "PUT", "/_local/mail/api/fault", c.body); w.Code != http.StatusNoContent {
			t.Fatalf("%s: %d", c.body, w.Code)
		}
		err := send(t, b, "ada@example.com", "s", "x")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) && c.want != "EOF" {
			t.Errorf("%s: %v", c.body, err)
		}
	}
	for _, bad := range []string{`{"fault":"lazy"}`, `{`} {
		if w := get(t, b, "PUT", "/_local/mail/api/fault", bad); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	b.Misbehave(mailbox.Slow, "")
	if err := send(t, b, "ada@example.com", "s", "x"); err != nil || len(b.Messages("ada@example.com")) != 3 {
		t.Errorf("slow: %v, %d messages", err, len(b.Messages("")))
	}
}
