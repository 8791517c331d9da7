package auth_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

func change(current, next string) object {
	return object{"current_password": current, "new_password": next}
}

func TestChangePassword(t *testing.T) {
	f := setup(t)
	r := f.register(t, "ada@example.com")
	me, token := f.claims(t, r), r.String(t, "access_token")
	other := f.claims(t, f.login(t, "ada@example.com").Want(t, http.StatusOK))
	f.askReset(t, "ada@example.com")
	link := f.mailed(t, "mail.password_reset", me.UserID)

	f.post(t, "password/", "", change(password, second)).Want(t, http.StatusUnauthorized)
	f.post(t, "password/", token, change("wrong-password-1", second)).WantCode(t, http.StatusUnprocessableEntity, "wrong_password")
	f.post(t, "password/", token, change(password, "ada@example.com")).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.post(t, "password/", token, change(password, second), "Idempotency-Key", "k").Want(t, http.StatusNoContent)
	if again := f.post(t, "password/", token, change(password, second), "Idempotency-Key", "k").Want(t, http.StatusNoContent); again.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("a repeat is not told as one")
	}
	if f.state(t, me) != "live" || f.state(t, other) != "revoked" {
		t.Errorf("this session is %s, the other %s", f.state(t, me), f.state(t, other))
	}
	if v, _ := f.Redis.Get("sess:" + other.SessionID.String()); v != "revoked" {
		t.Errorf("Redis says %q of the other", v)
	}
	f.confirmReset(t, link, second).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	f.login(t, "ada@example.com").Want(t, http.StatusUnauthorized)
	f.login(t, "ada@example.com", "password", second).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.user_events where action = 'password_changed' and changes = '{}'`); n != 1 {
		t.Errorf("%d events", n)
	}

	f.SQL(t, `delete from app.credentials`)
	f.post(t, "password/", token, change(second, password)).WantCode(t, http.StatusConflict, "no_password")
	f.SQL(t, `update app.users set is_active = false`)
	f.post(t, "password/", token, change(second, password)).Want(t, http.StatusUnauthorized)
}

// A stolen access token guesses so often and no more, and spends nothing of
// what its owner signs in with.
func TestPasswordProofIsLimited(t *testing.T) {
	f := setup(t, "PASSWORD_PROOF_PER_MINUTE", "2", "PASSWORD_PROOF_PER_HOUR", "3")
	r := f.register(t, "ada@example.com")
	for _, want := range []int{422, 422, 429} {
		f.post(t, "password/", r.String(t, "access_token"), change("wrong-password-1", second)).Want(t, want)
	}
	other := f.login(t, "ada@example.com").Want(t, http.StatusOK).String(t, "access_token")
	f.post(t, "password/", other, change("wrong-password-1", second)).Want(t, http.StatusUnprocessableEntity)
	f.post(t, "password/", other, change(password, second)).Want(t, http.StatusTooManyRequests)
}

func TestSwitchTenant(t *testing.T) {
	f := setup(t)
	r := f.register(t, "ada@example.com")
	me, token := f.claims(t, r), r.String(t, "access_token")
	home, away := me.TenantID, f.Tenant(t).TenantID
	to := func(token string, tenant ids.ID, header ...string) functest.Response {
		return f.post(t, "switch-tenant/", token, object{"tenant_id": tenant}, header...)
	}
	to(token, away).WantCode(t, http.StatusForbidden, "not_a_member")
	to(token, ids.New()).WantCode(t, http.StatusForbidden, "not_a_member")
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, is_active, joined_at) values ($1, $2, 'ada@example.com', 'viewer', false, now())`, away, me.UserID)
	f.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, me.UserID, away)
	to(token, away).WantCode(t, http.StatusForbidden, "not_a_member")
	f.SQL(t, `update app.memberships set is_active = true where user_id = $1`, me.UserID)

	in := to(token, away, "Idempotency-Key", "k").Want(t, http.StatusOK)
	moved := f.claims(t, in)
	if moved.TenantID != away || moved.SessionID != me.SessionID || moved.UserID != me.UserID || moved.Roles[0] != "viewer" || moved.Email != me.Email {
		t.Errorf("moved to %+v", moved)
	}
	if in.String(t, "tenant.id") != away.String() || in.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %s", in.Body)
	}
	if again := to(token, away, "Idempotency-Key", "k").Want(t, http.StatusOK); again.String(t, "refresh_token") != in.String(t, "refresh_token") {
		t.Error("a repeat made another pair")
	}
	// One chain goes on: the token of before is void and ends nothing.
	f.post(t, "refresh/", "", object{"refresh_token": r.String(t, "refresh_token")}).WantCode(t, http.StatusUnauthorized, "token_invalid")
	next := f.post(t, "refresh/", "", object{"refresh_token": in.String(t, "refresh_token")}).Want(t, http.StatusOK)
	if got := f.claims(t, next); got.TenantID != away || got.SessionID != me.SessionID {
		t.Errorf("renewed for %+v", got)
	}
	// The next sign-in comes here.
	if got := f.claims(t, f.login(t, "ada@example.com").Want(t, http.StatusOK)); got.TenantID != away {
		t.Errorf("signed in to %s", got.TenantID)
	}
	back := to(next.String(t, "access_token"), home).Want(t, http.StatusOK)
	if got := f.claims(t, back); got.TenantID != home || got.Roles[0] != "owner" {
		t.Errorf("back in %+v", got)
	}
	// A token that was spent a moment ago brings no second chain back.
	f.post(t, "refresh/", "", object{"refresh_token": in.String(t, "refresh_token")}).WantCode(t, http.StatusUnauthorized, "token_invalid")

	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, away)
	to(token, away).WantCode(t, http.StatusForbidden, "not_a_member")
	f.SQL(t, `update app.sessions set revoked_at = now() where session_id = $1`, me.SessionID)
	to(token, home).Want(t, http.StatusUnauthorized)
	none := me
	none.SessionID = ids.Nil
	if text, _, err := f.Signer.Access(t.Context(), none, 3600e9); err == nil {
		to(text, home).Want(t, http.StatusUnauthorized)
	}
}

// However many refreshes and switches meet, one refresh token goes on.
func TestSwitchAndRefreshLeaveOneChain(t *testing.T) {
	f := setup(t)
	for round := range 4 {
		r := f.register(t, fmt.Sprintf("ada%d@example.com", round))
		me := f.claims(t, r)
		done := make(chan struct{})
		for i := range 6 {
			go func() {
				defer func() { done <- struct{}{} }()
				if i%2 == 0 {
					f.post(t, "refresh/", "", object{"refresh_token": r.String(t, "refresh_token")})
				} else {
					f.post(t, "switch-tenant/", r.String(t, "access_token"), object{"tenant_id": me.TenantID})
				}
			}()
		}
		for range 6 {
			<-done
		}
		if n := f.count(t, `select count(*) from app.refresh_tokens where session_id = $1 and spent_at is null`, me.SessionID); n != 1 {
			t.Errorf("round %d: %d tokens go on", round, n)
		}
	}
}

// Strangers spend an account's hour from everywhere. Its owner gets in from
// where they were before, and from elsewhere by resetting the password; an
// account that is not there is refused like any other.
func TestStrangersLockNobodyOut(t *testing.T) {
	f := setup(t, "SIGNIN_ACCOUNT_PER_HOUR", "4", "SIGNIN_KNOWN_PER_HOUR", "3")
	const home, away = "203.0.113.20", "203.0.113.21"
	try := func(ip, email, pass string) functest.Response {
		return f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "login/", Body: object{"email": email, "password": pass}})
	}
	f.from(t, home, functest.Request{Method: http.MethodPost, Path: base + "register/", Body: person("ada@example.com")}).Want(t, http.StatusCreated)
	me := f.claims(t, try(home, "ada@example.com", password).Want(t, http.StatusOK))
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		for range 4 {
			f.login(t, email, "password", "wrong-password-1")
		}
		try(away, email, password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	}
	try(home, "nobody@example.com", password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	try(home, "ada@example.com", password).Want(t, http.StatusOK)
	try(home, "ada@example.com", "wrong-password-1").WantCode(t, http.StatusUnauthorized, "invalid_credentials")

	f.askReset(t, "ada@example.com")
	f.from(t, away, functest.Request{Method: http.MethodPost, Path: base + "password-reset/confirm/", Body: object{
		"token": f.mailed(t, "mail.password_reset", me.UserID), "password": second,
	}}).Want(t, http.StatusNoContent)
	try(away, "ada@example.com", second).Want(t, http.StatusOK)
	// What is known has a budget too.
	for _, want := range []int{401, 429} {
		try(home, "ada@example.com", "wrong-password-1").Want(t, want)
	}
}
