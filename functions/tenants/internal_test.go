package tenants_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/usage"
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

// TestTheMonth counts what was moved of this month, against the plan that the
// organization has now.
func TestTheMonth(t *testing.T) {
	f := setup(t)
	start, end := usage.Month(time.Now())
	spend := func(day time.Time, metric string, n int64) {
		f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, $3, $4::date, $5)`,
			f.owner.TenantID, ids.New(), metric, day.Format(time.DateOnly), n)
	}
	become := func(plan, status string) {
		f.SQL(t, `update app.organizations set plan = $2, status = $3 where tenant_id = $1`, f.owner.TenantID, plan, status)
	}
	for _, step := range []struct {
		name   string
		do     func()
		usedUp bool
	}{
		{"nothing was counted", func() {}, false},
		{"the month before and the one after do not count", func() {
			spend(start.AddDate(0, 0, -1), "api_requests", 200_000)
			spend(end, "api_requests", 200_000)
		}, false},
		{"nor do bytes", func() { spend(start, "storage_bytes", 200_000) }, false},
		{"one is left", func() {
			spend(start, "api_requests", 60_000)
			spend(end.AddDate(0, 0, -1), "api_requests", 39_999)
		}, false},
		{"none is left", func() { spend(start, "api_requests", 1) }, true},
		{"a suspended one is told that it is", func() { become("free", "suspended") }, false},
		{"a metered plan goes on", func() { become("pro", "active") }, false},
		{"beyond its own number, too", func() { spend(start, "api_requests", 60_000_000) }, false},
		{"as the largest does", func() { become("enterprise", "active") }, false},
		{"back on the free one it is used up", func() { become("free", "active") }, true},
		{"a limit that was raised ends it", func() {
			f.SQL(t, `update app.plans set api_requests_per_month = 70000000 where id = 'free'`)
		}, false},
		{"a plan without a limit has none", func() { f.SQL(t, `update app.plans set api_requests_per_month = null where id = 'free'`) }, false},
	} {
		step.do()
		got := f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: "/internal/limits/" + f.owner.TenantID.String() + "/", Internal: true}).Want(t, http.StatusOK)
		want := any(nil)
		if step.usedUp {
			want = end.Format(time.RFC3339)
		}
		if got.Get(t, "requests_used_up_until") != want {
			t.Errorf("%s: %s", step.name, got.Body)
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
