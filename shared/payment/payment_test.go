package payment_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/stripe"
)

type fixture struct {
	*functest.Env
	stripe *paytest.World
	db     *db.DB
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t)}
	f.stripe = paytest.New(t, f.Env)
	var err error
	if f.db, err = db.Open(db.Config{URL: config.Secret(f.Database.URL), AcquireTimeout: 10 * time.Second}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	return f
}

// tenant is an organization that is a customer.
type tenant struct {
	functest.Person
	customer string
}

// tenant makes one with a card, perhaps by a test clock.
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
	f.card(t, who, "pm_card_visa")
	return who
}

func (f *fixture) card(t *testing.T, who tenant, card string) string {
	t.Helper()
	m, err := f.stripe.API.PaymentMethods.Attach(card, &api.PaymentMethodAttachParams{Customer: new(who.customer)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.stripe.API.Customers.Update(who.customer, &api.CustomerParams{InvoiceSettings: &api.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(m.ID)}}); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

func (f *fixture) price(t *testing.T, plan, interval string) string {
	t.Helper()
	backend, key, err := f.stripe.Client.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := payment.Price(t.Context(), backend, key, plans.LookupKey(plan, interval))
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	return p.ID
}

func (f *fixture) subscribe(t *testing.T, who tenant, price, of string) *api.Subscription {
	t.Helper()
	params := &api.SubscriptionParams{Customer: new(who.customer), Items: []*api.SubscriptionItemsParams{{Price: new(price)}}}
	params.AddMetadata(payment.MetaTenant, of)
	sub, err := f.stripe.API.Subscriptions.New(params)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func (f *fixture) clock(t *testing.T, at time.Time) string {
	t.Helper()
	c, err := f.stripe.API.TestHelpersTestClocks.New(&api.TestHelpersTestClockParams{FrozenTime: new(at.Unix())})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func (f *fixture) advance(t *testing.T, clock string, to time.Time) {
	t.Helper()
	if _, err := f.stripe.API.TestHelpersTestClocks.Advance(clock, &api.TestHelpersTestClockAdvanceParams{FrozenTime: new(to.Unix())}); err != nil {
		t.Fatal(err)
	}
}

// write runs in a transaction of the tenant, as the callers of Sync do.
func (f *fixture) write(t *testing.T, who tenant) func(func(*db.Tx) error) error {
	t.Helper()
	return func(fn func(*db.Tx) error) error { return db.Note(t.Context(), f.db, who.Principal, fn) }
}

func (f *fixture) sync(t *testing.T, who tenant, invoice string) (*payment.State, payment.Row, error) {
	t.Helper()
	return f.stripe.Client.Sync(t.Context(), f.db, who.Principal, invoice, f.write(t, who))
}

func (f *fixture) synced(t *testing.T, who tenant) payment.Row {
	t.Helper()
	_, row, err := f.sync(t, who, "")
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func (f *fixture) plan(t *testing.T, who tenant) (plan string) {
	t.Helper()
	f.Scan(t, `select plan from app.organizations where tenant_id = $1`, []any{who.TenantID}, &plan)
	return plan
}

func (f *fixture) count(t *testing.T, who tenant, table, where string) (n int64) {
	t.Helper()
	f.Scan(t, `select count(*) from app.`+table+` where tenant_id = $1 and `+where, []any{who.TenantID}, &n)
	return n
}

// What Stripe has is written down whole, once: the row, the plan, invoices and
// cards, with the activity and the mails that follow; the same state again
// leaves nothing more.
func TestSync(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	if row := f.synced(t, who); row.Subscription != "" || row.Plan != plans.Free || row.Revision != 1 || f.plan(t, who) != plans.Free {
		t.Errorf("a customer without a subscription: %+v", row)
	}
	sub := f.subscribe(t, who, f.price(t, "pro", plans.Year), who.TenantID.String())
	for range 3 {
		row := f.synced(t, who)
		if row.Subscription != sub.ID || row.Plan != "pro" || row.Status != payment.StatusActive || row.Interval != plans.Year || row.PeriodEnd.Unix() != sub.CurrentPeriodEnd || row.Version != 2 {
			t.Errorf("%+v", row)
		}
	}
	var due, paid int64
	var currency string
	f.Scan(t, `select amount_due, amount_paid, currency from app.invoices where tenant_id = $1`, []any{who.TenantID}, &due, &paid, &currency)
	if due != 29000 || paid != 29000 || currency != "usd" || f.plan(t, who) != "pro" {
		t.Errorf("%d of %d %s, on %s", paid, due, currency, f.plan(t, who))
	}
	if a, r, c, m := f.count(t, who, "activity", "true"), f.count(t, who, "outbox", "kind = 'mail.payment_succeeded'"), f.count(t, who, "outbox", "kind = 'access.changed'"), f.count(t, who, "payment_methods", "last4 = '4242' and is_default"); a != 2 || r != 1 || c != 1 || m != 1 {
		t.Errorf("%d acts, %d receipts, %d changes of access, %d cards", a, r, c, m)
	}
	// A card that is gone there is gone here.
	f.card(t, who, "pm_card_mastercard")
	cards := f.stripe.API.PaymentMethods.List(&api.PaymentMethodListParams{Customer: new(who.customer), Type: new("card")})
	for cards.Next() {
		if m := cards.PaymentMethod(); m.Card.Last4 == "4242" {
			if _, err := f.stripe.API.PaymentMethods.Detach(m.ID, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f.synced(t, who); f.count(t, who, "payment_methods", "true") != 1 || f.count(t, who, "payment_methods", "last4 = '4444' and is_default") != 1 {
		t.Error("the old card is still there")
	}
	// The end of it is told once.
	if _, err := f.stripe.API.Subscriptions.Cancel(sub.ID, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if row := f.synced(t, who); row.Status != payment.StatusCanceled || row.NextInvoiceAt != nil || f.plan(t, who) != plans.Free {
			t.Errorf("%+v on %s", row, f.plan(t, who))
		}
	}
	if n := f.count(t, who, "outbox", "kind = 'mail.subscription_canceled'"); n != 1 {
		t.Errorf("%d goodbyes", n)
	}
}

// More than a page of everything: what can change is read, and an older invoice
// when it is named. Each sum is the same there and here, to the cent.
func TestFetchPages(t *testing.T) {
	f := setup(t)
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	clock := f.clock(t, at)
	who := f.tenant(t, clock)
	for range 11 { // with the first a dozen: more than the ten that Stripe gives unasked
		f.card(t, who, "pm_card_mastercard")
	}
	sub := f.subscribe(t, who, f.price(t, "pro", plans.Month), who.TenantID.String())
	at = at.Add(10*24*time.Hour + 7*time.Second)
	f.advance(t, clock, at)
	up := &api.SubscriptionParams{
		Items:             []*api.SubscriptionItemsParams{{ID: new(sub.Items.Data[0].ID), Price: new(f.price(t, "enterprise", plans.Month))}},
		ProrationBehavior: new("always_invoice"), PaymentBehavior: new("pending_if_incomplete"),
	}
	if _, err := f.stripe.API.Subscriptions.Update(sub.ID, up); err != nil {
		t.Fatal(err)
	}
	for range 24 {
		at = at.AddDate(0, 1, 0)
		f.advance(t, clock, at)
	}
	var first string
	there, newest := map[string]int64{}, []string{}
	bills := f.stripe.API.Invoices.List(&api.InvoiceListParams{Customer: new(who.customer)})
	for bills.Next() {
		first = bills.Invoice().ID // the oldest comes last
		there[first] = bills.Invoice().AmountPaid
		newest = append(newest, first)
	}
	if bills.Err() != nil || len(there) < 25 {
		t.Fatalf("%d invoices, %v", len(there), bills.Err())
	}
	state, row, err := f.sync(t, who, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Methods) != 12 || len(state.Invoices) != 20 || state.Invoices[0].ID != newest[0] || row.Plan != "enterprise" || len(state.Others) != 0 {
		t.Errorf("%d cards, %d invoices, %+v", len(state.Methods), len(state.Invoices), row)
	}
	if f.count(t, who, "invoices", "stripe_invoice_id = '"+first+"'") != 0 {
		t.Fatal("the oldest was read unasked")
	}
	if state, _, err = f.sync(t, who, first); err != nil || len(state.Invoices) != 21 {
		t.Fatal(len(state.Invoices), err)
	}
	if f.count(t, who, "invoices", "stripe_invoice_id = '"+first+"'") != 1 {
		t.Error("the oldest was not read, though named")
	}
	for _, i := range state.Invoices {
		var here int64
		f.Scan(t, `select amount_paid from app.invoices where tenant_id = $1 and stripe_invoice_id = $2`, []any{who.TenantID, i.ID}, &here)
		if here != there[i.ID] {
			t.Errorf("invoice %s: %d here, %d there", i.ID, here, there[i.ID])
		}
	}
	// One that is not there, or somebody else's, is no reason to stop.
	other := f.tenant(t, "")
	f.subscribe(t, other, f.price(t, "pro", plans.Month), other.TenantID.String())
	foreign, _, err := f.sync(t, other, "in_none")
	if err != nil || len(foreign.Invoices) != 1 {
		t.Fatal(err)
	}
	if state, _, err := f.sync(t, who, foreign.Invoices[0].ID); err != nil || len(state.Invoices) != 20 || f.count(t, who, "invoices", "stripe_invoice_id = '"+foreign.Invoices[0].ID+"'") != 0 {
		t.Errorf("another's invoice: %v", err)
	}
}

// A state that was overtaken is not written over a newer one: it is fetched
// again.
func TestSyncOvertaken(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	sub := f.subscribe(t, who, f.price(t, "pro", plans.Month), who.TenantID.String())
	tries := 0
	_, row, err := f.stripe.Client.Sync(t.Context(), f.db, who.Principal, "", func(fn func(*db.Tx) error) error {
		if tries++; tries == 1 { // between what was read and what is written
			if _, err := f.stripe.API.Subscriptions.Cancel(sub.ID, nil); err != nil {
				t.Fatal(err)
			}
			f.synced(t, who)
		}
		return f.write(t, who)(fn)
	})
	if err != nil || tries != 2 || row.Status != payment.StatusCanceled || f.plan(t, who) != plans.Free {
		t.Errorf("%d tries, %+v, %v", tries, row, err)
	}
	// Somebody who is always faster: it ends, and says when to come back.
	tries = 0
	_, _, err = f.stripe.Client.Sync(t.Context(), f.db, who.Principal, "", func(fn func(*db.Tx) error) error {
		tries++
		f.SQL(t, `update app.subscriptions set revision = revision + 1 where tenant_id = $1`, who.TenantID)
		return f.write(t, who)(fn)
	})
	if !errors.Is(err, payment.ErrUnavailable) || !errors.Is(err, payment.ErrStale) || tries < 2 {
		t.Errorf("%d tries, %v", tries, err)
	}
	// Many at once all end, and the row is what Stripe has.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, _, err := f.sync(t, who, ""); err != nil && !errors.Is(err, payment.ErrStale) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if row := f.synced(t, who); row.Status != payment.StatusCanceled {
		t.Errorf("%+v", row)
	}
}

// T10: customers and subscriptions whose metadata name another tenant, and
// those of prices that are not ours, are not believed, and change nothing.
func TestForeign(t *testing.T) {
	f := setup(t)
	pro := f.price(t, "pro", plans.Month)
	made, err := f.stripe.API.Prices.New(&api.PriceParams{
		Product: new(plans.ProductID("pro")), Currency: new("usd"), UnitAmount: api.Int64(1), Recurring: &api.PriceRecurringParams{Interval: new("month")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		price, of string
		customer  bool // its metadata name another tenant
		want      error
	}{
		"the customer is another's":     {pro, "", true, payment.ErrForeign},
		"the subscription is another's": {pro, ids.New().String(), false, payment.ErrForeign},
		"the subscription is nobody's":  {pro, "x", false, payment.ErrForeign},
		"a price of nobody":             {made.ID, "", false, payment.ErrUnknownPlan},
	} {
		who := f.tenant(t, "")
		if c.of == "" {
			c.of = who.TenantID.String()
		}
		f.subscribe(t, who, c.price, c.of)
		if c.customer {
			if _, err := f.stripe.API.Customers.Update(who.customer, &api.CustomerParams{Metadata: map[string]string{payment.MetaTenant: ids.New().String()}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := f.sync(t, who, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if f.plan(t, who) != plans.Free || f.count(t, who, "invoices", "true")+f.count(t, who, "activity", "true")+f.count(t, who, "outbox", "true") != 0 ||
			f.count(t, who, "subscriptions", "revision = 0 and stripe_subscription_id is null") != 1 {
			t.Errorf("%s: something was written", name)
		}
	}
	// Nor is a state taken for another customer's than the row's.
	who, other := f.tenant(t, ""), f.tenant(t, "")
	state, err := f.stripe.Client.Fetch(t.Context(), who.customer)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[*tenant]error{&other: payment.ErrForeign, &who: nil} {
		err := f.write(t, *p)(func(tx *db.Tx) error {
			_, err := payment.Apply(t.Context(), tx, 0, state)
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	f.SQL(t, `update app.subscriptions set stripe_customer_id = 'cus_other' where tenant_id = $1`, who.TenantID)
	err = f.write(t, who)(func(tx *db.Tx) error {
		_, err := payment.Apply(t.Context(), tx, 1, state)
		return err
	})
	if !errors.Is(err, payment.ErrStale) {
		t.Errorf("of another customer: %v", err)
	}
}

// An organization that is no customer, and a customer that Stripe does not know.
func TestUnknownCustomer(t *testing.T) {
	f := setup(t)
	who, calls := tenant{Person: f.Tenant(t)}, len(f.stripe.Calls())
	if _, _, err := f.sync(t, who, ""); errs.KindOf(err) != errs.NotFound || len(f.stripe.Calls()) != calls {
		t.Errorf("%v, and Stripe was asked %d times", err, len(f.stripe.Calls())-calls)
	}
	f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, 'cus_none', 'free', 'active')`, who.TenantID)
	if _, _, err := f.sync(t, who, ""); !errors.Is(err, payment.ErrMissing) {
		t.Errorf("%v", err)
	}
}

// Stripe down, at each of the calls of a look: nothing is written.
func TestStripeDown(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	f.subscribe(t, who, f.price(t, "pro", plans.Month), who.TenantID.String())
	for _, path := range []string{"/v1/customers/" + who.customer, "/v1/subscriptions", "/v1/payment_methods", "/v1/invoices", "/v1/invoices/in_1"} {
		f.stripe.Misbehave(func(r *http.Request) stripe.Fault {
			if r.URL.Path == path {
				return stripe.Fault{Status: http.StatusServiceUnavailable}
			}
			return stripe.Fault{}
		})
		if _, _, err := f.sync(t, who, "in_1"); !errors.Is(err, payment.ErrUnavailable) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if f.plan(t, who) != plans.Free || f.count(t, who, "subscriptions", "revision = 0") != 1 {
		t.Error("half a state was written")
	}
	// A request that went away is no fault of Stripe's.
	f.stripe.Misbehave(nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.stripe.Client.Fetch(gone, who.customer); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A debt is told once for each try, keeps its plan, and its end is told once.
func TestDebt(t *testing.T) {
	f := setup(t)
	at := time.Date(2026, 5, 10, 0, 0, 0, 0, time.UTC)
	clock := f.clock(t, at)
	who := f.tenant(t, clock)
	f.subscribe(t, who, f.price(t, "pro", plans.Month), who.TenantID.String())
	f.card(t, who, "pm_card_chargeCustomerFail")
	f.synced(t, who)
	f.advance(t, clock, at.AddDate(0, 1, 0).Add(2*time.Hour))
	for range 2 {
		if row := f.synced(t, who); row.Status != payment.StatusPastDue || row.PastDueSince == nil || f.plan(t, who) != "pro" {
			t.Errorf("%+v", row)
		}
	}
	if n := f.count(t, who, "outbox", "kind = 'mail.payment_failed'"); n != 1 {
		t.Errorf("%d mails of the first failure", n)
	}
	f.advance(t, clock, at.AddDate(0, 1, 3).Add(3*time.Hour))
	if f.synced(t, who); f.count(t, who, "outbox", "kind = 'mail.payment_failed'") != 2 {
		t.Error("the second failure was not told")
	}
	f.SQL(t, `update app.subscriptions set past_due_since = now() - $2::interval where tenant_id = $1`, who.TenantID, plans.Grace+time.Hour)
	if row := f.synced(t, who); row.Status != payment.StatusPastDue || f.plan(t, who) != plans.Free {
		t.Errorf("grace has no end: %+v on %s", row, f.plan(t, who))
	}
	f.card(t, who, "pm_card_visa")
	f.advance(t, clock, at.AddDate(0, 1, 8).Add(4*time.Hour))
	if row := f.synced(t, who); row.Status != payment.StatusActive || row.PastDueSince != nil || f.plan(t, who) != "pro" {
		t.Errorf("%+v on %s", row, f.plan(t, who))
	}
}

// Two subscriptions that go on are one too many, and told.
func TestOthers(t *testing.T) {
	f := setup(t)
	who := f.tenant(t, "")
	first := f.subscribe(t, who, f.price(t, "pro", plans.Month), who.TenantID.String())
	second := f.subscribe(t, who, f.price(t, "enterprise", plans.Month), who.TenantID.String())
	state, row, err := f.sync(t, who, "")
	if err != nil || len(state.Others) != 1 || row.Subscription == state.Others[0] || row.Subscription != first.ID && row.Subscription != second.ID {
		t.Errorf("%v: %+v, others %v", err, row, state.Others)
	}
}

// Without its key nothing is called, and the log never shows one.
func TestKey(t *testing.T) {
	f := setup(t)
	calls := len(f.stripe.Calls())
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	cfg := payment.Config{URL: f.stripe.HTTP.URL, Timeout: time.Second}
	for name, values := range map[string]map[string][]byte{"none": {}, "an empty one": {secrets.StripeKey: {}}} {
		c := payment.New(cfg, secrets.New(secrets.Static(values), secrets.Config{}), log)
		if _, err := c.Fetch(t.Context(), "cus_1"); err == nil {
			t.Errorf("%s: fetched", name)
		}
		if err := c.FetchInvoice(t.Context(), &payment.State{}, "in_1"); err == nil {
			t.Errorf("%s: fetched an invoice", name)
		}
		_ = c.Close()
	}
	if len(f.stripe.Calls()) != calls {
		t.Error("Stripe was called without a key")
	}
	const wrong = "sk_test_of_somebody_else"
	c := payment.New(cfg, secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte(wrong)}), secrets.Config{}), log)
	defer c.Close() //nolint:errcheck // idle connections
	if _, err := c.Fetch(t.Context(), "cus_1"); !errors.Is(err, payment.ErrUnavailable) {
		t.Errorf("a key that is not ours: %v", err)
	}
	if strings.Contains(said.String(), wrong) || !strings.Contains(said.String(), "stripe") {
		t.Errorf("said %q", said.String())
	}
}
