package router

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
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
)

const routesJSON = `[
 {"function":"auth","operation_id":"login","method":"POST","path":"/api/v1/auth/login/","public":true,"max_body":1048576},
 {"function":"auth","operation_id":"logout","method":"POST","path":"/api/v1/auth/logout/","permission":"user","essential":true,"max_body":1048576},
 {"function":"auth","operation_id":"refresh","method":"POST","path":"/api/v1/auth/refresh/","public":true,"max_body":1048576},
 {"function":"auth","operation_id":"delete-session","method":"DELETE","path":"/api/v1/auth/sessions/{id}/","permission":"user","essential":true,"max_body":1048576},
 {"function":"auth","operation_id":"confirm-password-reset","method":"POST","path":"/api/v1/auth/password-reset/confirm/","public":true,"max_body":1048576},
 {"function":"auth","operation_id":"jwks","method":"GET","path":"/.well-known/jwks.json","public":true,"max_body":1048576},
 {"function":"auth","operation_id":"session-state","method":"GET","path":"/internal/sessions/{user_id}/{session_id}/","permission":"internal","max_body":1048576},
 {"function":"tenants","operation_id":"get-current-tenant","method":"GET","path":"/api/v1/tenants/me/","permission":"member","open_when_suspended":true,"essential":true,"max_body":1048576},
 {"function":"tenants","operation_id":"create-tenant","method":"POST","path":"/api/v1/tenants/","permission":"user","max_body":1048576},
 {"function":"users","operation_id":"get-me","method":"GET","path":"/api/v1/users/me/","permission":"user","max_body":1048576},
 {"function":"users","operation_id":"get-user","method":"GET","path":"/api/v1/users/{id}/","permission":"members:read","quota":true,"max_body":1048576},
 {"function":"users","operation_id":"delete-user","method":"DELETE","path":"/api/v1/users/{id}/","permission":"members:write","quota":true,"max_body":1048576},
 {"function":"projects","operation_id":"list-projects","method":"GET","path":"/api/v1/projects/","permission":"projects:read","quota":true,"max_body":1048576},
 {"function":"projects","operation_id":"create-project","method":"POST","path":"/api/v1/projects/","permission":"projects:write","quota":true,"max_body":1048576},
 {"function":"projects","operation_id":"get-project","method":"GET","path":"/api/v1/projects/{id}/","permission":"projects:read","quota":true,"max_body":1048576}
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
	ahead     atomic.Int64 // of the router's clock before the real one
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
	spent    map[ids.ID]time.Time // until when
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
			tenant := must(ids.Parse(parts[2]))
			answer := map[string]any{"plan": "free", "requests_per_minute": f.limits[tenant], "requests_used_up_until": nil}
			if until, spent := f.spent[tenant]; spent {
				answer["requests_used_up_until"] = until
			}
			_ = json.NewEncoder(w).Encode(answer)
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
		functions: &functions{down: map[string]error{}, hosts: map[string]ids.ID{}, revoked: map[string]bool{}, limits: map[ids.ID]int{}, spent: map[ids.ID]time.Time{}, asked: map[string]int{}, database: true}}
	w.signer = identity.NewSigner(staticKeys{w.keys}, issuer)
	ring := must(json.Marshal(secrets.GenerateRing(time.Now().Add(-time.Hour))))
	store := secrets.New(secrets.Static(map[string][]byte{secrets.HopKey: ring}), secrets.Config{})
	w.hopKeys = hop.New(secrets.Parse(store, secrets.HopKey, secrets.ParseRing))
	w.env = map[string]string{"REDIS_URL": "redis://" + w.mr.Addr(), "TOKEN_ISSUER": issuer, "REDIS_CIRCUIT_COOLDOWN": "50ms", "REDIS_TIMEOUT": "2s", "UPSTREAM_CIRCUIT_COOLDOWN": "50ms"}
	o := Options{Transport: w.functions, Secrets: store, Keys: identity.StaticKeys(w.keys.Public()), Routes: []byte(routesJSON),
		Logger: slog.New(slog.NewJSONHandler(w.log, nil)), Nudge: func(context.Context) error { w.nudges.Add(1); return nil },
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }}
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

// later lets time pass for the router.
func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

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
