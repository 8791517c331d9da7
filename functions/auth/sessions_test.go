package auth_test

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/functions/auth"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

func (f *fixture) reopen(t testing.TB) http.Handler {
	t.Helper()
	return f.Open(t, auth.Open)
}

func (f *fixture) get(t testing.TB, path, token string) functest.Response {
	t.Helper()
	return f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: path, Token: token})
}

func (f *fixture) remove(t testing.TB, id, token string) functest.Response {
	t.Helper()
	return f.Do(t, f.handler, functest.Request{Method: http.MethodDelete, Path: base + "sessions/" + id + "/", Token: token})
}

func TestListSessions(t *testing.T) {
	f := setup(t)
	me := f.register(t, "many@example.com")
	for range 4 {
		f.post(t, "login/", "", object{"email": "many@example.com", "password": password}, "User-Agent", "curl/8.5.0").Want(t, http.StatusOK)
	}
	f.register(t, "other@example.com")
	token := me.String(t, "access_token")

	var seen []string
	current := 0
	for path := base + "sessions/?page_size=2"; path != ""; {
		r := f.get(t, path, token).Want(t, http.StatusOK)
		var page struct {
			Results []auth.Session
			Next    *string
		}
		r.Into(t, &page)
		for _, s := range page.Results {
			seen = append(seen, s.ID.String())
			if s.Current {
				current++
				if s.ID != f.claims(t, me).SessionID {
					t.Errorf("current is %s", s.ID)
				}
			} else if s.Device != "curl" || s.UserAgent != "curl/8.5.0" || s.IP == "" {
				t.Errorf("session %+v", s)
			}
		}
		path = ""
		if page.Next != nil {
			path = *page.Next
		}
	}
	unique := map[string]bool{}
	for _, id := range seen {
		unique[id] = true
	}
	if len(seen) != 5 || len(unique) != 5 || current != 1 {
		t.Errorf("%d sessions, %d different, %d current", len(seen), len(unique), current)
	}
	if r := f.get(t, base+"sessions/?ordering=created_at", token).Want(t, http.StatusOK); r.String(t, "results.0.id") != f.claims(t, me).SessionID.String() {
		t.Errorf("oldest first: %s", r.Body)
	}
	f.SQL(t, `update app.sessions set last_seen_at = now() + interval '1 second' where session_id = $1`, f.claims(t, me).SessionID)
	if r := f.get(t, base+"sessions/?ordering=-updated_at&page_size=1", token).Want(t, http.StatusOK); r.String(t, "results.0.id") != f.claims(t, me).SessionID.String() {
		t.Errorf("last seen first: %s", r.Body)
	} else {
		f.get(t, r.String(t, "next"), token).Want(t, http.StatusOK)
	}
	f.get(t, base+"sessions/?cursor=x", token).Want(t, http.StatusBadRequest)
	f.get(t, base+"sessions/?device=x", token).Want(t, http.StatusBadRequest)
	f.get(t, base+"sessions/", "").WantCode(t, http.StatusUnauthorized, "token_missing")
}

func TestDeleteSession(t *testing.T) {
	f := setup(t)
	me := f.register(t, "me@example.com")
	token := me.String(t, "access_token")
	other := f.login(t, "me@example.com").Want(t, http.StatusOK)
	stranger := f.register(t, "stranger@example.com")
	otherID := f.claims(t, other).SessionID.String()

	for name, id := range map[string]string{
		"another person's": f.claims(t, stranger).SessionID.String(), "nobody's": ids.New().String(), "no id": "x",
	} {
		if r := f.remove(t, id, token); r.Status != http.StatusNotFound || r.String(t, "code") != "not_found" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if f.state(t, f.claims(t, stranger)) != "live" {
		t.Fatal("a stranger's session was ended")
	}
	f.remove(t, otherID, token).Want(t, http.StatusNoContent)
	if v, _ := f.Redis.Get("sess:" + otherID); v != "revoked" {
		t.Errorf("Redis says %q", v)
	}
	f.refresh(t, other.String(t, "refresh_token")).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.remove(t, otherID, token).Want(t, http.StatusNotFound)
	if r := f.get(t, base+"sessions/", token).Want(t, http.StatusOK); r.String(t, "results.0.id") != f.claims(t, me).SessionID.String() {
		t.Errorf("list %s", r.Body)
	}
}

func TestRevoke(t *testing.T) {
	f := setup(t)
	me := f.register(t, "me@example.com")
	stranger := f.claims(t, f.register(t, "stranger@example.com"))
	token := me.String(t, "access_token")
	var mine []functest.Response
	for range 3 {
		mine = append(mine, f.login(t, "me@example.com").Want(t, http.StatusOK))
	}
	f.post(t, "logout/", mine[0].String(t, "access_token"), nil).Want(t, http.StatusNoContent)

	first := f.post(t, "revoke/", token, nil, "Idempotency-Key", "all").Want(t, http.StatusOK)
	if first.Get(t, "revoked") != 3.0 {
		t.Errorf("answer %s", first.Body)
	}
	for _, r := range append(mine, me) {
		p := f.claims(t, r)
		if v, _ := f.Redis.Get("sess:" + p.SessionID.String()); v != "revoked" {
			t.Errorf("Redis says %q", v)
		}
		if f.state(t, p) != "revoked" {
			t.Error("a session lives")
		}
		f.refresh(t, r.String(t, "refresh_token")).WantCode(t, http.StatusUnauthorized, "token_invalid")
	}
	if f.state(t, stranger) != "live" {
		t.Error("a stranger's session was ended")
	}
	again := f.post(t, "revoke/", token, nil, "Idempotency-Key", "all").Want(t, http.StatusOK)
	if string(again.Body) != string(first.Body) || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeat %s", again.Body)
	}
	if r := f.post(t, "revoke/", token, nil).Want(t, http.StatusOK); r.Get(t, "revoked") != 0.0 {
		t.Errorf("nothing left: %s", r.Body)
	}
	f.post(t, "revoke/", "", nil).WantCode(t, http.StatusUnauthorized, "token_missing")
	// Signing in again works.
	f.login(t, "me@example.com").Want(t, http.StatusOK)
}

func TestLogoutWithRefreshToken(t *testing.T) {
	f := setup(t)
	a := f.register(t, "me@example.com")
	stranger := f.register(t, "stranger@example.com")
	in := func() functest.Response { return f.login(t, "me@example.com").Want(t, http.StatusOK) }
	b, c := in(), in()
	forged := b.String(t, "refresh_token")
	forged = forged[:len(forged)-4] + "AAAA"

	for name, body := range map[string]any{
		"a stranger's token": object{"refresh_token": stranger.String(t, "refresh_token")},
		"a forged token":     object{"refresh_token": forged},
		"no token":           object{"refresh_token": "x"},
		"an empty object":    object{},
	} {
		one := in()
		if r := f.post(t, "logout/", one.String(t, "access_token"), body); r.Status != http.StatusNoContent {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		if f.state(t, f.claims(t, one)) != "revoked" {
			t.Errorf("%s: still signed in", name)
		}
	}
	for _, r := range []functest.Response{stranger, b, c} {
		if f.state(t, f.claims(t, r)) != "live" {
			t.Error("a session that was not named was ended")
		}
	}
	f.post(t, "logout/", a.String(t, "access_token"), object{"refresh_token": b.String(t, "refresh_token")}).Want(t, http.StatusNoContent)
	for name, want := range map[string]struct {
		r     functest.Response
		state string
	}{"own": {a, "revoked"}, "named": {b, "revoked"}, "other": {c, "live"}} {
		if got := f.state(t, f.claims(t, want.r)); got != want.state {
			t.Errorf("%s: %s", name, got)
		}
	}
	f.post(t, "logout/", "", nil).WantCode(t, http.StatusUnauthorized, "token_missing")
}
