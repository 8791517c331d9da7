package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/trips"
)

const routesJSON = `[
 {"function":"auth","operation_id":"login","method":"POST","path":"/api/v1/auth/login/","public":true,"max_body":1048576},
 {"function":"auth","operation_id":"logout","method":"POST","path":"/api/v1/auth/logout/","permission":"user","max_body":1048576},
 {"function":"auth","operation_id":"jwks","method":"GET","path":"/.well-known/jwks.json","public":true,"max_body":1048576},
 {"function":"auth","operation_id":"session-state","method":"GET","path":"/internal/sessions/{user_id}/{session_id}/","permission":"internal","max_body":1048576},
 {"function":"tenants","operation_id":"get-current-tenant","method":"GET","path":"/api/v1/tenants/me/","permission":"member","open_when_suspended":true,"max_body":1048576},
 {"function":"tenants","operation_id":"create-tenant","method":"POST","path":"/api/v1/tenants/","permission":"user","max_body":1048576},
 {"function":"users","operation_id":"get-me","method":"GET","path":"/api/v1/users/me/","permission":"user","max_body":1048576},
 {"function":"users","operation_id":"get-user","method":"GET","path":"/api/v1/users/{id}/","permission":"members:read","max_body":1048576},
 {"function":"users","operation_id":"delete-user","method":"DELETE","path":"/api/v1/users/{id}/","permission":"members:write","max_body":1048576},
 {"function":"projects","operation_id":"list-projects","method":"GET","path":"/api/v1/projects/","permission":"projects:read","max_body":1048576},
 {"function":"projects","operation_id":"create-project","method":"POST","path":"/api/v1/projects/","permission":"projects:write","max_body":1048576},
 {"function":"projects","operation_id":"get-project","method":"GET","path":"/api/v1/projects/{id}/","permission":"projects:read","max_body":1048576}
]`

const issuer = "http://localhost:8080"

// world is a router with everything around it made up.
type world struct {
	t         testing.TB
	mr        *miniredis.Miniredis
	functions *functions
	app       *App
	keys      *identity.KeySet
	signer    *identity.Signer
	log       *lockedBuffer
	nudges    atomic.Int64
	env       map[string]string
	hopKeys   *hop.Keys
	server    *httptest.Server
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// functions stands in for all functions: by host name, as in one process.
type functions struct {
	mu       sync.Mutex
	seen     []*http.Request
	bodies   []string
	down     map[string]error
	hosts    map[string]ids.ID
	revoked  map[string]bool
	limits   map[ids.ID]int
	asked    map[string]int
	database bool
	answer   http.HandlerFunc
	inner    http.RoundTripper // for answers over a real connection
}

func (f *functions) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	if err := f.down[r.URL.Host]; err != nil {
		f.mu.Unlock()
		return nil, err
	}
	f.mu.Unlock()
	if f.inner != nil {
		return f.inner.RoundTrip(r)
	}
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.RequestURI = r.URL.RequestURI()
	f.serve(rec, in, string(body))
	return rec.Result(), nil
}

func (f *functions) serve(w http.ResponseWriter, r *http.Request, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] == "internal" {
		f.asked[parts[1]]++
		if r.Header.Get(hop.Header) == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		switch parts[1] {
		case "sessions":
			state := "live"
			if f.revoked[parts[3]] {
				state = "revoked"
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"state": state})
		case "hosts":
			if id, ok := f.hosts[parts[2]]; ok {
				_ = json.NewEncoder(w).Encode(map[string]any{"tenant_id": id})
				return
			}
			w.WriteHeader(http.StatusNotFound)
		case "limits":
			_ = json.NewEncoder(w).Encode(map[string]any{"plan": "free", "requests_per_minute": f.limits[must(ids.Parse(parts[2]))]})
		case "health":
			if !f.database {
				w.Header().Set("Content-Type", problem.MediaType)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"database": "ok"})
		}
		return
	}
	f.seen, f.bodies = append(f.seen, r), append(f.bodies, body)
	if f.answer != nil {
		f.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (f *functions) last(t testing.TB) *http.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		t.Fatal("no function was asked")
	}
	return f.seen[len(f.seen)-1]
}

func (f *functions) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func (f *functions) set(change func(*functions)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

type staticKeys struct{ set *identity.KeySet }

func (s staticKeys) Get(context.Context) (*identity.KeySet, error) { return s.set, nil }

func newWorld(t testing.TB, change ...func(*world, *Options)) *world {
	t.Helper()
	w := &world{t: t, mr: miniredis.RunT(t), keys: identity.GenerateKeySet(time.Now().Add(-time.Hour)), log: &lockedBuffer{},
		functions: &functions{down: map[string]error{}, hosts: map[string]ids.ID{}, revoked: map[string]bool{}, limits: map[ids.ID]int{}, asked: map[string]int{}, database: true}}
	w.signer = identity.NewSigner(staticKeys{w.keys}, issuer)
	ring := must(json.Marshal(secrets.GenerateRing(time.Now().Add(-time.Hour))))
	store := secrets.New(secrets.Static(map[string][]byte{secrets.HopKey: ring}), secrets.Config{})
	w.hopKeys = hop.New(secrets.Parse(store, secrets.HopKey, secrets.ParseRing))
	w.env = map[string]string{"REDIS_URL": "redis://" + w.mr.Addr(), "TOKEN_ISSUER": issuer, "REDIS_CIRCUIT_COOLDOWN": "50ms", "REDIS_TIMEOUT": "2s", "UPSTREAM_CIRCUIT_COOLDOWN": "50ms"}
	o := Options{Transport: w.functions, Secrets: store, Keys: identity.StaticKeys(w.keys.Public()), Routes: []byte(routesJSON),
		Logger: slog.New(slog.NewJSONHandler(w.log, nil)), Nudge: func() { w.nudges.Add(1) }}
	for _, c := range change {
		c(w, &o)
	}
	app, err := Open(t.Context(), config.Map(w.env), o)
	if err != nil {
		t.Fatal(err)
	}
	w.app = app
	t.Cleanup(func() { _ = app.Close() })
	return w
}

func setting(name, value string) func(*world, *Options) {
	return func(w *world, _ *Options) { w.env[name] = value }
}

type person struct {
	identity.Principal
	token string
}

func (w *world) person(tenant ids.ID) person {
	w.t.Helper()
	p := identity.Principal{UserID: ids.New(), TenantID: tenant, SessionID: ids.New(), Email: "a@example.com", Name: "A"}
	token, _, err := w.signer.Access(context.Background(), p, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return person{p, token}
}

type call struct {
	method, path, host, token, body, remote string
	header                                  http.Header
	ctx                                     context.Context
}

func (w *world) do(c call) *httptest.ResponseRecorder {
	w.t.Helper()
	if c.method == "" {
		c.method = http.MethodGet
	}
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequest(c.method, "http://localhost"+c.path, body)
	if c.ctx != nil {
		r = r.WithContext(c.ctx)
	}
	maps.Copy(r.Header, c.header)
	if c.host != "" {
		r.Host = c.host
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	r.RemoteAddr = "203.0.113.9:4711"
	if c.remote != "" {
		r.RemoteAddr = c.remote
	}
	rec := httptest.NewRecorder()
	w.app.Handler.ServeHTTP(rec, r)
	return rec
}

func want(t testing.TB, rec *httptest.ResponseRecorder, status int, code string) problem.Problem {
	t.Helper()
	var p problem.Problem
	if rec.Code != status {
		t.Fatalf("status %d, want %d: %s", rec.Code, status, rec.Body)
	}
	if code != "" {
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Code != code || rec.Header().Get("Content-Type") != problem.MediaType {
			t.Fatalf("got %s %q, want code %s", rec.Header().Get("Content-Type"), rec.Body, code)
		}
		if p.RequestID == "" || p.RequestID != rec.Header().Get("X-Request-Id") {
			t.Errorf("request id %q, header %q", p.RequestID, rec.Header().Get("X-Request-Id"))
		}
	}
	return p
}

func until(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("waited 10 s in vain")
		}
	}
}

func TestRequestReachesItsFunctionSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	for _, path := range []string{"/api/v1/projects/", "/api/v1/projects"} {
		rec := w.do(call{path: path + "?page_size=5&cursor=a%2Bb", token: me.token, header: http.Header{"X-Request-Id": {"abc-1"}, "Idempotency-Key": {"k"}}})
		want(t, rec, 200, "")
		if rec.Body.String() != `{"ok":true}` {
			t.Errorf("body %s", rec.Body)
		}
		got := w.functions.last(t)
		if got.URL.Host != "projects" || got.URL.Path != path || got.URL.RawQuery != "page_size=5&cursor=a%2Bb" {
			t.Errorf("asked %s", got.URL)
		}
		if got.Header.Get("Authorization") != "Bearer "+me.token || got.Header.Get("X-Request-Id") != "abc-1" || got.Header.Get("Idempotency-Key") != "k" {
			t.Errorf("headers %v", got.Header)
		}
		h, err := w.hopKeys.Verify(t.Context(), got.Header.Get(hop.Header), got.Method, got.URL.EscapedPath())
		if err != nil || h.ClientIP != netip.MustParseAddr("203.0.113.9") || h.RequestID != "abc-1" {
			t.Errorf("hop %+v %v", h, err)
		}
	}
}

func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	tenant, other := ids.New(), ids.New()
	w := newWorld(t, func(w *world, _ *Options) {
		w.functions.hosts = map[string]ids.ID{"acme": tenant, "globex": other, "acme-corp.com": tenant}
	})
	me, nobody := w.person(tenant), w.person(ids.Nil)
	tests := map[string]struct {
		call
		status int
		code   string
	}{
		"no route":              {call{path: "/api/v1/nothing/"}, 404, "not_found"},
		"next version":          {call{path: "/api/v2/projects/", token: me.token}, 404, "not_found"},
		"root":                  {call{path: "/"}, 404, "not_found"},
		"internal":              {call{path: "/internal/sessions/" + me.UserID.String() + "/" + me.SessionID.String() + "/", token: me.token}, 404, "not_found"},
		"deeper than a route":   {call{path: "/api/v1/projects/a/b/", token: me.token}, 404, "not_found"},
		"method before token":   {call{method: "PATCH", path: "/api/v1/projects/"}, 405, "method_not_allowed"},
		"no token":              {call{path: "/api/v1/projects/"}, 401, "token_missing"},
		"another scheme":        {call{path: "/api/v1/projects/", header: http.Header{"Authorization": {"Basic eDp5"}}}, 401, "token_missing"},
		"not a token":           {call{path: "/api/v1/projects/", token: "x"}, 401, "token_invalid"},
		"two tokens":            {call{path: "/api/v1/projects/", header: http.Header{"Authorization": {"Bearer " + me.token, "Bearer " + me.token}}}, 401, "token_invalid"},
		"token over 8 KiB":      {call{path: "/api/v1/projects/", token: strings.Repeat("a", 9<<10)}, 401, "token_invalid"},
		"token over 40 KiB":     {call{path: "/api/v1/projects/", token: strings.Repeat("a", 40<<10)}, 401, "token_invalid"},
		"headers over 16 KiB":   {call{path: "/api/v1/projects/", token: me.token, header: http.Header{"X-Pad": {strings.Repeat("a", 17<<10)}}}, 431, "headers_too_large"},
		"unknown host":          {call{path: "/api/v1/projects/", host: "evil.example", token: me.token}, 404, "unknown_host"},
		"unknown subdomain":     {call{path: "/api/v1/projects/", host: "nobody.localhost", token: me.token}, 404, "unknown_host"},
		"reserved subdomain":    {call{path: "/api/v1/projects/", host: "www.localhost", token: me.token}, 404, "unknown_host"},
		"nested subdomain":      {call{path: "/api/v1/projects/", host: "a.acme.localhost", token: me.token}, 404, "unknown_host"},
		"own host":              {call{path: "/api/v1/projects/", host: "acme.localhost:8080", token: me.token}, 200, ""},
		"own host shouted":      {call{path: "/api/v1/projects/", host: "ACME.localhost.", token: me.token}, 200, ""},
		"own domain":            {call{path: "/api/v1/projects/", host: "acme-corp.com", token: me.token}, 200, ""},
		"address":               {call{path: "/api/v1/projects/", host: "127.0.0.1:8080", token: me.token}, 200, ""},
		"address v6":            {call{path: "/api/v1/projects/", host: "[::1]:8080", token: me.token}, 200, ""},
		"host of another":       {call{path: "/api/v1/projects/", host: "globex.localhost", token: me.token}, 403, "tenant_mismatch"},
		"host, no organization": {call{path: "/api/v1/users/me/", host: "acme.localhost", token: nobody.token}, 403, "tenant_mismatch"},
		"header of another":     {call{path: "/api/v1/projects/", token: me.token, header: http.Header{"X-Tenant-Id": {other.String()}}}, 403, "tenant_mismatch"},
		"header of both":        {call{path: "/api/v1/projects/", token: me.token, header: http.Header{"X-Tenant-Id": {tenant.String(), other.String()}}}, 403, "tenant_mismatch"},
		"header is no id":       {call{path: "/api/v1/projects/", token: me.token, header: http.Header{"X-Tenant-Id": {"acme"}}}, 403, "tenant_mismatch"},
		"own header":            {call{path: "/api/v1/projects/", token: me.token, header: http.Header{"X-Tenant-Id": {tenant.String()}}}, 200, ""},
		"token before mismatch": {call{path: "/api/v1/projects/", host: "globex.localhost"}, 401, "token_missing"},
		"no tenant, no matter":  {call{path: "/api/v1/users/me/", token: nobody.token}, 200, ""},
		"body far over":         {call{method: "POST", path: "/api/v1/projects/", token: me.token, body: strings.Repeat("a", 3<<20)}, 413, "body_too_large"},
		"head":                  {call{method: "HEAD", path: "/api/v1/projects/", token: me.token}, 200, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := w.do(tt.call)
			want(t, rec, tt.status, tt.code)
			h := rec.Header()
			if h.Get("RateLimit") == "" || h.Get("RateLimit-Policy") == "" {
				t.Error("no RateLimit headers")
			}
			if (tt.status == 401) != (h.Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate %q", h.Get("WWW-Authenticate"))
			}
			if tt.status == 405 && h.Get("Allow") != "GET, HEAD, OPTIONS, POST" {
				t.Errorf("Allow %q", h.Get("Allow"))
			}
			for name, v := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": ""} {
				if h.Get(name) != v {
					t.Errorf("%s: %q", name, h.Get(name))
				}
			}
		})
	}
}

// Functions mount literal and parameter routes in http.ServeMux; the table must
// choose as it does.
func TestLiteralsBeatParametersByMethod(t *testing.T) {
	t.Parallel()
	tb := must(parseTable([]byte(routesJSON)))
	for at, want := range map[string]string{
		"GET /api/v1/users/me/": "get-me", "GET /api/v1/users/x": "get-user", "DELETE /api/v1/users/me/": "delete-user", "HEAD /api/v1/users/me": "get-me",
		"POST /api/v1/users/me/": "", "GET /api/v1/users/": "", "GET /api/v1/users//": "",
	} {
		method, path, _ := strings.Cut(at, " ")
		got := ""
		if r := tb.find(method, path); r != nil {
			got = r.OperationID
		}
		if got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	if got := tb.allow("/api/v1/users/me/"); got != "DELETE, GET, HEAD, OPTIONS" {
		t.Error(got)
	}
	if got := tb.allow("/nothing"); got != "" {
		t.Error(got)
	}
}

func TestTableIsRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{
		"not JSON":            `{`,
		"unknown field":       `[{"function":"a","operation_id":"b","method":"GET","path":"/x/","public":true,"max_body":1,"extra":1}]`,
		"no permission":       `[{"function":"a","operation_id":"b","method":"GET","path":"/x/","max_body":1}]`,
		"both":                `[{"function":"a","operation_id":"b","method":"GET","path":"/x/","permission":"user","public":true,"max_body":1}]`,
		"no function":         `[{"operation_id":"b","method":"GET","path":"/x/","public":true,"max_body":1}]`,
		"twice":               `[{"function":"a","operation_id":"b","method":"GET","path":"/x/{a}/","public":true,"max_body":1},{"function":"a","operation_id":"c","method":"GET","path":"/x/{b}","public":true,"max_body":1}]`,
		"internal and public": `[{"function":"a","operation_id":"b","method":"GET","path":"/internal/x/","public":true,"max_body":1}]`,
		"empty segment":       `[{"function":"a","operation_id":"b","method":"GET","path":"/a//b/","public":true,"max_body":1}]`,
		"negative limit":      `[{"function":"a","operation_id":"b","method":"GET","path":"/a/","public":true,"max_body":-1}]`,
	} {
		if _, err := parseTable([]byte(table)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := parseTable(generatedRoutes); err != nil {
		t.Errorf("the generated table: %v", err)
	}
}

func TestTrapT29PathsAreReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	for _, path := range []string{
		"/api/v1/projects/../users/me/", "/api/v1/./projects/", "//api/v1/projects/", "/api//v1/projects/", "/api/v1/projects//",
		"/api/v1/projects/%2e%2e/users/me/", "/api/v1/projects/%2E/", "/api/v1%2fprojects/", "/api/v1%2Fprojects/", "/api/v1/projects/a%2fb/",
		"/api/v1/projects/a%5cb/", "/api/v1/projects/a%00b/", "/api/v1/projects/%ff/", "/api/v1/projects/%c0%ae/", "/api/v1/projects/%0a/", "/api/v1/projects/..",
		"/api/v1/projects/" + strings.Repeat("a", 3000) + "/", "/%2e%2e/internal/health/", "/api/v1/projects/..%2f..%2finternal/",
	} {
		rec := w.do(call{path: path, token: me.token})
		want(t, rec, 404, "not_found")
	}
	if w.functions.count() != 0 {
		t.Errorf("%d such requests reached a function", w.functions.count())
	}
	// What was matched is what is passed on, encoded once.
	want(t, w.do(call{path: "/api/v1/projects/%61b%20c%252e%252e%3Fx/", token: me.token}), 200, "")
	if got := w.functions.last(t); got.URL.Path != "/api/v1/projects/ab c%2e%2e?x/" || got.URL.EscapedPath() != "/api/v1/projects/ab%20c%252e%252e%3Fx/" {
		t.Errorf("passed on %q as %q", got.URL.Path, got.URL.EscapedPath())
	}
	want(t, w.do(call{path: "/api/v1/project%73/", token: me.token}), 200, "")
}

func TestTrapT28InboundIdentityIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := ids.New()
	me := w.person(tenant)
	forged := http.Header{"Connection": {"keep-alive, Accept-Language"}, "Accept-Language": {"de"}, "Keep-Alive": {"1"}, "X-Tenant-Id": {tenant.String()}, "Accept": {"application/json"}}
	for _, name := range []string{
		"X-User-Id", "X-User-Email", "X-Roles", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "Forwarded", "X-Real-Ip",
		"X-Coditect-Hop", "X-Coditect-Outbox", "X-Coditect-Anything", "X-Serverless-Authorization", "Proxy-Authorization", "X-Original-Url", "X-Rewrite-Url",
		"X-Http-Method-Override", "X-Goog-Iap-Jwt-Assertion", "Te", "Upgrade", "Trailer", "X_coditect_hop", "Expect-Ct",
	} {
		forged[name] = []string{"forged"}
	}
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token, header: forged}), 200, "")
	got := w.functions.last(t).Header
	for name, values := range got {
		if strings.Contains(strings.Join(values, ""), "forged") {
			t.Errorf("%s came through: %v", name, values)
		}
	}
	for _, name := range []string{"Accept-Language", "Connection", "Keep-Alive", "X-Tenant-Id", "X-Forwarded-For"} {
		if got[name] != nil {
			t.Errorf("%s came through: %v", name, got[name])
		}
	}
	if got.Get("Accept") != "application/json" || got.Get(hop.Header) == "" {
		t.Errorf("headers %v", got)
	}
}

func TestAnswersAreCleanedOfWhatIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.functions.answer = func(rw http.ResponseWriter, _ *http.Request) {
		h := rw.Header()
		for _, name := range []string{"X-Coditect-Outbox", "X-Coditect-Other", "Server", "X-Powered-By", "Via", "Access-Control-Allow-Origin", "X-Request-Id", "Keep-Alive"} {
			h.Set(name, "theirs")
		}
		h.Set("Etag", `"1.x"`)
		h.Set("Vary", "Accept")
		h.Set("Ratelimit", `"signin-ip";r=1;t=1`)
		rw.WriteHeader(201)
	}
	rec := w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", header: http.Header{"Origin": {"https://evil.example"}}})
	want(t, rec, 201, "")
	for name, values := range rec.Header() {
		if strings.Join(values, "") == "theirs" {
			t.Errorf("%s came through", name)
		}
	}
	if h := rec.Header(); h.Get("ETag") != `"1.x"` || strings.Join(h.Values("Vary"), ",") != "Accept,Origin" || !strings.HasPrefix(h.Get("RateLimit"), `"signin-ip"`) {
		t.Errorf("headers %v", h)
	}
	until(t, func() bool { return w.nudges.Load() == 1 })
}

func TestNudgesAreCoalesced(t *testing.T) {
	t.Parallel()
	gate, runs := make(chan struct{}), atomic.Int64{}
	n := &nudger{nudge: func() { runs.Add(1); <-gate }}
	n.poke()
	until(t, func() bool { return runs.Load() == 1 })
	for range 100 {
		n.poke()
	}
	gate <- struct{}{}
	until(t, func() bool { return runs.Load() == 2 })
	gate <- struct{}{}
	n.idle.Wait()
	if runs.Load() != 2 {
		t.Errorf("%d nudges", runs.Load())
	}
	(&nudger{}).poke()
}

func TestOneTripToRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	_ = w.mr.Set("sess:"+me.SessionID.String(), "live")
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "") // loads the script
	for name, c := range map[string]call{
		"member":            {path: "/api/v1/projects/", token: me.token},
		"essential":         {path: "/api/v1/tenants/me/", token: me.token},
		"public":            {method: "POST", path: "/api/v1/auth/login/", body: "{}"},
		"public with token": {method: "POST", path: "/api/v1/auth/login/", body: "{}", token: me.token},
	} {
		ctx, n := trips.Count(context.Background())
		c.ctx = ctx
		want(t, w.do(c), 200, "")
		if n.Redis() != 1 {
			t.Errorf("%s: %d trips", name, n.Redis())
		}
	}
	ctx, n := trips.Count(context.Background())
	w.do(call{path: "/api/v1/projects/", ctx: ctx})
	w.do(call{path: "/nothing", ctx: ctx})
	w.do(call{path: "/livez", ctx: ctx})
	if n.Redis() != 0 {
		t.Errorf("refusals made %d trips", n.Redis())
	}
	if w.functions.asked["sessions"] != 0 || w.functions.asked["limits"] > 1 {
		t.Errorf("asked %v", w.functions.asked)
	}
}

func TestRevokedSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	c := call{path: "/api/v1/projects/", token: me.token}
	want(t, w.do(c), 200, "") // unknown to Redis: auth says live
	want(t, w.do(c), 200, "")
	if w.functions.asked["sessions"] != 1 {
		t.Errorf("auth was asked %d times", w.functions.asked["sessions"])
	}
	_ = w.mr.Set("sess:"+me.SessionID.String(), "revoked")
	want(t, w.do(c), 401, "token_revoked") // Redis knows better than what we remember
	w.mr.Del("sess:" + me.SessionID.String())
	want(t, w.do(c), 401, "token_revoked") // and we remember that

	// Redis says nothing, auth says revoked.
	gone := w.person(ids.New())
	w.functions.set(func(f *functions) { f.revoked[gone.SessionID.String()] = true })
	want(t, w.do(call{path: "/api/v1/projects/", token: gone.token}), 401, "token_revoked")
	// Neither can say: nobody is let in on a guess.
	lost := w.person(ids.New())
	w.functions.set(func(f *functions) { f.down["auth"] = errDial })
	want(t, w.do(call{path: "/api/v1/projects/", token: lost.token}), 503, "unavailable")
}

// With Redis gone, sessions and limits hold all the same, and the log says so
// once.
func TestRedisDies(t *testing.T) {
	t.Parallel()
	tenant := ids.New()
	w := newWorld(t)
	w.functions.limits[tenant] = 50
	me, ended := w.person(tenant), w.person(tenant)
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	w.functions.set(func(f *functions) { f.revoked[ended.SessionID.String()] = true })
	_ = w.mr.Set("sess:"+ended.SessionID.String(), "live") // from before the outage

	w.mr.Close()
	want(t, w.do(call{path: "/api/v1/projects/", token: ended.token}), 401, "token_revoked")
	codes := map[int]int{}
	for range 80 {
		rec := w.do(call{path: "/api/v1/projects/", token: me.token})
		codes[rec.Code]++
		if rec.Code == 429 && (rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Header().Get("RateLimit"), `"tenant";r=0`)) {
			t.Errorf("429 with %v", rec.Header())
		}
	}
	if codes[200] < 49 || codes[200] > 50 || codes[429] == 0 || codes[200]+codes[429] != 80 {
		t.Errorf("answers %v", codes)
	}
	rec := w.do(call{path: "/health/"})
	if want(t, rec, 200, ""); rec.Body.String() != `{"status":"healthy","database":"ok","redis":"degraded"}` {
		t.Errorf("health %s", rec.Body)
	}
	if n := strings.Count(w.log.String(), "redis does not answer"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}

	if err := w.mr.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return w.app.redis.Ping(context.Background()) == nil })
	if n := strings.Count(w.log.String(), "redis answers again"); n != 1 {
		t.Errorf("the log says %d times that it is back", n)
	}
	// "live" may be from before a revocation that Redis never heard of.
	w.app.admission.sessions.DropIf(func(session) bool { return true })
	want(t, w.do(call{path: "/api/v1/projects/", token: ended.token}), 401, "token_revoked")
}

// A logout that Redis does not hear of is known at once where it passed.
func TestLogoutIsKnownAtOnceWithoutRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	w.mr.Close()
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	w.functions.answer = func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/logout/") {
			w.functions.revoked[me.SessionID.String()] = true // held by serve
			rw.WriteHeader(204)
		}
	}
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/logout/", token: me.token}), 204, "")
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 401, "token_revoked")
}

func TestLimitsOfThePlanAndTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("RATE_USER_PERCENT", "50"), setting("RATE_ESSENTIAL_PER_MINUTE", "3"), setting("RATE_IP_PER_MINUTE", "4"), setting("RATE_USER_PER_MINUTE", "2"))
	tenant := ids.New()
	w.functions.limits[tenant] = 10
	a, b, c, loner := w.person(tenant), w.person(tenant), w.person(tenant), w.person(ids.Nil)
	spend := func(who person, path string, n int) {
		t.Helper()
		for i := range n {
			if rec := w.do(call{path: path, token: who.token}); rec.Code != 200 {
				t.Fatalf("request %d: %d %s", i, rec.Code, rec.Body)
			}
		}
	}
	spend(a, "/api/v1/projects/", 5)
	rec := w.do(call{path: "/api/v1/projects/", token: a.token})
	want(t, rec, 429, "rate_limited")
	if got := rec.Header().Get("RateLimit-Policy"); got != `"tenant";q=10;w=60, "user";q=5;w=60` {
		t.Error(got)
	}
	if got := rec.Header().Get("RateLimit"); !strings.HasPrefix(got, `"tenant";r=5;t=`) || !strings.Contains(got, `"user";r=0;t=`) {
		t.Error(got)
	}
	if rec.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	spend(b, "/api/v1/projects/", 5)
	want(t, w.do(call{path: "/api/v1/projects/", token: c.token}), 429, "rate_limited")
	spend(c, "/api/v1/tenants/me/", 3) // never blocked by the plan
	want(t, w.do(call{path: "/api/v1/tenants/me/", token: c.token}), 429, "rate_limited")
	spend(loner, "/api/v1/users/me/", 2)
	want(t, w.do(call{path: "/api/v1/users/me/", token: loner.token}), 429, "rate_limited")
	spend(w.person(ids.New()), "/api/v1/projects/", 2) // another tenant has its own; 0 is no limit
	for i := range 4 {
		rec := w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: fmt.Sprintf("[2001:db8::%x]:1", i)})
		want(t, rec, 200, "")
	}
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: "[2001:db8::ffff]:1"}), 429, "rate_limited")
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: "192.0.2.77:1"}), 200, "")
}

func TestTwoRoutersShareOneBudget(t *testing.T) {
	t.Parallel()
	one := newWorld(t)
	two := newWorld(t, func(w *world, o *Options) {
		w.env["REDIS_URL"] = "redis://" + one.mr.Addr()
		o.Keys = identity.StaticKeys(one.keys.Public())
		o.Transport = one.functions
	})
	tenant := ids.New()
	one.functions.limits[tenant] = 20
	me := one.person(tenant)
	allowed := 0
	for i := range 30 {
		w := []*world{one, two}[i%2]
		if w.do(call{path: "/api/v1/projects/", token: me.token}).Code == 200 {
			allowed++
		}
	}
	if allowed != 20 {
		t.Errorf("%d of 20 let in", allowed)
	}
	_ = one.mr.Set("sess:"+me.SessionID.String(), "revoked")
	for _, w := range []*world{one, two} {
		want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 401, "token_revoked")
	}
}

func TestUsageIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := ids.New()
	w.functions.limits[tenant] = 200
	me := w.person(tenant)
	status := 200
	w.functions.answer = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", problem.MediaType)
		rw.WriteHeader(status)
	}
	counted := 0
	for _, status = range []int{200, 201, 404, 422, 500, 503, 401, 429, 304} {
		w.do(call{path: "/api/v1/projects/", token: me.token})
		if status < 500 && status != 401 && status != 429 {
			counted++
		}
	}
	w.do(call{path: "/api/v1/projects/"})
	if err := w.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.mr.HGet(usageKey(time.Now()), tenant.String())
	if got != fmt.Sprint(counted) {
		t.Errorf("counted %s, want %d", got, counted)
	}
	if ttl := w.mr.TTL(usageKey(time.Now())); ttl <= 0 || ttl > usageLife {
		t.Errorf("the count lives %v", ttl)
	}
	// What Redis does not take is kept for later.
	w.mr.Close()
	status = 200
	w.do(call{path: "/api/v1/projects/", token: me.token})
	if err := w.app.usage.flush(t.Context(), w.app.redis, time.Now()); err == nil {
		t.Error("a flush to a dead Redis succeeded")
	}
	if err := w.mr.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		_ = w.app.usage.flush(context.Background(), w.app.redis, time.Now())
		return w.mr.HGet(usageKey(time.Now()), tenant.String()) == fmt.Sprint(counted+1)
	})
}

func TestPublicRoutesUseATokenOnlyWhileItHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me, ended := w.person(ids.New()), w.person(ids.New())
	_ = w.mr.Set("sess:"+ended.SessionID.String(), "revoked")
	for name, tt := range map[string]struct {
		token  string
		passed bool
	}{"good": {me.token, true}, "revoked": {ended.token, false}, "nonsense": {"x.y.z", false}, "none": {"", false}} {
		rec := w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", token: tt.token})
		want(t, rec, 200, "")
		if got := w.functions.last(t).Header.Get("Authorization") != ""; got != tt.passed {
			t.Errorf("%s: passed on %v", name, got)
		}
		if rec.Header().Get("RateLimit") == "" {
			t.Errorf("%s: no RateLimit", name)
		}
	}
	w.functions.set(func(f *functions) { delete(f.down, "auth") })
}

func TestCORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("ALLOWED_ORIGINS", "https://app.example.com"))
	me := w.person(ids.New())
	for origin, allowed := range map[string]bool{
		"https://app.example.com": true, "https://app.example.com.evil.org": false, "http://app.example.com": false, "null": false, "https://APP.example.com": false, "": false,
	} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		for _, path := range []string{"/api/v1/projects/", "/api/schema/", "/nothing"} {
			rec := w.do(call{path: path, token: me.token, header: h.Clone()})
			if got := rec.Header().Get("Access-Control-Allow-Origin") != ""; got != allowed {
				t.Errorf("%s from %q: allowed %v", path, origin, got)
			}
			if !strings.Contains(strings.Join(rec.Header().Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %q: Vary %v", path, origin, rec.Header().Values("Vary"))
			}
		}
		h.Set("Access-Control-Request-Method", "POST")
		rec := w.do(call{method: "OPTIONS", path: "/api/v1/projects/", header: h.Clone()})
		want(t, rec, 204, "")
		if got := rec.Header().Get("Access-Control-Allow-Methods") == "GET, HEAD, OPTIONS, POST"; got != allowed {
			t.Errorf("preflight from %q: %v", origin, rec.Header())
		}
		if allowed {
			if g := rec.Header(); g.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(g.Get("Access-Control-Allow-Headers"), "Idempotency-Key") || g.Get("Access-Control-Allow-Origin") != origin {
				t.Errorf("preflight %v", g)
			}
		}
	}
	want(t, w.do(call{method: "OPTIONS", path: "/nothing"}), 404, "not_found")
	want(t, w.do(call{method: "OPTIONS", path: "/health/"}), 204, "")
	for _, r := range w.functions.seen {
		if r.Method == http.MethodOptions {
			t.Error("a preflight reached a function")
		}
	}
}

func TestRequestIDAndTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	for _, given := range []string{"", "has space", "<script>", strings.Repeat("a", 129), "a\x00b", "ok-1.2_3"} {
		h := http.Header{}
		if given != "" {
			h["X-Request-Id"] = []string{given}
		}
		rec := w.do(call{path: "/api/v1/projects/", token: me.token, header: h})
		got := rec.Header().Get("X-Request-Id")
		if given == "ok-1.2_3" && got != given {
			t.Errorf("%q became %q", given, got)
		}
		if _, err := ids.Parse(got); given != "ok-1.2_3" && err != nil {
			t.Errorf("%q became %q", given, got)
		}
		if w.functions.last(t).Header.Get("X-Request-Id") != got {
			t.Error("the function saw another id")
		}
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.do(call{path: "/api/v1/projects/", token: me.token, header: http.Header{"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}}})
	if got := w.functions.last(t).Header.Get("Traceparent"); !strings.HasPrefix(got, "00-"+trace) {
		t.Errorf("trace %q", got)
	}
	w.do(call{path: "/api/v1/projects/", token: me.token, header: http.Header{"Traceparent": {"nonsense"}}})
	if got := w.functions.last(t).Header.Get("Traceparent"); len(got) != 55 {
		t.Errorf("trace made: %q", got)
	}
}

func TestAccessLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := ids.New()
	me := w.person(tenant)
	w.do(call{method: "POST", path: "/api/v1/projects/?cursor=topsecret1", token: me.token, body: `{"name":"topsecret2"}`, header: http.Header{"X-Request-Id": {"req-7"}}})
	w.do(call{path: "/api/v1/projects/?a=topsecret3", token: "topsecret4"})
	w.do(call{path: "/topsecret5/"})
	all := w.log.String()
	if strings.Contains(all, "topsecret") || strings.Contains(all, me.token) {
		t.Errorf("the log tells secrets: %s", all)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(strings.SplitN(all, "\n", 2)[0]), &line); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]any{"msg": "request", "method": "POST", "route": "/api/v1/projects/", "status": 200.0, "user": me.UserID.String(), "tenant": tenant.String(), "request_id": "req-7", "bytes": 11.0} {
		if line[k] != v {
			t.Errorf("%s is %v, want %v", k, line[k], v)
		}
	}
	if _, ok := line["duration"]; !ok {
		t.Error("no duration")
	}
}

func TestHealthAndDrain(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	w := newWorld(t, func(_ *world, o *Options) { o.Now = func() time.Time { return time.Unix(0, now.Load()) } })
	later := func() { now.Add(int64(2 * time.Second)) }
	check := func(status int, body string) {
		t.Helper()
		for _, path := range []string{"/health/", "/health"} {
			rec := w.do(call{path: path, host: "10.0.0.1"})
			if rec.Code != status || rec.Body.String() != body {
				t.Errorf("%d %s, want %d %s", rec.Code, rec.Body, status, body)
			}
		}
	}
	check(200, `{"status":"healthy","database":"ok","redis":"ok"}`)
	w.functions.set(func(f *functions) { f.database = false })
	later()
	check(503, `{"status":"unhealthy","database":"down","redis":"ok"}`)
	w.mr.Close()
	later()
	check(503, `{"status":"unhealthy","database":"down","redis":"degraded"}`)
	w.functions.set(func(f *functions) { f.database = true })
	later()
	check(200, `{"status":"healthy","database":"ok","redis":"degraded"}`)
	want(t, w.do(call{path: "/livez"}), 200, "")
	want(t, w.do(call{method: "POST", path: "/health/"}), 405, "method_not_allowed")
	want(t, w.do(call{path: "/health/", host: "whatever host"}), 200, "")

	w.app.Unready()
	check(503, `{"status":"unhealthy","database":"ok","redis":"degraded","router":"draining"}`)
	want(t, w.do(call{path: "/livez"}), 200, "")
}

func TestDrainWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	began, gate := make(chan struct{}), make(chan struct{})
	w.functions.answer = func(http.ResponseWriter, *http.Request) { close(began); <-gate }
	done := make(chan int)
	go func() { done <- w.do(call{path: "/api/v1/projects/", token: me.token}).Code }()
	<-began
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := w.app.Drain(short); err == nil {
		t.Error("Drain did not wait")
	}
	drained := make(chan error)
	go func() { drained <- w.app.Drain(context.Background()) }()
	close(gate)
	if code := <-done; code != 200 {
		t.Errorf("the request under way got %d", code)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := w.app.Close(); err != nil {
		t.Error(err)
	}
	if err := w.app.Close(); err != nil {
		t.Error("a second Close: ", err)
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, o *Options) {
		o.OpenAPI = []byte(`{"openapi":"3.1.0","info":{"title":"T: x","version":"1","description":"two\nlines"},"paths":{"/b/":{},"/a/":{"get":{"responses":{"200":{"description":"yes"}}}}}}`)
	})
	rec := w.do(call{path: "/api/schema/"})
	want(t, rec, 200, "")
	etag := rec.Header().Get("ETag")
	if rec.Header().Get("Content-Type") != "application/json" || !json.Valid(rec.Body.Bytes()) || etag == "" {
		t.Errorf("%v", rec.Header())
	}
	want(t, w.do(call{path: "/api/schema/", header: http.Header{"If-None-Match": {`"x", W/` + etag}}}), 304, "")
	for _, c := range []call{{path: "/api/schema/?format=yaml"}, {path: "/api/schema", header: http.Header{"Accept": {"application/yaml"}}}} {
		rec := w.do(c)
		want(t, rec, 200, "")
		for _, s := range []string{"openapi: 3.1.0\n", "title: 'T: x'", "version: \"1\"", "description: |-\n", "\"200\":"} {
			if !strings.Contains(rec.Body.String(), s) {
				t.Errorf("YAML lacks %q: %s", s, rec.Body)
			}
		}
		if strings.Index(rec.Body.String(), "/b/") > strings.Index(rec.Body.String(), "/a/") || rec.Header().Get("Content-Type") != "application/yaml" {
			t.Errorf("order or type: %s", rec.Body)
		}
	}
	want(t, w.do(call{path: "/api/schema/?format=xml"}), 400, "invalid_query")
	want(t, w.do(call{path: "/api/schema/?x=1"}), 400, "invalid_query")

	for path, mediaType := range map[string]string{
		"/api/docs/": "text/html", "/api/docs": "text/html", "/api/docs/docs.js": "text/javascript", "/api/docs/swagger-ui.css": "text/css", "/api/docs/swagger-ui-bundle.js": "text/javascript", "/api/docs/favicon-32x32.png": "image/png",
	} {
		rec := w.do(call{path: path})
		want(t, rec, 200, "")
		csp := rec.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(rec.Header().Get("Content-Type"), mediaType) || !strings.Contains(csp, "script-src 'self';") || rec.Body.Len() == 0 {
			t.Errorf("%s: %v", path, rec.Header())
		}
	}
	page := w.do(call{path: "/api/docs/"}).Body.String()
	if strings.Contains(page, "<script>") || strings.Contains(page, "<style") || strings.Contains(page, "http") {
		t.Errorf("the page has inline code or an outside address: %s", page)
	}
	if js := string(docsScript); !strings.Contains(js, "persistAuthorization: true") {
		t.Error("the page forgets who is logged in")
	}
	want(t, w.do(call{path: "/api/docs/index.html"}), 404, "not_found")
	want(t, w.do(call{path: "/api/docs/swagger-ui.js.map"}), 404, "not_found")
	if rec := w.do(call{method: "HEAD", path: "/api/docs/"}); rec.Body.Len() != 0 {
		t.Error("HEAD has a body")
	}
	if _, err := toYAML([]byte("{")); err == nil {
		t.Error("broken JSON became YAML")
	}
}

func TestHostsAreRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := ids.New()
	me := w.person(tenant)
	ask := func() int { return w.do(call{path: "/api/v1/projects/", host: "acme.localhost", token: me.token}).Code }
	for range 3 {
		if got := ask(); got != 404 {
			t.Errorf("before: %d", got)
		}
	}
	if w.functions.asked["hosts"] != 1 {
		t.Errorf("asked %d times", w.functions.asked["hosts"])
	}
	w.functions.set(func(f *functions) { f.hosts["acme"] = tenant })
	want(t, w.do(call{method: "POST", path: "/api/v1/tenants/", token: me.token, body: "{}"}), 200, "")
	if got := ask(); got != 200 {
		t.Errorf("after a write to tenants: %d", got)
	}
	w.functions.set(func(f *functions) { f.down["tenants"] = errDial })
	if got := ask(); got != 200 {
		t.Errorf("tenants down, host known: %d", got)
	}
	rec := w.do(call{path: "/api/v1/projects/", host: "globex.localhost", token: me.token})
	want(t, rec, 503, "unavailable")
	w.functions.set(func(f *functions) { delete(f.down, "tenants") })
	codes := map[int]int{}
	for i := range 150 {
		codes[w.do(call{path: "/api/v1/projects/", host: fmt.Sprintf("guess%d.localhost", i), token: me.token, remote: "198.51.100.1:1"}).Code]++
	}
	if codes[429] < 30 {
		t.Errorf("guessing hosts has no end: %v", codes)
	}
}

func TestOutsideLocalBrowsersInsistOnTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("DEPLOYMENT_ENVIRONMENT", "production"), setting("BASE_DOMAIN", "example.com"), setting("PLAIN_HOSTS", "router.run.app"))
	for _, host := range []string{"router.run.app", "example.com"} {
		rec := w.do(call{path: "/.well-known/jwks.json", host: host})
		want(t, rec, 200, "")
		if rec.Header().Get("Strict-Transport-Security") == "" {
			t.Error("no HSTS")
		}
	}
	want(t, w.do(call{path: "/.well-known/jwks.json", host: "localhost"}), 404, "unknown_host")
}

func TestConfigurationIsRefusedWhole(t *testing.T) {
	t.Parallel()
	bad := map[string]string{
		"DEPLOYMENT_ENVIRONMENT": "moon", "BASE_DOMAIN": "Not A Host", "PLAIN_HOSTS": "10.0.0.1", "ALLOWED_ORIGINS": "https://a.example/path", "TRUSTED_HOPS": "-1",
		"UPSTREAMS": "auth", "RATE_TENANT_PER_MINUTE": "0", "ROUTER_TIMEOUT": "0s", "REDIS_URL": "x",
	}
	_, err := Open(t.Context(), config.Map(bad), Options{})
	if err == nil {
		t.Fatal("accepted")
	}
	for name := range bad {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	if _, err := Open(t.Context(), config.Map(map[string]string{"REDIS_URL": "redis://x"}), Options{}); err == nil || !strings.Contains(err.Error(), "UPSTREAMS") {
		t.Errorf("no addresses: %v", err)
	}
	if _, err := Open(t.Context(), config.Map(map[string]string{"REDIS_URL": "redis://x", "UPSTREAMS": "auth=https://auth.example, tenants=https://tenants.example/"}), Options{Routes: []byte("[")}); err == nil {
		t.Error("a broken table was accepted")
	}
	app, err := Open(t.Context(), config.Map(map[string]string{"REDIS_URL": "redis://127.0.0.1:1", "UPSTREAMS": "auth=https://auth.example, tenants=https://tenants.example/", "SECRETS_DIR": os.TempDir()}), Options{Routes: []byte("[]")})
	if err != nil {
		t.Fatal(err)
	}
	if app.upstreams.address("auth").Host != "auth.example" {
		t.Error("address")
	}
	_ = app.Close()
}
