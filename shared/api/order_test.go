package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/logs"
)

const (
	things = "/api/v1/things/"
	one    = "/api/v1/things/0192f0c1-7b7e-7cc3-98c4-dc0c0c070003/"
)

// The contract's order of checks: each request fails its check and every later
// one too, and must be told about the first.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	bad := `{"name":"","zzz":1}`
	for _, c := range []struct {
		name, line, body, want string
		headers                []string
	}{
		{"404 route", "POST /api/v2/things/?x=1", bad, "404 not_found", nil},
		{"404 subtree", "GET /api/v1/things/a/b/c/", "", "404 not_found", nil},
		{"404 not canonical", "GET //api/v1/things/", "", "404 not_found", nil},
		{"404 dots", "GET /api/v1/../v1/things/", "", "404 not_found", nil},
		{"405", "PUT /api/v1/things/?x=1", bad, "405 method_not_allowed", nil},
		{"401 none", "POST /api/v1/things/?x=1", bad, "401 token_missing", nil},
		{"401 bad", "POST /api/v1/things/?x=1", bad, "401 token_expired", []string{"token", "stale"}},
		{"401 basic", "POST /api/v1/things/", bad, "401 token_missing", []string{"Authorization", "Basic x"}},
		{"401 two", "POST /api/v1/things/", bad, "401 token_invalid", []string{"token", tokOwner, "Authorization", "Bearer viewer"}},
		{"401 huge", "POST /api/v1/things/", bad, "401 token_invalid", []string{"token", strings.Repeat(".", 9000)}},
		{"401 nobody", "POST /api/v1/things/", bad, "401 token_invalid", []string{"token", "nobody"}},
		{"503 keys", "POST /api/v1/things/", bad, "503 unavailable", []string{"token", "down"}},
		{"403 mismatch", "POST /api/v1/things/?x=1", bad, "403 tenant_mismatch", []string{"token", tokViewer, "X-Tenant-ID", object.String()}},
		{"403 mismatch form", "POST /api/v1/things/?x=1", bad, "403 tenant_mismatch", []string{"token", tokViewer, "X-Tenant-ID", "x"}},
		{"403 no tenant", "POST /api/v1/things/?x=1", bad, "403 no_tenant", []string{"token", tokNoTenant}},
		{"403 suspended", "POST /api/v1/things/?x=1", bad, "403 tenant_suspended", []string{"token", tokSuspended}},
		{"403 deleted", "POST /api/v1/things/?x=1", bad, "403 tenant_deleted", []string{"token", tokDeleted}},
		{"403 permission", "POST /api/v1/things/?x=1", bad, "403 permission_denied", []string{"token", tokViewer, "Content-Type", "text/plain"}},
		{"415", "POST /api/v1/things/?x=1", bad + strings.Repeat(" ", 1<<20), "415 unsupported_media_type", []string{"token", tokOwner, "Content-Type", "text/plain"}},
		{"413", "POST /api/v1/things/?x=1", "{" + strings.Repeat(" ", 1<<20), "413 body_too_large", []string{"token", tokOwner}},
		{"400 syntax", "POST /api/v1/things/", "{", "400 malformed_json", []string{"token", tokOwner}},
		{"400 query", "POST /api/v1/things/?x=1", bad, "400 invalid_request", []string{"token", tokOwner}},
		{"400 query value", "POST /api/v1/things/?color=green", bad, "400 invalid_request", []string{"token", tokOwner}},
		{"400 before the path", "PATCH /api/v1/things/zz/", `{"name":""}`, "400 invalid_if_match", []string{"token", tokOwner, "If-Match", "7"}},
		{"422", "POST /api/v1/things/", bad, "422 validation_failed", []string{"token", tokOwner}},
		{"422 before the path", "PATCH /api/v1/things/zz/", `{"name":""}`, "422 validation_failed", []string{"token", tokOwner}},
		{"404 id", "PATCH /api/v1/things/zz/", `{"name":"a"}`, "404 not_found", []string{"token", tokOwner, "If-Match", `"1.a"`}},
		{"412", "PATCH " + one, `{"name":"a"}`, "412 precondition_failed", []string{"token", tokOwner, "If-Match", `"1.a"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := b.ask(t, c.line, c.body, c.headers...)
			is(t, w, c.want)
			if c.want[:3] != "412" && b.runs() != 0 {
				t.Error("the operation ran")
			}
		})
	}
}

func TestHeadersOfRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct{ line, token, header, want string }{
		{"GET " + things, "", "WWW-Authenticate", `Bearer realm="coditect"`},
		{"GET " + things, "stale", "WWW-Authenticate", `Bearer realm="coditect", error="invalid_token"`},
		{"PUT " + things, "", "Allow", "GET, HEAD, POST"},
		{"PUT " + strings.TrimSuffix(one, "/"), "", "Allow", "DELETE, GET, HEAD, PATCH"},
		{"GET " + things, "down", "Retry-After", "1"},
		{"GET /nowhere", "", "Cache-Control", "no-store"},
		{"GET /nowhere", "", "X-Content-Type-Options", "nosniff"},
	} {
		var headers []string
		if c.token != "" {
			headers = []string{"token", c.token}
		}
		if got := b.ask(t, c.line, "", headers...).Header().Get(c.header); got != c.want {
			t.Errorf("%s %s: %s %q, want %q", c.line, c.token, c.header, got, c.want)
		}
	}
}

// What a caller may not see does not exist: one answer for all of it.
func TestNotFoundIsOneAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noRoute := problemOf(t, b.ask(t, "GET /nowhere/", "", "X-Request-Id", "r"))
	noID := problemOf(t, b.ask(t, "GET /api/v1/things/zz/", "", "token", tokOwner, "X-Request-Id", "r"))
	noHop := problemOf(t, b.ask(t, "GET /internal/health/", "", "token", tokOwner, "X-Request-Id", "r"))
	noID.Instance, noHop.Instance = noRoute.Instance, noRoute.Instance
	if noRoute.Detail != noID.Detail || noRoute.Code != noID.Code || noHop.Detail != noRoute.Detail || noHop.Code != noRoute.Code {
		t.Errorf("they differ:\n%+v\n%+v\n%+v", noRoute, noID, noHop)
	}
}

func TestIDsInPaths(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range []string{
		"zz", "0192f0c17b7e7cc398c4dc0c0c070003", "%7B0192f0c1-7b7e-7cc3-98c4-dc0c0c070003%7D",
		"urn:uuid:0192f0c1-7b7e-7cc3-98c4-dc0c0c070003", "%00", "%ff", "0192f0c1-7b7e-7cc3-98c4-dc0c0c07000g",
	} {
		is(t, b.ask(t, "GET /api/v1/things/"+bad+"/", "", "token", tokOwner), "404 not_found")
	}
	if b.runs() != 0 {
		t.Error("the operation ran")
	}
	is(t, b.ask(t, "GET "+one, "", "token", tokOwner), "200")
	if in, ok := b.got.(*ByID); !ok || in.ID != object {
		t.Errorf("read %+v", b.got)
	}
}

func TestBothSlashForms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, line := range []string{"GET " + one, "GET " + strings.TrimSuffix(one, "/"), "GET " + things, "GET " + strings.TrimSuffix(things, "/")} {
		is(t, b.ask(t, line, "", "token", tokOwner), "200")
	}
	is(t, b.ask(t, "POST "+strings.TrimSuffix(things, "/"), `{"name":"a"}`, "token", tokOwner), "201")
	full := b.ask(t, "GET "+one, "", "token", tokOwner)
	head := b.ask(t, "HEAD "+one, "", "token", tokOwner)
	if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("ETag") != full.Header().Get("ETag") ||
		head.Header().Get("Content-Length") != full.Header().Get("Content-Length") {
		t.Errorf("HEAD: %d %v %q", head.Code, head.Header(), head.Body)
	}
	if refused := b.ask(t, "HEAD "+one, ""); refused.Code != http.StatusUnauthorized || refused.Body.Len() != 0 {
		t.Errorf("HEAD without a token: %d %q", refused.Code, refused.Body)
	}
}

// TestTrapT29: there is one reading of a path, and what is not in it is no
// route, whatever cleaning would make of it.
func TestTrapT29Paths(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{
		"/api/v1/things/%2e%2e/things/", "/api/v1//things/", "/api/v1/things//", "/api/v1/./things/", "/API/v1/things/",
		"/api/v1/things/..;/internal/health/", "/api/v1/things%2F", "/internal/../api/v1/things/", "/",
	} {
		is(t, b.ask(t, "GET "+path, "", "token", tokOwner), "404 not_found")
	}
	if b.runs() != 0 {
		t.Error("the operation ran")
	}
}

type countingVerifier struct{ calls int }

func (v *countingVerifier) Verify(context.Context, string) (identity.Principal, error) {
	v.calls++
	return identity.Principal{}, identity.ErrTokenInvalid
}

// TestTrapT31: a header of thousands of dots does not reach the parser.
func TestTrapT31HugeToken(t *testing.T) {
	t.Parallel()
	v := &countingVerifier{}
	b := setup(t, func(d *Deps) { d.Verifier = v })
	is(t, b.ask(t, "GET "+one, "", "token", strings.Repeat(".", maxToken+1)), "401 token_invalid")
	if v.calls != 0 {
		t.Error("it was parsed")
	}
	is(t, b.ask(t, "GET "+one, "", "token", strings.Repeat(".", maxToken)), "401 token_invalid")
	if v.calls != 1 {
		t.Error("a token of legal size was not")
	}
}

// Every line of a request says whose it is, those of the operation too.
func TestLogLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.beforeAct = func(ctx context.Context) error {
		logs.New(b.logs, logs.Config{}).InfoContext(ctx, "inside")
		return errors.New("boom")
	}
	b.ask(t, "GET "+one, "", "token", tokOwner, "X-Request-Id", "r7", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	lines := strings.Split(strings.TrimSpace(b.logs.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines: %q", lines)
	}
	for _, line := range lines {
		for _, want := range []string{`"request_id":"r7"`, `"tenant_id":"` + tenant.String(), `"user_id":"` + id(10).String(), "0af7651916cd43dd8448eb211c80319c"} {
			if strings.Count(line, want) != 1 {
				t.Errorf("%s: not once in %s", want, line)
			}
		}
	}
	if !strings.Contains(lines[1], "boom") || !strings.Contains(lines[1], `"operation":"get-thing"`) {
		t.Errorf("line %s", lines[1])
	}
}
