package catalog_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/price"
	"github.com/stripe/stripe-go/v76/product"

	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/catalog"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/secrets"
	standin "github.com/coditect/platform/shared/standin/stripe"
)

func client(t *testing.T) *payment.Client {
	t.Helper()
	s, err := standin.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	store := secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte(standin.Key)}), secrets.Config{})
	c := payment.New(payment.Config{URL: server.URL, Timeout: 10 * time.Second}, store, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = c.Close(); server.Close(); _ = s.Close() })
	return c
}

// A dry run tells and changes nothing; a run makes everything, and the next one
// finds nothing to do.
func TestSync(t *testing.T) {
	t.Parallel()
	c := client(t)
	o := catalog.Options{Webhook: "https://api.example.com/api/v1/webhooks/stripe/", DryRun: true}
	for range 2 {
		if told, err := catalog.Sync(t.Context(), c, o); err != nil || len(told.Changes) != 9 || told.Secret != "" {
			t.Fatalf("%v, %q", err, told.Changes)
		}
	}
	o.DryRun = false
	if done, err := catalog.Sync(t.Context(), c, o); err != nil || len(done.Changes) != 9 || !strings.HasPrefix(done.Secret, "whsec_") {
		t.Fatalf("%v, %q", err, done.Changes)
	}
	if again, err := catalog.Sync(t.Context(), c, o); err != nil || len(again.Changes) != 0 {
		t.Fatalf("%v, %q", err, again.Changes)
	}
}

// What somebody changed at Stripe is put right: a price by a new one that takes
// its name over.
func TestSyncMends(t *testing.T) {
	t.Parallel()
	c := client(t)
	if _, err := catalog.Sync(t.Context(), c, catalog.Options{}); err != nil {
		t.Fatal(err)
	}
	backend, key, err := c.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (product.Client{B: backend, Key: key}).Update(plans.ProductID("pro"), &stripe.ProductParams{Name: new("Other"), Active: new(false)}); err != nil {
		t.Fatal(err)
	}
	lookup := plans.LookupKey("pro", plans.Month)
	wrong, err := price.Client{B: backend, Key: key}.New(&stripe.PriceParams{
		Product: new(plans.ProductID("pro")), Currency: new("usd"), UnitAmount: stripe.Int64(100), LookupKey: new(lookup),
		TransferLookupKey: new(true), Recurring: &stripe.PriceRecurringParams{Interval: new("month")},
	})
	if err != nil {
		t.Fatal(err)
	}
	done, err := catalog.Sync(t.Context(), c, catalog.Options{})
	if err != nil || len(done.Changes) != 3 {
		t.Fatalf("%v, %q", err, done.Changes)
	}
	now, err := payment.Price(t.Context(), backend, key, lookup)
	if err != nil || now == nil || now.UnitAmount != 2900 || now.ID == wrong.ID {
		t.Errorf("%v, %+v", err, now)
	}
	if old, err := (price.Client{B: backend, Key: key}).Get(wrong.ID, nil); err != nil || old.Active {
		t.Errorf("%v: the wrong price still sells", err)
	}
}

// Stripe being down, or refusing the key, is said, and nothing is half told.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	store := secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte("sk_test_wrong")}), secrets.Config{})
	s, err := standin.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	for name, url := range map[string]string{"wrong key": server.URL, "down": "http://127.0.0.1:1"} {
		c := payment.New(payment.Config{URL: url, Timeout: time.Second}, store, slog.New(slog.DiscardHandler))
		if _, err := catalog.Sync(t.Context(), c, catalog.Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	none := payment.New(payment.Config{URL: server.URL, Timeout: time.Second}, secrets.New(secrets.Static(nil), secrets.Config{}), slog.New(slog.DiscardHandler))
	if _, err := catalog.Sync(t.Context(), none, catalog.Options{}); err == nil {
		t.Error("without a key: no error")
	}
}
