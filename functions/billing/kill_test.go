package billing

import (
	"net/http"
	"testing"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/payment"
)

func TestMain(m *testing.M) { functest.Main(m, open) }

// of is what a customer was charged, and how many of their subscriptions go on.
func (f *fixture) of(t *testing.T, customer string) (payments int, sum int64, live int) {
	t.Helper()
	bills := f.stripe.API.Invoices.List(&api.InvoiceListParams{Customer: new(customer)})
	for bills.Next() {
		if i := bills.Invoice(); i.AmountPaid > 0 {
			payments++
			sum += i.AmountPaid
		}
	}
	subs := f.stripe.API.Subscriptions.List(&api.SubscriptionListParams{Customer: new(customer), Status: new("all")})
	for subs.Next() {
		if payment.Describe(subs.Subscription()).Live() {
			live++
		}
	}
	if bills.Err() != nil || subs.Err() != nil {
		t.Fatal(bills.Err(), subs.Err())
	}
	return payments, sum, live
}

// TestKilled kills the function (SIGKILL) at every labelled point around its
// calls to Stripe. Whoever asks again, under the same key or another, ends with
// one subscription that was paid once.
func TestKilled(t *testing.T) {
	f := setup(t)
	for _, tc := range []struct {
		path   string
		body   body
		points []string
		paid   int64
		plan   string
	}{
		{"subscribe/", pro("pm_card_visa"), []string{"customer made", "customer claimed", "taken", "attached", "before subscribe", "subscribed", "acted", "written"}, 2900, "pro"},
		{"upgrade/", body{"new_plan": "pro", "interval": "year"}, []string{"taken", "before upgrade", "upgraded", "acted", "written"}, 29000, "pro"},
		{"cancel/", nil, []string{"before cancel", "canceled", "acted", "written"}, 2900, "pro"},
	} {
		for _, point := range tc.points {
			for _, key := range []string{"the same", "another"} {
				t.Run(tc.path+" "+point+", "+key+" key", func(t *testing.T) {
					f := *f // each has its own owner
					f.owner = f.Tenant(t)
					if tc.path != "subscribe/" {
						f.post(t, "subscribe/", pro("pm_card_visa")).Want(t, http.StatusCreated)
					}
					child := f.Spawn(t, point)
					in := functest.Request{Method: http.MethodPost, Path: base + tc.path, Token: f.owner.Token, Body: tc.body, Header: map[string]string{"Idempotency-Key": "the same"}}
					if tc.body == nil {
						in.Body = nil
					}
					if got := f.Do(t, child.Handler, in); got.Status != http.StatusBadGateway {
						t.Fatalf("it lives: %d %s", got.Status, got.Body)
					}
					child.WantKilled(t)
					f.SQL(t, `update app.subscriptions set busy_until = now() - interval '1 second' where tenant_id = $1`, f.owner.TenantID)
					in.Header["Idempotency-Key"] = key
					got := f.Do(t, f.handler, in)
					if got.Status/100 != 2 && got.Status != http.StatusConflict {
						t.Fatalf("again: %d %s", got.Status, got.Body)
					}
					_, sum, live := f.of(t, f.customer(t))
					if live != 1 || sum < tc.paid-10 || sum > tc.paid+10 || f.plan(t) != tc.plan {
						t.Errorf("paid %d, want %d; %d subscriptions, plan %s", sum, tc.paid, live, f.plan(t))
					}
					here := f.do(t, f.owner, http.MethodGet, "subscription/", nil)
					if here.String(t, "status") != "active" || here.Get(t, "cancel_at_period_end") != (tc.path == "cancel/") {
						t.Errorf("%s", here.Body)
					}
				})
			}
		}
	}
}
