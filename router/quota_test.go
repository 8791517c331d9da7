package router

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/trips"
)

// spends says that a tenant's month is used up until a moment; "" that it is not.
func (w *world) spends(tenant ids.ID, until time.Time) {
	w.functions.set(func(f *functions) {
		if until.IsZero() {
			delete(f.spent, tenant)
			return
		}
		f.spent[tenant] = until
	})
}

// Who has used up the month is refused where the plan says so, told when it
// ends, and neither asks nor counts anything more for it.
func TestTheMonthIsUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	spent, other := w.person(ids.New()), w.person(ids.New())
	end := time.Now().Add(100 * time.Hour).Truncate(time.Second)
	w.spends(spent.TenantID, end)
	work := call{path: "/api/v1/projects/", token: spent.token}
	rec := w.do(work)
	p := want(t, rec, http.StatusPaymentRequired, "quota_exceeded")
	wait, err := strconv.Atoi(rec.Header().Get("Retry-After"))
	if err != nil || wait < 100*60*60-60 || wait > 100*60*60 {
		t.Errorf("Retry-After %q", rec.Header().Get("Retry-After"))
	}
	if !strings.Contains(p.Detail, end.UTC().Format(time.RFC3339)) || rec.Header().Get("RateLimit") == "" {
		t.Errorf("%q %v", p.Detail, rec.Header())
	}
	if n := w.functions.count(); n != 0 {
		t.Errorf("%d requests reached a function", n)
	}
	for _, open := range []string{"/api/v1/tenants/me/", "/api/v1/users/me/"} { // essential, and the person's own
		want(t, w.do(call{path: open, token: spent.token}), 200, "")
	}
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", token: spent.token}), 200, "")
	want(t, w.do(call{path: "/api/v1/projects/", token: other.token}), 200, "")
	want(t, w.do(call{path: "/api/v1/projects/"}), 401, "token_missing")
	want(t, w.do(call{path: "/api/v1/projects/", token: spent.token, header: http.Header{"X-Tenant-Id": {other.TenantID.String()}}}), 403, "tenant_mismatch")
	_ = w.mr.Set("sess:"+spent.SessionID.String(), "revoked")
	w.later(sessionLife)
	want(t, w.do(work), 401, "token_revoked") // before the month, as before everything of the tenant
	if err := w.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.counted(time.Now(), spent.TenantID); got != "3" { // the two, and one of another tenant's name
		t.Errorf("%s requests were counted", got)
	}
}

// The month is known with the plan: no request makes a trip for it.
func TestTheMonthCostsNoTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	_ = w.mr.Set("sess:"+me.SessionID.String(), "live")
	work := call{path: "/api/v1/projects/", token: me.token}
	count := func(status int) (redis, asked int) {
		t.Helper()
		before := w.functions.asked["limits"]
		ctx, n := trips.Count(context.Background())
		c := work
		c.ctx = ctx
		want(t, w.do(c), status, "")
		return n.Redis(), w.functions.asked["limits"] - before
	}
	count(200)
	w.later(planLife)
	first, asked := count(200)
	w.spends(me.TenantID, time.Now().Add(100*time.Hour))
	w.later(planLife)
	spent, again := count(402)
	if spent > first || asked != 1 || again != 1 {
		t.Errorf("%d trips to Redis and %d questions, %d and %d before", spent, again, first, asked)
	}
	for range 50 {
		if _, asked := count(402); asked != 0 {
			t.Fatal("tenants is asked again by who is refused")
		}
	}
}

// An upgrade is seen within the life of what is known of a plan, the end of the
// month at once, whatever is remembered.
func TestTheMonthEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	upgrades, waits := w.person(ids.New()), w.person(ids.New())
	work := func(who person) call { return call{path: "/api/v1/projects/", token: who.token} }
	w.spends(upgrades.TenantID, time.Now().Add(100*time.Hour))
	w.spends(waits.TenantID, time.Now().Add(30*time.Second))
	want(t, w.do(work(upgrades)), 402, "quota_exceeded")
	want(t, w.do(work(waits)), 402, "quota_exceeded")
	w.spends(upgrades.TenantID, time.Time{})
	w.later(30 * time.Second)
	want(t, w.do(work(upgrades)), 402, "quota_exceeded")
	asked := w.functions.asked["limits"]
	want(t, w.do(work(waits)), 200, "")
	if w.functions.asked["limits"] != asked {
		t.Error("tenants was asked whether a month has ended")
	}
	w.later(30 * time.Second)
	want(t, w.do(work(upgrades)), 200, "")
	// An answer that is older than the month, from a clock that is behind.
	w.later(time.Hour)
	want(t, w.do(work(waits)), 200, "")
}

// While tenants does not answer, what is known of a month stays for as long as
// the plan does; of whom nothing is known, nobody is refused.
func TestTheMonthWhileNobodyKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known, stranger := w.person(ids.New()), w.person(ids.New())
	for _, who := range []person{known, stranger} {
		_ = w.mr.Set("sess:"+who.SessionID.String(), "live")
		w.spends(who.TenantID, time.Now().Add(100*time.Hour))
	}
	do := func(who person, status int) {
		t.Helper()
		want(t, w.do(call{path: "/api/v1/projects/", token: who.token}), status, "")
	}
	do(known, 402)
	w.functions.set(func(f *functions) { f.down["tenants"] = errDial })
	do(known, 402)
	do(stranger, 200)
	w.later(planLife + keepKnown/2)
	do(known, 402)
	w.later(keepKnown)
	do(known, 200)
	w.functions.set(func(f *functions) { delete(f.down, "tenants") })
	until(t, func() bool { // the circuit closes again
		return w.do(call{path: "/api/v1/projects/", token: known.token}).Code == 402
	})
	do(stranger, 402)
	w.mr.Close() // and Redis has nothing to say of it
	do(known, 402)
}
