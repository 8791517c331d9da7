package tenants_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// TestInternalNeedsAHop holds that these operations are not there for whom the
// router did not vouch, owners included.
func TestInternalNeedsAHop(t *testing.T) {
	f := setup(t)
	var subdomain string
	f.Scan(t, `select subdomain from app.organizations`, nil, &subdomain)
	for _, path := range []string{"/internal/health/", "/internal/hosts/" + subdomain + "/", "/internal/limits/" + f.owner.TenantID.String() + "/"} {
		f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: path, Internal: true}).Want(t, http.StatusOK)
		for _, who := range []functest.Person{{}, f.owner} {
			f.do(t, who, http.MethodGet, path, nil).WantCode(t, http.StatusNotFound, "not_found")
			f.do(t, who, http.MethodGet, path, nil, "X-Coditect-Hop", "v1.1.192.0.2.7.x.AAAA").Want(t, http.StatusNotFound)
		}
	}
	// A hop is for its method and path alone.
	signed, err := f.Hops.Sign(t.Context(), http.MethodGet, "/internal/health/", netip.MustParseAddr("192.0.2.7"), "r")
	if err != nil {
		t.Fatal(err)
	}
	f.do(t, f.owner, http.MethodGet, "/internal/health/", nil, "X-Coditect-Hop", signed).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodGet, "/internal/hosts/"+subdomain+"/", nil, "X-Coditect-Hop", signed).Want(t, http.StatusNotFound)
}

func TestHost(t *testing.T) {
	f := setup(t)
	claim := func(host, kind, held string) {
		f.SQL(t, `insert into app.host_claims (host, kind, tenant_id, held_until) values ($1, $2, $3, `+held+`)`, host, kind, f.owner.TenantID)
	}
	claim("acme", "subdomain", "null")
	claim("work.acme.com", "domain", "null")
	claim("held", "subdomain", "now() + interval '1 hour'")
	claim("was-held", "subdomain", "now() - interval '1 hour'")
	for host, status := range map[string]int{
		"acme": 200, "ACME": 200, "work.acme.com": 200, "Work.Acme.Com": 200, "held": 404, "was-held": 404, "absent": 404,
		"a": 404, "%27": 404, "acme%00": 404, "acme%20": 404, "%25": 404, strings.Repeat("x", 253): 404, strings.Repeat("x", 254): 404, url.PathEscape("ä"): 404,
	} {
		got := f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: "/internal/hosts/" + host + "/", Internal: true})
		if got.Status != status {
			t.Errorf("%s: %d %s", host, got.Status, got.Body)
		} else if status == http.StatusOK && got.String(t, "tenant_id") != f.owner.TenantID.String() {
			t.Errorf("%s: %s", host, got.Body)
		}
	}
}

func TestLimits(t *testing.T) {
	f := setup(t)
	get := func(id string) functest.Response {
		return f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: "/internal/limits/" + id + "/", Internal: true})
	}
	for _, tc := range []struct {
		plan, status string
		minute       float64
		month        float64
	}{{"free", "active", 300, 100_000}, {"pro", "suspended", 3000, 5_000_000}, {"enterprise", "active", 30_000, 50_000_000}} {
		f.SQL(t, `update app.organizations set plan = $2, status = $3 where tenant_id = $1`, f.owner.TenantID, tc.plan, tc.status)
		got := get(f.owner.TenantID.String()).Want(t, http.StatusOK)
		if got.String(t, "plan") != tc.plan || got.String(t, "status") != tc.status || got.Get(t, "requests_per_minute") != tc.minute || got.Get(t, "api_requests_per_month") != tc.month {
			t.Errorf("%s: %s", tc.plan, got.Body)
		}
	}
	for _, id := range []string{ids.New().String(), ids.Nil.String(), "x"} {
		if got := get(id); got.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", id, got.Status, got.Body)
		}
	}
}

// TestHealthTellsOfAnAbsentDatabase opens the function on a port where nothing
// listens.
func TestHealthTellsOfAnAbsentDatabase(t *testing.T) {
	f := setup(t)
	f.Vars["DATABASE_URL"] = "postgres://coditect_app:x@127.0.0.1:1/x?sslmode=disable"
	down := f.Open(t, tenants.Open)
	got := f.Do(t, down, functest.Request{Method: http.MethodGet, Path: "/internal/health/", Internal: true}).WantCode(t, http.StatusServiceUnavailable, "unavailable")
	if got.Header.Get("Retry-After") == "" || strings.Contains(string(got.Body), "127.0.0.1") {
		t.Errorf("Retry-After %q: %s", got.Header.Get("Retry-After"), got.Body)
	}
	for _, path := range []string{base, base + "me/"} {
		got := f.Do(t, down, functest.Request{Method: http.MethodGet, Path: path, Token: f.owner.Token}).WantCode(t, http.StatusServiceUnavailable, "unavailable")
		if got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
}
