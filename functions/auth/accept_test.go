package auth_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
)

const accepting = "/api/v1/users/invitations/accept/"

// invited makes an invitation as functions/users does, by somebody, and gives
// it with the text of its link.
func (f *fixture) invited(t testing.TB, by functest.Person, email, role string) (invitation, member ids.ID, token string) {
	t.Helper()
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	o := link.New(ring, time.Now(), identity.InvitationToken, by.TenantID, ids.New())
	member = ids.New()
	builtin, custom := role, (*ids.ID)(nil)
	if _, ok := identity.Builtin(role); !ok {
		var id ids.ID
		f.Scan(t, `select id from app.roles where tenant_id = $1 and name = $2`, []any{by.TenantID, role}, &id)
		builtin, custom = "custom", &id
	}
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, first_name, last_name, role, custom_role_id, is_active)
		values ($1, $2, $3, 'Grace', 'Hopper', $4, $5, false)`, by.TenantID, member, email, builtin, custom)
	f.SQL(t, `insert into app.invitations (tenant_id, id, email, first_name, last_name, role, custom_role_id, member_id, secret_hash, invited_by, expires_at)
		values ($1, $2, $3, 'Grace', 'Hopper', $4, $5, $6, $7, $8, now() + interval '7 days')`,
		by.TenantID, o.ID, email, builtin, custom, member, o.Hash(), by.UserID)
	return o.ID, member, o.Reveal()
}

// accept sends an acceptance from an address of its own.
func (f *fixture) accept(t testing.TB, token, bearer string, more ...any) functest.Response {
	t.Helper()
	return f.acceptWith(t, "", token, bearer, more...)
}

func (f *fixture) acceptWith(t testing.TB, key, token, bearer string, more ...any) functest.Response {
	t.Helper()
	n := f.clients.Add(1)
	in := functest.Request{Method: http.MethodPost, Path: accepting, Token: bearer, Body: with(object{"token": token}, more...)}
	if key != "" {
		in.Header = map[string]string{"Idempotency-Key": key}
	}
	return f.from(t, fmt.Sprintf("198.18.%d.%d", n/256, n%256), in)
}

// verified registers somebody who shows that the address is theirs.
func (f *fixture) verified(t testing.TB, email string) functest.Response {
	t.Helper()
	r := f.register(t, email)
	f.SQL(t, `update app.users set email_verified_at = now() where email = $1`, email)
	return r
}

type membership struct {
	role             string
	active, left     bool
	first, onTheirs  string
	version, members int
}

func (f *fixture) membership(t testing.TB, tenant, user ids.ID) (m membership) {
	t.Helper()
	f.Scan(t, `select m.role, m.is_active, m.left_at is not null, m.first_name, m.version,
		(select count(*) from app.memberships o where o.tenant_id = $1 and o.left_at is null)
		from app.memberships m where m.tenant_id = $1 and m.user_id = $2`, []any{tenant, user}, &m.role, &m.active, &m.left, &m.first, &m.version, &m.members)
	// The person's side lies on another shard.
	f.Scan(t, `select coalesce(max(case when left_at is null then 'in' else 'left' end), '') from app.user_tenants where user_id = $2 and tenant_id = $1`, []any{tenant, user}, &m.onTheirs)
	return m
}

func TestAcceptMakesAnAccount(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	id, member, token := f.invited(t, owner, "grace@example.com", "manager")

	// What is refused costs nothing.
	f.accept(t, token, "").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.accept(t, token, "", "password", "12345678").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.accept(t, token, "", "password", "grace@example.com").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.accept(t, token, "", "password", password, "first_name", "a\nb").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.accept(t, token, "", "password", password, "last_name", "  ").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")

	r := f.accept(t, token, "", "password", password, "last_name", "Murray").Want(t, http.StatusOK)
	for path, want := range map[string]any{
		"user.email": "grace@example.com", "user.email_verified": true, "user.first_name": "Grace", "user.last_name": "Murray", "user.id": member.String(),
		"tenant.id": owner.TenantID.String(), "tenant.role": "manager", "token_type": "Bearer",
	} {
		if got := r.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if r.Get(t, "user.last_login") == nil || r.Header.Get("X-Coditect-Outbox") != "1" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	me := f.claims(t, r)
	if me.UserID != member || me.TenantID != owner.TenantID || me.Roles[0] != "manager" || me.Email != "grace@example.com" || me.Name != "Grace Murray" {
		t.Errorf("the token says %+v", me)
	}
	if f.state(t, me) != "live" {
		t.Error("the session does not live")
	}
	if m := f.membership(t, owner.TenantID, member); m != (membership{"custom", true, false, "Grace", "in", 2, 2}) {
		t.Errorf("membership %+v", m)
	}
	f.post(t, "refresh/", "", object{"refresh_token": r.String(t, "refresh_token")}).Want(t, http.StatusOK)
	if got := f.login(t, "grace@example.com").Want(t, http.StatusOK).String(t, "tenant.id"); got != owner.TenantID.String() {
		t.Errorf("signs in to %s", got)
	}
	var digest *time.Time
	f.Scan(t, `select next_digest_at from app.profiles where user_id = $1`, []any{member}, &digest)
	if digest == nil {
		t.Error("no summary is due")
	}
	// Once.
	f.accept(t, token, "", "password", password).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	f.accept(t, token, r.String(t, "access_token")).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")

	var by ids.ID
	var acts, events string
	f.Scan(t, `select accepted_by from app.invitations where id = $1 and accepted_at is not null`, []any{id}, &by)
	f.Scan(t, `select string_agg(action || ' ' || model || ' ' || (object_id = $2 or object_id = $3) || ' ' || (user_id = $3), ', ' order by action) from app.activity where tenant_id = $1`,
		[]any{owner.TenantID, id, member}, &acts)
	f.Scan(t, `select string_agg(action, ', ' order by action) from app.user_events where user_id = $1 and ip like '198.18.%' and request_id <> '' and action <> 'signed_in'`, []any{member}, &events)
	if by != member || acts != "accepted Invitation true true, joined Membership true true" || events != "invitation_accepted, registered" {
		t.Errorf("accepted by %s; %s; %s", by, acts, events)
	}
}

// TestTrapT17TokensOfInvitations: a token is one invitation's alone, as long as
// that holds, and nothing in the database opens it.
func TestTrapT17TokensOfInvitations(t *testing.T) {
	f := setup(t)
	owner, other := f.Tenant(t), f.Tenant(t)
	f.SQL(t, `update app.organizations set plan = 'enterprise'`)
	id, _, token := f.invited(t, owner, "grace@example.com", "member")
	_, _, theirs := f.invited(t, other, "grace@example.com", "member")
	try := func(token string) functest.Response { return f.accept(t, token, "", "password", password) }
	var hash string
	f.Scan(t, `select encode(secret_hash, 'base64') from app.invitations where id = $1`, []any{id}, &hash)
	for name, bad := range map[string]string{
		"nonsense": "x", "another kind": "ev" + token[3:], "another secret": token[:51] + theirs[51:], "another tenant": theirs[:26] + token[26:],
		"another invitation": token[:27] + theirs[27:49] + token[49:], "its hash": token[:50] + strings.TrimRight(hash, "=")[:43], "upper case": strings.ToUpper(token),
	} {
		if bad == token {
			t.Fatalf("%s is the token", name)
		}
		if r := try(bad); r.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	admin := f.Member(t, owner.TenantID, "admin")
	for name, c := range map[string]struct {
		break_, mend string
		status       int
	}{
		"revoked":                              {`update app.invitations set revoked_at = now() where id = $1`, `update app.invitations set revoked_at = null where id = $1`, 422},
		"expired":                              {`update app.invitations set expires_at = now() where id = $1`, `update app.invitations set expires_at = now() + interval '1 day' where id = $1`, 422},
		"another secret in the row":            {`update app.invitations set secret_hash = sha256(secret_hash) where id = $1`, "", 422},
		"its inviter was deactivated":          {`update app.memberships set is_active = false where user_id = (select invited_by from app.invitations where id = $1)`, `update app.memberships set is_active = true where user_id = (select invited_by from app.invitations where id = $1)`, 422},
		"its inviter left":                     {`update app.memberships set is_active = false, left_at = now() where user_id = (select invited_by from app.invitations where id = $1)`, `update app.memberships set is_active = true, left_at = null where user_id = (select invited_by from app.invitations where id = $1)`, 422},
		"its inviter may invite no more":       {`update app.memberships set role = 'member' where user_id = (select invited_by from app.invitations where id = $1)`, `update app.memberships set role = 'admin' where user_id = (select invited_by from app.invitations where id = $1)`, 422},
		"its inviter holds less than it gives": {`update app.invitations set role = 'owner' where id = $1`, `update app.invitations set role = 'member' where id = $1`, 422},
		"a suspended organization":             {`update app.organizations set status = 'suspended' where tenant_id = (select tenant_id from app.invitations where id = $1)`, `update app.organizations set status = 'active' where tenant_id = (select tenant_id from app.invitations where id = $1)`, 403},
		"a deleted organization":               {`update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = (select tenant_id from app.invitations where id = $1)`, `update app.organizations set status = 'active', deleted_at = null where tenant_id = (select tenant_id from app.invitations where id = $1)`, 403},
	} {
		id, _, token := f.invited(t, admin, ids.New().String()+"@example.com", "member")
		f.SQL(t, c.break_, id)
		if r := try(token); r.Status != c.status {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		if c.mend != "" {
			f.SQL(t, c.mend, id)
			try(token).Want(t, http.StatusOK)
		}
	}
	if n := f.count(t, `select count(*) from app.users where email = 'grace@example.com'`); n != 0 {
		t.Error("a refused acceptance made an account")
	}
	// Each joins the organization that it is of.
	if got := try(token).Want(t, http.StatusOK).String(t, "tenant.id"); got != owner.TenantID.String() {
		t.Errorf("joined %s", got)
	}
	if got := f.accept(t, theirs, "", "password", password).Want(t, http.StatusOK).String(t, "tenant.id"); got != other.TenantID.String() {
		t.Errorf("joined %s", got)
	}
}

// TestTrapT17RegisteringIsNotAccepting: whoever registers with an invited
// address, without reading its mail, has an account and nothing else.
func TestTrapT17RegisteringIsNotAccepting(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	_, member, token := f.invited(t, owner, "grace@example.com", "admin")
	squatter := f.register(t, "grace@example.com")
	f.login(t, "grace@example.com", "tenant", owner.TenantID).WantCode(t, http.StatusForbidden, "not_a_member")
	f.post(t, "switch-tenant/", squatter.String(t, "access_token"), object{"tenant_id": owner.TenantID}).WantCode(t, http.StatusForbidden, "not_a_member")
	if f.claims(t, squatter).UserID == member {
		t.Error("registering took the waiting membership")
	}
	// Only an account: its own access token is no link.
	f.accept(t, "x", squatter.String(t, "access_token")).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	// And the invited person comes in all the same.
	f.accept(t, token, "", "password", second).Want(t, http.StatusOK)
}

// TestTrapT17UnverifiedAccountIsTakenOver: somebody made an account with an
// address that is not theirs and waits for its owner to be invited.
func TestTrapT17UnverifiedAccountIsTakenOver(t *testing.T) {
	for name, c := range map[string]struct {
		more   []any // of the acceptance
		bearer bool
		after  string // the password that opens the account then
	}{
		"with a password": {more: []any{"password", second, "first_name", "Grace"}, after: second},
		"with the password that the squatter chose":  {more: []any{"password", password}, after: password},
		"in the squatter's session":                  {bearer: true},
		"in the squatter's session, with a password": {more: []any{"password", second}, bearer: true, after: second},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			owner := f.Tenant(t)
			squatter := f.register(t, "grace@example.com")
			who := f.claims(t, squatter)
			f.SQL(t, `insert into app.oauth_tokens (user_id, id, issuer, subject) values ($1, $2, 'https://issuer.example', 's')`, who.UserID, ids.New())
			f.askReset(t, "grace@example.com")
			reset, verify := f.mailed(t, "mail.password_reset", who.UserID), f.mailed(t, "mail.verification", who.UserID)
			bearer := ""
			if c.bearer {
				bearer = squatter.String(t, "access_token")
			}
			_, member, token := f.invited(t, owner, "grace@example.com", "member")
			if !c.bearer {
				f.accept(t, token, "").WantCode(t, http.StatusUnauthorized, "sign_in_required")
				f.accept(t, token, "", "password", "12345678").WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
			}
			r := f.accept(t, token, bearer, c.more...).Want(t, http.StatusOK)
			me := f.claims(t, r)
			if me.UserID != who.UserID || me.UserID == member || me.TenantID != owner.TenantID || r.Get(t, "user.email_verified") != true {
				t.Errorf("came in as %+v: %s", me, r.Body)
			}
			if m := f.membership(t, owner.TenantID, me.UserID); m.role != "member" || !m.active || m.onTheirs != "in" || m.members != 2 {
				t.Errorf("membership %+v", m)
			}
			if n := f.count(t, `select count(*) from app.memberships where user_id = $1`, member); n != 0 {
				t.Error("the membership that waited is still there")
			}
			// Whatever was made before opens nothing.
			if f.state(t, who) != "revoked" || f.state(t, me) != "live" {
				t.Errorf("the sessions are %s and %s", f.state(t, who), f.state(t, me))
			}
			if v, _ := f.Redis.Get("sess:" + who.SessionID.String()); v != "revoked" {
				t.Errorf("Redis says %q", v)
			}
			f.post(t, "refresh/", "", object{"refresh_token": squatter.String(t, "refresh_token")}).Want(t, http.StatusUnauthorized)
			f.confirmReset(t, reset, second+"x").WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
			f.post(t, "verify-email/", "", object{"token": verify}).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
			if n := f.count(t, `select count(*) from app.oauth_tokens where user_id = $1`, who.UserID); n != 0 {
				t.Error("an identity provider's account is still tied to it")
			}
			for _, p := range []string{password, second} {
				if got := f.login(t, "grace@example.com", "password", p).Status; (got == http.StatusOK) != (p == c.after) {
					t.Errorf("signing in with %s gives %d", p, got)
				}
			}
			// Memberships elsewhere follow a name that changed.
			renamed := f.count(t, `select count(*) from app.user_outbox where user_id = $1 and kind = 'profile.changed'`, who.UserID)
			if want := map[bool]int{true: 1}[len(c.more) > 2]; renamed != want {
				t.Errorf("%d messages of a changed name, want %d", renamed, want)
			}
		})
	}
}

// TestAcceptWithAnAccount: an account that somebody showed to be theirs is
// opened by nothing but what opens it anyway.
func TestAcceptWithAnAccount(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	grace := f.verified(t, "grace@example.com")
	me := f.claims(t, grace)
	stranger := f.verified(t, "eve@example.com")
	_, _, token := f.invited(t, owner, "grace@example.com", "viewer")

	f.accept(t, token, "").WantCode(t, http.StatusUnauthorized, "sign_in_required")
	f.accept(t, token, "", "password", second).WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	for _, more := range [][]any{nil, {"password", password}} {
		f.accept(t, token, stranger.String(t, "access_token"), more...).WantCode(t, http.StatusForbidden, "wrong_account")
	}
	if r := f.accept(t, token, "nonsense"); r.Status != http.StatusUnauthorized {
		t.Errorf("a token that does not hold: %d %s", r.Status, r.Body)
	}
	r := f.accept(t, token, "", "password", password, "first_name", "Mallory").Want(t, http.StatusOK)
	if got := f.claims(t, r); got.UserID != me.UserID || got.SessionID == me.SessionID || got.TenantID != owner.TenantID || got.Name != "Ada Lovelace" {
		t.Errorf("came in as %+v", got)
	}
	if f.state(t, me) != "live" {
		t.Error("the person was signed out elsewhere")
	}
	if m := f.membership(t, owner.TenantID, me.UserID); m != (membership{"viewer", true, false, "Ada", "in", 1, 2}) {
		t.Errorf("membership %+v", m)
	}

	other := f.Tenant(t)
	_, _, token = f.invited(t, other, "grace@example.com", "admin")
	r = f.accept(t, token, grace.String(t, "access_token")).Want(t, http.StatusOK)
	if got := f.claims(t, r); got.UserID != me.UserID || got.TenantID != other.TenantID {
		t.Errorf("came in as %+v", got)
	}

	third := f.Tenant(t)
	_, _, token = f.invited(t, third, "grace@example.com", "admin")
	f.SQL(t, `update app.sessions set revoked_at = now() where session_id = $1`, me.SessionID)
	f.accept(t, token, grace.String(t, "access_token")).WantCode(t, http.StatusUnauthorized, "sign_in_required")
	f.SQL(t, `delete from app.credentials where user_id = $1`, me.UserID)
	f.accept(t, token, "", "password", password).WantCode(t, http.StatusUnauthorized, "sign_in_required")
	for name, sql := range map[string]string{
		"deactivated": `update app.users set is_active = false where user_id = $1`,
		"deleted":     `update app.users set is_active = true, deleted_at = now() where user_id = $1`,
	} {
		f.SQL(t, sql, me.UserID)
		for _, bearer := range []string{"", grace.String(t, "access_token")} {
			if r := f.accept(t, token, bearer, "password", second); r.Status != http.StatusConflict {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
	}
	if n := f.count(t, `select count(*) from app.memberships where tenant_id = $1 and is_active`, third.TenantID); n != 1 {
		t.Errorf("%d members", n)
	}
}

// TestAcceptTriesPasswordsAsSignInDoes: the link is no way around the budgets.
func TestAcceptTriesPasswordsAsSignInDoes(t *testing.T) {
	f := setup(t, "SIGNIN_ACCOUNT_PER_HOUR", "3")
	f.verified(t, "grace@example.com")
	_, _, token := f.invited(t, f.Tenant(t), "grace@example.com", "viewer")
	for range 3 {
		f.accept(t, token, "", "password", second).WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	}
	r := f.accept(t, token, "", "password", password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.login(t, "grace@example.com").WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
}

func TestAcceptLimitsTries(t *testing.T) {
	f := setup(t, "LINK_LIMIT_IP_PER_MINUTE", "2")
	in := functest.Request{Method: http.MethodPost, Path: accepting, Body: object{"token": "x"}}
	for range 2 {
		f.from(t, "203.0.113.9", in).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
	}
	f.from(t, "203.0.113.9", in).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
}

// TestAcceptBringsBack: who left comes back with what they did, in the role of
// the invitation.
func TestAcceptBringsBack(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	back := f.Member(t, owner.TenantID, "developer")
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Theirs', $3, $3)`, owner.TenantID, ids.New(), back.UserID)
	f.SQL(t, `update app.memberships set is_active = false, left_at = now(), version = 7 where user_id = $1`, back.UserID)
	f.SQL(t, `update app.user_tenants set left_at = now() where user_id = $1`, back.UserID)
	_, member, token := f.invited(t, owner, back.Email, "viewer")
	r := f.accept(t, token, f.Token(t, back.Principal.InTenant(ids.Nil))).Want(t, http.StatusOK)
	if got := f.claims(t, r); got.UserID != back.UserID || got.TenantID != owner.TenantID {
		t.Errorf("came back as %+v", got)
	}
	if m := f.membership(t, owner.TenantID, back.UserID); m != (membership{"viewer", true, false, "Test", "in", 8, 2}) {
		t.Errorf("membership %+v", m)
	}
	if n := f.count(t, `select count(*) from app.memberships where user_id = $1`, member); n != 0 {
		t.Error("the membership that waited is still there")
	}

	// Who is in cannot come in again, as somebody else or as less.
	_, _, token = f.invited(t, owner, ids.New().String()+"@example.com", "viewer")
	f.SQL(t, `update app.invitations set email = $2, member_id = null where tenant_id = $1 and accepted_at is null`, owner.TenantID, owner.Email)
	f.SQL(t, `delete from app.memberships where tenant_id = $1 and joined_at is null`, owner.TenantID)
	f.accept(t, token, owner.Token).WantCode(t, http.StatusConflict, "already_member")
	if m := f.membership(t, owner.TenantID, owner.UserID); m.role != "owner" || !m.active {
		t.Errorf("the owner is %+v", m)
	}
}

// TestAcceptNeedsAPlace is for a plan that became smaller after the invitation.
func TestAcceptNeedsAPlace(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	for range 9 {
		f.Member(t, owner.TenantID, "viewer")
	}
	_, _, token := f.invited(t, owner, "grace@example.com", "viewer")
	f.accept(t, token, "", "password", password).WantCode(t, http.StatusPaymentRequired, "plan_limit")
	if n := f.count(t, `select count(*) from app.users where email = 'grace@example.com'`); n != 0 {
		t.Error("a refused acceptance made an account")
	}
	f.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, owner.TenantID)
	f.accept(t, token, "", "password", password).Want(t, http.StatusOK)
}

// TestAcceptAtOnce: of many who use a link at the same time, one does, and a
// request that is repeated is answered once.
func TestAcceptAtOnce(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	for _, key := range []string{"", "accept-1"} {
		email := ids.New().String() + "@example.com"
		id, member, token := f.invited(t, owner, email, "member")
		answers := make([]functest.Response, 8) // a hash each, with 19 MiB
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = f.acceptWith(t, key, token, "", "password", password) })
		}
		wg.Wait()
		said := map[int]int{}
		bodies := map[string]bool{}
		for _, r := range answers {
			said[r.Status]++
			if r.Status == http.StatusOK {
				bodies[string(r.Body)] = true
			}
		}
		if key == "" && (said[200] != 1 || said[422] != 7) || key != "" && (said[200] == 0 || said[200]+said[409] != 8) || len(bodies) != 1 {
			t.Errorf("with key %q: %v, %d different answers", key, said, len(bodies))
		}
		if n := f.count(t, `select count(*) from app.sessions where user_id = $1`, member); n != 1 {
			t.Errorf("with key %q: %d sessions", key, n)
		}
		if n := f.count(t, `select count(*) from app.activity where object_id = $1 and action = 'accepted'`, id); n != 1 {
			t.Errorf("with key %q: %d activities", key, n)
		}
		if key == "" {
			continue
		}
		again := f.acceptWith(t, key, token, "", "password", password).Want(t, http.StatusOK)
		if again.Header.Get("Idempotent-Replayed") != "true" || !bodies[string(again.Body)] {
			t.Errorf("repeated: %v %s", again.Header, again.Body)
		}
		f.acceptWith(t, key, token, "", "password", second).WantCode(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
		f.acceptWith(t, key+"x", token, "", "password", password).WantCode(t, http.StatusUnprocessableEntity, "link_invalid")
		// What is kept of the answer opens nothing.
		if n := f.count(t, `select count(*) from app.user_idempotency_keys where user_id = $1 and status = 200 and position('rt_' in encode(body, 'escape')) = 0 and length(body) > 100`, member); n != 1 {
			t.Errorf("%d sealed answers", n)
		}
	}
}

// TestAcceptWhileRegistering: an account that is made while the invitation is
// accepted is made once, and no error is ours.
func TestAcceptWhileRegistering(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	f.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, owner.TenantID)
	for i := range 12 {
		email := fmt.Sprintf("grace%d@example.com", i)
		_, _, token := f.invited(t, owner, email, "member")
		var accepted, registered functest.Response
		var wg sync.WaitGroup
		wg.Go(func() { accepted = f.accept(t, token, "", "password", second) })
		wg.Go(func() { registered = f.post(t, "register/", "", person(email)) })
		wg.Wait()
		if accepted.Status != http.StatusOK && accepted.Status != http.StatusConflict || registered.Status != http.StatusCreated && registered.Status != http.StatusConflict {
			t.Fatalf("%d %s, %d %s", accepted.Status, accepted.Body, registered.Status, registered.Body)
		}
		if accepted.Status == http.StatusConflict {
			f.accept(t, token, "", "password", second).Want(t, http.StatusOK)
		}
		var users int
		f.Scan(t, `select count(*) from app.users where email = $1`, []any{email}, &users)
		if users != 1 || f.login(t, email, "password", second).Status != http.StatusOK {
			t.Errorf("%d accounts", users)
		}
		// Whichever came first, the password of who never read the mail opens nothing.
		f.login(t, email).WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	}
}

// TestAcceptWithoutRedis: limits hold in the process, and nothing else is missed.
func TestAcceptWithoutRedis(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	_, member, token := f.invited(t, owner, "grace@example.com", "member")
	f.Redis.Close()
	f.accept(t, token, "", "password", password).Want(t, http.StatusOK)
	if m := f.membership(t, owner.TenantID, member); !m.active {
		t.Errorf("membership %+v", m)
	}
}
