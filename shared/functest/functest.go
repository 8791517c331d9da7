// Package functest opens functions for tests as production opens them: from an
// environment, on a database of the test's own behind PgBouncer, with Redis,
// keys and tokens. It also makes organizations and people directly in the
// database, so that a test of one function needs no other, and starts a function
// in a process that is killed on its way ([Main], [Env.Spawn]).
package functest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/dbtest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/standin/dns"
	"github.com/coditect/platform/shared/standin/oidc"
)

// Issuer is the issuer of the tests' tokens.
const Issuer = "http://localhost:8080"

// Env is the surroundings of the functions under test.
type Env struct {
	Database *dbtest.Database
	Redis    *miniredis.Miniredis
	DNS      *dns.Server
	// Vars is the environment that functions are opened with. Change it before.
	Vars   map[string]string
	Keys   *identity.KeySet
	Signer *identity.Signer
	Hops   *hop.Keys

	mu    sync.Mutex
	owner *pgx.Conn
}

// fixed is a source of a value that does not change.
type fixed[T any] struct{ value T }

func (f fixed[T]) Get(context.Context) (T, error) { return f.value, nil }

// New makes an environment that ends with t.
func New(t testing.TB) *Env {
	t.Helper()
	past := time.Now().Add(-time.Hour)
	e := &Env{Database: dbtest.New(t), Redis: miniredis.RunT(t), Keys: identity.GenerateKeySet(past)}
	e.owner = e.Database.Owner(t)
	var err error
	if e.DNS, err = dns.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.DNS.Close() })
	e.Signer = identity.NewSigner(fixed[*identity.KeySet]{e.Keys}, Issuer)
	hops := secrets.GenerateRing(past)
	e.Hops = hop.New(fixed[*secrets.Ring]{hops})
	public, err := json.Marshal(e.Keys.Public())
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := platform()
	if err != nil {
		t.Fatal(err)
	}
	documents := http.NewServeMux()
	documents.Handle(oidc.KeysPath, issuer.Handler())
	documents.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(public)
	})
	jwks := httptest.NewServer(documents)
	t.Cleanup(jwks.Close)
	e.Vars = map[string]string{
		"DATABASE_URL":             e.Database.URL,
		"SYSTEM_DATABASE_URL":      e.Database.SystemURL,
		"DATABASE_MAX_CONNS":       "8",
		"DATABASE_ACQUIRE_TIMEOUT": "10s",
		"REDIS_URL":                "redis://" + e.Redis.Addr() + "/0",
		"REDIS_TIMEOUT":            "2s",
		"DNS_RESOLVER":             e.DNS.Address(),
		"JWKS_URL":                 jwks.URL,
		"TOKEN_ISSUER":             Issuer,
		"CHECK_RESPONSES":          "true",
		"GOOGLE_CLOUD_PROJECT":     "local",
		"PUSH_ISSUER":              issuer.Name(),
		"PUSH_JWKS_URL":            jwks.URL + oidc.KeysPath,
		"PUSH_SERVICE_ACCOUNTS":    ServiceAccount,
		"PUSH_AUDIENCE":            "http://{name}",
		"OBJECTS_URL":              "file://" + t.TempDir(),
		"OBJECTS_PUBLIC_URL":       "http://localhost:8080/_local/objects/",
		"OBJECTS_SIGNING_KEY":      "the tests' links are signed with it",
		"SIGNING_KEYS":             text(t, e.Keys),
		"HOP_KEY":                  text(t, hops),
		"CURSOR_KEY":               text(t, secrets.GenerateRing(past)),
		"ENVELOPE_KEYS":            text(t, secrets.GenerateRing(past)),
	}
	return e
}

func text(t testing.TB, v json.Marshaler) string {
	t.Helper()
	b, err := v.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Open opens a function in the environment, closed when t ends.
func (e *Env) Open(t testing.TB, open serve.Open) http.Handler {
	t.Helper()
	app, err := open(context.Background(), config.Map(maps.Clone(e.Vars)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if app.Close != nil {
			_ = app.Close(context.Background())
		}
	})
	return app.Handler
}

// Person is somebody who can sign requests.
type Person struct {
	identity.Principal
	// Token is an access token of theirs for their tenant.
	Token string
}

// Tenant makes an organization with an owner. Its subdomain is its own.
func (e *Env) Tenant(t testing.TB) Person {
	t.Helper()
	tenant := ids.New()
	subdomain := "t" + strings.ReplaceAll(tenant.String(), "-", "")[8:]
	e.SQL(t, `insert into app.organizations (tenant_id, name, subdomain) values ($1, $2, $3)`, tenant, "Org "+subdomain, subdomain)
	e.SQL(t, `insert into app.host_claims (host, kind, tenant_id) values ($1, 'subdomain', $2)`, subdomain, tenant)
	e.SQL(t, `insert into app.tenant_settings (tenant_id) values ($1)`, tenant)
	for name, set := range identity.SeedRoles() {
		e.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, $3, $4)`, tenant, ids.New(), name, set.Strings())
	}
	return e.Member(t, tenant, identity.RoleOwner)
}

// Member makes a person with a role in a tenant: a built-in one, or one of the
// tenant's own by name.
func (e *Env) Member(t testing.TB, tenant ids.ID, role string) Person {
	t.Helper()
	p := e.Person(t)
	p.TenantID = tenant
	builtin, custom := role, (*ids.ID)(nil)
	if _, ok := identity.Builtin(role); !ok {
		var id ids.ID
		e.Scan(t, `select id from app.roles where tenant_id = $1 and name = $2`, []any{tenant, role}, &id)
		builtin, custom = "custom", &id
	}
	e.SQL(t, `insert into app.memberships (tenant_id, user_id, email, first_name, last_name, role, custom_role_id, is_active, joined_at)
		values ($1, $2, $3, 'Test', 'Person', $4, $5, true, now())`, tenant, p.UserID, p.Email, builtin, custom)
	e.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, p.UserID, tenant)
	p.Roles = []string{role}
	p.Token = e.Token(t, p.Principal)
	return p
}

// Person makes somebody who is in no organization.
func (e *Env) Person(t testing.TB) Person {
	t.Helper()
	id := ids.New()
	p := Person{Principal: identity.Principal{UserID: id, SessionID: ids.New(), Email: id.String() + "@example.com", Name: "Test Person"}}
	e.SQL(t, `insert into app.users (user_id, email, email_verified_at) values ($1, $2, now())`, id, p.Email)
	e.SQL(t, `insert into app.email_claims (email, user_id) values ($1, $2)`, p.Email, id)
	e.SQL(t, `insert into app.profiles (user_id, first_name, last_name) values ($1, 'Test', 'Person')`, id)
	e.SQL(t, `insert into app.user_state (user_id) values ($1)`, id)
	e.SQL(t, `insert into app.sessions (user_id, session_id, expires_at) values ($1, $2, now() + interval '7 days')`, id, p.SessionID)
	p.Token = e.Token(t, p.Principal)
	return p
}

// Token signs an access token for p that holds for an hour.
func (e *Env) Token(t testing.TB, p identity.Principal) string {
	t.Helper()
	token, _, err := e.Signer.Access(t.Context(), p, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// SQL runs a statement as the owner of the tables, behind the product's back.
func (e *Env) SQL(t testing.TB, sql string, args ...any) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.owner.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("functest: %v: %s", err, sql)
	}
}

// Scan reads one row as the owner of the tables into the values that into
// points at.
func (e *Env) Scan(t testing.TB, sql string, args []any, into ...any) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.owner.QueryRow(context.Background(), sql, args...).Scan(into...); err != nil {
		t.Fatalf("functest: %v: %s", err, sql)
	}
}

// Request is one request of a test.
type Request struct {
	Method, Path string
	Token        string
	// Body is sent as JSON, or as it is when it is a string.
	Body   any
	Header map[string]string
	// Internal signs the request as the router does.
	Internal bool
	Context  context.Context
}

// Response is its answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// NewRequest makes the request, signed if need be.
func (e *Env) NewRequest(t testing.TB, in Request) *http.Request {
	t.Helper()
	var body io.Reader
	switch b := in.Body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	r := httptest.NewRequest(in.Method, in.Path, body)
	if in.Context != nil {
		r = r.WithContext(in.Context)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if in.Token != "" {
		r.Header.Set("Authorization", "Bearer "+in.Token)
	}
	for k, v := range in.Header {
		r.Header.Set(k, v)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	if in.Internal {
		signed, err := e.Hops.Sign(r.Context(), r.Method, r.URL.EscapedPath(), netip.MustParseAddr("192.0.2.7"), ids.New().String())
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(hop.Header, signed)
	}
	return r
}

// Do sends a request to a handler.
func (e *Env) Do(t testing.TB, h http.Handler, in Request) Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, e.NewRequest(t, in))
	return Response{w.Code, w.Result().Header, w.Body.Bytes()}
}

// Want fails the test unless the answer has the status.
func (r Response) Want(t testing.TB, status int) Response {
	t.Helper()
	if r.Status != status {
		t.Fatalf("status %d, want %d: %s", r.Status, status, r.Body)
	}
	return r
}

// WantCode fails the test unless the answer is a problem with the status and
// the code.
func (r Response) WantCode(t testing.TB, status int, code string) Response {
	t.Helper()
	r.Want(t, status)
	var p struct{ Code string }
	r.Into(t, &p)
	if p.Code != code {
		t.Fatalf("code %q, want %q: %s", p.Code, code, r.Body)
	}
	return r
}

// Into decodes the answer.
func (r Response) Into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}
}

// Get gives a member of the answer by its path, such as "results.0.id".
func (r Response) Get(t testing.TB, path string) any {
	t.Helper()
	var v any
	r.Into(t, &v)
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(x) {
				t.Fatalf("no %s in %s", path, r.Body)
			}
			v = x[i]
		default:
			t.Fatalf("no %s in %s", path, r.Body)
		}
	}
	return v
}

// String gives a text member of the answer by its path.
func (r Response) String(t testing.TB, path string) string {
	t.Helper()
	s, ok := r.Get(t, path).(string)
	if !ok {
		t.Fatalf("%s is no text in %s", path, r.Body)
	}
	return s
}
