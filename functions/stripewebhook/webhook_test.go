package stripewebhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/standin/stripe"
)

const secret, older = "whsec_0123456789abcdef", "whsec_fedcba9876543210"

type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
	now     time.Time
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return begin(t)
}

func begin(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{Env: functest.New(t), now: time.Now()}
	f.Vars["STRIPE_WEBHOOK_SECRETS"] = older + " " + secret
	f.handler = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, func() time.Time { return f.now })
	})
	f.owner = f.Tenant(t)
	f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ('cus_known', $1)`, f.owner.TenantID)
	return f
}

func notice(id, kind, customer string) string {
	return fmt.Sprintf(`{"id":%q,"object":"event","api_version":"2023-10-16","created":1800000000,"type":%q,"data":{"object":{"id":"x_1","object":"x","customer":%q}}}`, id, kind, customer)
}

func (f *fixture) send(t testing.TB, body, signature string) functest.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api/v1/webhooks/stripe/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if signature != "" {
		r.Header.Set("Stripe-Signature", signature)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return functest.Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
}

func (f *fixture) signed(t testing.TB, body string) functest.Response {
	t.Helper()
	return f.send(t, body, stripe.Sign([]byte(body), secret, f.now))
}

func (f *fixture) events(t *testing.T) (all string) {
	t.Helper()
	f.Scan(t, `select coalesce(string_agg(event_id || ' ' || status || ' ' || (tenant_id is not null), ', ' order by event_id), '') from app.stripe_events`, nil, &all)
	return all
}

// An event is kept once, however often and in however many places at once it
// comes, and leaves one message, which keeps the order of its customer.
func TestKeptOnce(t *testing.T) {
	f := setup(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { f.signed(t, notice("evt_1", "invoice.payment_succeeded", "cus_known")).Want(t, http.StatusOK) })
	}
	all.Wait()
	if got := f.events(t); got != "evt_1 received true" {
		t.Errorf("%s", got)
	}
	left := f.Pending(t, "billing.event")
	if len(left) != 1 || left[0].TenantID != f.owner.TenantID || left[0].Key != "cus_known" || string(left[0].Payload) == "" {
		t.Fatalf("%+v", left)
	}
	var payload struct {
		EventID string `json:"event_id"`
	}
	if err := json.Unmarshal(left[0].Payload, &payload); err != nil || payload.EventID != "evt_1" {
		t.Errorf("%s", left[0].Payload)
	}
}

// Whose customer is unknown waits; what nothing depends on is kept and ignored.
func TestKinds(t *testing.T) {
	f := setup(t)
	f.signed(t, notice("evt_1", "customer.subscription.updated", "cus_stranger")).Want(t, http.StatusOK)
	f.signed(t, notice("evt_2", "charge.refunded", "cus_known")).Want(t, http.StatusOK)
	f.signed(t, `{"id":"evt_3","type":"payment_method.detached","created":1,"data":{"object":{"id":"pm","object":"payment_method","customer":null},"previous_attributes":{"customer":"cus_known"}}}`).Want(t, http.StatusOK)
	f.signed(t, `{"id":"evt_4","type":"payment_method.attached","created":1,"data":{"object":{"id":"pm","object":"payment_method","customer":{"id":"cus_known"}}}}`).Want(t, http.StatusOK)
	f.signed(t, `{"id":"evt_5","type":"payment_intent.succeeded","created":1,"data":{"object":{"id":"pi","object":"payment_intent"}}}`).Want(t, http.StatusOK)
	if got := f.events(t); got != "evt_1 received false, evt_2 ignored false, evt_3 received true, evt_4 received true, evt_5 ignored false" {
		t.Errorf("%s", got)
	}
	if n := len(f.Pending(t, "billing.event")); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// What is not Stripe's is refused and stores nothing.
func TestAttacks(t *testing.T) {
	f := setup(t)
	body := notice("evt_1", "invoice.payment_succeeded", "cus_known")
	good := stripe.Sign([]byte(body), secret, f.now)
	for name, c := range map[string]struct{ body, header string }{
		"no signature":     {body, ""},
		"another's":        {body, stripe.Sign([]byte(body), "whsec_of_somebody_else", f.now)},
		"an old recording": {body, stripe.Sign([]byte(body), secret, f.now.Add(-301*time.Second))},
		"of the future":    {body, stripe.Sign([]byte(body), secret, f.now.Add(301*time.Second))},
		"another body":     {strings.Replace(body, "cus_known", "cus_other", 1), good},
		"one byte more":    {body + "\n", good},
		"an empty body":    {"", stripe.Sign(nil, "", f.now)},
		"a time moved":     {body, strings.Replace(good, "t=", "t=1,t=", 1)},
		"the scheme v0":    {body, strings.Replace(good, "v1=", "v0=", 1)},
	} {
		if got := f.send(t, c.body, c.header); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := f.events(t); got != "" {
		t.Errorf("stored: %s", got)
	}
	// While they are being rotated, both secrets are good.
	f.send(t, body, stripe.Sign([]byte(body), older, f.now)).Want(t, http.StatusOK)
}

// Bodies that are signed and no events are refused; one of the largest size is
// taken, and no larger one.
func TestBodies(t *testing.T) {
	f := setup(t)
	for _, body := range []string{`{`, `[]`, `{"id":"","type":"x"}`, `{"id":"evt","type":""}`, `{"id":"` + strings.Repeat("x", 256) + `","type":"x"}`, `{"id":"e","type":"x","a":"\u0000"}`} {
		f.signed(t, body).WantCode(t, http.StatusBadRequest, "invalid_event")
	}
	whole := func(size int) string {
		body := notice("evt_"+fmt.Sprint(size), "charge.succeeded", "cus_known")
		return body + strings.Repeat(" ", size-len(body))
	}
	f.signed(t, whole(maxBody)).Want(t, http.StatusOK)
	f.signed(t, whole(maxBody+1)).Want(t, http.StatusRequestEntityTooLarge)
	if got := f.events(t); got != fmt.Sprintf("evt_%d ignored false", maxBody) {
		t.Errorf("%s", got)
	}
}

// T23: what cannot be stored is not taken, so that Stripe sends it again.
func TestTrapT23NothingIsLost(t *testing.T) {
	f := setup(t)
	f.SQL(t, `alter table app.stripe_events add constraint stripe_events_broken check (type <> 'invoice.payment_failed') not valid`)
	body := notice("evt_1", "invoice.payment_failed", "cus_known")
	f.signed(t, body).Want(t, http.StatusInternalServerError)
	if len(f.Pending(t, "billing.event")) != 0 {
		t.Error("a message without its event")
	}
	f.SQL(t, `alter table app.stripe_events drop constraint stripe_events_broken`)
	f.signed(t, body).Want(t, http.StatusOK)
	if got := f.events(t); got != "evt_1 received true" || len(f.Pending(t, "billing.event")) != 1 {
		t.Errorf("%s", got)
	}
}

// Without its secret nothing is taken, and it is said to be our fault.
func TestWithoutSecret(t *testing.T) {
	f := setup(t)
	delete(f.Vars, "STRIPE_WEBHOOK_SECRETS")
	f.handler = f.Open(t, Open)
	f.signed(t, notice("evt_1", "x", "")).Want(t, http.StatusServiceUnavailable)
}

// BenchmarkReceive measures how long Stripe waits for its answer: signature,
// look-up of the customer's tenant, and the transaction that keeps event and
// message, on PostgreSQL behind PgBouncer.
func BenchmarkReceive(b *testing.B) {
	padding := strings.Repeat(" ", 4<<10) // of an invoice's size
	for _, c := range []struct {
		name, customer string
		callers        int // for each core
	}{{"a customer's", "cus_known", 1}, {"a stranger's", "cus_stranger", 1}, {"a customer's, 16 at once for each core", "cus_known", 16}} {
		b.Run(c.name, func(b *testing.B) {
			f := begin(b)
			var (
				next  atomic.Int64
				mu    sync.Mutex
				waits []time.Duration
			)
			f.signed(b, notice("evt_first", "invoice.payment_succeeded", c.customer)).Want(b, http.StatusOK) // connections are there
			b.SetParallelism(c.callers)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var own []time.Duration
				for pb.Next() {
					body := notice(fmt.Sprintf("evt_%d", next.Add(1)), "invoice.payment_succeeded", c.customer) + padding
					header := stripe.Sign([]byte(body), secret, f.now)
					began := time.Now()
					if got := f.send(b, body, header); got.Status != http.StatusOK {
						b.Errorf("%d %s", got.Status, got.Body)
						return
					}
					own = append(own, time.Since(began))
				}
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, own...)
			})
			b.StopTimer()
			slices.Sort(waits)
			for name, part := range map[string]int{"p50-ms": 50, "p99-ms": 99, "max-ms": 100} {
				b.ReportMetric(float64(waits[max(0, len(waits)*part/100-1)].Microseconds())/1000, name)
			}
		})
	}
}

// FuzzParse holds that whatever is taken can be kept.
func FuzzParse(f *testing.F) {
	f.Add([]byte(notice("evt_1", "x", "cus_1")))
	f.Add([]byte(`{"id":"e","type":"x","data":{"object":{"customer":{"id":1}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ok := parse(body)
		if ok && (e.ID == "" || e.Type == "" || bytes.Contains([]byte(e.ID+e.Type), []byte{0})) {
			t.Errorf("%q", body)
		}
		e.customer()
	})
}
