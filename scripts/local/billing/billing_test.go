package billing

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/queue"
)

type fixture struct {
	*functest.Env
	stripe *paytest.World
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, paytest.New(t, e)}
}

// organization is one that is subscribed to pro at Stripe and, so far, nowhere
// else.
func (f *fixture) organization(t *testing.T) (who functest.Person, subdomain, customer string) {
	t.Helper()
	who = f.Tenant(t)
	f.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{who.TenantID}, &subdomain)
	params := &api.CustomerParams{}
	params.AddMetadata(payment.MetaTenant, who.TenantID.String())
	made, err := f.stripe.API.Customers.New(params)
	if err != nil {
		t.Fatal(err)
	}
	f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, $2, 'free', 'active')`, who.TenantID, made.ID)
	f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ($1, $2)`, made.ID, who.TenantID)
	m, err := f.stripe.API.PaymentMethods.Attach("pm_card_visa", &api.PaymentMethodAttachParams{Customer: new(made.ID)})
	if err != nil {
		t.Fatal(err)
	}
	backend, key, err := f.stripe.Client.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	price, err := payment.Price(t.Context(), backend, key, plans.LookupKey("pro", plans.Month))
	if err != nil || price == nil {
		t.Fatal(err)
	}
	sub := &api.SubscriptionParams{Customer: new(made.ID), DefaultPaymentMethod: new(m.ID), Items: []*api.SubscriptionItemsParams{{Price: new(price.ID)}}}
	sub.AddMetadata(payment.MetaTenant, who.TenantID.String())
	if _, err := f.stripe.API.Subscriptions.New(sub); err != nil {
		t.Fatal(err)
	}
	return who, subdomain, made.ID
}

// do carries a command out and gives what it said.
func (f *fixture) do(t *testing.T, words ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := Do(t.Context(), Options{URL: f.Database.SystemURL, Stripe: f.stripe.Client, Out: &out}, words)
	return out.String(), err
}

// said fails unless the command succeeds and says each of these.
func (f *fixture) said(t *testing.T, command string, want ...string) string {
	t.Helper()
	got, err := f.do(t, strings.Fields(command)...)
	for _, w := range want {
		if err != nil || !strings.Contains(got, w) {
			t.Fatalf("%s: %v, lacks %q:\n%s", command, err, w, got)
		}
	}
	return got
}

func (f *fixture) event(t *testing.T, id, customer, status string) {
	t.Helper()
	f.SQL(t, `insert into app.stripe_events (event_id, type, customer_id, status, payload, created_at, last_error, attempts, received_at)
		values ($1, 'invoice.payment_succeeded', $2, $3, '{}', now(), 'it broke', 12, now() - interval '3 days')`, id, customer, status)
}

// What differs is told, and what is the same is told to be; nothing is changed.
func TestShow(t *testing.T) {
	f := setup(t)
	who, org, customer := f.organization(t)
	f.event(t, "evt_1", customer, "failed")
	f.said(t, "show "+org, "on the plan free", customer, "Stripe differs:", "subscription: none here, sub_", "plan: free here, pro there", "is on free, and by its subscription would be on pro", "evt_1", "it broke")
	f.stripe.Sync(t, f.Env, who)
	f.said(t, "show "+org, "on the plan pro", "Stripe has the same.", "29.00 usd", "paid")
	f.said(t, "show "+customer, "on the plan pro")

	f.SQL(t, `update app.subscriptions set past_due_since = now(), pending_plan = 'free', pending_interval = 'month', cancel_at_period_end = true, busy_until = now() + interval '1 minute' where tenant_id = $1`, who.TenantID)
	f.SQL(t, `delete from app.stripe_customer_claims where tenant_id = $1`, who.TenantID)
	f.Enqueue(t, who.TenantID, ids.Nil, queue.BillingSync.Message("k", queue.None{}))
	f.said(t, "show "+org, "owes since", "grace ends "+time.Now().UTC().Add(plans.Grace).Format(time.DateOnly), "then", "free (month)", "and the subscription with it", "busy until", "do not find this organization",
		"ends with the period: true here, false there", "billing.sync", "waiting")
	// Two that go on, and objects that name somebody else.
	if _, err := f.stripe.API.Customers.Update(customer, &api.CustomerParams{Metadata: map[string]string{payment.MetaTenant: ids.New().String()}}); err != nil {
		t.Fatal(err)
	}
	f.said(t, "show "+org, "organization: "+who.TenantID.String()+" here,")
	f.SQL(t, `update app.subscriptions set stripe_customer_id = 'cus_of_another_account' where tenant_id = $1`, who.TenantID)
	f.said(t, "show "+org, "Stripe does not know cus_of_another_account")

	// Nobody's customers.
	f.said(t, "show "+customer, "nobody's customer here", "At Stripe it names the organization ", "evt_1")
	f.said(t, "show cus_none", "nobody's customer here", "Stripe does not know it either")
	byHand, err := f.stripe.API.Customers.New(&api.CustomerParams{})
	if err != nil {
		t.Fatal(err)
	}
	f.said(t, "show "+byHand.ID, "names no organization")

	free := f.Tenant(t)
	var subdomain string
	f.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{free.TenantID}, &subdomain)
	f.said(t, "show "+subdomain, "never needed Stripe")
	if got, err := f.do(t, "sync", subdomain); err == nil || got != "" {
		t.Errorf("looked at nobody: %q, %v", got, err)
	}
	var out bytes.Buffer
	if err := Do(t.Context(), Options{URL: f.Database.SystemURL, Out: &out}, []string{"show", org}); err != nil || !strings.Contains(out.String(), "Stripe was not asked") {
		t.Errorf("without a key: %v, %s", err, &out)
	}
}

// A look is a message, and so is an event that is replayed; one that was given
// up is revived, and one whose customer is nobody's waits.
func TestSyncAndReplay(t *testing.T) {
	f := setup(t)
	who, org, customer := f.organization(t)
	f.said(t, "sync "+org, customer+" will be looked at")
	if left := f.Pending(t, "billing.sync"); len(left) != 1 || left[0].TenantID != who.TenantID || left[0].Key != customer {
		t.Errorf("%+v", left)
	}
	for _, status := range []string{"failed", "processed", "received"} {
		f.event(t, "evt_"+status, customer, status)
		f.said(t, "replay evt_"+status, "is due again")
		left := f.Pending(t, "billing.event")
		if last := left[len(left)-1]; last.Key != customer || !strings.Contains(string(last.Payload), "evt_"+status) {
			t.Errorf("%s: %+v", status, last)
		}
	}
	var n int
	f.Scan(t, `select count(*) from app.stripe_events where status = 'received' and last_error is null and received_at > now() - interval '1 minute'`, nil, &n)
	if n != 3 {
		t.Errorf("%d events are as when they came", n)
	}
	// The dead letter of an event is its message, which comes again.
	f.SQL(t, `update app.outbox set dead_at = now(), attempts = 12, created_at = now() - interval '4 days' where payload ->> 'event_id' = 'evt_failed'`)
	f.said(t, "show "+org, "billing.event", "dead")
	f.said(t, "replay evt_failed", "is due again")
	f.Scan(t, `select count(*) from app.outbox where kind = 'billing.event' and dead_at is null and attempts = 0`, nil, &n)
	if n != 3 {
		t.Errorf("%d messages", n)
	}
	f.event(t, "evt_stranger", "cus_none", "failed")
	f.said(t, "replay evt_stranger", "waits: cus_none is nobody's customer")
	f.event(t, "evt_ignored", customer, "ignored")
	for _, id := range []string{"evt_ignored", "evt_none"} {
		if got, err := f.do(t, "replay", id); err == nil || got != "" {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
	if got := len(f.Pending(t, "billing.event")); got != 3 {
		t.Errorf("%d messages", got)
	}
}

func TestUsage(t *testing.T) {
	f := setup(t)
	for _, words := range [][]string{nil, {"show"}, {"show", ""}, {"close", "acme"}, {"sync", "acme", "now"}} {
		if _, err := f.do(t, words...); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v", words, err)
		}
	}
	for _, words := range [][]string{{"show", "nobody"}, {"sync", "nobody"}} {
		if _, err := f.do(t, words...); err == nil || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("%v: %v", words, err)
		}
	}
	for _, url := range []string{"::", "postgres://u:secret@127.0.0.1:1/x?sslmode=disable"} {
		if err := Do(t.Context(), Options{URL: url}, []string{"show", "acme"}); err == nil || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
