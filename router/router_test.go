package router

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
)

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

// A literal beats a parameter, whatever the method: a path that has another
// meaning is not an id.
func TestLiteralsBeatParameters(t *testing.T) {
	t.Parallel()
	tb := must(parseTable([]byte(routesJSON)))
	for at, want := range map[string]string{
		"GET /api/v1/users/me/": "get-me", "GET /api/v1/users/x": "get-user", "DELETE /api/v1/users/x/": "delete-user", "DELETE /api/v1/users/me/": "", "HEAD /api/v1/users/me": "get-me",
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
	if got := tb.allow("/api/v1/users/me/"); got != "GET, HEAD, OPTIONS" {
		t.Error(got)
	}
	if got := tb.allow("/api/v1/users/x/"); got != "DELETE, GET, HEAD, OPTIONS" {
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
		"a quota of nobody":   `[{"function":"a","operation_id":"b","method":"GET","path":"/a/","public":true,"quota":true,"max_body":1}]`,
		"spared and not":      `[{"function":"a","operation_id":"b","method":"GET","path":"/a/","permission":"member","essential":true,"quota":true,"max_body":1}]`,
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
