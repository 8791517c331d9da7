package billingsync

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

type fixture struct {
	*functest.Env
	now time.Time
	h   http.Handler
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t), now: time.Now().UTC().Truncate(time.Second)}
	f.h = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour}), schedule.WithClock(func() time.Time { return f.now }))
	})
	return f
}

func (f *fixture) later(t *testing.T, by time.Duration) {
	t.Helper()
	f.now = f.now.Add(by)
	f.Trigger(t, f.h, Name, f.now).Want(t, http.StatusOK)
}

func (f *fixture) event(t *testing.T, id, customer, status string, age time.Duration) {
	t.Helper()
	f.SQL(t, `insert into app.stripe_events (event_id, type, customer_id, status, payload, created_at, received_at) values ($1, 'invoice.payment_succeeded', $2, $3, '{}', now(), $4)`,
		id, customer, status, f.now.Add(-age))
}

func (f *fixture) status(t *testing.T, id string) (s string) {
	t.Helper()
	f.Scan(t, `select status from app.stripe_events where event_id = $1`, []any{id}, &s)
	return s
}

// Events whose customer came to be known are handed on, in their customer's
// order, less and less often while they wait; one that nobody ever claims is
// given up. What is done, or came just now, is let alone.
func TestEvents(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ('cus_1', $1)`, who.TenantID)
	f.event(t, "evt_waits", "cus_1", "received", time.Hour)
	f.event(t, "evt_new", "cus_1", "received", time.Minute)
	f.event(t, "evt_done", "cus_1", "processed", time.Hour)
	f.event(t, "evt_nobody", "cus_2", "received", time.Hour)
	f.event(t, "evt_never", "cus_3", "received", 73*time.Hour)
	f.later(t, 0)
	left := f.Pending(t, "billing.event")
	if len(left) != 1 || left[0].TenantID != who.TenantID || left[0].Key != "cus_1" || string(left[0].Payload) != `{"event_id": "evt_waits"}` && string(left[0].Payload) != `{"event_id":"evt_waits"}` {
		t.Fatalf("%+v", left)
	}
	if f.status(t, "evt_never") != "failed" || f.status(t, "evt_nobody") != "received" {
		t.Errorf("never: %s, nobody: %s", f.status(t, "evt_never"), f.status(t, "evt_nobody"))
	}
	f.later(t, time.Minute) // kept from the next runs
	if n := len(f.Pending(t, "billing.event")); n != 1 {
		t.Errorf("%d messages", n)
	}
	f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ('cus_2', $1)`, who.TenantID)
	f.later(t, 10*time.Minute)
	if n := len(f.Pending(t, "billing.event")); n != 4 { // evt_waits again, evt_new, evt_nobody
		t.Errorf("%d messages", n)
	}
}

// Customers are looked at when something may have changed without a word, once
// for all reasons.
func TestCustomers(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct {
		status          string
		synced, ends    time.Duration // before and after now
		due, subscribed bool
	}{
		"fresh":               {"active", time.Hour, 24 * time.Hour, false, true},
		"a day ago":           {"active", 25 * time.Hour, 24 * time.Hour, true, true},
		"the period ended":    {"active", 2 * time.Hour, -time.Hour, true, true},
		"owes":                {"past_due", 2 * time.Hour, 24 * time.Hour, true, true},
		"owes, seen just now": {"past_due", time.Minute, 24 * time.Hour, false, true},
		"over":                {"canceled", 48 * time.Hour, -time.Hour, false, true},
		"never subscribed":    {"active", 48 * time.Hour, time.Hour, false, false},
	} {
		who := f.Tenant(t)
		var sub any
		if c.subscribed {
			sub = "sub_" + who.TenantID.String()
		}
		f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, stripe_subscription_id, plan, status, current_period_end, synced_at) values ($1, $2, $3, 'pro', $4, $5, $6)`,
			who.TenantID, "cus_"+who.TenantID.String(), sub, c.status, f.now.Add(c.ends), f.now.Add(-c.synced))
		f.later(t, time.Second) // each slot once
		f.later(t, time.Second)
		var n int
		f.Scan(t, `select count(*) from app.outbox where tenant_id = $1 and kind = 'billing.sync'`, []any{who.TenantID}, &n)
		if want := map[bool]int{true: 1}[c.due]; n != want {
			t.Errorf("%s: %d messages, want %d", name, n, want)
		}
	}
}

// One organization that cannot be written to keeps none of the others.
func TestOneFails(t *testing.T) {
	f := setup(t)
	bad, good := f.Tenant(t), f.Tenant(t)
	for i, who := range []functest.Person{bad, good} {
		f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ($1, $2)`, fmt.Sprint("cus_", i), who.TenantID)
		f.event(t, fmt.Sprint("evt_", i), fmt.Sprint("cus_", i), "received", time.Hour)
	}
	f.SQL(t, `alter table app.outbox add constraint outbox_broken check (tenant_id <> '`+bad.TenantID.String()+`') not valid`)
	if got := f.Trigger(t, f.h, Name, f.now); got.Status/100 == 2 {
		t.Errorf("%d", got.Status)
	}
	if left := f.Pending(t, "billing.event"); len(left) != 1 || left[0].TenantID != good.TenantID {
		t.Errorf("%+v", left)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(context.Background(), config.Map(nil)); err == nil {
		t.Error("opened without a database")
	}
}
