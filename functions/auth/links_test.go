package auth_test

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/secrets"
)

// mailed gives the text of the newest link that was enqueued for a person, as
// the mailer would find it.
func (f *fixture) mailed(t testing.TB, kind string, user ids.ID) string {
	t.Helper()
	var hash []byte
	var token ids.ID
	of := map[string]identity.Kind{"mail.verification": identity.EmailToken, "mail.password_reset": identity.PasswordToken}[kind]
	f.Scan(t, `select t.id, t.secret_hash from app.user_outbox o join app.email_tokens t on t.user_id = o.user_id and t.id = (o.payload->>'email_token_id')::uuid
		where o.kind = $1 and o.user_id = $2 order by o.created_at desc limit 1`, []any{kind, user}, &token, &hash)
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := link.Recover(ring, of, user, token, hash)
	if !ok {
		t.Fatal("the mailer cannot make the link")
	}
	return o.Reveal()
}

func (f *fixture) askReset(t testing.TB, email string) {
	t.Helper()
	if r := f.post(t, "password-reset/", "", object{"email": email}).Want(t, http.StatusAccepted); len(r.Body) != 0 {
		t.Errorf("answer %s", r.Body)
	}
}

func (f *fixture) confirmReset(t testing.TB, token, password string) functest.Response {
	t.Helper()
	return f.post(t, "password-reset/confirm/", "", object{"token": token, "password": password})
}

const second = "analytical-engine-3"

func TestVerifyEmail(t *testing.T) {
	f := setup(t)
	r := f.register(t, "ada@example.com")
	me := f.claims(t, r)
	token := f.mailed(t, "mail.verification", me.UserID)
	verify := func(token string) functest.Response { return f.post(t, "verify-email/", "", object{"token": token}) }
	other := f.claims(t, f.register(t, "bob@example.com"))
	theirs := f.mailed(t, "mail.verification", other.UserID)
	for name, bad := range map[string]string{
		"nonsense": "x", "another kind": "pw" + token[2:], "another secret": token[:50] + theirs[50:], "another person": theirs[:25] + token[25:],
		"a person who never was": link.New(secrets.GenerateRing(me.IssuedAt), me.IssuedAt, identity.EmailToken, ids.New(), ids.New()).Reveal(),
	} {
		if r := verify(bad); r.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	verify(token).Want(t, http.StatusNoContent)
	verify(token).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	if f.login(t, "ada@example.com").Want(t, http.StatusOK).Get(t, "user.email_verified") != true {
		t.Error("not verified")
	}
	if f.login(t, "bob@example.com").Want(t, http.StatusOK).Get(t, "user.email_verified") != false {
		t.Error("another is verified")
	}
	if n := f.count(t, `select count(*) from app.user_events where action = 'email_verified' and user_id = $1 and ip like '198.18.%'`, me.UserID); n != 1 {
		t.Errorf("%d events", n)
	}
	for name, sql := range map[string]string{
		"expired":         `update app.email_tokens set expires_at = now() where user_id = $1`,
		"void":            `update app.email_tokens set voided_at = now(), expires_at = now() + interval '1 day' where user_id = $1`,
		"another address": `with t as (update app.email_tokens set voided_at = null where user_id = $1 returning user_id) update app.users set email = 'new@example.com' where user_id = (select user_id from t)`,
		"closed account":  `update app.users set email = 'bob@example.com', is_active = false where user_id = $1`,
	} {
		f.SQL(t, `update app.email_tokens set expires_at = now() + interval '1 day', voided_at = null where user_id = $1`, other.UserID)
		f.SQL(t, `update app.users set is_active = true, email = 'bob@example.com' where user_id = $1`, other.UserID)
		f.SQL(t, sql, other.UserID)
		if r := verify(theirs); r.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

func TestPasswordReset(t *testing.T) {
	f := setup(t)
	first := f.register(t, "ada@example.com")
	me := f.claims(t, first)
	f.post(t, "verify-email/", "", object{"token": f.mailed(t, "mail.verification", me.UserID)}).Want(t, http.StatusNoContent)
	f.SQL(t, `insert into app.oauth_tokens (user_id, id, issuer, subject) values ($1, $2, 'https://issuer.example', 's')`, me.UserID, ids.New())
	f.askReset(t, " ADA@example.com")
	earlier := f.mailed(t, "mail.password_reset", me.UserID)
	f.askReset(t, "ada@example.com")
	token := f.mailed(t, "mail.password_reset", me.UserID)
	if earlier == token {
		t.Fatal("one link for two requests")
	}
	// What may not be chosen does not cost the link, nor does guessing.
	f.confirmReset(t, token, "ada@example.com").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.confirmReset(t, token[:len(token)-4]+"AAAA", second).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	f.confirmReset(t, "ev"+token[2:], second).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	f.confirmReset(t, token, second).Want(t, http.StatusNoContent)
	for _, spent := range []string{token, earlier} {
		f.confirmReset(t, spent, second+"x").WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	}
	if f.state(t, me) != "revoked" {
		t.Error("a session survived the reset")
	}
	if v, _ := f.Redis.Get("sess:" + me.SessionID.String()); v != "revoked" {
		t.Errorf("Redis says %q", v)
	}
	f.post(t, "refresh/", "", object{"refresh_token": first.String(t, "refresh_token")}).Want(t, http.StatusUnauthorized)
	f.login(t, "ada@example.com").WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	f.login(t, "ada@example.com", "password", second).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.oauth_tokens where user_id = $1`, me.UserID); n != 1 {
		t.Error("a verified person lost their identity provider")
	}
	if n := f.count(t, `select count(*) from app.user_events where user_id = $1 and action in ('password_reset', 'password_reset_requested') and ip <> ''`, me.UserID); n != 3 {
		t.Errorf("%d events", n)
	}
	f.askReset(t, "ada@example.com")
	late := f.mailed(t, "mail.password_reset", me.UserID)
	if n := f.count(t, `select count(*) from app.email_tokens where kind = 'password_reset' and expires_at > now() + interval '61 minutes'`); n != 0 {
		t.Error("a link lives for more than an hour")
	}
	f.SQL(t, `update app.email_tokens set expires_at = now() where user_id = $1`, me.UserID)
	f.confirmReset(t, late, second).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
}

// Somebody registers with another's address and waits. The owner resets the
// password by mail: nothing that the stranger had made opens the account.
func TestResetOfUnverifiedAccountVoidsWhatWasBefore(t *testing.T) {
	f := setup(t)
	stranger := f.register(t, "victim@example.com")
	me := f.claims(t, stranger)
	f.SQL(t, `insert into app.oauth_tokens (user_id, id, issuer, subject) values ($1, $2, 'https://issuer.example', 'stranger')`, me.UserID, ids.New())
	f.SQL(t, `insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at) values ($1, $2, 'change_email', 'x', 'stranger@example.com', now() + interval '1 day')`, me.UserID, ids.New())
	f.askReset(t, "victim@example.com")
	f.confirmReset(t, f.mailed(t, "mail.password_reset", me.UserID), second).Want(t, http.StatusNoContent)
	if f.login(t, "victim@example.com", "password", second).Want(t, http.StatusOK).Get(t, "user.email_verified") != true {
		t.Error("who was mailed has not verified the address")
	}
	f.login(t, "victim@example.com").Want(t, http.StatusUnauthorized)
	if f.state(t, me) != "revoked" || f.count(t, `select count(*) from app.oauth_tokens`) != 0 {
		t.Error("the stranger is in")
	}
	if n := f.count(t, `select count(*) from app.email_tokens where used_at is null and voided_at is null`); n != 0 {
		t.Errorf("%d links are open", n)
	}
}

// Whoever has no account, or a closed one, is answered the same, and nothing is
// made that a mail could be sent for.
func TestTrapT19ResetTellsNothing(t *testing.T) {
	f := setup(t)
	for _, email := range []string{"closed@example.com", "gone@example.com"} {
		f.register(t, email)
	}
	f.SQL(t, `update app.users set is_active = false where email = 'closed@example.com'`)
	f.SQL(t, `update app.users set deleted_at = now() where email = 'gone@example.com'`)
	for _, email := range []string{"nobody@example.com", "closed@example.com", "gone@example.com"} {
		f.askReset(t, email)
	}
	if n := f.count(t, `select count(*) from app.email_tokens where kind = 'password_reset'`); n != 0 {
		t.Errorf("%d links", n)
	}
	// As much is left as for anybody, and none of it names an address.
	if n := f.count(t, `select count(*) from app.user_outbox where kind = $1`, queue.MailPasswordReset.Kind); n != 3 {
		t.Errorf("%d messages", n)
	}
	if n := f.count(t, `select count(*) from app.user_events where changes::text like '%example.com%'`); n != 0 {
		t.Error("an address of nobody was kept")
	}
	f.post(t, "password-reset/", "", object{"email": "not an address"}).Want(t, http.StatusUnprocessableEntity)
}

// TestTrapT18ResetLimits holds that nobody is flooded with mails, and that one
// address cannot ask for everybody's; the same for accounts that are not there.
func TestTrapT18ResetLimits(t *testing.T) {
	f := setup(t, "RESET_LIMIT_EMAIL_PER_HOUR", "2", "RESET_LIMIT_IP_PER_MINUTE", "3", "LINK_LIMIT_IP_PER_MINUTE", "2")
	f.register(t, "ada@example.com")
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		f.askReset(t, email)
		f.askReset(t, email)
		if r := f.post(t, "password-reset/", "", object{"email": email}).WantCode(t, http.StatusTooManyRequests, "too_many_attempts"); r.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	const ip = "203.0.113.4"
	for i, want := range []int{202, 202, 202, 429} {
		f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "password-reset/", Body: object{"email": ids.New().String() + "@example.com"}}).Want(t, want)
		if i < 3 {
			want = []int{422, 422, 429}[i]
			f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "verify-email/", Body: object{"token": "x"}}).Want(t, want)
		}
	}
	f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "password-reset/confirm/", Body: object{"token": "x", "password": second}}).Want(t, http.StatusTooManyRequests)
}

// Two confirmations at once: one link, one password.
func TestResetAtOnce(t *testing.T) {
	f := setup(t)
	me := f.claims(t, f.register(t, "ada@example.com"))
	f.askReset(t, "ada@example.com")
	token := f.mailed(t, "mail.password_reset", me.UserID)
	const n = 4
	results := make(chan int, n)
	for range n {
		go func() { results <- f.confirmReset(t, token, second).Status }()
	}
	won := 0
	for range n {
		if s := <-results; s == http.StatusNoContent {
			won++
		} else if s != http.StatusUnprocessableEntity {
			t.Errorf("status %d", s)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d used the link", won, n)
	}
}
