package users_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
)

func TestUnsubscribe(t *testing.T) {
	f := setup(t)
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	token := link.Unsubscribe(ring, time.Now(), f.owner.UserID, f.owner.TenantID).Reveal()
	// As a mail program sends it (RFC 8058, 3.2).
	click := func(token string) functest.Response {
		return f.Do(t, f.handler, functest.Request{
			Method: http.MethodPost, Path: "/api/v1/users/unsubscribe/?token=" + url.QueryEscape(token),
			Body: "List-Unsubscribe=One-Click", Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
	}
	state := func() (on bool, events int) {
		f.Scan(t, `select p.digest_enabled, (select count(*) from app.user_events e where e.user_id = $1 and e.action = 'summaries_stopped')
			from app.profiles p where p.user_id = $1`, []any{f.owner.UserID}, &on, &events)
		return on, events
	}
	for _, bad := range []string{"x", token + "A", "un_" + token[3:40], token[:len(token)-2] + "AA"} {
		click(bad).Want(t, http.StatusNotFound)
	}
	if on, _ := state(); !on {
		t.Fatal("stopped by a token that is none")
	}
	click(token).Want(t, http.StatusNoContent)
	click(token).Want(t, http.StatusNoContent)
	if on, events := state(); on || events != 1 {
		t.Errorf("on: %v, %d events", on, events)
	}
	f.Do(t, f.handler, functest.Request{Method: http.MethodPost, Path: "/api/v1/users/unsubscribe/"}).Want(t, http.StatusBadRequest)
}
