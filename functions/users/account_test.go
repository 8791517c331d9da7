package users_test

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/functions/users"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
)

const password = "difference-engine-2"

// equip gives somebody the password of the tests.
func (f *fixture) equip(t *testing.T, who functest.Person) {
	t.Helper()
	hash, err := identity.NewHasher(1).Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	f.SQL(t, `insert into app.credentials (user_id, password_hash) values ($1, $2)`, who.UserID, hash)
}

func (f *fixture) post(t *testing.T, who functest.Person, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: http.MethodPost, Path: me + path, Token: who.Token, Body: body, Header: h})
}

// mailed gives the link of a change of address that was enqueued last, as the
// mailer would make it, and where it goes.
func (f *fixture) mailed(t *testing.T, who functest.Person) (token, email string) {
	t.Helper()
	var id ids.ID
	var hash []byte
	f.Scan(t, `select t.id, t.secret_hash, t.email from app.user_outbox o join app.email_tokens t on t.user_id = o.user_id and t.id = (o.payload->>'email_token_id')::uuid
		where o.kind = 'mail.email_change' and o.user_id = $1 order by o.created_at desc limit 1`, []any{who.UserID}, &id, &hash, &email)
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := link.Recover(ring, identity.EmailToken, who.UserID, id, hash)
	if !ok {
		t.Fatal("the mailer cannot make the link")
	}
	return o.Reveal(), email
}

type body = map[string]any

func TestChangeEmail(t *testing.T) {
	f := setup(t)
	f.equip(t, f.owner)
	ask := func(email, password string, header ...string) functest.Response {
		return f.post(t, f.owner, "email/", body{"email": email, "password": password}, header...)
	}
	confirm := func(who functest.Person, token string) functest.Response {
		return f.post(t, who, "email/confirm/", body{"token": token})
	}
	ask("new@example.com", "wrong-password-1").WantCode(t, http.StatusUnprocessableEntity, "wrong_password")
	ask("not an address", password).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	ask(f.owner.Email, password).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.SQL(t, `insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at) values ($1, $2, 'password_reset', 'x', $3, now() + interval '1 hour')`,
		f.owner.UserID, ids.New(), f.owner.Email)

	r := ask(" New@Example.com", password, "Idempotency-Key", "k").Want(t, http.StatusAccepted)
	if len(r.Body) != 0 || r.Header.Get("X-Coditect-Outbox") != "1" {
		t.Errorf("answer %v %s", r.Header, r.Body)
	}
	void, to := f.mailed(t, f.owner)
	if to != "new@example.com" {
		t.Errorf("mailed to %s", to)
	}
	ask("newer@example.com", password).Want(t, http.StatusAccepted)
	token, _ := f.mailed(t, f.owner)
	if got := f.do(t, f.owner, http.MethodGet, nil).String(t, "email"); got != f.owner.Email {
		t.Fatalf("%s before it was confirmed", got)
	}
	stranger := f.Person(t)
	confirm(stranger, token).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	for _, bad := range []string{void, "x", token[:len(token)-4] + "AAAA", "pw" + token[2:]} {
		confirm(f.owner, bad).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	}
	confirm(f.owner, token).Want(t, http.StatusNoContent)
	confirm(f.owner, token).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	after := f.do(t, f.owner, http.MethodGet, nil)
	if after.String(t, "email") != "newer@example.com" || after.Get(t, "email_verified") != true {
		t.Errorf("profile %s", after.Body)
	}
	if n := f.count(t, `select count(*) from app.email_claims where user_id = $1 and email = 'newer@example.com'`, f.owner.UserID); n != 1 {
		t.Error("the new address is not claimed")
	}
	if n := f.count(t, `select count(*) from app.email_claims where user_id = $1`, f.owner.UserID); n != 1 {
		t.Error("the old address is still claimed")
	}
	if n := f.count(t, `select count(*) from app.email_tokens where user_id = $1 and used_at is null and voided_at is null`, f.owner.UserID); n != 0 {
		t.Errorf("%d links are open", n)
	}
	if n := f.count(t, `select count(*) from app.user_outbox where kind = 'profile.changed' and user_id = $1`, f.owner.UserID); n != 1 {
		t.Error("memberships are not told")
	}
}

// Whether the new address has an account is told to who reads its mail, and to
// nobody else.
func TestTrapT19ChangeEmailTellsNothing(t *testing.T) {
	f := setup(t)
	f.equip(t, f.owner)
	other := f.Person(t)
	taken := f.post(t, f.owner, "email/", body{"email": other.Email, "password": password}).Want(t, http.StatusAccepted)
	token, _ := f.mailed(t, f.owner)
	f.post(t, f.owner, "email/confirm/", body{"token": token}).WantCode(t, http.StatusConflict, "email_taken")
	free := f.post(t, f.owner, "email/", body{"email": "free@example.com", "password": password}).Want(t, http.StatusAccepted)
	if string(taken.Body) != string(free.Body) {
		t.Errorf("%s differs from %s", taken.Body, free.Body)
	}
	late, _ := f.mailed(t, f.owner)
	f.SQL(t, `update app.email_tokens set expires_at = now()`)
	f.post(t, f.owner, "email/confirm/", body{"token": late}).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	f.post(t, other, "email/", body{"email": "free@example.com", "password": password}).WantCode(t, http.StatusConflict, "no_password")
	f.SQL(t, `update app.users set deleted_at = now() where user_id = $1`, other.UserID)
	f.post(t, other, "email/", body{"email": "free@example.com", "password": password}).Want(t, http.StatusUnauthorized)
}

func TestTrapT18ChangeEmailLimits(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	e.Vars["EMAIL_CHANGE_LIMIT_PER_HOUR"], e.Vars["EMAIL_CHANGE_LIMIT_EMAIL_PER_HOUR"], e.Vars["PASSWORD_PROOF_PER_MINUTE"] = "2", "2", "4"
	f := &fixture{e, e.Open(t, users.Open), e.Tenant(t)}
	f.equip(t, f.owner)
	for i, want := range []int{202, 202, 429} {
		f.post(t, f.owner, "email/", body{"email": string(rune('a'+i)) + "@example.com", "password": password}).Want(t, want)
	}
	// One address gets so many, whoever asks; and guessing has its own bound.
	for _, want := range []int{202, 429} {
		other := f.Person(t)
		f.equip(t, other)
		f.post(t, other, "email/", body{"email": "a@example.com", "password": password}).Want(t, want)
	}
	guesser := f.Person(t)
	f.equip(t, guesser)
	e.Vars["EMAIL_CHANGE_LIMIT_PER_HOUR"] = "100"
	f.handler = e.Open(t, users.Open)
	for i, want := range []int{422, 422, 422, 422, 429} {
		f.post(t, guesser, "email/", body{"email": string(rune('k'+i)) + "@example.com", "password": "wrong"}).Want(t, want)
	}
}

func TestDeleteAccount(t *testing.T) {
	f := setup(t)
	away, old := f.Tenant(t), f.Tenant(t)
	who := f.Member(t, f.owner.TenantID, "admin")
	for _, tenant := range []ids.ID{away.TenantID, old.TenantID} {
		f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, is_active, joined_at) values ($1, $2, $3, 'owner', true, now())`, tenant, who.UserID, who.Email)
		f.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, who.UserID, tenant)
	}
	remove := func(who functest.Person, header ...string) functest.Response {
		return f.post(t, who, "delete/", body{"confirm": who.Email}, header...)
	}
	f.post(t, who, "delete/", body{"confirm": f.owner.Email}).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")

	// Of one organization they would be the last owner: nothing happens, to none.
	f.SQL(t, `update app.memberships set is_active = false where tenant_id = $1 and user_id = $2`, away.TenantID, away.UserID)
	remove(who).WantCode(t, http.StatusConflict, "last_owner")
	if n := f.count(t, `select count(*) from app.memberships where user_id = $1 and is_active`, who.UserID); n != 3 {
		t.Fatalf("%d memberships are left", n)
	}
	// A deleted organization needs no owner.
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, away.TenantID)
	remove(who, "Idempotency-Key", "k", "X-Request-Id", "gone").Want(t, http.StatusAccepted)
	if again := remove(who, "Idempotency-Key", "k").Want(t, http.StatusAccepted); again.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("a repeat is not told as one")
	}
	remove(who).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.do(t, who, http.MethodGet, nil).Want(t, http.StatusUnauthorized)
	for name, sql := range map[string]string{
		"memberships":         `select count(*) from app.memberships where user_id = $1 and (is_active or left_at is null)`,
		"the person's side":   `select count(*) from app.user_tenants where user_id = $1 and left_at is null`,
		"sessions":            `select count(*) from app.sessions where user_id = $1 and revoked_at is null`,
		"an account":          `select count(*) from app.users where user_id = $1 and (is_active or deleted_at is null)`,
		"a summary to be due": `select count(*) from app.profiles where user_id = $1 and next_digest_at is not null`,
	} {
		if n := f.count(t, sql, who.UserID); n != 0 {
			t.Errorf("%s are left: %d", name, n)
		}
	}
	// Told in each of the three, by what is theirs alone.
	if n := f.count(t, `select count(distinct tenant_id) from app.activity where request_id = 'gone' and action = 'left' and model = 'Membership' and object_id = $1`, who.UserID); n != 3 {
		t.Errorf("%d organizations tell of it", n)
	}
	if n := f.count(t, `select count(distinct tenant_id) from app.outbox where kind = 'access.changed'`); n != 3 {
		t.Errorf("access is dropped in %d", n)
	}
	if v, _ := f.Redis.Get("sess:" + who.SessionID.String()); v != "revoked" {
		t.Errorf("Redis says %q", v)
	}
	// The address is kept until the account is erased.
	if n := f.count(t, `select count(*) from app.email_claims where user_id = $1`, who.UserID); n != 1 {
		t.Error("the address is free at once")
	}
	remove(f.Person(t)).Want(t, http.StatusAccepted)
	remove(f.owner).WantCode(t, http.StatusConflict, "last_owner")
}

// Two owners go at once: one of them stays.
func TestLastOwnersDeleteAtOnce(t *testing.T) {
	f := setup(t)
	for range 4 {
		one := f.Tenant(t)
		two := f.Member(t, one.TenantID, identity.RoleOwner)
		status := make(chan int, 2)
		for _, who := range []functest.Person{one, two} {
			go func() { status <- f.post(t, who, "delete/", body{"confirm": who.Email}).Status }()
		}
		if a, b := <-status, <-status; a+b != http.StatusAccepted+http.StatusConflict {
			t.Errorf("%d and %d", a, b)
		}
		if n := f.count(t, `select count(*) from app.memberships where tenant_id = $1 and is_active`, one.TenantID); n != 1 {
			t.Errorf("%d owners are left", n)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, vars := range map[string]map[string]string{
		"no limit": {"EMAIL_CHANGE_LIMIT_PER_HOUR": "0"}, "hashers": {"PASSWORD_HASHERS": "-1"}, "proofs": {"PASSWORD_PROOF_PER_HOUR": "0"}, "nothing": {},
	} {
		if _, err := users.Open(t.Context(), func(k string) (string, bool) { v, ok := vars[k]; return v, ok }); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
