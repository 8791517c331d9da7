package auth_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coditect/platform/functions/auth"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/trips"
)

const (
	base     = "/api/v1/auth/"
	password = "difference-engine-2"
)

type object = map[string]any

type fixture struct {
	*functest.Env
	handler http.Handler
	clients atomic.Uint32
}

func setup(t *testing.T, vars ...string) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	for i := 0; i+1 < len(vars); i += 2 {
		e.Vars[vars[i]] = vars[i+1]
	}
	return &fixture{Env: e, handler: e.Open(t, auth.Open)}
}

// from sends a request as the router would for a client at that address.
func (f *fixture) from(t testing.TB, ip string, r functest.Request) functest.Response {
	t.Helper()
	signed, err := f.Hops.Sign(t.Context(), r.Method, r.Path, netip.MustParseAddr(ip), "test")
	if err != nil {
		t.Fatal(err)
	}
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	r.Header[hop.Header] = signed
	return f.Do(t, f.handler, r)
}

// post sends a body from an address that no other request of the test has, so
// that limits by address stay out of the way.
func (f *fixture) post(t testing.TB, path, token string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	n := f.clients.Add(1)
	return f.from(t, fmt.Sprintf("198.18.%d.%d", n/256, n%256), functest.Request{Method: http.MethodPost, Path: base + path, Token: token, Body: body, Header: h})
}

func person(email string) object {
	return object{"email": email, "password": password, "first_name": "Ada", "last_name": "Lovelace"}
}

func with(o object, more ...any) object {
	out := object{}
	maps.Copy(out, o)
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

func (f *fixture) register(t testing.TB, email string) functest.Response {
	t.Helper()
	return f.post(t, "register/", "", person(email)).Want(t, http.StatusCreated)
}

func (f *fixture) login(t testing.TB, email string, more ...any) functest.Response {
	t.Helper()
	return f.post(t, "login/", "", with(object{"email": email, "password": password}, more...))
}

// claims verifies the access token of an answer as every other part of the
// platform would.
func (f *fixture) claims(t testing.TB, r functest.Response) identity.Principal {
	t.Helper()
	v := identity.NewVerifier(identity.Config{Issuer: functest.Issuer}, identity.StaticKeys(f.Keys.Public()))
	p, err := v.Verify(t.Context(), r.String(t, "access_token"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) state(t testing.TB, p identity.Principal) string {
	t.Helper()
	path := "/internal/sessions/" + p.UserID.String() + "/" + p.SessionID.String() + "/"
	return f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: path, Internal: true}).Want(t, http.StatusOK).String(t, "state")
}

func (f *fixture) count(t testing.TB, sql string, args ...any) (n int) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

func TestJourney(t *testing.T) {
	f := setup(t)
	r := f.post(t, "register/", "", with(person(" Ada@Example.com "), "organization_name", "Analytical Engines", "subdomain", "engines")).Want(t, http.StatusCreated)
	if got := r.String(t, "user.email"); got != "ada@example.com" {
		t.Errorf("email %q", got)
	}
	if r.String(t, "tenant.name") != "Analytical Engines" || r.String(t, "tenant.subdomain") != "engines" || r.String(t, "tenant.role") != "owner" {
		t.Errorf("tenant of %s", r.Body)
	}
	if r.String(t, "token_type") != "Bearer" || r.Get(t, "expires_in") != 3600.0 || r.Get(t, "user.email_verified") != false {
		t.Errorf("answer %s", r.Body)
	}
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Coditect-Outbox") != "1" {
		t.Errorf("headers %v", r.Header)
	}
	me := f.claims(t, r)
	if me.UserID.String() != r.String(t, "user.id") || me.TenantID.String() != r.String(t, "tenant.id") || me.Email != "ada@example.com" ||
		me.Name != "Ada Lovelace" || len(me.Roles) != 1 || me.Roles[0] != "owner" {
		t.Errorf("claims %+v", me)
	}

	in := f.login(t, "ADA@example.com").Want(t, http.StatusOK)
	second := f.claims(t, in)
	if second.SessionID == me.SessionID || second.TenantID != me.TenantID || second.UserID != me.UserID {
		t.Errorf("second session %+v", second)
	}
	if in.Get(t, "user.last_login") == nil {
		t.Error("last_login is null after a login")
	}

	renewed := f.post(t, "refresh/", "", object{"refresh_token": in.String(t, "refresh_token")}).Want(t, http.StatusOK)
	third := f.claims(t, renewed)
	if third.SessionID != second.SessionID || third.TokenID == second.TokenID || third.TenantID != me.TenantID || third.Roles[0] != "owner" {
		t.Errorf("renewed %+v", third)
	}
	if f.state(t, third) != "live" {
		t.Error("a new session is not live")
	}

	f.post(t, "logout/", renewed.String(t, "access_token"), nil).Want(t, http.StatusNoContent)
	if f.state(t, third) != "revoked" {
		t.Error("a session lives after logout")
	}
	f.post(t, "refresh/", "", object{"refresh_token": renewed.String(t, "refresh_token")}).WantCode(t, http.StatusUnauthorized, "token_invalid")
	if f.state(t, me) != "live" {
		t.Error("logout ended another session")
	}
	f.post(t, "logout/", renewed.String(t, "access_token"), nil).Want(t, http.StatusNoContent)
}

// What was agreed about round trips: registration and the rest of the writes
// are one transaction in one exchange; sign-in reads twice before its write,
// and the organization once more.
func TestRoundTrips(t *testing.T) {
	f := setup(t)
	first := f.register(t, "first@example.com")
	other := f.claims(t, f.login(t, "first@example.com").Want(t, http.StatusOK))
	session := other.SessionID.String()
	for _, c := range []struct {
		name            string
		path            string
		token           string
		body            any
		postgres, redis int
	}{
		{"register", "register/", "", with(person("trips@example.com"), "subdomain", "trips"), 1, 1},
		{"register, subdomain derived", "register/", "", person("trips2@example.com"), 3, 1},
		{"login", "login/", "", object{"email": "first@example.com", "password": password}, 4, 1},
		{"login, unknown", "login/", "", object{"email": "nobody@example.com", "password": password}, 2, 1},
		{"login, wrong", "login/", "", object{"email": "first@example.com", "password": password + "x"}, 2, 1},
		{"refresh", "refresh/", "", object{"refresh_token": first.String(t, "refresh_token")}, 2, 3},
		{"refresh, access cached", "refresh/", "", object{"refresh_token": first.String(t, "refresh_token")}, 1, 1},
		{"session's state", "/internal/sessions/" + other.UserID.String() + "/" + session + "/", "", nil, 1, 1},
		{"list sessions", "sessions/", first.String(t, "access_token"), nil, 1, 0},
		{"delete session", "sessions/" + session + "/", first.String(t, "access_token"), nil, 2, 1},
		{"logout", "logout/", first.String(t, "access_token"), nil, 1, 1},
		{"revoke", "revoke/", first.String(t, "access_token"), nil, 1, 1},
	} {
		ctx, counter := trips.Count(t.Context())
		in := functest.Request{Method: http.MethodPost, Path: base + c.path, Token: c.token, Body: c.body, Context: ctx}
		switch {
		case strings.HasPrefix(c.path, "/internal/"):
			in.Method, in.Path, in.Internal = http.MethodGet, c.path, true
		case c.path == "sessions/":
			in.Method = http.MethodGet
		case strings.HasPrefix(c.path, "sessions/"):
			in.Method = http.MethodDelete
		}
		r := f.Do(t, f.handler, in)
		if r.Status >= 500 {
			t.Fatalf("%s: %s", c.name, r.Body)
		}
		if counter.Postgres() != c.postgres || counter.Redis() != c.redis {
			t.Errorf("%s: %d trips to the database and %d to Redis, want %d and %d: %s", c.name, counter.Postgres(), counter.Redis(), c.postgres, c.redis, r.Body)
		}
	}
}

func TestJWKS(t *testing.T) {
	f := setup(t)
	r := f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: "/.well-known/jwks.json"}).Want(t, http.StatusOK)
	var set identity.JWKS
	r.Into(t, &set)
	if len(set.Keys) != 1 || set.Keys[0] != f.Keys.Public().Keys[0] {
		t.Errorf("keys %s", r.Body)
	}
}

func TestSessionState(t *testing.T) {
	f := setup(t)
	me := f.claims(t, f.register(t, "state@example.com"))
	key := "sess:" + me.SessionID.String()
	path := "/internal/sessions/" + me.UserID.String() + "/" + me.SessionID.String() + "/"

	// Nobody but the platform may ask.
	f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: path}).Want(t, http.StatusNotFound)

	if f.state(t, me) != "live" {
		t.Fatal("not live")
	}
	if v, _ := f.Redis.Get(key); v != "live" {
		t.Errorf("Redis says %q", v)
	}
	if ttl := f.Redis.TTL(key); ttl <= 0 || ttl.Minutes() > 5 {
		t.Errorf("live for %s", ttl)
	}
	// A revocation that came between the look and the fill stays.
	if err := f.Redis.Set(key, "revoked"); err != nil {
		t.Fatal(err)
	}
	_ = f.state(t, me)
	if v, _ := f.Redis.Get(key); v != "revoked" {
		t.Errorf("a fill overwrote a revocation: %q", v)
	}
	f.Redis.Del(key)

	for name, sql := range map[string]string{
		"expired":  `update app.sessions set expires_at = now() - interval '1 second' where session_id = $1`,
		"revoked":  `update app.sessions set revoked_at = now(), expires_at = now() + interval '1 day' where session_id = $1`,
		"inactive": `with s as (update app.sessions set revoked_at = null where session_id = $1 returning user_id) update app.users set is_active = false where user_id = (select user_id from s)`,
	} {
		f.SQL(t, `update app.sessions set revoked_at = null, expires_at = now() + interval '1 day' where session_id = $1`, me.SessionID)
		f.SQL(t, `update app.users set is_active = true where user_id = $1`, me.UserID)
		f.SQL(t, sql, me.SessionID)
		if f.state(t, me) != "revoked" {
			t.Errorf("%s: live", name)
		}
	}
	if v, _ := f.Redis.Get(key); v != "revoked" {
		t.Errorf("Redis says %q of an ended session", v)
	}

	for name, p := range map[string]identity.Principal{
		"a session that never was": {UserID: me.UserID, SessionID: ids.New()},
		"a person who never was":   {UserID: ids.New(), SessionID: me.SessionID},
		"nobody":                   {SessionID: me.SessionID},
		"another person's session": {UserID: f.Tenant(t).UserID, SessionID: me.SessionID},
	} {
		if f.state(t, p) != "revoked" {
			t.Errorf("%s is live", name)
		}
	}
}

func TestRedisDown(t *testing.T) {
	f := setup(t, "SIGNIN_PAIR_PER_MINUTE", "3", "REDIS_TIMEOUT", "100ms")
	r := f.register(t, "down@example.com")
	f.Redis.Close()
	const ip = "203.0.113.9"
	try := func(pass string) functest.Response {
		return f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "login/", Body: object{"email": "down@example.com", "password": pass}})
	}
	in := try(password).Want(t, http.StatusOK)
	try("wrong-password-1").WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	try("wrong-password-2").WantCode(t, http.StatusUnauthorized, "invalid_credentials")
	if r := try(password).WantCode(t, http.StatusTooManyRequests, "too_many_attempts"); r.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	f.post(t, "refresh/", "", object{"refresh_token": in.String(t, "refresh_token")}).Want(t, http.StatusOK)
	me := f.claims(t, in)
	if f.state(t, me) != "live" {
		t.Error("a live session is not without Redis")
	}
	f.post(t, "logout/", in.String(t, "access_token"), nil).Want(t, http.StatusNoContent)
	if f.state(t, me) != "revoked" {
		t.Error("a session that ended without Redis lives")
	}
	f.post(t, "revoke/", r.String(t, "access_token"), nil).Want(t, http.StatusOK)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, vars := range map[string]map[string]string{
		"nothing":             {},
		"no limit":            {"REGISTER_LIMIT_IP_PER_MINUTE": "0"},
		"no life":             {"SESSION_LIFE": "1s"},
		"tokens outlive keys": {"ACCESS_TOKEN_LIFE": "48h"},
		"a negative number":   {"PASSWORD_HASHERS": "-1"},
		"a budget of sign-in": {"SIGNIN_IP_PER_MINUTE": "0"},
	} {
		if _, err := auth.Open(t.Context(), func(k string) (string, bool) { v, ok := vars[k]; return v, ok }); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestFunction(t *testing.T) {
	t.Parallel()
	fn := auth.Function()
	document, err := api.Document("Test", "1", fn)
	if err != nil {
		t.Fatal(err)
	}
	for path, in := range map[string]bool{
		base + "register/": true, base + "sessions/{id}/": true, "/.well-known/jwks.json": true, "/internal/sessions/": false,
	} {
		if strings.Contains(string(document), path) != in {
			t.Errorf("%s in the document: %t", path, !in)
		}
	}
}
