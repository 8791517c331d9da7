package usagereport

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/standin/stripe"
)

// clock is what a child takes for the time.
const clock = "TEST_CLOCK"

var plan = schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: 24 * time.Hour})

func TestMain(m *testing.M) {
	functest.Main(m, func(lookup config.Lookup, at func(string)) (*serve.App, error) {
		said, _ := lookup(clock)
		now, err := time.Parse(time.RFC3339, said)
		if err != nil {
			return nil, err
		}
		return open(lookup, at, plan, schedule.WithClock(func() time.Time { return now }))
	})
}

type fixture struct {
	*functest.Env
	stripe *paytest.World
	// now is that of the function; Stripe keeps to the real clock.
	now   time.Time
	today time.Time
}

// setup begins at half past one of the present day.
func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t)}
	f.stripe = paytest.New(t, f.Env)
	f.today = dayOf(time.Now())
	f.now = f.today.Add(90 * time.Minute)
	return f
}

func (f *fixture) day(back int) time.Time { return f.today.AddDate(0, 0, -back) }

// report runs the schedule.
func (f *fixture) report(t *testing.T) functest.Response {
	t.Helper()
	f.now = f.now.Add(time.Second) // each slot once
	h := f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, func(string) {}, plan, schedule.WithClock(func() time.Time { return f.now }))
	})
	return f.Trigger(t, h, Name, f.now)
}

// payer is an organization with a customer at Stripe.
type payer struct {
	functest.Person
	customer string
}

func (f *fixture) payer(t *testing.T, plan string) payer {
	t.Helper()
	p := payer{Person: f.Tenant(t)}
	c, err := f.stripe.API.Customers.New(&api.CustomerParams{Email: new(p.Email)})
	if err != nil {
		t.Fatal(err)
	}
	p.customer = c.ID
	f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, stripe_subscription_id, plan, status) values ($1, $2, $3, $4, 'active')`,
		p.TenantID, p.customer, "sub_"+p.TenantID.String(), plan)
	f.SQL(t, `update app.organizations set plan = $2 where tenant_id = $1`, p.TenantID, plan)
	return p
}

func (f *fixture) used(t *testing.T, who payer, metric string, at time.Time, n int64) {
	t.Helper()
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, $3, $4::date, $5)`, who.TenantID, ids.New(), metric, at.Format(time.DateOnly), n)
}

// meter finds a meter at Stripe.
func (f *fixture) meter(t *testing.T, event string) string {
	t.Helper()
	it := f.stripe.API.BillingMeters.List(&api.BillingMeterListParams{})
	for it.Next() {
		if it.BillingMeter().EventName == event {
			return it.BillingMeter().ID
		}
	}
	t.Fatalf("no meter %s: %v", event, it.Err())
	return ""
}

// there is what Stripe has of a day.
func (f *fixture) there(t *testing.T, who payer, event string, at time.Time) (n int64) {
	t.Helper()
	it := f.stripe.API.BillingMeterEventSummaries.List(&api.BillingMeterEventSummaryListParams{
		ID: new(f.meter(t, event)), Customer: new(who.customer), StartTime: new(at.Unix()), EndTime: new(at.AddDate(0, 0, 1).Unix()),
	})
	for it.Next() {
		n += int64(it.BillingMeterEventSummary().AggregatedValue)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return n
}

const (
	requestsMeter = "coditect_api_requests"
	storageMeter  = "coditect_storage_gb"
)

func (f *fixture) want(t *testing.T, who payer, at time.Time, want int64) {
	t.Helper()
	if got := f.there(t, who, requestsMeter, at); got != want {
		t.Errorf("Stripe has %d of %s, want %d", got, at.Format(time.DateOnly), want)
	}
}

// states are those of a tenant's reports, in their order.
func (f *fixture) states(t *testing.T, who payer) (out string) {
	t.Helper()
	f.Scan(t, `select coalesce(string_agg(state, ' ' order by day, metric, seq), '') from app.usage_reports where tenant_id = $1`, []any{who.TenantID}, &out)
	return out
}

// Yesterday's usage of organizations with a metered plan is at Stripe, once,
// on its own day; an hour later the sums are compared.
func TestReports(t *testing.T) {
	f := setup(t)
	pro, enterprise, free, gone := f.payer(t, "pro"), f.payer(t, "enterprise"), f.payer(t, "free"), f.payer(t, "pro")
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, gone.TenantID)
	for _, who := range []payer{pro, enterprise, free, gone} {
		f.used(t, who, "api_requests", f.day(1), 40)
		f.used(t, who, "api_requests", f.day(1), 2)   // another epoch
		f.used(t, who, "api_requests", f.day(0), 100) // is not over
		f.used(t, who, "api_requests", f.day(2), 100) // nobody paid then
		f.used(t, who, "storage_bytes", f.day(30), 3<<30)
		f.used(t, who, "storage_bytes", f.day(1), -(1 << 29))
		f.used(t, who, "storage_bytes", f.day(0), 1<<40)
	}
	for range 2 {
		f.report(t).Want(t, http.StatusOK)
		for who, want := range map[*payer]int64{&pro: 42, &enterprise: 42, &free: 0, &gone: 0} {
			f.want(t, *who, f.day(1), want)
			f.want(t, *who, f.day(2), 0)
			f.want(t, *who, f.day(0), 0)
		}
		if got := f.there(t, pro, storageMeter, f.day(1)); got != 3 { // two and a half
			t.Errorf("%d GB", got)
		}
		if got := f.states(t, pro); got != "reported reported" {
			t.Errorf("%s", got)
		}
	}
	f.now = f.now.Add(6 * time.Hour)
	f.report(t).Want(t, http.StatusOK)
	if got := f.states(t, pro) + "," + f.states(t, enterprise) + "," + f.states(t, free) + f.states(t, gone); got != "matched matched,matched matched," {
		t.Errorf("%s", got)
	}
	// What comes late is said beside it, and all is compared again.
	f.used(t, pro, "api_requests", f.day(1), 8)
	f.used(t, free, "api_requests", f.day(1), 8)
	f.report(t).Want(t, http.StatusOK)
	f.want(t, pro, f.day(1), 50)
	f.now = f.now.Add(2 * time.Hour)
	f.report(t).Want(t, http.StatusOK)
	f.want(t, free, f.day(1), 0)
	if got := f.states(t, pro); got != "matched matched matched" {
		t.Errorf("%s", got)
	}
}

// Days that no run saw are made up for, up to what Stripe takes.
func TestMissedDays(t *testing.T) {
	f := setup(t)
	who := f.payer(t, "pro")
	for back := 1; back <= 40; back++ {
		f.used(t, who, "api_requests", f.day(back), int64(back))
	}
	f.SQL(t, `insert into app.schedules (name, finished_slot, finished_at, outcome) values ($1, $2, $2, 'done')`, Name, f.now.AddDate(0, 0, -3))
	f.report(t).Want(t, http.StatusOK)
	for back, want := range map[int]int64{1: 1, 2: 2, 3: 3, 4: 0, 5: 0} {
		f.want(t, who, f.day(back), want)
	}
	other := f.payer(t, "pro")
	for _, back := range []int{1, 30, 33, 36} {
		f.used(t, other, "api_requests", f.day(back), 5)
	}
	f.SQL(t, `update app.schedules set finished_slot = $2 where name = $1`, Name, f.now.AddDate(0, 0, -60))
	f.report(t).Want(t, http.StatusOK)
	for back, want := range map[int]int64{1: 5, 30: 5, 33: 5, 36: 0} {
		f.want(t, other, f.day(back), want)
	}
}

// Two runs at once, without the lease that keeps them apart otherwise, say
// everything once.
func TestTwoAtOnce(t *testing.T) {
	f := setup(t)
	var all []payer
	for range 12 {
		who := f.payer(t, "pro")
		f.used(t, who, "api_requests", f.day(1), 7)
		all = append(all, who)
	}
	var both sync.WaitGroup
	for n := range 2 { // two runs of one slot cannot be
		s, _ := f.service(t)
		both.Go(func() {
			for i := range 3 {
				if err := s.run(context.Background(), &schedule.Run{Now: f.now, Slot: f.now.Add(time.Duration(2*i+n) * time.Second)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	for _, who := range all {
		f.want(t, who, f.day(1), 7)
	}
}

func (f *fixture) service(t *testing.T) (*service, *bytes.Buffer) {
	t.Helper()
	s, base, err := build(config.Map(f.Vars), func(string) {}, plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stripe.Close(); base.DB.Close() })
	lines := &bytes.Buffer{}
	s.log = slog.New(slog.NewJSONHandler(lines, nil))
	return s, lines
}

// TestKilled kills the function (SIGKILL) at every labelled point around its
// calls to Stripe. The next run says everything once.
func TestKilled(t *testing.T) {
	f := setup(t)
	for _, point := range []string{"written", "tried", "sent", "noted"} {
		who := f.payer(t, "pro")
		f.used(t, who, "api_requests", f.day(1), 42)
		f.now = f.now.Add(time.Minute)
		f.SQL(t, `update app.schedules set finished_slot = null`) // whoever pays since is seen, too
		f.Vars[clock] = f.now.Format(time.RFC3339)
		child := f.Spawn(t, point)
		if got := f.Trigger(t, child.Handler, Name, f.now); got.Status != http.StatusBadGateway {
			t.Fatalf("%s: it lives: %d %s", point, got.Status, got.Body)
		}
		child.WantKilled(t)
		f.SQL(t, `update app.schedules set running_until = now() - interval '1 second'`)
		f.used(t, who, "api_requests", f.day(1), 1)
		for range 2 {
			f.report(t).Want(t, http.StatusOK)
			f.want(t, who, f.day(1), 43)
		}
	}
}

// Stripe down, and answers that are lost: nothing is said twice or never.
func TestStripeDown(t *testing.T) {
	f := setup(t)
	who := f.payer(t, "pro")
	f.used(t, who, "api_requests", f.day(1), 42)
	f.stripe.Misbehave(func(*http.Request) stripe.Fault { return stripe.Fault{Status: http.StatusServiceUnavailable} })
	f.report(t).Want(t, http.StatusInternalServerError)
	f.stripe.Misbehave(func(r *http.Request) stripe.Fault {
		return stripe.Fault{Lost: r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/billing/meter_events")}
	})
	f.report(t).Want(t, http.StatusInternalServerError)
	f.want(t, who, f.day(1), 42)
	if got := f.states(t, who); got != "pending" {
		t.Errorf("%s", got)
	}
	f.stripe.Misbehave(nil)
	f.report(t).Want(t, http.StatusOK)
	f.want(t, who, f.day(1), 42)
	if got := f.states(t, who); got != "reported" {
		t.Errorf("%s", got)
	}
}

// What was tried longer ago than Stripe knows an identifier is looked for first:
// it is sent when it is not there, not sent when it is, and left to a person when
// nobody can tell.
func TestTrapT21LongAgo(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct {
		arrived, foreign int64
		want             int64
		state            string
	}{
		"it arrived":        {42, 0, 42, "reported"},
		"it did not":        {0, 0, 42, "reported"},
		"who knows":         {0, 13, 13, "failed"},
		"it did, and more ": {42, 1, 43, "failed"},
	} {
		who := f.payer(t, "pro")
		f.used(t, who, "api_requests", f.day(1), 42)
		f.SQL(t, `insert into app.usage_reports (tenant_id, metric, day, seq, identifier, customer_id, quantity, attempted_at)
			values ($1, 'api_requests', $2::date, 0, $3, $4, 42, $5)`, who.TenantID, f.day(1).Format(time.DateOnly), "one:"+who.customer, who.customer, f.now.Add(-24*time.Hour))
		// Stripe has forgotten the identifiers of these.
		for i, n := range []int64{c.arrived, c.foreign} {
			if n > 0 {
				f.event(t, who, who.customer+strconv.Itoa(i), f.day(1), n)
			}
		}
		f.SQL(t, `update app.schedules set finished_slot = null`)
		f.report(t).Want(t, http.StatusOK)
		f.want(t, who, f.day(1), c.want)
		if got := f.states(t, who); got != c.state {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// event puts an event into a meter past the function.
func (f *fixture) event(t *testing.T, who payer, identifier string, at time.Time, n int64) {
	t.Helper()
	_, err := f.stripe.API.BillingMeterEvents.New(&api.BillingMeterEventParams{
		EventName: new(requestsMeter), Identifier: new(identifier), Timestamp: new(at.Add(time.Hour).Unix()),
		Payload: map[string]string{"stripe_customer_id": who.customer, "value": strconv.FormatInt(n, 10)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A difference is told in the words that the alert counts, in every run until
// the sums agree, and the row says what Stripe has.
func TestDifference(t *testing.T) {
	f := setup(t)
	who, good := f.payer(t, "pro"), f.payer(t, "pro")
	f.used(t, who, "api_requests", f.day(1), 42)
	f.used(t, good, "api_requests", f.day(1), 3)
	s, lines := f.service(t)
	run := func(later time.Duration) string {
		t.Helper()
		lines.Reset()
		f.now = f.now.Add(later)
		if err := s.run(t.Context(), &schedule.Run{Now: f.now, Slot: f.now, Last: f.now.Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		return lines.String()
	}
	if err := s.run(t.Context(), &schedule.Run{Now: f.now, Slot: f.now}); err != nil {
		t.Fatal(err)
	}
	f.event(t, who, "by hand", f.day(1), 5)
	for range 2 {
		said := run(2 * time.Hour)
		if n := strings.Count(said, `"level":"ERROR","msg":"`+saysDiffers+`"`); n != 1 || !strings.Contains(said, `"ours":42,"stripe":47`) || !strings.Contains(said, who.TenantID.String()) {
			t.Errorf("%d lines: %s", n, said)
		}
		var there int64
		f.Scan(t, `select stripe_quantity from app.usage_reports where tenant_id = $1`, []any{who.TenantID}, &there)
		if got := f.states(t, who) + " " + f.states(t, good); got != "differs matched" || there != 47 {
			t.Errorf("%s, %d", got, there)
		}
	}
	f.event(t, who, "undone by hand", f.day(1), -5)
	if said := run(time.Hour); said != "" || f.states(t, who) != "matched" {
		t.Errorf("%s: %s", f.states(t, who), said)
	}
}

// runbook gives the statements of docs/runbooks/usage.md that begin with a word,
// for a tenant's yesterday.
func (f *fixture) runbook(t *testing.T, who payer, begins string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/runbooks/usage.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(page), "```sql")[1:] {
		sql, _, _ := strings.Cut(block, "```")
		if sql = strings.TrimSpace(sql); strings.HasPrefix(sql, begins) {
			return strings.NewReplacer("tenant_id = '…'", "tenant_id = '"+who.TenantID.String()+"'", "metric = '…'", "metric = 'api_requests'",
				"day = '…'", "day = '"+f.day(1).Format(time.DateOnly)+"'").Replace(sql)
		}
	}
	t.Fatalf("the runbook has no statement that begins with %s", begins)
	return ""
}

// What the runbook says mends what it says: Stripe gets what it lacks, once, and
// what was refused goes when its cause is gone.
func TestRunbook(t *testing.T) {
	f := setup(t)
	less, refused := f.payer(t, "pro"), f.payer(t, "pro")
	f.SQL(t, `update app.subscriptions set stripe_customer_id = 'cus_none' where tenant_id = $1`, refused.TenantID)
	for _, p := range []payer{less, refused} {
		f.used(t, p, "api_requests", f.day(1), 42)
	}
	f.report(t).Want(t, http.StatusOK)
	f.event(t, less, "a fault of Stripe's", f.day(1), -12)
	f.now = f.now.Add(2 * time.Hour)
	f.report(t).Want(t, http.StatusOK)
	if got := f.states(t, less) + " " + f.states(t, refused); got != "differs failed" {
		t.Fatalf("%s", got)
	}
	f.SQL(t, strings.TrimSuffix(f.runbook(t, less, "select tenant_id"), ";"))
	f.SQL(t, strings.TrimSuffix(f.runbook(t, less, "insert into"), ";"))
	f.SQL(t, `update app.usage_reports set customer_id = $2 where tenant_id = $1`, refused.TenantID, refused.customer)
	f.SQL(t, strings.TrimSuffix(f.runbook(t, refused, "update app.usage_reports set state = 'pending'"), ";"))
	f.report(t).Want(t, http.StatusOK)
	f.now = f.now.Add(2 * time.Hour)
	f.report(t).Want(t, http.StatusOK)
	f.want(t, less, f.day(1), 42)
	f.want(t, refused, f.day(1), 42)
	if got := f.states(t, less) + ", " + f.states(t, refused); got != "matched matched matched, matched" {
		t.Errorf("%s", got)
	}
}

// What Stripe refuses is told, marked, and keeps nothing else.
func TestRefused(t *testing.T) {
	f := setup(t)
	who, good := f.payer(t, "pro"), f.payer(t, "pro")
	f.SQL(t, `update app.subscriptions set stripe_customer_id = 'cus_none' where tenant_id = $1`, who.TenantID)
	for _, p := range []payer{who, good} {
		f.used(t, p, "api_requests", f.day(1), 42)
	}
	s, lines := f.service(t)
	for range 2 {
		if err := s.run(t.Context(), &schedule.Run{Now: f.now, Slot: f.now}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(lines.String(), `"level":"ERROR","msg":"`+saysRefused+`"`); n != 1 {
		t.Errorf("%s", lines)
	}
	f.want(t, good, f.day(1), 42)
	var why string
	f.Scan(t, `select error from app.usage_reports where tenant_id = $1`, []any{who.TenantID}, &why)
	if f.states(t, who) != "failed" || why == "" {
		t.Errorf("%s: %s", f.states(t, who), why)
	}
}

// More than a batch, of which some cannot be sent at first.
func TestManyReports(t *testing.T) {
	f := setup(t)
	one := f.payer(t, "pro")
	f.SQL(t, `insert into app.organizations (tenant_id, name, subdomain, plan) select gen_random_uuid(), 'crowd', 'crowd' || i, 'pro' from generate_series(1, $1::int) i`, 2*batch+10)
	f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, stripe_subscription_id, plan, status)
		select tenant_id, $1, 'sub_' || subdomain, 'pro', 'active' from app.organizations where name = 'crowd'`, one.customer)
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) select tenant_id, gen_random_uuid(), 'api_requests', $1::date, 1 from app.organizations where name = 'crowd'`,
		f.day(1).Format(time.DateOnly))
	var calls atomic.Int64
	f.stripe.Misbehave(func(r *http.Request) stripe.Fault {
		if strings.HasPrefix(r.URL.Path, "/v1/billing/meter_events") && calls.Add(1) > batch+50 {
			return stripe.Fault{Status: http.StatusServiceUnavailable}
		}
		return stripe.Fault{}
	})
	f.report(t).Want(t, http.StatusInternalServerError)
	f.stripe.Misbehave(nil)
	f.report(t).Want(t, http.StatusOK)
	f.want(t, one, f.day(1), 2*batch+10)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, vars := range []map[string]string{nil, {"STRIPE_TIMEOUT": "0s"}} {
		if _, err := Open(context.Background(), config.Map(vars)); err == nil {
			t.Errorf("opened with %v", vars)
		}
	}
}
