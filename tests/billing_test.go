package tests

import (
	"testing"

	"github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/tests/platform"
)

// pays makes the scene's organization a customer with a card and, as how says,
// with no subscription ("nothing"), one ("pro"), or one that ends ("canceling").
func (s *scene) pays(t testing.TB, how string) {
	t.Helper()
	w := platform.Stripe(t, s.Env)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	customer := s.customer(t)
	s.SQL(t, `update app.subscriptions set busy_until = null, busy_key = null where tenant_id = $1`, s.owner.TenantID)
	it := w.API.Subscriptions.List(&stripe.SubscriptionListParams{Customer: new(customer)})
	for it.Next() {
		_, err := w.API.Subscriptions.Cancel(it.Subscription().ID, nil)
		check(err)
	}
	check(it.Err())
	s.card(t)
	if how == "nothing" {
		var plan string
		s.Scan(t, `select plan from app.organizations where tenant_id = $1`, []any{s.owner.TenantID}, &plan)
		w.Sync(t, s.Env, s.owner)
		s.SQL(t, `update app.organizations set plan = $2 where tenant_id = $1`, s.owner.TenantID, plan) // the limits stay
		return
	}
	backend, key, err := w.Client.Use(t.Context())
	check(err)
	price, err := payment.Price(t.Context(), backend, key, plans.LookupKey("pro", plans.Month))
	check(err)
	params := &stripe.SubscriptionParams{Customer: new(customer), Items: []*stripe.SubscriptionItemsParams{{Price: new(price.ID)}}}
	params.AddMetadata(payment.MetaTenant, s.owner.TenantID.String())
	sub, err := w.API.Subscriptions.New(params)
	check(err)
	if how == "canceling" {
		_, err = w.API.Subscriptions.Update(sub.ID, &stripe.SubscriptionParams{CancelAtPeriodEnd: new(true)})
		check(err)
	}
}

// customer is the organization's at Stripe.
func (s *scene) customer(t testing.TB) (id string) {
	t.Helper()
	s.Scan(t, `select coalesce(max(stripe_customer_id), '') from app.subscriptions where tenant_id = $1`, []any{s.owner.TenantID}, &id)
	if id != "" {
		return id
	}
	params := &stripe.CustomerParams{}
	params.AddMetadata(payment.MetaTenant, s.owner.TenantID.String())
	made, err := platform.Stripe(t, s.Env).API.Customers.New(params)
	if err != nil {
		t.Fatal(err)
	}
	s.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, $2, 'free', 'active')`, s.owner.TenantID, made.ID)
	s.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ($2, $1)`, s.owner.TenantID, made.ID)
	return made.ID
}

// card gives the organization one more, which pays from now on, here and at
// Stripe.
func (s *scene) card(t testing.TB) string {
	t.Helper()
	w, customer := platform.Stripe(t, s.Env), s.customer(t)
	m, err := w.API.PaymentMethods.Attach("pm_card_visa", &stripe.PaymentMethodAttachParams{Customer: new(customer)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.API.Customers.Update(customer, &stripe.CustomerParams{InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(m.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	s.SQL(t, `insert into app.payment_methods (tenant_id, id, brand, last4, exp_month, exp_year, created_at) values ($1, $2, 'visa', '4242', 12, 2030, now())`, s.owner.TenantID, m.ID)
	return m.ID
}
