package billing

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/serve"
)

// The tests of this file need nothing but Stripe's API. They run on the stand-in
// like all others and, by `make test-stripe`, on an account in test mode: what
// holds here holds there.

type account struct {
	fixture
	*paytest.Account
}

func connect(t *testing.T) *account {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	a := &account{fixture{Env: e}, paytest.Connect(t, e)}
	e.Vars["REQUEST_TIMEOUT"] = "60s"
	a.handler = e.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, func(string) {})
	})
	a.owner = e.Tenant(t)
	return a
}

// follow does what the webhook does in the end.
func (a *account) follow(t *testing.T) payment.Row {
	t.Helper()
	return a.Account.Sync(t, a.Env, a.owner)
}

// paid is what the customer paid at Stripe, in all.
func (a *account) paid(t *testing.T) (sum int64) {
	t.Helper()
	it := a.API.Invoices.List(&api.InvoiceListParams{Customer: new(a.customer(t))})
	for it.Next() {
		sum += it.Invoice().AmountPaid
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return sum
}

// A customer's life: subscribed, more at once, less with the period's end,
// canceled, resumed, canceled.
func TestAccountLife(t *testing.T) {
	a := connect(t)
	got := a.post(t, "subscribe/", pro("pm_card_visa"), "life").Want(t, http.StatusCreated)
	if again := a.post(t, "subscribe/", pro("pm_card_visa"), "life").Want(t, http.StatusCreated); string(again.Body) != string(got.Body) {
		t.Errorf("%s, again %s", got.Body, again.Body)
	}
	a.post(t, "subscribe/", pro("pm_card_visa")).WantCode(t, http.StatusConflict, "already_subscribed")
	if a.plan(t) != "pro" || a.paid(t) != 2900 {
		t.Errorf("on %s, paid %d", a.plan(t), a.paid(t))
	}
	a.post(t, "upgrade/", body{"new_plan": "enterprise"}).Want(t, http.StatusOK)
	if sum := a.paid(t); a.plan(t) != "enterprise" || sum < 9900-50 || sum > 9900 { // of a month that has just begun
		t.Errorf("on %s, paid %d", a.plan(t), sum)
	}
	less := a.post(t, "upgrade/", body{"new_plan": "pro"}).Want(t, http.StatusOK)
	if less.String(t, "plan") != "enterprise" || less.String(t, "pending_plan") != "pro" {
		t.Errorf("%s", less.Body)
	}
	if back := a.post(t, "upgrade/", body{"new_plan": "enterprise"}).Want(t, http.StatusOK); back.Get(t, "pending_plan") != nil {
		t.Errorf("%s", back.Body)
	}
	if ends := a.post(t, "cancel/", nil).Want(t, http.StatusOK); ends.Get(t, "cancel_at_period_end") != true || a.plan(t) != "enterprise" {
		t.Errorf("%s", ends.Body)
	}
	if goesOn := a.post(t, "resume/", nil).Want(t, http.StatusOK); goesOn.Get(t, "cancel_at_period_end") != false {
		t.Errorf("%s", goesOn.Body)
	}
	if before := a.get(t, "subscription/"); before.String(t, "current_period_end") != a.follow(t).PeriodEnd.Format(time.RFC3339) {
		t.Errorf("%s", before.Body)
	}
	if bills := a.get(t, "invoices/").Want(t, http.StatusOK); len(bills.Get(t, "results").([]any)) != 2 || !strings.HasPrefix(bills.String(t, "results.0.hosted_url"), "https://") { //nolint:forcetypeassert // a list
		t.Errorf("%s", bills.Body)
	}
}

// Cards that Stripe documents as refused are, and cost nothing.
func TestAccountRefusals(t *testing.T) {
	a := connect(t)
	for _, card := range []string{"pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedExpiredCard", "pm_card_chargeCustomerFail"} {
		if got := a.post(t, "subscribe/", pro(card)); got.Status != http.StatusPaymentRequired || !strings.Contains(string(got.Body), `"payment_declined"`) {
			t.Errorf("%s: %d %s", card, got.Status, got.Body)
		}
	}
	if a.post(t, "subscribe/", pro("pm_none")).Want(t, http.StatusUnprocessableEntity); a.plan(t) != plans.Free || a.paid(t) != 0 {
		t.Errorf("on %s, paid %d", a.plan(t), a.paid(t))
	}
}

// 3-D Secure: the bank's question waits with its secret; here its person takes
// another card instead of answering, as no program can answer for them at
// Stripe. The plan follows what was paid.
func TestAccountAuthentication(t *testing.T) {
	a := connect(t)
	got := a.post(t, "subscribe/", pro("pm_card_authenticationRequired")).Want(t, http.StatusOK)
	intent, _, found := strings.Cut(got.String(t, "client_secret"), "_secret_")
	if got.String(t, "status") != "requires_action" || !found || a.plan(t) != plans.Free || a.follow(t).Status != payment.StatusIncomplete {
		t.Fatalf("%s, on %s", got.Body, a.plan(t))
	}
	if _, err := a.API.PaymentIntents.Confirm(intent, &api.PaymentIntentConfirmParams{PaymentMethod: new("pm_card_visa")}); err != nil {
		t.Fatal(err)
	}
	if row := a.follow(t); row.Status != payment.StatusActive || a.plan(t) != "pro" || a.paid(t) != 2900 {
		t.Errorf("%+v, on %s, paid %d", row, a.plan(t), a.paid(t))
	}
}

// Three months by a test clock, from the last day of one: every period ends when
// it ends at Stripe, and is paid for once.
func TestAccountMonths(t *testing.T) {
	a := connect(t)
	at := time.Date(time.Now().Year()+1, time.January, 31, 12, 0, 0, 0, time.UTC)
	clock, err := a.API.TestHelpersTestClocks.New(&api.TestHelpersTestClockParams{FrozenTime: new(at.Unix())})
	if err != nil {
		t.Fatal(err)
	}
	params := &api.CustomerParams{TestClock: new(clock.ID)}
	params.AddMetadata(payment.MetaTenant, a.owner.TenantID.String())
	made, err := a.API.Customers.New(params)
	if err != nil {
		t.Fatal(err)
	}
	a.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, $2, 'free', 'active')`, a.owner.TenantID, made.ID)
	a.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
	for month := 1; month <= 3; month++ {
		due := time.Date(at.Year(), time.January+time.Month(month)+1, 0, 12, 0, 0, 0, time.UTC) // the month's last day
		a.Advance(t, clock.ID, due.Add(3*time.Hour))
		row := a.follow(t)
		if next := time.Date(at.Year(), time.January+time.Month(month)+2, 0, 12, 0, 0, 0, time.UTC); !row.PeriodEnd.Equal(next) || a.plan(t) != "pro" {
			t.Errorf("month %d ends %s, want %s, on %s", month, row.PeriodEnd, next, a.plan(t))
		}
		var here int64
		a.Scan(t, `select coalesce(sum(amount_paid), 0)::bigint from app.invoices where tenant_id = $1`, []any{a.owner.TenantID}, &here)
		if there := a.paid(t); here != there || here != 2900*int64(month+1) {
			t.Errorf("month %d: %d here, %d there", month, here, there)
		}
	}
}
