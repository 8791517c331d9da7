package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ids"
)

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
		"UPSTREAMS": "auth", "ROUTER_NUDGE_URL": "relay", "ROUTER_NUDGE_TIMEOUT": "0s", "RATE_TENANT_PER_MINUTE": "0", "ROUTER_TIMEOUT": "0s", "REDIS_URL": "x",
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
