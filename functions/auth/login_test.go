package auth_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// Whether the account is there must not show: not in the answer, and not in the
// work, of which TestRoundTrips counts the other half.
func TestTrapT19UnknownAndWrongAreOne(t *testing.T) {
	f := setup(t)
	for _, email := range []string{"ada@example.com", "closed@example.com", "gone@example.com", "sso@example.com", "broken@example.com"} {
		f.register(t, email)
	}
	f.SQL(t, `update app.users set is_active = false where email = 'closed@example.com'`)
	f.SQL(t, `update app.users set deleted_at = now() where email = 'gone@example.com'`)
	f.SQL(t, `delete from app.credentials where user_id = (select user_id from app.users where email = 'sso@example.com')`)
	f.SQL(t, `update app.credentials set password_hash = 'not a hash' where user_id = (select user_id from app.users where email = 'broken@example.com')`)
	var bodies []string
	for name, c := range map[string]struct{ email, password string }{
		"wrong password":           {"ada@example.com", "wrong-password-1"},
		"unknown address":          {"nobody@example.com", password},
		"closed account":           {"closed@example.com", password},
		"deleted account":          {"gone@example.com", password},
		"account without password": {"sso@example.com", password},
		"unreadable password":      {"broken@example.com", password},
		"not an address":           {"nobody", password},
		"blank":                    {"  ", password},
		"a very long password":     {"ada@example.com", strings.Repeat("x", 1000)},
	} {
		r := f.post(t, "login/", "", object{"email": c.email, "password": c.password}, "X-Request-Id", "same")
		if r.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
			continue
		}
		if r.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
		bodies = append(bodies, string(r.Body))
	}
	for _, b := range bodies[1:] {
		if b != bodies[0] {
			t.Errorf("%s\ndiffers from\n%s", b, bodies[0])
		}
	}
	// Which organizations there are shows to nobody without the password.
	f.login(t, "ada@example.com", "password", "wrong-password-1", "tenant", "www").WantCode(t, http.StatusUnauthorized, "invalid_credentials")
}

func TestLoginTenants(t *testing.T) {
	f := setup(t)
	const email = "ada@example.com"
	home := f.claims(t, f.post(t, "register/", "", with(person(email), "subdomain", "home")).Want(t, http.StatusCreated))
	join := func(role string) ids.ID {
		owner := f.Tenant(t)
		f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, joined_at) values ($1, $2, $3, $4, now())`, owner.TenantID, home.UserID, email, role)
		f.SQL(t, `insert into app.user_tenants (user_id, tenant_id, joined_at) values ($1, $2, now() + interval '1 minute')`, home.UserID, owner.TenantID)
		return owner.TenantID
	}
	second := join("viewer")
	foreign := f.Tenant(t).TenantID
	var secondHost, foreignHost string
	f.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{second}, &secondHost)
	f.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{foreign}, &foreignHost)
	in := func(tenant string) (r functest.Response) {
		f.SQL(t, `update app.user_state set last_tenant_id = $2 where user_id = $1`, home.UserID, home.TenantID)
		if tenant == "" {
			return f.login(t, email)
		}
		return f.login(t, email, "tenant", tenant)
	}

	for name, c := range map[string]struct {
		tenant string
		want   ids.ID
		role   string
	}{
		"last used":           {"", home.TenantID, "owner"},
		"by id":               {second.String(), second, "viewer"},
		"by subdomain":        {secondHost, second, "viewer"},
		"by subdomain, upper": {strings.ToUpper(secondHost), second, "viewer"},
		"home by subdomain":   {"home", home.TenantID, "owner"},
	} {
		r := in(c.tenant).Want(t, http.StatusOK)
		if p := f.claims(t, r); p.TenantID != c.want || p.Roles[0] != c.role || r.String(t, "tenant.role") != c.role {
			t.Errorf("%s: %s", name, r.Body)
		}
	}
	for name, tenant := range map[string]string{
		"another's id": foreign.String(), "another's subdomain": foreignHost, "nobody's": "nobodys", "nobody's id": ids.New().String(), "no name": "-",
	} {
		if r := in(tenant); r.Status != http.StatusForbidden || r.String(t, "code") != "not_a_member" {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}

	// The organization signed in to last is remembered.
	in(secondHost).Want(t, http.StatusOK)
	if p := f.claims(t, f.login(t, email).Want(t, http.StatusOK)); p.TenantID != second {
		t.Error("the last organization was not remembered")
	}
	// Removed from it, they land in the other.
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where tenant_id = $1 and user_id = $2`, second, home.UserID)
	if p := f.claims(t, f.login(t, email).Want(t, http.StatusOK)); p.TenantID != home.TenantID {
		t.Error("signed in to an organization they left")
	}
	in(second.String()).WantCode(t, http.StatusForbidden, "not_a_member")
	// An active one is preferred to a suspended one, which is better than none.
	third := join("member")
	f.SQL(t, `update app.organizations set status = 'suspended', suspended_at = now() where tenant_id = $1`, home.TenantID)
	if p := f.claims(t, in("").Want(t, http.StatusOK)); p.TenantID != third {
		t.Error("signed in to a suspended organization although another is open")
	}
	if r := in("home").Want(t, http.StatusOK); r.String(t, "tenant.status") != "suspended" {
		t.Errorf("by name: %s", r.Body)
	}
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, third)
	if p := f.claims(t, in("").Want(t, http.StatusOK)); p.TenantID != home.TenantID {
		t.Error("an owner cannot get into their suspended organization")
	}
	// None left: a person without an organization.
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, home.TenantID)
	r := in("").Want(t, http.StatusOK)
	if p := f.claims(t, r); r.Get(t, "tenant") != nil || p.HasTenant() || len(p.Roles) != 0 {
		t.Errorf("without an organization: %s", r.Body)
	}
	renewed := f.post(t, "refresh/", "", object{"refresh_token": r.String(t, "refresh_token")}).Want(t, http.StatusOK)
	if f.claims(t, renewed).HasTenant() {
		t.Error("a refresh found an organization")
	}
}

func TestLoginCustomRole(t *testing.T) {
	f := setup(t)
	me := f.claims(t, f.register(t, "dev@example.com"))
	f.SQL(t, `update app.memberships set role = 'custom', custom_role_id = (select id from app.roles where tenant_id = $1 and name = 'developer') where tenant_id = $1`, me.TenantID)
	if r := f.login(t, "dev@example.com").Want(t, http.StatusOK); r.String(t, "tenant.role") != "developer" || f.claims(t, r).Roles[0] != "developer" {
		t.Errorf("role of %s", r.Body)
	}
}

func TestLoginLives(t *testing.T) {
	f := setup(t)
	f.register(t, "lives@example.com")
	for name, c := range map[string]struct {
		body []any
		want time.Duration
	}{
		"left out": {nil, 7 * 24 * time.Hour},
		"true":     {[]any{"remember_me", true}, 30 * 24 * time.Hour},
		"false":    {[]any{"remember_me", false}, 24 * time.Hour},
	} {
		me := f.claims(t, f.login(t, "lives@example.com", c.body...).Want(t, http.StatusOK))
		var life float64
		f.Scan(t, `select extract(epoch from expires_at - created_at)::float8 from app.sessions where session_id = $1`, []any{me.SessionID}, &life)
		if got := time.Duration(life * float64(time.Second)); got < c.want-time.Minute || got > c.want+time.Minute {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	f.post(t, "login/", "", object{"email": "lives@example.com", "password": password, "remember_me": nil}).Want(t, http.StatusUnprocessableEntity)
}

// An access token does not outlive its session.
func TestAccessEndsWithSession(t *testing.T) {
	f := setup(t, "SESSION_LIFE", "10m")
	r := f.register(t, "short@example.com")
	if n, _ := r.Get(t, "expires_in").(float64); n < 590 || n > 600 {
		t.Errorf("expires_in %v", n)
	}
	if left := time.Until(f.claims(t, r).ExpiresAt); left > 10*time.Minute+time.Second {
		t.Errorf("the token lives %s", left)
	}
}

func TestLoginRehashes(t *testing.T) {
	f := setup(t)
	me := f.claims(t, f.register(t, "old@example.com"))
	salt := []byte("0123456789abcdef")
	tag := argon2.IDKey([]byte(password), salt, 1, 8*1024, 1, 32)
	old := "$argon2id$v=19$m=8192,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(tag)
	f.SQL(t, `update app.credentials set password_hash = $2 where user_id = $1`, me.UserID, old)
	f.login(t, "old@example.com").Want(t, http.StatusOK)
	var now string
	f.Scan(t, `select password_hash from app.credentials where user_id = $1`, []any{me.UserID}, &now)
	if now == old || !strings.HasPrefix(now, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", now)
	}
	f.login(t, "old@example.com").Want(t, http.StatusOK)
}

func TestLoginLimits(t *testing.T) {
	f := setup(t, "SIGNIN_ACCOUNT_PER_HOUR", "8")
	f.register(t, "victim@example.com")
	f.register(t, "attacker@example.com")
	try := func(ip, email, pass string) functest.Response {
		return f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "login/", Body: object{"email": email, "password": pass}})
	}
	const ip = "203.0.113.20"
	for range 5 {
		try(ip, "victim@example.com", "wrong-password-1").Want(t, http.StatusUnauthorized)
	}
	// An account of one's own gives no new tries at another's, nor does another
	// spelling of the address.
	try(ip, "attacker@example.com", password).Want(t, http.StatusOK)
	try(ip, "victim@example.com", password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	try(ip, " Victim@Example.com", password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	// The refusal is the same for an account that is not there.
	for range 5 {
		try(ip, "nobody@example.com", "wrong-password-1").Want(t, http.StatusUnauthorized)
	}
	try(ip, "nobody@example.com", "wrong-password-1").WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	// The account's own budget holds across addresses.
	for i := range 3 {
		try("203.0.113.3"+string(rune('0'+i)), "victim@example.com", "wrong-password-1").Want(t, http.StatusUnauthorized)
	}
	try("203.0.113.40", "victim@example.com", password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
}

// The refresh of sessions does not eat the sign-in's budget, nor the reverse.
func TestTrapT32BudgetsAreApart(t *testing.T) {
	f := setup(t, "SIGNIN_IP_PER_MINUTE", "2", "REFRESH_PER_MINUTE", "2")
	r := f.register(t, "apart@example.com")
	const ip = "203.0.113.50"
	send := func(path string, body object) functest.Response {
		return f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + path, Body: body})
	}
	token := object{"refresh_token": r.String(t, "refresh_token")}
	send("refresh/", token).Want(t, http.StatusOK)
	send("refresh/", token).Want(t, http.StatusOK)
	send("refresh/", token).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	login := object{"email": "apart@example.com", "password": password}
	send("login/", login).Want(t, http.StatusOK)
	send("login/", login).Want(t, http.StatusOK)
	send("login/", login).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	send("refresh/", object{"refresh_token": "rt_x"}).WantCode(t, http.StatusUnauthorized, "token_invalid")
	send("refresh/", object{"refresh_token": "rt_x"}).WantCode(t, http.StatusUnauthorized, "token_invalid")
	send("refresh/", object{"refresh_token": "rt_x"}).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
}
