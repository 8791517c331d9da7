package stripeevents

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/standin/stripe"
)

type fixture struct {
	*functest.Env
	stripe  *paytest.World
	handler http.Handler
	at      func(string)
}

func setup(t *testing.T, opts ...stripe.Option) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t), at: func(string) {}}
	f.stripe = paytest.New(t, f.Env, opts...)
	f.handler = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, func(point string) { f.at(point) })
	})
	return f
}

// tenant is an organization that is a customer with a card, perhaps by a test
// clock.
type tenant struct {
	functest.Person
	customer string
}

func (f *fixture) tenant(t *testing.T, clock string) tenant {
	t.Helper()
	who := tenant{Person: f.Tenant(t)}
	params := &api.CustomerParams{}
	if clock != "" {
		params.TestClock = new(clock)
	}
	params.AddMetadata(payment.MetaTenant, who.TenantID.String())
	made, err := f.stripe.API.Customers.New(params)
	if err != nil {
		t.Fatal(err)
	}
	who.customer = made.ID
	f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, $2, 'free', 'active')`, who.TenantID, who.customer)
	f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ($1, $2)`, who.customer, who.TenantID)
	f.card(t, who, "pm_card_visa")
	return who
}

func (f *fixture) card(t *testing.T, who tenant, card string) {
	t.Helper()
	m, err := f.stripe.API.PaymentMethods.Attach(card, &api.PaymentMethodAttachParams{Customer: new(who.customer)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.stripe.API.Customers.Update(who.customer, &api.CustomerParams{InvoiceSettings: &api.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(m.ID)}})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) price(t *testing.T, plan, interval string) string {
	t.Helper()
	backend, key, err := f.stripe.Client.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := payment.Price(t.Context(), backend, key, plans.LookupKey(plan, interval))
	if err != nil || p == nil {
		t.Fatal(err)
	}
	return p.ID
}

func (f *fixture) subscribe(t *testing.T, who tenant, price string) *api.Subscription {
	t.Helper()
	params := &api.SubscriptionParams{Customer: new(who.customer), Items: []*api.SubscriptionItemsParams{{Price: new(price)}}}
	params.AddMetadata(payment.MetaTenant, who.TenantID.String())
	sub, err := f.stripe.API.Subscriptions.New(params)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// store keeps an event as the webhook does and gives its message.
func (f *fixture) store(t *testing.T, who tenant, d stripe.Delivery) queue.Envelope {
	t.Helper()
	f.SQL(t, `insert into app.stripe_events (event_id, type, customer_id, tenant_id, payload, created_at) values ($1, $2, $3, $4, $5, to_timestamp($6)) on conflict do nothing`,
		d.ID, d.Type, who.customer, who.TenantID, string(d.Payload), d.Created)
	return f.Enqueue(t, who.TenantID, ids.Nil, queue.BillingEvent.Message(who.customer, queue.StripeEvent{EventID: d.ID}))
}

func (f *fixture) deliver(t *testing.T, m queue.Envelope) functest.Response {
	t.Helper()
	return f.Deliver(t, f.handler, "stripeevents", m, 1)
}

type standing struct {
	Plan, Org, Status, Interval string
	Cancels                     bool
	End                         int64
}

func (f *fixture) standing(t *testing.T, who tenant) (s standing) {
	t.Helper()
	f.Scan(t, `select s.plan, o.plan, s.status, s.interval, s.cancel_at_period_end, coalesce(extract(epoch from s.current_period_end)::bigint, 0)
		from app.subscriptions s join app.organizations o on o.tenant_id = s.tenant_id where s.tenant_id = $1`, []any{who.TenantID}, &s.Plan, &s.Org, &s.Status, &s.Interval, &s.Cancels, &s.End)
	return s
}

func (f *fixture) eventStatus(t *testing.T, id string) (status string) {
	t.Helper()
	f.Scan(t, `select status from app.stripe_events where event_id = $1`, []any{id}, &status)
	return status
}

// An event has the customer's present state written down, whatever it says
// itself, and is done once.
func TestEvent(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	sub := f.subscribe(t, who, f.price(t, "pro", plans.Month))
	held := f.stripe.Held()
	if _, err := f.stripe.API.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: new(true)}); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(held, func(d stripe.Delivery) bool { return d.Type == "customer.subscription.created" })
	m := f.store(t, who, held[i])
	for range 3 {
		f.deliver(t, m).Want(t, http.StatusOK)
	}
	if got := f.standing(t, who); got != (standing{"pro", "pro", "active", "month", true, sub.CurrentPeriodEnd}) || f.eventStatus(t, held[i].ID) != "processed" {
		t.Errorf("%+v, event %s", got, f.eventStatus(t, held[i].ID))
	}
	var bills, acts int
	f.Scan(t, `select (select count(*) from app.invoices where tenant_id = $1 and status = 'paid'), (select count(*) from app.activity where tenant_id = $1)`, []any{who.TenantID}, &bills, &acts)
	if bills != 1 || acts != 2 || len(f.Pending(t, "mail.payment_succeeded")) != 1 || len(f.Pending(t, "access.changed")) != 1 {
		t.Errorf("%d bills, %d acts", bills, acts)
	}
}

// What cannot be believed is given up, visibly, and changes nothing; when it is
// mended, a replay goes through.
func TestTrapT23Refused(t *testing.T) {
	f := setup(t)
	who, other := f.tenant(t, ""), f.tenant(t, "")
	f.subscribe(t, who, f.price(t, "pro", plans.Month))
	held := f.stripe.Held()
	d := held[len(held)-1]
	// Another organization's customer.
	stranger := f.Enqueue(t, other.TenantID, ids.Nil, queue.BillingEvent.Message("", queue.StripeEvent{EventID: d.ID}))
	m := f.store(t, who, d)
	// It came before anybody had claimed the customer.
	f.SQL(t, `update app.stripe_events set tenant_id = null`)
	whose := func(want string) {
		t.Helper()
		var of string
		f.Scan(t, `select coalesce(tenant_id::text, '') from app.stripe_events where event_id = $1`, []any{d.ID}, &of)
		if of != want {
			t.Errorf("the event is said to be of %q, not of %q", of, want)
		}
	}
	if got := f.deliver(t, stranger).Want(t, http.StatusOK); got.String(t, "result") != "dead" || f.standing(t, other).Status != "active" || f.standing(t, other).Plan != "free" {
		t.Errorf("%s", got.Body)
	}
	whose("")
	f.SQL(t, `update app.stripe_events set status = 'received'`)
	// A customer whose metadata say that they are somebody else's.
	if _, err := f.stripe.API.Customers.Update(who.customer, &api.CustomerParams{Metadata: map[string]string{payment.MetaTenant: other.TenantID.String()}}); err != nil {
		t.Fatal(err)
	}
	if got := f.deliver(t, m).Want(t, http.StatusOK); got.String(t, "result") != "dead" || f.eventStatus(t, d.ID) != "failed" || f.standing(t, who).Plan != "free" {
		t.Errorf("%s, event %s", got.Body, f.eventStatus(t, d.ID))
	}
	whose(who.TenantID.String())
	if _, err := f.stripe.API.Customers.Update(who.customer, &api.CustomerParams{Metadata: map[string]string{payment.MetaTenant: who.TenantID.String()}}); err != nil {
		t.Fatal(err)
	}
	f.SQL(t, `update app.outbox set dead_at = null where id = $1`, m.ID)
	f.deliver(t, m).Want(t, http.StatusOK)
	if f.standing(t, who).Org != "pro" || f.eventStatus(t, d.ID) != "processed" {
		t.Errorf("%+v", f.standing(t, who))
	}
}

// Stripe down is waited for and not counted against the message.
func TestStripeDown(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	f.subscribe(t, who, f.price(t, "pro", plans.Month))
	held := f.stripe.Held()
	m := f.store(t, who, held[len(held)-1])
	f.stripe.Misbehave(func(*http.Request) stripe.Fault { return stripe.Fault{Status: http.StatusBadGateway} })
	if got := f.deliver(t, m).Want(t, http.StatusOK); got.String(t, "result") != "deferred" || f.standing(t, who).Org != "free" {
		t.Errorf("%s", got.Body)
	}
	f.stripe.Misbehave(nil)
	f.deliver(t, m).Want(t, http.StatusOK)
	if f.standing(t, who).Org != "pro" {
		t.Error("not followed")
	}
}

// An answer that was overtaken on its way is not written over a newer one.
func TestTrapT24Overtaken(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	sub := f.subscribe(t, who, f.price(t, "pro", plans.Month))
	held := f.stripe.Held()
	slow, fast := f.store(t, who, held[0]), f.store(t, who, held[1])
	begun, goOn := make(chan struct{}), make(chan struct{})
	first := true
	f.at = func(point string) {
		if point == "fetched" && first {
			first = false
			close(begun)
			<-goOn
		}
	}
	ended := make(chan functest.Response, 1)
	go func() { ended <- f.deliver(t, slow) }()
	<-begun
	if _, err := f.stripe.API.Subscriptions.Cancel(sub.ID, nil); err != nil {
		t.Fatal(err)
	}
	f.deliver(t, fast).Want(t, http.StatusOK)
	close(goOn)
	(<-ended).Want(t, http.StatusOK)
	if got := f.standing(t, who); got.Status != "canceled" || got.Org != "free" {
		t.Errorf("%+v", got)
	}
}

// The subscription of an organization that is deleted ends, and of no other.
func TestClose(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	sub := f.subscribe(t, who, f.price(t, "pro", plans.Year))
	m := f.Enqueue(t, who.TenantID, ids.Nil, queue.BillingClose.Message("", queue.None{}))
	if got := f.deliver(t, m).Want(t, http.StatusOK); got.String(t, "result") != "skipped" {
		t.Errorf("%s", got.Body)
	}
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, who.TenantID)
	m = f.Enqueue(t, who.TenantID, ids.Nil, queue.BillingClose.Message("", queue.None{}))
	for range 2 {
		f.deliver(t, m).Want(t, http.StatusOK)
	}
	now, err := f.stripe.API.Subscriptions.Get(sub.ID, nil)
	if err != nil || now.Status != api.SubscriptionStatusCanceled || f.standing(t, who).Status != "canceled" {
		t.Errorf("%v, %+v", err, now)
	}
	none := f.Tenant(t)
	if got := f.deliver(t, f.Enqueue(t, none.TenantID, ids.Nil, queue.BillingSync.Message("", queue.None{}))).Want(t, http.StatusOK); got.String(t, "result") != "skipped" {
		t.Errorf("%s", got.Body)
	}
}

// reducer computes where a customer stands from the events alone, in the order
// in which they happened. It knows nothing of how the platform does it.
type reducer struct {
	seen map[string]bool
	subs map[string]standing
	last string
	owed map[string]string // invoice → status
}

func (r *reducer) take(t *testing.T, d stripe.Delivery, planOf map[string][2]string) {
	t.Helper()
	if r.seen[d.ID] {
		return
	}
	r.seen[d.ID] = true
	var e struct {
		Type string `json:"type"`
		Data struct {
			Object struct {
				ID, Status string
				Cancels    bool  `json:"cancel_at_period_end"`
				End        int64 `json:"current_period_end"`
				Items      struct {
					Data []struct {
						Price struct{ ID string } `json:"price"`
					} `json:"data"`
				} `json:"items"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(d.Payload, &e); err != nil {
		t.Fatal(err)
	}
	o := e.Data.Object
	switch e.Type {
	case "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted":
		p := planOf[o.Items.Data[0].Price.ID]
		s := standing{Plan: p[0], Interval: p[1], Status: o.Status, Cancels: o.Cancels, End: o.End}
		s.Org = p[0]
		switch o.Status {
		case "incomplete_expired":
			s.Status = "canceled"
			fallthrough
		case "canceled", "incomplete":
			s.Org = "free"
		}
		r.subs[o.ID], r.last = s, o.ID
	case "invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_failed", "invoice.voided":
		r.owed[o.ID] = o.Status
	}
}

// TestConvergence generates ten thousand events by letting customers live, and
// delivers them twice, late, in any order and with gaps. Where everybody stands
// then is where a reducer over the same events, in order and whole, has them.
func TestConvergence(t *testing.T) {
	f := setup(t)
	const seed = 20261126
	dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same each time
	planOf := map[string][2]string{}
	var prices []string
	for _, plan := range []string{"pro", "enterprise"} {
		for _, interval := range []string{plans.Month, plans.Year} {
			id := f.price(t, plan, interval)
			planOf[id] = [2]string{plan, interval}
			prices = append(prices, id)
		}
	}
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	total, delivered := 0, 0
	for n := 0; total < 10_000; n++ {
		made, err := f.stripe.API.TestHelpersTestClocks.New(&api.TestHelpersTestClockParams{FrozenTime: new(start.Unix())})
		if err != nil {
			t.Fatal(err)
		}
		who := f.tenant(t, made.ID)
		now := start
		for range 40 {
			now = f.live(t, dice, who, made.ID, now, prices)
		}
		// What a test clock's customer has now no longer changes by itself.
		history := f.stripe.Held()
		want := &reducer{seen: map[string]bool{}, subs: map[string]standing{}, owed: map[string]string{}}
		var told []stripe.Delivery
		for _, d := range history {
			want.take(t, d, planOf)
			if relevant[d.Type] {
				told = append(told, d)
			}
		}
		total += len(history)
		// Some come twice, some never, all in another order; the last ones of
		// a life are not lost, as Stripe sends each until it is taken.
		arrive := slices.Clone(told)
		for _, d := range told {
			if dice.IntN(4) == 0 {
				arrive = append(arrive, d)
			}
		}
		dice.Shuffle(len(arrive), func(i, j int) { arrive[i], arrive[j] = arrive[j], arrive[i] })
		arrive = arrive[:max(1, len(arrive)/10)] // gaps: nine of ten are lost
		for _, d := range arrive {
			f.deliver(t, f.store(t, who, d)).Want(t, http.StatusOK)
			delivered++
		}
		f.compare(t, who, want, fmt.Sprintf("customer %d (seed %d)", n, seed))
	}
	t.Logf("%d events happened, %d were delivered", total, delivered)
}

var relevant = map[string]bool{
	"invoice.payment_succeeded": true, "invoice.payment_failed": true, "customer.subscription.created": true, "customer.subscription.updated": true,
	"customer.subscription.deleted": true, "payment_intent.succeeded": true, "payment_intent.payment_failed": true, "payment_method.attached": true, "payment_method.detached": true,
}

// live lets something happen to a customer.
func (f *fixture) live(t *testing.T, dice *rand.Rand, who tenant, clock string, now time.Time, prices []string) time.Time {
	t.Helper()
	var sub *api.Subscription
	it := f.stripe.API.Subscriptions.List(&api.SubscriptionListParams{Customer: new(who.customer)})
	for it.Next() {
		sub = it.Subscription()
	}
	switch act := dice.IntN(8); {
	case sub == nil:
		f.subscribe(t, who, prices[dice.IntN(len(prices))])
	case act == 0:
		_, _ = f.stripe.API.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: new(!sub.CancelAtPeriodEnd)})
	case act == 1 && dice.IntN(3) == 0:
		_, _ = f.stripe.API.Subscriptions.Cancel(sub.ID, nil)
	case act == 2 && sub.Status == api.SubscriptionStatusActive:
		_, _ = f.stripe.API.Subscriptions.Update(sub.ID, &api.SubscriptionParams{
			Items:             []*api.SubscriptionItemsParams{{ID: new(sub.Items.Data[0].ID), Price: new(prices[dice.IntN(len(prices))])}},
			ProrationBehavior: new("always_invoice"), PaymentBehavior: new("pending_if_incomplete"),
		})
	case act == 3:
		f.card(t, who, []string{"pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"}[dice.IntN(3)])
	case act == 4 && sub.LatestInvoice != nil:
		_, _ = f.stripe.API.Invoices.Pay(sub.LatestInvoice.ID, nil)
	default:
		now = now.Add(time.Duration(1+dice.IntN(20*24)) * time.Hour)
		if _, err := f.stripe.API.TestHelpersTestClocks.Advance(clock, &api.TestHelpersTestClockAdvanceParams{FrozenTime: new(now.Unix())}); err != nil {
			t.Fatal(err)
		}
	}
	return now
}

func (f *fixture) compare(t *testing.T, who tenant, want *reducer, name string) {
	t.Helper()
	got, expected := f.standing(t, who), want.subs[want.last]
	if got != expected {
		t.Errorf("%s: stands at %+v, by the events at %+v", name, got, expected)
	}
	var kept string
	f.Scan(t, `select coalesce(json_object_agg(stripe_invoice_id, status), '{}')::text from app.invoices where tenant_id = $1`, []any{who.TenantID}, &kept)
	have := map[string]string{}
	if err := json.Unmarshal([]byte(kept), &have); err != nil {
		t.Fatal(err)
	}
	for id, status := range have {
		if want.owed[id] != status {
			t.Errorf("%s: invoice %s is %s, by the events %s", name, id, status, want.owed[id])
		}
	}
}

// TestMonths lets thirty months pass, over month ends, a leap day and both
// changes of the clocks: what was charged is what the periods cost, to the cent,
// at Stripe and here.
func TestMonths(t *testing.T) {
	f := setup(t)
	start := time.Date(2027, 8, 31, 1, 30, 0, 0, time.UTC) // 30 months hold 29 February 2028, and March and October thrice
	clock, err := f.stripe.API.TestHelpersTestClocks.New(&api.TestHelpersTestClockParams{FrozenTime: new(start.Unix())})
	if err != nil {
		t.Fatal(err)
	}
	who := f.tenant(t, clock.ID)
	f.SQL(t, `update app.organizations set timezone = 'Europe/Berlin' where tenant_id = $1`, who.TenantID)
	f.subscribe(t, who, f.price(t, "pro", plans.Month))
	ends := map[string]bool{}
	for month := 1; month <= 30; month++ {
		// The day of the anchor, or the month's last.
		due := time.Date(2027, time.August+time.Month(month)+1, 0, 1, 30, 0, 0, time.UTC)
		if due.Day() > 31 {
			t.Fatal("no such day")
		}
		if _, err := f.stripe.API.TestHelpersTestClocks.Advance(clock.ID, &api.TestHelpersTestClockAdvanceParams{FrozenTime: new(due.Add(2 * time.Hour).Unix())}); err != nil {
			t.Fatal(err)
		}
		for _, d := range f.stripe.Held() {
			if relevant[d.Type] {
				f.deliver(t, f.store(t, who, d)).Want(t, http.StatusOK)
			}
		}
		s := f.standing(t, who)
		end := time.Unix(s.End, 0).UTC()
		if next := time.Date(2027, time.August+time.Month(month)+2, 0, 1, 30, 0, 0, time.UTC); !end.Equal(next) || s.Org != "pro" {
			t.Fatalf("month %d ends %s, want %s, on %s", month, end, next, s.Org)
		}
		ends[end.Format(time.DateOnly)] = true
		var bills, sum int64
		f.Scan(t, `select count(*), coalesce(sum(amount_paid), 0) from app.invoices where tenant_id = $1 and status = 'paid'`, []any{who.TenantID}, &bills, &sum)
		if bills != int64(month)+1 || sum != 2900*bills {
			t.Fatalf("after %d months: %d bills of %d", month, bills, sum)
		}
	}
	if !ends["2028-02-29"] || !ends["2029-02-28"] || !ends["2028-03-31"] {
		t.Errorf("%v", ends)
	}
	var there int64
	it := f.stripe.API.Invoices.List(&api.InvoiceListParams{Customer: new(who.customer)})
	for it.Next() {
		there += it.Invoice().AmountPaid
	}
	var here int64
	f.Scan(t, `select sum(amount_paid) from app.invoices where tenant_id = $1`, []any{who.TenantID}, &here)
	if here-there != 0 || here != 31*2900 {
		t.Errorf("%d here, %d at Stripe", here, there)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, vars := range []map[string]string{{}, {"STRIPE_TIMEOUT": "0s"}} {
		if _, err := Open(context.Background(), config.Map(vars)); err == nil {
			t.Errorf("%v was taken", vars)
		}
	}
}
