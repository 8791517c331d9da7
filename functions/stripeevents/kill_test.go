package stripeevents

import (
	"net/http"
	"testing"

	api "github.com/stripe/stripe-go/v76"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/queue"
)

func TestMain(m *testing.M) { functest.Main(m, open) }

// effects are all that is left of what happened to a customer.
type effects struct {
	standing
	Event                       string // the event's status
	Bills, Paid                 int64
	Acts                        int
	Receipts, Goodbyes, Changed int // messages
	Live                        int // at Stripe
}

func (f *fixture) effects(t *testing.T, who tenant, event string) (e effects) {
	t.Helper()
	e.standing = f.standing(t, who)
	e.End = 0 // another second for each
	if event != "" {
		e.Event = f.eventStatus(t, event)
	}
	f.Scan(t, `select count(*), coalesce(sum(amount_paid), 0) from app.invoices where tenant_id = $1 and status = 'paid'`, []any{who.TenantID}, &e.Bills, &e.Paid)
	f.Scan(t, `select count(*) from app.activity where tenant_id = $1`, []any{who.TenantID}, &e.Acts)
	f.Scan(t, `select count(*) filter (where kind = 'mail.payment_succeeded'), count(*) filter (where kind = 'mail.subscription_canceled'), count(*) filter (where kind = 'access.changed')
		from app.outbox where tenant_id = $1`, []any{who.TenantID}, &e.Receipts, &e.Goodbyes, &e.Changed)
	subs := f.stripe.API.Subscriptions.List(&api.SubscriptionListParams{Customer: new(who.customer), Status: new("all")})
	for subs.Next() {
		if payment.Describe(subs.Subscription()).Live() {
			e.Live++
		}
	}
	if err := subs.Err(); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestKilled kills the function (SIGKILL) at every labelled point. Whether the
// same message comes again, or another one that the schedule left comes before
// it, what is left is what is left of a customer to whom nothing happened:
// nothing is lost and nothing is there twice.
func TestKilled(t *testing.T) {
	f := setup(t)
	price := f.price(t, "pro", plans.Month)
	for _, tc := range []struct {
		kind   string
		points []string
	}{
		{"billing.event", []string{"before fetch", "fetched", "applied"}},
		{"billing.sync", []string{"before fetch", "fetched"}},
		{"billing.close", []string{"closed", "before fetch", "fetched"}},
	} {
		// begin makes a customer of whom a message tells.
		begin := func(t *testing.T) (who tenant, event string, message func() queue.Envelope) {
			t.Helper()
			who = f.tenant(t, "")
			f.subscribe(t, who, price)
			send := func(m outbox.Message) queue.Envelope { return f.Enqueue(t, who.TenantID, ids.Nil, m) }
			switch tc.kind {
			case "billing.event":
				held := f.stripe.Held()
				last := held[len(held)-1]
				event = last.ID
				return who, event, func() queue.Envelope { return f.store(t, who, last) }
			case "billing.close":
				f.deliver(t, send(queue.BillingSync.Message(who.customer, queue.None{}))).Want(t, http.StatusOK)
				f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, who.TenantID)
				return who, "", func() queue.Envelope { return send(queue.BillingClose.Message(who.customer, queue.None{})) }
			}
			return who, "", func() queue.Envelope { return send(queue.BillingSync.Message(who.customer, queue.None{})) }
		}
		control, event, message := begin(t)
		f.deliver(t, message()).Want(t, http.StatusOK)
		want := f.effects(t, control, event)
		if want.Bills != 1 || want.Paid != 2900 || want.Receipts != 1 || want.Acts < 2 {
			t.Fatalf("%s: even undisturbed %+v", tc.kind, want)
		}
		for _, point := range tc.points {
			for _, again := range []string{"the same message", "another message first"} {
				t.Run(tc.kind+", "+point+", "+again, func(t *testing.T) {
					who, event, message := begin(t)
					m := message()
					child := f.Spawn(t, point)
					if got := f.Deliver(t, child.Handler, "stripeevents", m, 1); got.Status != http.StatusBadGateway {
						t.Fatalf("it lives: %d %s", got.Status, got.Body)
					}
					child.WantKilled(t)
					if again != "the same message" {
						f.deliver(t, message()).Want(t, http.StatusOK)
					}
					f.Deliver(t, f.handler, "stripeevents", m, 2).Want(t, http.StatusOK)
					if got := f.effects(t, who, event); got != want {
						t.Errorf("left %+v\nwant %+v", got, want)
					}
					var left int
					f.Scan(t, `select count(*) from app.outbox where tenant_id = $1 and kind like 'billing.%' and done_at is null`, []any{who.TenantID}, &left)
					if left != 0 {
						t.Errorf("%d messages are not done", left)
					}
				})
			}
		}
	}
}
