package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/telemetry"
)

var errDial = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

// flaky fails the first calls.
type flaky struct {
	fails atomic.Int64
	calls atomic.Int64
	err   error
	next  http.RoundTripper
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.calls.Add(1)
	if f.fails.Add(-1) >= 0 {
		return nil, f.err
	}
	return f.next.RoundTrip(r)
}

func TestOnlyAnUnheardGETIsRepeated(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method string
		err    error
		fails  int64
		status int
		calls  int64
	}{
		"get unheard":       {"GET", errDial, 1, 200, 2},
		"get unheard twice": {"GET", errDial, 2, 503, 2},
		"get cut off":       {"GET", io.ErrUnexpectedEOF, 1, 503, 1},
		"post unheard":      {"POST", errDial, 1, 503, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &flaky{err: tt.err}
			w := newWorld(t, func(w *world, o *Options) { f.next = w.functions; o.Transport = f })
			me := w.person(ids.New())
			_ = w.mr.Set("sess:"+me.SessionID.String(), "live")
			want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "") // asks for the plan
			f.calls.Store(0)
			f.fails.Store(tt.fails)
			rec := w.do(call{method: tt.method, path: "/api/v1/projects/", token: me.token})
			if rec.Code != tt.status || f.calls.Load() != tt.calls {
				t.Errorf("%d after %d calls: %s", rec.Code, f.calls.Load(), rec.Body)
			}
			if tt.status == 503 {
				want(t, rec, 503, "unavailable")
				if rec.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			}
		})
	}
}

func TestCircuitOpensAndCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("UPSTREAM_CIRCUIT_FAILURES", "3"))
	me := w.person(ids.New())
	projects, users := call{path: "/api/v1/projects/", token: me.token}, call{path: "/api/v1/users/me/", token: me.token}
	want(t, w.do(projects), 200, "")
	w.functions.set(func(f *functions) { f.down["projects"] = io.ErrUnexpectedEOF })
	for range 10 {
		want(t, w.do(projects), 503, "unavailable")
	}
	want(t, w.do(users), 200, "") // each function has its own
	if n := strings.Count(w.log.String(), "function does not answer"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	w.functions.set(func(f *functions) { delete(f.down, "projects") })
	until(t, func() bool { return w.do(projects).Code == 200 })
	if !strings.Contains(w.log.String(), "function answers again") {
		t.Error("the log does not say that it is back")
	}
}

func TestAnswersOfThePlatformBecomeProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	for _, tt := range []struct {
		status      int
		contentType string
		code        string
		want        int
	}{
		{503, "text/html", "unavailable", 503}, {500, "text/plain", "unavailable", 503}, {502, "", "unavailable", 503},
		{503, problem.MediaType, "", 503}, {404, "text/html", "", 404},
	} {
		w.functions.set(func(f *functions) {
			f.answer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", tt.contentType)
				rw.WriteHeader(tt.status)
				_, _ = io.WriteString(rw, "goroutine 1 [running]")
			}
		})
		rec := w.do(call{path: "/api/v1/projects/", token: me.token})
		want(t, rec, tt.want, tt.code)
		if tt.code != "" && strings.Contains(rec.Body.String(), "goroutine") {
			t.Errorf("a stack trace came through: %s", rec.Body)
		}
	}
}

// connected is a world whose functions are behind real connections.
func connected(t *testing.T, handler http.HandlerFunc, change ...func(*world, *Options)) *world {
	t.Helper()
	back := httptest.NewServer(handler)
	t.Cleanup(back.Close)
	at := must(url.Parse(back.URL))
	w := newWorld(t, append([]func(*world, *Options){func(w *world, o *Options) {
		tr := newTransport(TimeoutConfig{Dial: time.Second, Answer: 10 * time.Second})
		t.Cleanup(tr.CloseIdleConnections)
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/internal/") {
				return w.functions.RoundTrip(r)
			}
			r = r.Clone(r.Context())
			r.URL.Host = at.Host
			return tr.RoundTrip(r)
		})
	}}, change...)...)
	w.server = httptest.NewUnstartedServer(nil)
	w.server.Config = w.app.Server()
	w.server.Start()
	t.Cleanup(w.server.Close)
	return w
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBodiesStreamUpToTheLimit(t *testing.T) {
	t.Parallel()
	w := connected(t, func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<20))
		if err != nil {
			problem.Write(rw, r, r.Header.Get("X-Request-Id"), err)
			return
		}
		_, _ = fmt.Fprint(rw, len(body))
	})
	me := w.person(ids.New())
	for name, tt := range map[string]struct {
		size    int
		chunked bool
		status  int
	}{
		"empty": {0, false, 200}, "full": {1 << 20, false, 200}, "full chunked": {1 << 20, true, 200}, "one over": {1<<20 + 1, false, 413},
		"one over chunked": {1<<20 + 1, true, 413}, "far over": {9 << 20, false, 413}, "far over chunked": {9 << 20, true, 413},
	} {
		var body io.Reader = strings.NewReader(strings.Repeat("a", tt.size))
		if tt.chunked {
			body = io.MultiReader(body) // hides its length
		}
		req := must(http.NewRequestWithContext(t.Context(), "POST", w.server.URL+"/api/v1/projects/", body))
		req.Header.Set("Authorization", "Bearer "+me.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.status || tt.status == 200 && string(text) != fmt.Sprint(tt.size) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
}

func TestSlowSidesAreGivenUpOn(t *testing.T) {
	t.Parallel()
	w := connected(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, setting("ROUTER_TIMEOUT", "1s"), setting("ROUTER_HEADER_TIMEOUT", "150ms"), setting("ROUTER_BODY_TIMEOUT", "50ms"))
	me := w.person(ids.New())
	raw := func(text string) string {
		c := must((&net.Dialer{}).DialContext(t.Context(), "tcp", w.server.Listener.Addr().String()))
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, text)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return "closed"
		}
		_ = resp.Body.Close()
		return resp.Status
	}
	for name, tt := range map[string]struct{ request, want string }{
		"function": {"GET /api/v1/projects/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + me.token + "\r\n\r\n", "504 Gateway Timeout"},
		"body":     {"POST /api/v1/projects/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + me.token + "\r\nContent-Length: 10\r\n\r\nab", "408 Request Timeout"},
		"header":   {"GET /api/v1/projects/ HTTP/1.1\r\nHost: loc", "closed"},
		"no host":  {"GET /livez HTTP/1.1\r\n\r\n", "400 Bad Request"},
		"huge":     {"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Pad: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", "431 Request Header Fields Too Large"},
	} {
		if got := raw(tt.request); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestAnswerThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	w := connected(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(200)
		_, _ = io.WriteString(rw, "first half")
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	me := w.person(ids.New())
	req := must(http.NewRequestWithContext(t.Context(), "GET", w.server.URL+"/api/v1/projects/", nil))
	req.Header.Set("Authorization", "Bearer "+me.token)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks whole")
	}
	until(t, func() bool { return strings.Contains(w.log.String(), `"aborted":true`) })
}

func TestEventStreamIsNotHeldBack(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	w := connected(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(rw, "data: 1\n\n")
		_ = http.NewResponseController(rw).Flush()
		<-gate
	})
	me := w.person(ids.New())
	req := must(http.NewRequestWithContext(t.Context(), "GET", w.server.URL+"/api/v1/projects/", nil))
	req.Header.Set("Authorization", "Bearer "+me.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	close(gate)
	if err != nil || line != "data: 1\n" {
		t.Errorf("%q %v", line, err)
	}
}

func TestClientThatLeavesIsNotTheFunctionsFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("UPSTREAM_CIRCUIT_FAILURES", "1"), func(w *world, o *Options) {
		inner := o.Transport
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/api/v1/projects/" && r.Method == http.MethodPost {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return inner.RoundTrip(r)
		})
	})
	me := w.person(ids.New())
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	gone, leave := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(20*time.Millisecond, leave)
	if rec := w.do(call{method: "POST", path: "/api/v1/projects/", token: me.token, ctx: gone}); rec.Code != 499 {
		t.Errorf("status %d", rec.Code)
	}
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
}

func TestPanicIsA500(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world, o *Options) {
		inner := o.Transport
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/api/v1/projects/" {
				panic("boom")
			}
			return inner.RoundTrip(r)
		})
	})
	me := w.person(ids.New())
	rec := w.do(call{path: "/api/v1/projects/", token: me.token})
	want(t, rec, 500, "internal")
	if strings.Contains(rec.Body.String(), "boom") || !strings.Contains(w.log.String(), "boom") {
		t.Error("the cause belongs in the log, and only there")
	}
}

func TestRecordedRequestsBearTheirRoute(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tel := must(telemetry.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), metricnoop.NewMeterProvider(), time.Second, func(context.Context) error { return nil }))
	w := newWorld(t, func(_ *world, o *Options) { o.Telemetry = tel })
	me := w.person(ids.New())
	want(t, w.do(call{path: "/api/v1/projects/abc/", token: me.token, header: http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}}), 200, "")
	found := false
	for _, s := range spans.Ended() {
		found = found || s.Name() == "GET /api/v1/projects/{id}/" && s.SpanContext().TraceID().String() == "4bf92f3577b34da6a3ce929d0e0e4736"
	}
	if !found {
		t.Errorf("no span of the route among %d", len(spans.Ended()))
	}
	if got := w.functions.last(t).Header.Get("Traceparent"); !strings.HasPrefix(got, "00-4bf92f3577b34da6a3ce929d0e0e4736-") || strings.Contains(got, "00f067aa0ba902b7") {
		t.Errorf("the function was told %q", got)
	}
}

func TestTrapT31TokenAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	kid := w.keys.Public().Keys[0].Kid
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"iss": issuer, "aud": identity.Audience, "sub": me.UserID.String(), "tenant_id": me.TenantID.String(), "sid": ids.New().String(),
			"jti": ids.New().String(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "email": "a@example.com", "name": "A"}
		if change != nil {
			change(c)
		}
		return c
	}
	hs := func(c jwt.MapClaims, header map[string]any, key []byte) string {
		tok := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
		maps.Copy(tok.Header, header)
		return must(tok.SignedString(key))
	}
	public := w.keys.Public().Keys[0]
	parts := strings.Split(me.token, ".")
	expired, _, _ := w.signer.Access(t.Context(), me.Principal, -time.Hour)
	foreign, _, _ := identity.NewSigner(staticKeys{w.keys}, "https://evil.example").Access(t.Context(), me.Principal, time.Hour)
	stranger, _, _ := identity.NewSigner(staticKeys{identity.GenerateKeySet(time.Now().Add(-time.Hour))}, issuer).Access(t.Context(), me.Principal, time.Hour)
	none := jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil))
	none.Header["kid"] = kid
	for name, token := range map[string]string{
		"alg none":              must(none.SignedString(jwt.UnsafeAllowNoneSignatureType)),
		"HS256 with public key": hs(claims(nil), map[string]any{"kid": kid}, []byte(public.X+public.Y)),
		"kid path":              hs(claims(nil), map[string]any{"kid": "../../../../dev/null"}, nil),
		"kid injection":         hs(claims(nil), map[string]any{"kid": "x' or 1=1 --"}, []byte("x")),
		"jku":                   hs(claims(nil), map[string]any{"kid": kid, "jku": "https://evil.example/jwks.json"}, []byte("x")),
		"expired":               expired,
		"another issuer":        foreign,
		"another key":           stranger,
		"no signature":          parts[0] + "." + parts[1] + ".",
		"another payload":       parts[0] + "." + strings.Split(stranger, ".")[1] + "." + parts[2],
		"padding":               me.token + "=",
		"two dots more":         me.token + "..",
		"dots":                  strings.Repeat(".", 8000),
		"huge":                  strings.Repeat("a", 12<<10),
		"empty":                 " ",
	} {
		rec := w.do(call{path: "/api/v1/projects/", header: http.Header{"Authorization": {"Bearer " + token}}})
		if rec.Code != 401 {
			t.Errorf("%s: %d", name, rec.Code)
		}
	}
	if w.functions.count() != 0 {
		t.Error("a bad token reached a function")
	}
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
}

func TestTrapT32ClientAddress(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hops   int
		remote string
		xff    []string
		want   string
	}{
		"no proxy, forged":   {0, "192.0.2.1:5", []string{"1.1.1.1"}, "192.0.2.1"},
		"one proxy":          {1, "10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7"}, "192.0.2.7"},
		"two proxies":        {2, "10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7, 10.0.0.9"}, "192.0.2.7"},
		"several lines":      {2, "10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7", "10.0.0.9"}, "192.0.2.7"},
		"fewer than trusted": {3, "10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7"}, "10.0.0.1"},
		"none":               {1, "10.0.0.1:5", nil, "10.0.0.1"},
		"nonsense":           {1, "10.0.0.1:5", []string{"192.0.2.7, unknown"}, "10.0.0.1"},
		"with a port":        {1, "10.0.0.1:5", []string{"192.0.2.7:99"}, "192.0.2.7"},
		"v6 with a port":     {1, "10.0.0.1:5", []string{"[2001:db8::1]:99"}, "2001:db8::1"},
		"mapped":             {0, "[::ffff:192.0.2.1]:5", nil, "192.0.2.1"},
		"no port":            {0, "192.0.2.1", nil, "192.0.2.1"},
		"a socket":           {0, "@", nil, "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		r.Header["X-Forwarded-For"] = tt.xff
		if got := clientIP(r, tt.hops).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"example.com": "example.com", "EXAMPLE.com:443": "example.com", "example.com.": "example.com", "example.com:": "example.com", "[::1]": "::1", "[::1]:8080": "::1", "127.0.0.1:1": "127.0.0.1",
		"": "", ".": "", "a..b": "", "-a.com": "", "a-.com": "", "a b": "", "a/b": "", "a:b": "", "a:1:2": "", "[::1": "", "[::1]x": "", "[::1]:x": "", "[127.0.0.1]": "", "ü.de": "", "a_b.de": "",
		"a:123456": "", "[fe80::1%25eth0]": "", strings.Repeat("a", 64) + ".com": "", strings.Repeat("a.", 130): "",
	} {
		got, ok := hostName(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", in, got, ok, want)
		}
	}
}

// The oracle is net/http: a path that we take must be one that ServeMux would
// not redirect, and must be the same resource there; the method comes after.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/api/v1/projects/", "/api/v1/users/me", "/api/v1/users/%2e%2e/", "/api/v1/users/a%2fb/", "//x", "/a/../b", "/a/%00", "/%ff", "/api/v1/users/%25/", "/.well-known/jwks.json/", "/api/v1/users/a;b/", "/api/v1/users/%3F/", "/\\", "*", "/api/v1/users/./"} {
		f.Add(s)
	}
	tb := must(parseTable([]byte(routesJSON)))
	mux := http.NewServeMux()
	var add func(n *node)
	add = func(n *node) {
		if len(n.routes) > 0 {
			answer := func(w http.ResponseWriter, r *http.Request) {
				for _, route := range n.routes {
					if route.Method == r.Method || route.Method == http.MethodGet && r.Method == http.MethodHead {
						w.Header().Set("Op", route.OperationID)
					}
				}
			}
			mux.HandleFunc(bare(n.routes[0].Path), answer)
			mux.HandleFunc(bare(n.routes[0].Path)+"/{$}", answer)
		}
		for _, next := range n.literal {
			add(next)
		}
		if n.param != nil {
			add(n.param)
		}
	}
	add(&tb.root)
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil || u.Host != "" || u.Scheme != "" {
			return
		}
		p, ok := canonical(u)
		if !ok {
			return
		}
		if clean := path.Clean(p); bare(p) != bare(clean) {
			t.Fatalf("%q is canonical, and cleans to %q", p, clean)
		}
		sent := (&url.URL{Path: p}).EscapedPath()
		again, err := url.ParseRequestURI(sent)
		if err != nil {
			t.Fatalf("%q is sent as %q, which nobody can read: %v", p, sent, err)
		}
		if q, ok := canonical(again); !ok || q != p {
			t.Fatalf("%q is read as %q (%v) by the next", p, q, ok)
		}
		for _, m := range []string{"GET", "POST", "DELETE", "HEAD"} {
			rec := httptest.NewRecorder()
			r := httptest.NewRequest(m, "/", nil)
			r.URL = again
			mux.ServeHTTP(rec, r)
			ours := ""
			if route := tb.find(m, p); route != nil {
				ours = route.OperationID
			}
			if theirs := rec.Header().Get("Op"); ours != theirs {
				t.Fatalf("%s %q: we say %q, ServeMux says %q", m, p, ours, theirs)
			}
		}
	})
}

func FuzzHosts(f *testing.F) {
	for _, s := range []string{"localhost", "acme.localhost:80", "[::1]:80", "evil.com#.localhost", "acme.localhost.", "a@b.localhost", "xn--a.localhost", "127.1", "0x7f.1", "acme.localhost\x00"} {
		f.Add(s)
	}
	h := newHosts(Config{BaseDomain: "localhost"}, nil, nil)
	f.Fuzz(func(t *testing.T, raw string) {
		name, ok := hostName(raw)
		if !ok {
			return
		}
		if again, ok := hostName(name); !strings.Contains(name, ":") && (!ok || again != name) {
			t.Fatalf("%q becomes %q, then %q", raw, name, again)
		}
		if strings.ToLower(name) != name || strings.ContainsAny(name, " /\\@#?%\x00") {
			t.Fatalf("%q becomes %q", raw, name)
		}
		_, question, ok := h.classify(raw)
		if !ok || question == "" {
			return
		}
		if question != name && question+".localhost" != name {
			t.Fatalf("%q is asked about as %q", raw, question)
		}
		if u, err := url.Parse("http://x/internal/hosts/" + question + "/"); err != nil || u.Path != "/internal/hosts/"+question+"/" || len(u.RawQuery) > 0 {
			t.Fatalf("%q changes the question: %q", raw, question)
		}
		if _, err := netip.ParseAddr(question); err == nil {
			t.Fatalf("an address is asked about: %q", question)
		}
	})
}

// bare proxy against the router, in one run: only the ratio means anything.
func BenchmarkEdge(b *testing.B) {
	page := strings.Repeat("x", 1024)
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = io.WriteString(w, page)
	}))
	defer back.Close()
	at := must(url.Parse(back.URL))
	tr := newTransport(TimeoutConfig{Dial: time.Second, Answer: 10 * time.Second})
	w := newWorld(b, func(w *world, o *Options) {
		if addr := realRedis(b); addr != "" {
			w.env["REDIS_URL"] = "redis://" + addr
		}
		o.Logger = logs.New(io.Discard, logs.Config{Format: "json"}) // what production writes
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/internal/") {
				return w.functions.RoundTrip(r)
			}
			r.URL.Host = at.Host
			return tr.RoundTrip(r)
		})
	})
	tenant := ids.New()
	w.functions.limits[tenant] = 100_000_000
	me := w.person(tenant)
	if err := w.app.redis.Set(context.Background(), "sess:"+me.SessionID.String(), []byte("live"), time.Hour); err != nil {
		b.Fatal(err)
	}
	bareProxy := bareReverseProxy(at, tr)
	for _, edge := range []struct {
		name    string
		handler http.Handler
	}{{"direct", back.Config.Handler}, {"reverseproxy", bareProxy}, {"router", w.app.Handler}} {
		handler := edge.handler
		b.Run(edge.name, func(b *testing.B) {
			front := httptest.NewServer(handler)
			defer front.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := http.NewRequestWithContext(context.Background(), "GET", front.URL+"/api/v1/projects/", nil)
					if err != nil {
						b.Error(err)
						return
					}
					r.Header.Set("Authorization", "Bearer "+me.token)
					resp, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != 200 {
						b.Errorf("status %d", resp.StatusCode)
						return
					}
				}
			})
		})
	}
}
