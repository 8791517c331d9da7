package billing

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/standin/stripe"
	"github.com/coditect/platform/shared/usage"
)

const base = "/api/v1/billing/"

type fixture struct {
	*functest.Env
	stripe  *paytest.World
	handler http.Handler
	owner   functest.Person
	at      func(string)
}

func setup(t *testing.T, opts ...stripe.Option) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t), at: func(string) {}}
	f.stripe = paytest.New(t, f.Env, opts...)
	f.Vars["REQUEST_TIMEOUT"] = "60s"
	f.handler = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, func(point string) { f.at(point) })
	})
	f.owner = f.Tenant(t)
	return f
}

type body map[string]any

func (f *fixture) do(t *testing.T, who functest.Person, method, path string, b any, key ...string) functest.Response {
	t.Helper()
	in := functest.Request{Method: method, Path: base + path, Token: who.Token, Body: b}
	if len(key) > 0 {
		in.Header = map[string]string{"Idempotency-Key": key[0]}
	}
	return f.Do(t, f.handler, in)
}

func (f *fixture) post(t *testing.T, path string, b any, key ...string) functest.Response {
	t.Helper()
	return f.do(t, f.owner, http.MethodPost, path, b, key...)
}

func (f *fixture) get(t *testing.T, path string) functest.Response {
	t.Helper()
	return f.do(t, f.owner, http.MethodGet, path, nil)
}

func pro(card string) body {
	return body{"plan": "pro", "interval": "month", "payment_method_id": card}
}

// sync does what the webhook does in the end.
func (f *fixture) sync(t *testing.T) payment.Row {
	t.Helper()
	return f.stripe.Sync(t, f.Env, f.owner)
}

func (f *fixture) plan(t *testing.T) (plan string) {
	t.Helper()
	f.Scan(t, `select plan from app.organizations where tenant_id = $1`, []any{f.owner.TenantID}, &plan)
	return plan
}

func (f *fixture) customer(t *testing.T) (id string) {
	t.Helper()
	f.Scan(t, `select stripe_customer_id from app.subscriptions where tenant_id = $1`, []any{f.owner.TenantID}, &id)
	return id
}

// charged is how often money moved at Stripe, and how much, and how many
// subscriptions go on.
func (f *fixture) charged(t *testing.T) (payments int, sum int64, live int) {
	t.Helper()
	it := f.stripe.API.Invoices.List(&api.InvoiceListParams{ListParams: api.ListParams{Limit: api.Int64(100)}})
	for it.Next() {
		if i := it.Invoice(); i.AmountPaid > 0 {
			payments++
			sum += i.AmountPaid
		}
	}
	subs := f.stripe.API.Subscriptions.List(&api.SubscriptionListParams{Status: new("all")})
	for subs.Next() {
		if payment.Describe(subs.Subscription()).Live() {
			live++
		}
	}
	if it.Err() != nil || subs.Err() != nil {
		t.Fatal(it.Err(), subs.Err())
	}
	return payments, sum, live
}

func TestPlans(t *testing.T) {
	f := setup(t)
	got := f.Do(t, f.handler, functest.Request{Method: http.MethodGet, Path: base + "plans/"}).Want(t, http.StatusOK)
	if got.String(t, "results.1.id") != "pro" || got.Get(t, "results.1.prices.1.amount") != 29000.0 || got.Get(t, "results.2.limits.members") != nil || got.Get(t, "results.0.limits.members") != 10.0 {
		t.Errorf("%s", got.Body)
	}
}

// From free to a plan: the customer is made when needed, the card is kept, the
// invoice and the activity are there, and the plan's limits hold at once.
func TestSubscribe(t *testing.T) {
	f := setup(t)
	if got := f.get(t, "subscription/").Want(t, http.StatusOK); got.String(t, "plan") != "free" || got.String(t, "status") != "active" || got.Get(t, "current_period_end") != nil {
		t.Errorf("%s", got.Body)
	}
	got := f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	if got.String(t, "plan") != "pro" || got.String(t, "status") != "active" || got.String(t, "interval") != "month" || got.Get(t, "next_invoice_date") == nil {
		t.Errorf("%s", got.Body)
	}
	if read := f.get(t, "subscription/").Want(t, http.StatusOK); read.String(t, "current_period_end") != got.String(t, "current_period_end") || read.Header.Get("ETag") == "" {
		t.Errorf("%s", read.Body)
	}
	if f.plan(t) != "pro" {
		t.Errorf("the organization is on %s", f.plan(t))
	}
	bill := f.get(t, "invoices/").Want(t, http.StatusOK)
	if bill.Get(t, "results.0.amount_paid") != 2900.0 || bill.String(t, "results.0.status") != "paid" || !strings.HasPrefix(bill.String(t, "results.0.hosted_url"), "https://") {
		t.Errorf("%s", bill.Body)
	}
	cards := f.get(t, "payment-methods/").Want(t, http.StatusOK)
	if cards.String(t, "results.0.last4") != "4242" || cards.Get(t, "results.0.is_default") != true {
		t.Errorf("%s", cards.Body)
	}
	f.post(t, "subscribe/", pro("pm_card_visa")).WantCode(t, http.StatusConflict, "already_subscribed")
	if n, sum, live := f.charged(t); n != 1 || sum != 2900 || live != 1 {
		t.Errorf("%d payments of %d, %d subscriptions", n, sum, live)
	}
	var acts, claims int
	f.Scan(t, `select count(*) from app.activity where tenant_id = $1 and model in ('Subscription', 'Organization')`, []any{f.owner.TenantID}, &acts)
	f.Scan(t, `select count(*) from app.stripe_customer_claims where tenant_id = $1 and customer_id = $2`, []any{f.owner.TenantID, f.customer(t)}, &claims)
	if acts != 3 || claims != 1 || len(f.Pending(t, "mail.payment_succeeded")) != 1 || len(f.Pending(t, "access.changed")) != 1 {
		t.Errorf("%d acts, %d claims, %d receipts", acts, claims, len(f.Pending(t, "mail.payment_succeeded")))
	}
}

func TestSubscribeRefuses(t *testing.T) {
	f := setup(t)
	f.post(t, "subscribe/", body{"plan": "pro", "interval": "month"}).Want(t, http.StatusUnprocessableEntity) // with which card?
	for name, tc := range map[string]struct {
		body   body
		status int
		code   string
	}{
		"free":              {body{"plan": "free", "interval": "month"}, 422, "validation_failed"},
		"an unknown plan":   {body{"plan": "gold", "interval": "month"}, 422, "validation_failed"},
		"an unknown time":   {body{"plan": "pro", "interval": "week"}, 422, "validation_failed"},
		"an unknown method": {pro("pm_none"), 422, "validation_failed"},
		"a refused card":    {pro("pm_card_chargeDeclined"), 402, "payment_declined"},
		"without money":     {pro("pm_card_chargeDeclinedInsufficientFunds"), 402, "payment_declined"},
		"a card that fails": {pro("pm_card_chargeCustomerFail"), 402, "payment_declined"},
	} {
		if got := f.post(t, "subscribe/", tc.body); got.Status != tc.status || !strings.Contains(string(got.Body), `"`+tc.code+`"`) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if n, _, live := f.charged(t); n != 0 || live != 0 || f.plan(t) != "free" {
		t.Errorf("%d payments, %d subscriptions, plan %s", n, live, f.plan(t))
	}
	// Afterwards a card that works does.
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	if f.plan(t) != "pro" {
		t.Error("not subscribed")
	}
}

// 3-D Secure: what the person has to do is told, the plan waits for it, and
// follows.
func TestAuthentication(t *testing.T) {
	f := setup(t)
	got := f.post(t, "subscribe/", pro("pm_card_authenticationRequired")).Want(t, http.StatusOK)
	secret := got.String(t, "client_secret")
	if got.String(t, "status") != "requires_action" || f.plan(t) != "free" || f.get(t, "subscription/").String(t, "status") != "incomplete" {
		t.Fatalf("%s", got.Body)
	}
	if !f.stripe.Authenticate(secret, true) {
		t.Fatal("nothing waited")
	}
	if row := f.sync(t); row.Status != "active" || f.plan(t) != "pro" {
		t.Errorf("%+v, plan %s", row, f.plan(t))
	}
	// Somebody who gives up and begins again pays once.
	other := f.Tenant(t)
	f.do(t, other, http.MethodPost, "subscribe/", pro("pm_card_authenticationRequired")).Want(t, http.StatusOK)
	f.do(t, other, http.MethodPost, "subscribe/", body{"plan": "enterprise", "interval": "year", "payment_method_id": "pm_card_visa"}).Want(t, http.StatusCreated)
	if n, sum, live := f.charged(t); n != 2 || sum != 2900+99000 || live != 2 {
		t.Errorf("%d payments of %d, %d subscriptions", n, sum, live)
	}
}

func TestChangePlan(t *testing.T) {
	f := setup(t)
	f.post(t, "upgrade/", body{"new_plan": "enterprise"}).WantCode(t, http.StatusConflict, "not_subscribed")
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	f.post(t, "upgrade/", body{"new_plan": "free"}).Want(t, http.StatusUnprocessableEntity)
	f.post(t, "upgrade/", body{"new_plan": "pro"}).WantCode(t, http.StatusConflict, "already_on_plan")
	up := f.post(t, "upgrade/", body{"new_plan": "enterprise"}).Want(t, http.StatusOK)
	if up.String(t, "plan") != "enterprise" || f.plan(t) != "enterprise" {
		t.Errorf("%s", up.Body)
	}
	if _, sum, _ := f.charged(t); sum < 2900+7000-10 || sum > 2900+7000 {
		t.Errorf("paid %d for an upgrade at the period's beginning", sum)
	}
	// Less waits for the period's end, and can be taken back.
	down := f.post(t, "upgrade/", body{"new_plan": "pro", "interval": "year"}).Want(t, http.StatusOK)
	if down.String(t, "plan") != "enterprise" || down.String(t, "pending_plan") != "pro" || down.String(t, "pending_interval") != "year" || f.plan(t) != "enterprise" {
		t.Errorf("%s", down.Body)
	}
	f.post(t, "upgrade/", body{"new_plan": "pro", "interval": "month"}).Want(t, http.StatusOK)
	if got := f.get(t, "subscription/"); got.String(t, "pending_interval") != "month" {
		t.Errorf("%s", got.Body)
	}
	back := f.post(t, "upgrade/", body{"new_plan": "enterprise"}).Want(t, http.StatusOK)
	if back.Get(t, "pending_plan") != nil {
		t.Errorf("%s", back.Body)
	}
	// An upgrade ends what was to come.
	f.post(t, "upgrade/", body{"new_plan": "pro"}).Want(t, http.StatusOK)
	year := f.post(t, "upgrade/", body{"new_plan": "enterprise", "interval": "year"}).Want(t, http.StatusOK)
	if year.String(t, "interval") != "year" || year.Get(t, "pending_plan") != nil {
		t.Errorf("%s", year.Body)
	}
}

// An upgrade that is not paid changes nothing.
func TestUpgradeUnpaid(t *testing.T) {
	f := setup(t)
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	add := func(card string) {
		t.Helper()
		f.post(t, "payment-method/", body{"payment_method_id": card, "set_default": true}).Want(t, http.StatusCreated)
	}
	add("pm_card_chargeCustomerFail")
	f.post(t, "upgrade/", body{"new_plan": "enterprise"}).WantCode(t, http.StatusPaymentRequired, "payment_declined")
	if f.plan(t) != "pro" || f.get(t, "subscription/").String(t, "plan") != "pro" {
		t.Error("declined, and upgraded")
	}
	asks := f.post(t, "payment-method/", body{"payment_method_id": "pm_card_authenticationRequired", "set_default": true}).Want(t, http.StatusOK)
	if asks.String(t, "status") != "requires_action" || !f.stripe.Authenticate(asks.String(t, "client_secret"), true) {
		t.Fatalf("%s", asks.Body)
	}
	f.sync(t)
	if n := len(f.get(t, "payment-methods/").Get(t, "results").([]any)); n != 3 { //nolint:forcetypeassert // a list
		t.Errorf("%d methods", n)
	}
	if _, err := f.stripe.API.Customers.Update(f.customer(t), &api.CustomerParams{InvoiceSettings: &api.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(asks.String(t, "id"))}}); err != nil {
		t.Fatal(err)
	}
	got := f.post(t, "upgrade/", body{"new_plan": "enterprise"}).Want(t, http.StatusOK)
	if got.String(t, "status") != "requires_action" || f.plan(t) != "pro" || !f.stripe.Authenticate(got.String(t, "client_secret"), true) {
		t.Fatalf("%s", got.Body)
	}
	if f.sync(t); f.plan(t) != "enterprise" {
		t.Error("paid, and not upgraded")
	}
}

func TestCancelAndResume(t *testing.T) {
	f := setup(t)
	for _, path := range []string{"cancel/", "resume/"} {
		f.post(t, path, nil).WantCode(t, http.StatusConflict, "not_subscribed")
	}
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	f.post(t, "resume/", nil).WantCode(t, http.StatusConflict, "not_canceled")
	f.post(t, "upgrade/", body{"new_plan": "pro", "interval": "year"}).Want(t, http.StatusOK)
	f.post(t, "upgrade/", body{"new_plan": "pro", "interval": "month"}).Want(t, http.StatusOK) // waits in a schedule
	for range 2 {
		got := f.post(t, "cancel/", nil).Want(t, http.StatusOK)
		if got.Get(t, "cancel_at_period_end") != true || got.Get(t, "next_invoice_date") != nil || got.Get(t, "pending_plan") != nil || f.plan(t) != "pro" {
			t.Errorf("%s", got.Body)
		}
	}
	if n := len(f.Pending(t, "mail.subscription_canceled")); n != 1 {
		t.Errorf("%d mails", n)
	}
	if got := f.post(t, "resume/", nil).Want(t, http.StatusOK); got.Get(t, "cancel_at_period_end") != false {
		t.Errorf("%s", got.Body)
	}
	// One that waits for its first payment ends at once.
	other := f.Tenant(t)
	f.do(t, other, http.MethodPost, "subscribe/", pro("pm_card_authenticationRequired")).Want(t, http.StatusOK)
	if got := f.do(t, other, http.MethodPost, "cancel/", nil).Want(t, http.StatusOK); got.String(t, "status") != "canceled" {
		t.Errorf("%s", got.Body)
	}
}

func TestPaymentMethods(t *testing.T) {
	f := setup(t)
	first := f.post(t, "payment-method/", body{"payment_method_id": "pm_card_visa"}).Want(t, http.StatusCreated)
	second := f.post(t, "payment-method/", body{"payment_method_id": "pm_card_mastercard"}).Want(t, http.StatusCreated)
	if first.Get(t, "is_default") != true || second.Get(t, "is_default") != false {
		t.Errorf("%s, %s", first.Body, second.Body)
	}
	f.post(t, "payment-method/", body{"payment_method_id": "pm_none"}).Want(t, http.StatusUnprocessableEntity)
	f.post(t, "payment-method/", body{"payment_method_id": "pm_card_chargeDeclined"}).WantCode(t, http.StatusPaymentRequired, "payment_declined")
	f.post(t, "subscribe/", body{"plan": "pro", "interval": "year"}).Want(t, http.StatusCreated)
	remove := func(id string) functest.Response {
		return f.do(t, f.owner, http.MethodDelete, "payment-method/"+id+"/", nil)
	}
	// A stranger's, and one that never was, are the same.
	other := f.Tenant(t)
	f.do(t, other, http.MethodDelete, "payment-method/"+first.String(t, "id")+"/", nil).Want(t, http.StatusNotFound)
	remove("pm_none").Want(t, http.StatusNotFound)
	remove(first.String(t, "id")).Want(t, http.StatusNoContent)
	if left := f.get(t, "payment-methods/"); left.String(t, "results.0.id") != second.String(t, "id") || left.Get(t, "results.0.is_default") != true {
		t.Errorf("%s", left.Body)
	}
	remove(second.String(t, "id")).WantCode(t, http.StatusConflict, "last_payment_method")
	f.post(t, "cancel/", nil).Want(t, http.StatusOK)
	remove(second.String(t, "id")).Want(t, http.StatusNoContent)
}

// Requests that were counted and not yet moved are in the usage, and the days
// add up.
func TestUsage(t *testing.T) {
	f := setup(t)
	now := time.Now().UTC()
	today := now.Format(time.DateOnly)
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, 'api_requests', $3, 40), ($1, $4, 'storage_bytes', $3, 1073741824)`,
		f.owner.TenantID, ids.New(), today, ids.New())
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, 'api_requests', $3::date - 40, 1000)`, f.owner.TenantID, ids.New(), today)
	batch := &usage.Batch{Process: "p", Number: 1, Day: usage.DayOf(now), Counts: []usage.Count{{Tenant: f.owner.TenantID, N: 2}}}
	if err := batch.Send(t.Context(), f.redis(t)); err != nil {
		t.Fatal(err)
	}
	got := f.get(t, "usage/").Want(t, http.StatusOK)
	days, _ := got.Get(t, "daily").([]any)
	if got.Get(t, "metrics.0.quantity") != 42.0 || got.Get(t, "metrics.0.limit") != 100000.0 || len(days) != now.Day() || got.Get(t, fmt.Sprintf("daily.%d.api_requests", now.Day()-1)) != 42.0 {
		t.Errorf("%s", got.Body)
	}
	// The counter is moved, whole, in part, and once more than Redis knows: what is
	// in both counts once, and what a fail-over took away stays.
	counters, err := usage.Read(t.Context(), f.redis(t), f.owner.TenantID, []usage.Day{usage.DayOf(now)})
	if err != nil {
		t.Fatal(err)
	}
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, 'api_requests', $3, 0)`, f.owner.TenantID, counters[0].Epoch, today)
	for moved, want := range map[int]float64{1: 42, 2: 42, 5: 45} {
		f.SQL(t, `update app.usage_records set quantity = $2 where id = $1`, counters[0].Epoch, moved)
		if got := f.get(t, "usage/").Want(t, http.StatusOK); got.Get(t, "metrics.0.quantity") != want {
			t.Errorf("%d moved: %s", moved, got.Body)
		}
	}
	f.SQL(t, `update app.usage_records set quantity = 1 where id = $1`, counters[0].Epoch)
	f.Redis.SetError("LOADING")
	if got := f.get(t, "usage/").Want(t, http.StatusOK); got.Get(t, "metrics.0.quantity") != 41.0 {
		t.Errorf("without Redis: %s", got.Body)
	}
}

func (f *fixture) redis(t *testing.T) *cache.Client {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret(f.Vars["REDIS_URL"]), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestReport(t *testing.T) {
	t.Parallel()
	limit := int64(200)
	u := report(time.Date(2028, 2, 1, 0, 0, 0, 0, time.UTC), plans.Limits{APIRequestsPerMonth: &limit}, []int64{10, 20, 0}, []int64{1 << 30, 1 << 29, -(1 << 30)}, 1<<29)
	if u.PeriodEnd.Month() != time.March || u.Metrics[0].Quantity != 30 || *u.Metrics[0].PercentUsed != 15 || u.Metrics[1].Limit != nil ||
		u.Daily[0].StorageGB != 1 || u.Daily[1].StorageGB != 1.5 || u.Daily[2].StorageGB != 0.5 || u.Daily[2].Date != "2028-02-03" {
		t.Errorf("%+v", u)
	}
}

// Stripe down: what reads goes on, what changes says when to come back, and a
// repeat under the same key does it once.
func TestStripeDown(t *testing.T) {
	f := setup(t)
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	f.stripe.Misbehave(func(*http.Request) stripe.Fault { return stripe.Fault{Status: http.StatusServiceUnavailable} })
	for _, path := range []string{"subscription/", "plans/", "payment-methods/", "invoices/", "usage/"} {
		f.get(t, path).Want(t, http.StatusOK)
	}
	for path, b := range map[string]body{"subscribe/": pro("pm_card_visa"), "upgrade/": {"new_plan": "enterprise"}, "payment-method/": {"payment_method_id": "pm_card_visa"}} {
		got := f.post(t, path, b).WantCode(t, http.StatusServiceUnavailable, "billing_unavailable")
		if got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	f.stripe.Misbehave(nil)
	f.post(t, "upgrade/", body{"new_plan": "enterprise"}).Want(t, http.StatusOK)
}

// The answer to the call that takes the money is lost: nobody pays twice, and
// the subscription is found.
func TestLostAnswer(t *testing.T) {
	f := setup(t)
	var lost atomic.Bool
	f.stripe.Misbehave(func(r *http.Request) stripe.Fault {
		return stripe.Fault{Lost: r.Method == http.MethodPost && r.URL.Path == "/v1/subscriptions" && !lost.Load()}
	})
	f.post(t, "subscribe/", pro("pm_card_visa"), "k").WantCode(t, http.StatusServiceUnavailable, "billing_unavailable")
	lost.Store(true)
	// Until it is sure what became of it, nobody else changes anything.
	f.post(t, "subscribe/", body{"plan": "enterprise", "interval": "month"}).WantCode(t, http.StatusConflict, "billing_busy")
	f.SQL(t, `update app.subscriptions set busy_until = now() - interval '1 second'`)
	first := f.post(t, "subscribe/", pro("pm_card_visa"), "k").Want(t, http.StatusCreated)
	again := f.post(t, "subscribe/", pro("pm_card_visa"), "k").Want(t, http.StatusCreated)
	if string(first.Body) != string(again.Body) || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%s, %s", first.Body, again.Body)
	}
	f.post(t, "subscribe/", pro("pm_card_mastercard"), "k").WantCode(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
	if n, sum, live := f.charged(t); n != 1 || sum != 2900 || live != 1 {
		t.Errorf("%d payments of %d, %d subscriptions", n, sum, live)
	}
}

// A refusal that is final is repeated too, and costs no second try.
func TestRefusalIsKept(t *testing.T) {
	f := setup(t)
	f.post(t, "subscribe/", pro("pm_card_chargeDeclined"), "k").WantCode(t, http.StatusPaymentRequired, "payment_declined")
	before := len(f.stripe.Calls())
	if got := f.post(t, "subscribe/", pro("pm_card_chargeDeclined"), "k").WantCode(t, http.StatusPaymentRequired, "payment_declined"); got.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%v", got.Header)
	}
	if len(f.stripe.Calls()) != before {
		t.Error("Stripe was asked again")
	}
}

// T24, T25: of many who change the subscription at once each is done whole or
// refused; nobody pays twice.
func TestTrapT24Concurrent(t *testing.T) {
	f := setup(t)
	var all sync.WaitGroup
	var created atomic.Int32
	for i := range 8 {
		all.Go(func() {
			plan := []string{"pro", "enterprise"}[i%2]
			for {
				got := f.post(t, "subscribe/", body{"plan": plan, "interval": "month", "payment_method_id": "pm_card_visa"})
				if i%4 == 0 {
					f.post(t, "cancel/", nil)
				}
				var problem struct{ Code string }
				got.Into(t, &problem)
				switch code := problem.Code; {
				case got.Status == http.StatusCreated:
					created.Add(1)
					return
				case code == "already_subscribed":
					return
				case code != "billing_busy" && code != "billing_unavailable":
					t.Errorf("%d %s", got.Status, got.Body)
					return
				}
			}
		})
	}
	all.Wait()
	row := f.sync(t)
	if n, _, live := f.charged(t); n != 1 || live != 1 || created.Load() != 1 || row.Plan != f.plan(t) {
		t.Errorf("%d payments, %d subscriptions, %d created", n, live, created.Load())
	}
	var customers int
	seen := f.stripe.API.Customers.List(&api.CustomerListParams{})
	for seen.Next() {
		customers++
	}
	if customers != 1 {
		t.Errorf("%d customers", customers)
	}
}

// What is owed locks nobody out before the time of grace is over, and a card
// that works mends it at once.
func TestGrace(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	f := setup(t, stripe.WithClock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now }))
	later := func(d time.Duration) {
		mu.Lock()
		now = now.Add(d)
		mu.Unlock()
		f.stripe.Tick()
		f.sync(t)
	}
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	f.post(t, "payment-method/", body{"payment_method_id": "pm_card_chargeCustomerFail", "set_default": true}).Want(t, http.StatusCreated)
	later(31*24*time.Hour + 2*time.Hour)
	got := f.get(t, "subscription/")
	if got.String(t, "status") != "past_due" || got.Get(t, "grace_ends_at") == nil || f.plan(t) != "pro" {
		t.Fatalf("%s, plan %s", got.Body, f.plan(t))
	}
	if len(f.Pending(t, "mail.payment_failed")) != 1 {
		t.Error("nobody was told")
	}
	f.post(t, "upgrade/", body{"new_plan": "enterprise"}).WantCode(t, http.StatusConflict, "payment_due")
	f.SQL(t, `update app.subscriptions set past_due_since = now() - interval '13 days'`)
	if f.sync(t); f.plan(t) != "pro" {
		t.Error("locked out on the thirteenth day")
	}
	f.SQL(t, `update app.subscriptions set past_due_since = now() - interval '15 days'`)
	if f.sync(t); f.plan(t) != "free" {
		t.Error("the grace has no end")
	}
	f.post(t, "payment-method/", body{"payment_method_id": "pm_card_mastercard", "set_default": true}).Want(t, http.StatusCreated)
	if f.plan(t) != "pro" || f.get(t, "subscription/").String(t, "status") != "active" {
		t.Errorf("paid, and %s on %s", f.get(t, "subscription/").String(t, "status"), f.plan(t))
	}
}

// A plan that was agreed on outside of Stripe stays until Stripe has one.
func TestContract(t *testing.T) {
	f := setup(t)
	f.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, f.owner.TenantID)
	f.post(t, "payment-method/", body{"payment_method_id": "pm_card_visa"}).Want(t, http.StatusCreated)
	if f.sync(t); f.plan(t) != "enterprise" || f.get(t, "subscription/").String(t, "plan") != "enterprise" {
		t.Errorf("on %s", f.plan(t))
	}
}

// T10: customers that name another tenant are nobody's.
func TestForeignCustomer(t *testing.T) {
	f := setup(t)
	f.post(t, "payment-method/", body{"payment_method_id": "pm_card_visa"}).Want(t, http.StatusCreated)
	if _, err := f.stripe.API.Customers.Update(f.customer(t), &api.CustomerParams{Metadata: map[string]string{payment.MetaTenant: ids.New().String()}}); err != nil {
		t.Fatal(err)
	}
	f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusInternalServerError)
	if n, _, _ := f.charged(t); n != 0 {
		t.Error("charged")
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
