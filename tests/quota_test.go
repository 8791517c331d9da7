package tests

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/router"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/usage"
	"github.com/coditect/platform/tests/platform"
)

// edge is one more router before a platform's functions, whose clock the test
// puts forward.
type edge struct {
	*platform.Platform
	handler http.Handler
	ahead   atomic.Int64
}

func (e *edge) now() time.Time { return time.Now().Add(time.Duration(e.ahead.Load())) }

func newEdge(t *testing.T, p *platform.Platform) *edge {
	t.Helper()
	e := &edge{Platform: p}
	vars := maps.Clone(p.Vars)
	maps.Copy(vars, map[string]string{"BASE_DOMAIN": "localhost", "LOG_LEVEL": "error", "REDIS_TIMEOUT": "500ms"})
	app, err := router.Open(context.Background(), config.Map(vars), router.Options{Transport: p.Apps.Transport(), Now: e.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	e.handler = app.Handler
	return e
}

func (e *edge) get(t *testing.T, who functest.Person, path string) functest.Response {
	t.Helper()
	return e.Do(t, e.handler, functest.Request{Method: http.MethodGet, Path: path, Token: who.Token, Header: map[string]string{"Host": "localhost"}})
}

// spend has a router count requests of tenants, and the schedule move them.
func spend(t *testing.T, p *platform.Platform, of map[ids.ID]int64) {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret(p.Vars["REDIS_URL"]), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := &usage.Batch{Process: ids.New().String(), Number: 1, Day: usage.DayOf(time.Now())}
	for tenant, n := range of {
		b.Counts = append(b.Counts, usage.Count{Tenant: tenant, N: n})
	}
	if err := b.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.Trigger(t, p.Apps.Handler("usagesync"), "usagesync", time.Now()).Want(t, http.StatusOK)
}

const work = "/api/v1/tasks/"

// TestQuota takes an organization on the free plan over its month: its work is
// refused at every router, what gets it out of that is not, nobody else notices,
// and an upgrade or the next month ends it.
func TestQuota(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	spent, near, payer, waiting := p.Tenant(t), p.Tenant(t), p.Tenant(t), p.Tenant(t)
	p.SQL(t, `update app.organizations set plan = 'pro' where tenant_id = $1`, payer.TenantID)
	p.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, 'cus_late', 'pro', 'past_due')`, payer.TenantID)
	one, two := newEdge(t, p), newEdge(t, p)
	for _, who := range []functest.Person{spent, near, payer, waiting} {
		one.get(t, who, work).Want(t, http.StatusOK)
	}
	spend(t, p, map[ids.ID]int64{spent.TenantID: 100_000, near.TenantID: 99_000, payer.TenantID: 6_000_000, waiting.TenantID: 100_000})

	_, end := usage.Month(time.Now())
	one.get(t, spent, work).Want(t, http.StatusOK) // until the plan is asked for again
	one.ahead.Add(int64(time.Minute))
	for _, at := range []*edge{one, two} {
		r := at.get(t, spent, work).WantCode(t, http.StatusPaymentRequired, "quota_exceeded")
		left := end.Sub(at.now())
		if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || time.Duration(wait)*time.Second < left || time.Duration(wait)*time.Second > left+time.Minute {
			t.Errorf("Retry-After %q, the month has %v left", r.Header.Get("Retry-After"), left)
		}
		if !strings.Contains(r.String(t, "detail"), end.Format(time.RFC3339)) || r.Header.Get("RateLimit") == "" {
			t.Errorf("%s %v", r.Body, r.Header)
		}
		for _, path := range []string{"/api/v1/billing/usage/", "/api/v1/billing/plans/", "/api/v1/users/me/", "/api/v1/tenants/", "/api/v1/tenants/me/", "/api/v1/users/", "/api/v1/jobs/", "/api/v1/auth/sessions/"} {
			at.get(t, spent, path).Want(t, http.StatusOK)
		}
		for _, who := range []functest.Person{near, payer} {
			at.get(t, who, work).Want(t, http.StatusOK)
		}
		// Somebody who is in no organization, or whose is another, is not refused.
		at.get(t, p.Person(t), "/api/v1/users/me/").Want(t, http.StatusOK)
		at.get(t, p.Member(t, near.TenantID, "member"), work).Want(t, http.StatusOK)
		at.get(t, p.Member(t, spent.TenantID, "member"), work).WantCode(t, http.StatusPaymentRequired, "quota_exceeded")
	}
	p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/exports/", Token: spent.Token, Body: map[string]any{"format": "json"}}).Want(t, http.StatusAccepted)
	if used := one.get(t, spent, "/api/v1/billing/usage/").Get(t, "metrics.0.percent_used"); used.(float64) < 100 {
		t.Errorf("%v %% are used", used)
	}

	// The way out, through the refusing edge itself.
	p.Send(t, functest.Request{Method: http.MethodGet, Path: work, Token: spent.Token}).WantCode(t, http.StatusPaymentRequired, "quota_exceeded")
	p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/billing/subscribe/", Token: spent.Token, Body: map[string]any{
		"plan": "pro", "interval": "month", "payment_method_id": "pm_card_visa",
	}}).Want(t, http.StatusCreated)
	one.ahead.Add(int64(time.Minute))
	one.get(t, spent, work).Want(t, http.StatusOK)
	newEdge(t, p).get(t, spent, work).Want(t, http.StatusOK)

	// The month's end, while what was told of the plan is remembered, and after.
	two.ahead.Store(int64(time.Until(end) - 30*time.Second))
	two.get(t, waiting, work).WantCode(t, http.StatusPaymentRequired, "quota_exceeded")
	two.ahead.Add(int64(30 * time.Second))
	two.get(t, waiting, work).Want(t, http.StatusOK)
	two.ahead.Add(int64(time.Minute))
	two.get(t, waiting, work).Want(t, http.StatusOK)
}

// TestQuotaOutages holds that the month is what it was while Redis is away, and
// that nobody is refused for it while nobody can know.
func TestQuotaOutages(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	cut := newLink(t, e.Database.URL)
	p := platform.Mount(t, e, func(vars map[string]string) {
		vars["DATABASE_URL"] = cut.url
		vars["DATABASE_ACQUIRE_TIMEOUT"] = "1s"
		vars["DATABASE_CONNECT_TIMEOUT"] = "1s"
		vars["REDIS_TIMEOUT"] = "500ms"
	})
	spent, other := p.Tenant(t), p.Tenant(t)
	spend(t, p, map[ids.ID]int64{spent.TenantID: 100_001, other.TenantID: 5})
	knows := newEdge(t, p)
	knows.get(t, spent, work).WantCode(t, http.StatusPaymentRequired, "quota_exceeded")

	p.Redis.Close()
	for _, at := range []*edge{knows, newEdge(t, p)} {
		at.get(t, spent, work).WantCode(t, http.StatusPaymentRequired, "quota_exceeded")
		at.get(t, spent, "/api/v1/billing/usage/").Want(t, http.StatusOK)
		at.get(t, other, work).Want(t, http.StatusOK)
	}
	if err := p.Redis.Restart(); err != nil {
		t.Fatal(err)
	}

	cut.cut()
	for _, ahead := range []time.Duration{0, 2 * time.Minute} { // remembered, and past what is remembered
		knows.ahead.Store(int64(ahead))
		eventually(t, "what was known is refused, without the database", 10*time.Second, func() bool {
			return knows.get(t, spent, work).Status == http.StatusPaymentRequired
		})
	}
	newEdge(t, p).get(t, spent, work).WantCode(t, http.StatusServiceUnavailable, "unavailable") // as everybody
	cut.mend()
	again := newEdge(t, p)
	eventually(t, "the month is known again", 15*time.Second, func() bool { return again.get(t, other, work).Status == http.StatusOK })
	eventually(t, "and used up", 15*time.Second, func() bool {
		at := newEdge(t, p)
		return at.get(t, spent, work).Status == http.StatusPaymentRequired
	})
}

// essential is all that a plan's limits never block, and why. What belongs to
// the person alone (their profile, address and account, the organizations they
// are in) the month does not reach either.
var essential = map[string]string{
	"logout": "auth", "revoke-sessions": "auth", "change-password": "auth", "switch-tenant": "auth", "list-sessions": "auth", "delete-session": "auth",
	"get-subscription": "billing", "subscribe": "billing", "change-plan": "billing", "cancel-subscription": "billing", "resume-subscription": "billing",
	"add-payment-method": "billing", "list-payment-methods": "billing", "delete-payment-method": "billing", "list-invoices": "billing", "get-usage": "billing",
	"get-current-tenant": "tenant", "replace-current-tenant": "tenant", "update-current-tenant": "tenant", "transfer-tenant": "tenant", "delete-tenant": "tenant", "leave-tenant": "tenant",
	"get-settings": "tenant", "replace-settings": "tenant", "update-settings": "tenant",
	"list-domains": "tenant", "create-domain": "tenant", "get-domain": "tenant", "verify-domain": "tenant", "update-domain": "tenant", "delete-domain": "tenant",
	// To hand the organization over one must see to whom, and putting somebody out
	// of it is a matter of safety.
	"list-members": "members", "get-member": "members", "update-member": "members", "remove-member": "members",
	"create-export": "data", "get-job": "data", "list-jobs": "data", "cancel-job": "data", // one export at a time
}

// TestEssential holds that nothing is spared or blocked by accident.
func TestEssential(t *testing.T) {
	t.Parallel()
	found := 0
	for _, op := range public(t) {
		_, listed := essential[op.ID]
		if op.Essential != listed {
			t.Errorf("%s: essential %v, listed %v", op.ID, op.Essential, listed)
		}
		if op.Essential {
			found++
		}
		for _, area := range []string{"/api/v1/auth/", "/api/v1/billing/", "/api/v1/tenants/me/"} {
			if strings.HasPrefix(op.Path, area) && !op.Public && !op.Essential {
				t.Errorf("%s: %s is never blocked by limits", op.ID, area)
			}
		}
	}
	if found != len(essential) {
		t.Errorf("%d of %d are there", found, len(essential))
	}
}
