package stripe_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/coditect/platform/shared/standin/stripe"
)

type world struct {
	*client.API
	server *stripe.Server
	http   *httptest.Server
	price  map[string]string // by plan and interval
}

// quiet keeps the client's complaints out of the tests' output.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// open is a stand-in with two products, used through Stripe's own client.
func open(t *testing.T, opts ...stripe.Option) *world {
	t.Helper()
	s, err := stripe.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{server: s, http: httptest.NewServer(s.Handler()), price: map[string]string{}}
	t.Cleanup(func() {
		w.http.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.API = client.New(stripe.Key, &api.Backends{API: api.GetBackendWithConfig(api.APIBackend, &api.BackendConfig{
		URL: new(w.http.URL), LeveledLogger: quiet{}, MaxNetworkRetries: api.Int64(0), HTTPClient: w.http.Client(),
	})})
	for plan, sums := range map[string][2]int64{"pro": {2900, 29000}, "enterprise": {9900, 99000}} {
		p, err := w.Products.New(&api.ProductParams{ID: new("p_" + plan), Name: new(plan)})
		if err != nil {
			if p, err = w.Products.Get("p_"+plan, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i, interval := range []string{"month", "year"} {
			v, err := w.Prices.New(&api.PriceParams{
				Product: new(p.ID), Currency: new("usd"), UnitAmount: new(sums[i]), LookupKey: new(plan + "_" + interval), TransferLookupKey: new(true),
				Recurring: &api.PriceRecurringParams{Interval: new(interval)},
			})
			if err != nil {
				t.Fatal(err)
			}
			w.price[plan+"_"+interval] = v.ID
		}
	}
	return w
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func code(err error) string {
	var e *api.Error
	if !errors.As(err, &e) {
		return ""
	}
	if e.DeclineCode != "" {
		return string(e.DeclineCode)
	}
	if e.Code != "" {
		return string(e.Code)
	}
	return string(e.Type)
}

// customer has a card, and lives by a test clock when it is given.
func (w *world) customer(t *testing.T, card, clock string) (customer, method string) {
	t.Helper()
	p := &api.CustomerParams{}
	if clock != "" {
		p.TestClock = new(clock)
	}
	c := must(w.Customers.New(p))(t)
	m := must(w.PaymentMethods.Attach(card, &api.PaymentMethodAttachParams{Customer: new(c.ID)}))(t)
	must(w.Customers.Update(c.ID, &api.CustomerParams{InvoiceSettings: &api.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(m.ID)}}))(t)
	return c.ID, m.ID
}

func (w *world) subscribe(t *testing.T, customer, price string) *api.Subscription {
	t.Helper()
	p := &api.SubscriptionParams{Customer: new(customer), Items: []*api.SubscriptionItemsParams{{Price: new(w.price[price])}}, PaymentBehavior: new("allow_incomplete")}
	p.AddExpand("latest_invoice.payment_intent")
	return must(w.Subscriptions.New(p))(t)
}

func (w *world) clock(t *testing.T, at time.Time) string {
	t.Helper()
	return must(w.TestHelpersTestClocks.New(&api.TestHelpersTestClockParams{FrozenTime: new(at.Unix())}))(t).ID
}

func (w *world) advance(t *testing.T, clock string, to time.Time) {
	t.Helper()
	if got := must(w.TestHelpersTestClocks.Advance(clock, &api.TestHelpersTestClockAdvanceParams{FrozenTime: new(to.Unix())}))(t); got.Status != "advancing" {
		t.Errorf("a clock that was advanced is %s", got.Status)
	}
}

func (w *world) invoices(t *testing.T, customer string) []*api.Invoice {
	t.Helper()
	var out []*api.Invoice
	it := w.Invoices.List(&api.InvoiceListParams{Customer: new(customer)})
	for it.Next() {
		out = append([]*api.Invoice{it.Invoice()}, out...)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

// What the API's version does not know, and what the stand-in does not do, is
// refused; so are callers that Stripe would refuse.
func TestRefuses(t *testing.T) {
	t.Parallel()
	w := open(t)
	extra := &api.CustomerParams{}
	extra.AddExtra("nickname", "x")
	if _, err := w.Customers.New(extra); code(err) != "parameter_unknown" {
		t.Errorf("an unknown parameter: %v", err)
	}
	if _, err := w.Subscriptions.New(&api.SubscriptionParams{Customer: new("cus_none"), TrialPeriodDays: api.Int64(7)}); code(err) != "parameter_unknown" {
		t.Errorf("a parameter that is not done: %v", err)
	}
	if _, err := w.Customers.Get("cus_none", nil); code(err) != "resource_missing" {
		t.Errorf("an absent customer: %v", err)
	}
	bad := &api.CustomerParams{}
	bad.AddExpand("moon")
	if _, err := w.Customers.New(bad); err == nil {
		t.Error("expanded what is no property")
	}
	for name, change := range map[string]func(*http.Request){
		"key":     func(r *http.Request) { r.Header.Set("Authorization", "Bearer sk_test_other") },
		"version": func(r *http.Request) { r.Header.Set("Stripe-Version", "2025-03-31.basil") },
		"path":    func(r *http.Request) { r.URL.Path = "/v1/charges" },
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/customers", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+stripe.Key)
		change(r)
		got := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(got, r)
		if got.Code < 400 || !strings.Contains(got.Body.String(), "invalid_request_error") {
			t.Errorf("a wrong %s: %d %s", name, got.Code, got.Body)
		}
	}
}

// A key gives its answer again, belongs to its parameters, and to one request
// at a time.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var mu sync.Mutex
	w := open(t, stripe.WithClock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now }))
	create := func(name string) (*api.Customer, error) {
		p := &api.CustomerParams{Name: new(name)}
		p.SetIdempotencyKey("k")
		return w.Customers.New(p)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	w.server.Misbehave(func(*http.Request) stripe.Fault {
		return stripe.Fault{Before: func() { close(begun); <-goOn }}
	})
	var first *api.Customer
	ended := make(chan error, 1)
	go func() { var err error; first, err = create("a"); ended <- err }()
	<-begun
	w.server.Misbehave(nil)
	if _, err := create("a"); code(err) != "idempotency_key_in_use" {
		t.Errorf("in flight: %v", err)
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if again := must(create("a"))(t); again.ID != first.ID {
		t.Error("made twice")
	}
	if _, err := create("b"); code(err) != "idempotency_error" {
		t.Errorf("with other parameters: %v", err)
	}
	mu.Lock()
	now = now.Add(25 * time.Hour)
	mu.Unlock()
	if later := must(create("b"))(t); later.ID == first.ID {
		t.Error("a key outlives its day")
	}
	// An answer that is lost on the way has had its effect.
	w.server.Misbehave(func(*http.Request) stripe.Fault { return stripe.Fault{Lost: true} })
	p := &api.CustomerParams{Name: new("lost")}
	p.SetIdempotencyKey("lost")
	if _, err := w.Customers.New(p); err == nil {
		t.Error("the answer came")
	}
	w.server.Misbehave(nil)
	if got := must(w.Customers.New(p))(t); got.Name != "lost" {
		t.Errorf("%+v", got)
	}
}

// The documented test cards do what they are for.
func TestCards(t *testing.T) {
	t.Parallel()
	w := open(t)
	for card, tc := range map[string]struct{ attach, status, intent, decline string }{
		"pm_card_visa":                            {"", "active", "succeeded", ""},
		"pm_card_authenticationRequired":          {"", "incomplete", "requires_action", ""},
		"pm_card_chargeCustomerFail":              {"", "incomplete", "requires_payment_method", "generic_decline"},
		"pm_card_chargeDeclined":                  {"generic_decline", "", "", ""},
		"pm_card_chargeDeclinedInsufficientFunds": {"insufficient_funds", "", "", ""},
		"pm_card_chargeDeclinedExpiredCard":       {"expired_card", "", "", ""},
	} {
		t.Run(card, func(t *testing.T) {
			t.Parallel()
			if tc.attach != "" {
				c := must(w.Customers.New(&api.CustomerParams{}))(t)
				if _, err := w.PaymentMethods.Attach(card, &api.PaymentMethodAttachParams{Customer: new(c.ID)}); code(err) != tc.attach {
					t.Errorf("%v", err)
				}
				return
			}
			customer, _ := w.customer(t, card, "")
			sub := w.subscribe(t, customer, "pro_month")
			pi := sub.LatestInvoice.PaymentIntent
			if string(sub.Status) != tc.status || string(pi.Status) != tc.intent || pi.Amount != 2900 {
				t.Errorf("%s, %s of %d", sub.Status, pi.Status, pi.Amount)
			}
			if tc.decline != "" && string(pi.LastPaymentError.DeclineCode) != tc.decline {
				t.Errorf("%+v", pi.LastPaymentError)
			}
		})
	}
}

// Somebody authenticates a payment, or does not; one that never comes ends the
// subscription.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	w := open(t)
	for name, tc := range map[string]struct {
		act  func(clock, secret string)
		want string
	}{
		"yes":   {func(_, secret string) { w.server.Authenticate(secret, true) }, "active"},
		"no":    {func(_, secret string) { w.server.Authenticate(secret, false) }, "incomplete"},
		"never": {func(clock, _ string) { w.advance(t, clock, start.Add(24*time.Hour)) }, "incomplete_expired"},
	} {
		clock := w.clock(t, start)
		customer, _ := w.customer(t, "pm_card_threeDSecure2Required", clock)
		sub := w.subscribe(t, customer, "pro_month")
		tc.act(clock, sub.LatestInvoice.PaymentIntent.ClientSecret)
		if got := must(w.Subscriptions.Get(sub.ID, nil))(t); string(got.Status) != tc.want {
			t.Errorf("%s: %s", name, got.Status)
		}
	}
	c := must(w.Customers.New(&api.CustomerParams{}))(t)
	set := must(w.SetupIntents.New(&api.SetupIntentParams{
		Customer: new(c.ID), PaymentMethod: new("pm_card_authenticationRequiredOnSetup"), Confirm: new(true), Usage: new("off_session"), PaymentMethodTypes: api.StringSlice([]string{"card"}),
	}))(t)
	if set.Status != "requires_action" || !w.server.Authenticate(set.ClientSecret, true) || w.server.Authenticate(set.ClientSecret, true) {
		t.Errorf("%+v", set)
	}
	if set = must(w.SetupIntents.Get(set.ID, nil))(t); set.Status != "succeeded" {
		t.Errorf("%s", set.Status)
	}
}

// Periods end on the anchor's day or on the month's last; a card that stops
// paying is tried three times more, and then the subscription ends.
func TestPeriods(t *testing.T) {
	t.Parallel()
	w := open(t)
	start := time.Date(2027, 12, 31, 23, 30, 0, 0, time.UTC)
	clock := w.clock(t, start)
	customer, method := w.customer(t, "pm_card_visa", clock)
	sub := w.subscribe(t, customer, "pro_month")
	for _, want := range []string{"2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"} {
		got := must(w.Subscriptions.Get(sub.ID, nil))(t)
		end := time.Unix(got.CurrentPeriodEnd, 0).UTC()
		if end.Format(time.DateOnly) != want || end.Hour() != 23 {
			t.Errorf("a period ends %s, want %s", end, want)
		}
		w.advance(t, clock, end.Add(2*time.Hour))
	}
	for _, inv := range w.invoices(t, customer) {
		if inv.Status != "paid" || inv.AmountPaid != 2900 {
			t.Errorf("%s %d", inv.Status, inv.AmountPaid)
		}
	}
	bad := must(w.PaymentMethods.Attach("pm_card_chargeCustomerFail", &api.PaymentMethodAttachParams{Customer: new(customer)}))(t)
	must(w.Customers.Update(customer, &api.CustomerParams{InvoiceSettings: &api.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(bad.ID)}}))(t)
	must(w.PaymentMethods.Detach(method, nil))(t)
	end := time.Unix(must(w.Subscriptions.Get(sub.ID, nil))(t).CurrentPeriodEnd, 0)
	const day = 24 * time.Hour
	for i, want := range []string{"past_due", "past_due", "past_due", "canceled"} {
		end = end.Add([]time.Duration{2 * time.Hour, 3 * day, 5 * day, 7 * day}[i])
		w.advance(t, clock, end)
		if got := must(w.Subscriptions.Get(sub.ID, nil))(t); string(got.Status) != want {
			t.Fatalf("after %d attempts: %s", i+1, got.Status)
		}
	}
	if n := len(w.invoices(t, customer)); n != 6 {
		t.Errorf("%d invoices", n)
	}
}

// An upgrade in the middle of a period costs the difference for what is left,
// to the cent, and counts once it is paid.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := open(t)
	start := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		to, card string
		total    int64
		applied  bool
	}{
		"paid":          {"enterprise_month", "pm_card_visa", 4667, true}, // 20 of 30 days: 6600 − 1933
		"to a year":     {"pro_year", "pm_card_visa", 29000 - 1933, true},
		"authenticated": {"enterprise_month", "pm_card_authenticationRequired", 4667, false},
		"declined":      {"enterprise_month", "pm_card_chargeCustomerFail", 4667, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := w.clock(t, start)
			customer, _ := w.customer(t, "pm_card_visa", clock)
			sub := w.subscribe(t, customer, "pro_month")
			m := must(w.PaymentMethods.Attach(tc.card, &api.PaymentMethodAttachParams{Customer: new(customer)}))(t)
			must(w.Customers.Update(customer, &api.CustomerParams{InvoiceSettings: &api.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(m.ID)}}))(t)
			w.advance(t, clock, start.AddDate(0, 0, 10))
			p := &api.SubscriptionParams{
				Items:             []*api.SubscriptionItemsParams{{ID: new(sub.Items.Data[0].ID), Price: new(w.price[tc.to])}},
				ProrationBehavior: new("always_invoice"), PaymentBehavior: new("pending_if_incomplete"),
			}
			p.AddExpand("latest_invoice.payment_intent")
			got := must(w.Subscriptions.Update(sub.ID, p))(t)
			inv := got.LatestInvoice
			if inv.Total != tc.total || (got.Items.Data[0].Price.ID == w.price[tc.to]) != tc.applied || (got.PendingUpdate == nil) != tc.applied {
				t.Errorf("total %d, pending %+v", inv.Total, got.PendingUpdate)
			}
			switch name {
			case "to a year":
				if got.CurrentPeriodStart != start.AddDate(0, 0, 10).Unix() || got.CurrentPeriodEnd != start.AddDate(1, 0, 10).Unix() {
					t.Error("no new period")
				}
			case "authenticated":
				w.server.Authenticate(inv.PaymentIntent.ID, true)
				if got = must(w.Subscriptions.Get(sub.ID, nil))(t); got.Items.Data[0].Price.ID != w.price[tc.to] || got.PendingUpdate != nil {
					t.Error("authenticated, and not applied")
				}
			case "declined":
				must(w.Invoices.VoidInvoice(inv.ID, nil))(t)
				if got = must(w.Subscriptions.Get(sub.ID, nil))(t); got.Items.Data[0].Price.ID != w.price["pro_month"] || got.PendingUpdate != nil || got.Status != "active" {
					t.Error("declined, and not as before")
				}
			}
		})
	}
}

// A downgrade waits for the period's end, in a schedule; so does canceling, and
// both can be taken back.
func TestSchedule(t *testing.T) {
	t.Parallel()
	w := open(t)
	start := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	clock := w.clock(t, start)
	customer, _ := w.customer(t, "pm_card_visa", clock)
	sub := w.subscribe(t, customer, "enterprise_year")
	plan := func() *api.SubscriptionSchedule {
		v := must(w.SubscriptionSchedules.New(&api.SubscriptionScheduleParams{FromSubscription: new(sub.ID)}))(t)
		now := v.Phases[0]
		return must(w.SubscriptionSchedules.Update(v.ID, &api.SubscriptionScheduleParams{
			EndBehavior: new("release"), ProrationBehavior: new("none"),
			Phases: []*api.SubscriptionSchedulePhaseParams{
				{StartDate: new(now.StartDate), EndDate: new(now.EndDate), Items: []*api.SubscriptionSchedulePhaseItemParams{{Price: new(now.Items[0].Price.ID)}}},
				{Iterations: api.Int64(1), Items: []*api.SubscriptionSchedulePhaseItemParams{{Price: new(w.price["pro_month"])}}},
			},
		}))(t)
	}
	v := plan()
	if _, err := w.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: new(true)}); err == nil {
		t.Error("canceled under a schedule")
	}
	must(w.SubscriptionSchedules.Release(v.ID, nil))(t)
	must(w.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: new(true)}))(t)
	must(w.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: new(false)}))(t)
	plan()
	w.advance(t, clock, start.AddDate(1, 0, 0).Add(2*time.Hour))
	got := must(w.Subscriptions.Get(sub.ID, nil))(t)
	if got.Items.Data[0].Price.ID != w.price["pro_month"] || time.Unix(got.CurrentPeriodEnd, 0).UTC().Format(time.DateOnly) != "2027-02-28" || got.Schedule == nil {
		t.Errorf("%+v", got.Items.Data[0].Price)
	}
	w.advance(t, clock, time.Date(2027, 2, 28, 2, 0, 0, 0, time.UTC))
	if got = must(w.Subscriptions.Get(sub.ID, nil))(t); got.Schedule != nil {
		t.Error("the schedule holds on")
	}
	must(w.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: new(true)}))(t)
	w.advance(t, clock, time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC))
	if got = must(w.Subscriptions.Get(sub.ID, nil))(t); got.Status != "canceled" {
		t.Errorf("%s", got.Status)
	}
	sums := []int64{}
	for _, inv := range w.invoices(t, customer) {
		sums = append(sums, inv.AmountPaid)
	}
	if len(sums) != 3 || sums[0] != 99000 || sums[1] != 2900 || sums[2] != 2900 {
		t.Errorf("%v", sums)
	}
}

// Webhooks are signed as Stripe's client checks them, tried again, and sent
// late, twice or not at all when that is asked for.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := open(t)
	var mu sync.Mutex
	got, refusals := map[string]int{}, 1
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), "whsec_x")
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		if refusals > 0 {
			refusals--
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		got[string(e.Type)]++
	}))
	defer endpoint.Close()
	w.server.Listen(endpoint.URL, "whsec_x")
	await := func(kind string, n int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; {
			mu.Lock()
			have := got[kind]
			mu.Unlock()
			if have == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d × %s, want %d", have, kind, n)
			}
		}
	}
	must(w.Customers.New(&api.CustomerParams{}))(t)
	await("customer.created", 1) // after one refusal
	w.server.Scatter(func(d stripe.Delivery) []time.Duration {
		if d.Type == "payment_method.attached" {
			return nil
		}
		return []time.Duration{time.Millisecond, 0}
	})
	w.customer(t, "pm_card_visa", "")
	await("customer.created", 3)
	await("customer.updated", 2)
	w.server.Hold()
	w.customer(t, "pm_card_visa", "")
	if held := w.server.Held(); len(held) != 3 || len(w.server.Held()) != 0 {
		t.Errorf("%d are held back", len(held))
	}
	if got["payment_method.attached"] != 0 {
		t.Error("what was to be lost arrived")
	}
	made := must(w.WebhookEndpoints.New(&api.WebhookEndpointParams{URL: new("https://example.com/"), EnabledEvents: api.StringSlice([]string{"invoice.paid"}), APIVersion: api.String(stripe.Version)}))(t)
	if made.Secret == "" || must(w.WebhookEndpoints.Update(made.ID, &api.WebhookEndpointParams{Disabled: new(true)}))(t).Status != "disabled" {
		t.Errorf("%+v", made)
	}
}

// Meters take an identifier once, and sum by the day.
func TestMeters(t *testing.T) {
	t.Parallel()
	w := open(t)
	customer, _ := w.customer(t, "pm_card_visa", "")
	m := must(w.BillingMeters.New(&api.BillingMeterParams{
		EventName: new("api_requests"), DisplayName: new("API requests"), DefaultAggregation: &api.BillingMeterDefaultAggregationParams{Formula: new("sum")},
	}))(t)
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	send := func(id, value string, at time.Time) error {
		_, err := w.BillingMeterEvents.New(&api.BillingMeterEventParams{
			EventName: new("api_requests"), Identifier: new(id), Timestamp: new(at.Unix()), Payload: map[string]string{"stripe_customer_id": customer, "value": value},
		})
		return err
	}
	for id, value := range map[string]string{"a": "40", "b": "2"} {
		if err := send(id, value, day); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{"again": send("a", "40", day), "too old": send("c", "1", day.AddDate(0, 0, -36)), "no number": send("d", "1.5", day)} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	it := w.BillingMeterEventSummaries.List(&api.BillingMeterEventSummaryListParams{
		ID: new(m.ID), Customer: new(customer), StartTime: new(day.Unix()), EndTime: new(day.AddDate(0, 0, 1).Unix()), ValueGroupingWindow: new("day"),
	})
	if !it.Next() || it.BillingMeterEventSummary().AggregatedValue != 42 || it.Next() {
		t.Errorf("%v", it.Err())
	}
}

// What there is, is there after a restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "stripe")
	w := open(t, stripe.WithFile(file))
	customer, _ := w.customer(t, "pm_card_authenticationRequired", "")
	sub := w.subscribe(t, customer, "pro_month")
	again := open(t, stripe.WithFile(file))
	if !again.server.Authenticate(sub.LatestInvoice.PaymentIntent.ID, true) {
		t.Fatal("the payment is gone")
	}
	if got := must(again.Subscriptions.Get(sub.ID, nil))(t); got.Status != "active" || got.Items.Data[0].Price.UnitAmount != 2900 {
		t.Errorf("%+v", got)
	}
}

// The pages that Stripe does not have answer a bank for a person.
func TestPages(t *testing.T) {
	t.Parallel()
	w := open(t)
	customer, _ := w.customer(t, "pm_card_authenticationRequired", "")
	sub := w.subscribe(t, customer, "pro_month")
	id := sub.LatestInvoice.PaymentIntent.ID
	visit := func(method, path, body, origin string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		got := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(got, r)
		return got
	}
	if got := visit(http.MethodGet, stripe.LocalPath, "", ""); !strings.Contains(got.Body.String(), id) {
		t.Errorf("%s", got.Body)
	}
	form := "answer=yes&id=" + id
	for _, step := range []struct {
		origin string
		status int
	}{{"https://evil.example", 403}, {"http://example.com", 303}, {"http://example.com", 404}} {
		if got := visit(http.MethodPost, stripe.LocalPath+"authenticate", form, step.origin); got.Code != step.status {
			t.Errorf("from %s: %d", step.origin, got.Code)
		}
	}
}

// Faults come before the effect or after it.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.server.Misbehave(func(r *http.Request) stripe.Fault {
		if r.Method == http.MethodPost {
			return stripe.Fault{Status: http.StatusServiceUnavailable}
		}
		return stripe.Fault{}
	})
	if _, err := w.Customers.New(&api.CustomerParams{}); code(err) != "api_error" {
		t.Errorf("%v", err)
	}
	for _, c := range w.server.Calls() {
		if c.Path == "/v1/customers" {
			t.Error("it had an effect")
		}
	}
}
