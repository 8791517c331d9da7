package auth_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/secrets"
)

func (f *fixture) refresh(t testing.TB, token string) functest.Response {
	t.Helper()
	return f.post(t, "refresh/", "", object{"refresh_token": token})
}

func TestTrapT15ParallelRefreshesHaveOneSuccessor(t *testing.T) {
	f := setup(t, "REFRESH_PER_MINUTE", "1000")
	r := f.register(t, "tabs@example.com")
	me := f.claims(t, r)
	answers := make([]functest.Response, 100)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = f.refresh(t, r.String(t, "refresh_token")) })
	}
	all.Wait()
	successors := map[string]bool{}
	for _, a := range answers {
		successors[a.Want(t, http.StatusOK).String(t, "refresh_token")] = true
	}
	if len(successors) != 1 {
		t.Errorf("%d successors of one token", len(successors))
	}
	if n := f.count(t, `select count(*) from app.refresh_tokens where session_id = $1`, me.SessionID); n != 2 {
		t.Errorf("%d tokens in the chain, want 2", n)
	}
	for s := range successors {
		f.refresh(t, s).Want(t, http.StatusOK)
	}
}

func TestTrapT15ReuseEndsTheSession(t *testing.T) {
	f := setup(t)
	r := f.register(t, "stolen@example.com")
	me := f.claims(t, r)
	other := f.claims(t, f.login(t, "stolen@example.com").Want(t, http.StatusOK))
	first := r.String(t, "refresh_token")
	second := f.refresh(t, first).Want(t, http.StatusOK).String(t, "refresh_token")
	// Within the window: the same successor, even when that is spent itself.
	third := f.refresh(t, second).Want(t, http.StatusOK).String(t, "refresh_token")
	if again := f.refresh(t, first).Want(t, http.StatusOK).String(t, "refresh_token"); again != second {
		t.Error("a second use within the window brought another successor")
	}
	f.SQL(t, `update app.refresh_tokens set spent_at = now() - interval '10 seconds' where session_id = $1 and parent_id is null`, me.SessionID)
	f.refresh(t, first).WantCode(t, http.StatusUnauthorized, "token_reused")
	// Everything of the session is dead, and nothing else.
	f.refresh(t, third).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.refresh(t, second).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.refresh(t, first).WantCode(t, http.StatusUnauthorized, "token_reused")
	if v, _ := f.Redis.Get("sess:" + me.SessionID.String()); v != "revoked" {
		t.Errorf("Redis says %q", v)
	}
	if f.state(t, me) != "revoked" || f.state(t, other) != "live" {
		t.Error("the wrong session was ended")
	}
	if n := f.count(t, `select count(*) from app.sessions where session_id = $1 and revoked_reason = 'token_reused'`, me.SessionID); n != 1 {
		t.Error("the reason is not kept")
	}
	if n := f.count(t, `select count(*) from app.user_events where user_id = $1 and action = 'session_ended'`, me.UserID); n != 1 {
		t.Errorf("%d events of the end, want 1", n)
	}
}

func TestRefreshRefuses(t *testing.T) {
	f := setup(t)
	r := f.register(t, "refuse@example.com")
	me := f.claims(t, r)
	token := r.String(t, "refresh_token")
	stranger := f.register(t, "stranger@example.com").String(t, "refresh_token")
	parts := strings.Split(token, ".")
	for name, bad := range map[string]string{
		"no token":                 "hello",
		"an access token":          r.String(t, "access_token"),
		"another kind":             "pw_" + strings.TrimPrefix(token, "rt_"),
		"a secret that never was":  identity.NewOpaque(identity.RefreshToken, me.UserID, me.SessionID).Reveal(),
		"a session that never was": identity.NewOpaque(identity.RefreshToken, me.UserID, ids.New()).Reveal(),
		"a person who never was":   identity.NewOpaque(identity.RefreshToken, ids.New(), me.SessionID).Reveal(),
		"another's secret":         parts[0] + "." + parts[1] + "." + strings.Split(stranger, ".")[2],
		"two tokens":               token + token,
	} {
		if r := f.refresh(t, bad); r.Status != http.StatusUnauthorized || r.String(t, "code") != "token_invalid" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	f.post(t, "refresh/", "", object{}).Want(t, http.StatusUnprocessableEntity)
	if r := f.post(t, "refresh/", "", object{"refresh_token": 7}).Want(t, http.StatusUnprocessableEntity); strings.Contains(string(r.Body), "token_invalid") {
		t.Errorf("%s", r.Body)
	}

	for name, sql := range map[string]string{
		"revoked session": `update app.sessions set revoked_at = now() where user_id = $1`,
		"expired session": `update app.sessions set expires_at = now() where user_id = $1`,
		"closed account":  `update app.users set is_active = false where user_id = $1`,
		"deleted account": `update app.users set deleted_at = now() where user_id = $1`,
	} {
		f.SQL(t, `update app.sessions set revoked_at = null, expires_at = now() + interval '1 day' where user_id = $1`, me.UserID)
		f.SQL(t, `update app.users set is_active = true, deleted_at = null where user_id = $1`, me.UserID)
		f.SQL(t, sql, me.UserID)
		if r := f.refresh(t, token); r.Status != http.StatusUnauthorized || r.String(t, "code") != "token_invalid" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	// None of it spent the token.
	f.SQL(t, `update app.users set is_active = true, deleted_at = null where user_id = $1`, me.UserID)
	f.SQL(t, `update app.sessions set revoked_at = null, expires_at = now() + interval '1 day' where user_id = $1`, me.UserID)
	f.refresh(t, token).Want(t, http.StatusOK)
}

// A refresh does not make a session last longer.
func TestRefreshIsAbsolute(t *testing.T) {
	f := setup(t)
	r := f.register(t, "absolute@example.com")
	me := f.claims(t, r)
	var before, after, token time.Time
	f.Scan(t, `select expires_at from app.sessions where session_id = $1`, []any{me.SessionID}, &before)
	f.SQL(t, `update app.sessions set last_seen_at = now() - interval '1 hour' where session_id = $1`, me.SessionID)
	next := f.refresh(t, r.String(t, "refresh_token")).Want(t, http.StatusOK)
	f.Scan(t, `select expires_at from app.sessions where session_id = $1`, []any{me.SessionID}, &after)
	f.Scan(t, `select expires_at from app.refresh_tokens where session_id = $1 and parent_id is not null`, []any{me.SessionID}, &token)
	if !before.Equal(after) || !token.Equal(before) {
		t.Errorf("session %s, then %s; token %s", before, after, token)
	}
	if n := f.count(t, `select count(*) from app.sessions where session_id = $1 and last_seen_at > now() - interval '1 minute'`, me.SessionID); n != 1 {
		t.Error("last_seen_at did not move")
	}
	f.SQL(t, `update app.sessions set expires_at = now() + interval '5 minutes' where session_id = $1`, me.SessionID)
	last := f.refresh(t, next.String(t, "refresh_token")).Want(t, http.StatusOK)
	if n, _ := last.Get(t, "expires_in").(float64); n > 300 {
		t.Errorf("an access token of %v s for a session of 300", n)
	}
}

// The role in the token is the one of the moment; who was removed goes on
// without an organization.
func TestRefreshFollowsMembership(t *testing.T) {
	f := setup(t)
	r := f.register(t, "moved@example.com")
	me := f.claims(t, r)
	f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, me.UserID)
	next := f.refresh(t, r.String(t, "refresh_token")).Want(t, http.StatusOK)
	if p := f.claims(t, next); p.Roles[0] != "viewer" || p.TenantID != me.TenantID {
		t.Errorf("%+v", p)
	}

	gone := f.register(t, "gone@example.com")
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, f.claims(t, gone).UserID)
	if p := f.claims(t, f.refresh(t, gone.String(t, "refresh_token")).Want(t, http.StatusOK)); p.HasTenant() || len(p.Roles) > 0 {
		t.Errorf("%+v", p)
	}
}

// When the ring of keys turns between two uses of one token, the second use
// still finds the successor of the first; a ring that has lost the key asks to
// try again and ends nothing.
func TestRefreshAcrossRotation(t *testing.T) {
	f := setup(t)
	r := f.register(t, "ring@example.com")
	token := r.String(t, "refresh_token")
	successor := f.refresh(t, token).Want(t, http.StatusOK).String(t, "refresh_token")

	old, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	turned := old.Rotate(time.Now().Add(-time.Hour), 0)
	for name, c := range map[string]struct {
		ring   *secrets.Ring
		status int
	}{"turned": {turned, http.StatusOK}, "lost": {secrets.GenerateRing(time.Now().Add(-time.Hour)), http.StatusServiceUnavailable}} {
		text, err := c.ring.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		f.Vars["ENVELOPE_KEYS"] = string(text)
		other := &fixture{Env: f.Env, handler: f.reopen(t)}
		got := other.refresh(t, token).Want(t, c.status)
		if c.status == http.StatusOK && got.String(t, "refresh_token") != successor {
			t.Errorf("%s: another successor", name)
		}
	}
	f.refresh(t, successor).Want(t, http.StatusOK)
}
