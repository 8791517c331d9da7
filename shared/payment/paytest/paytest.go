// Package paytest gives the tests of what is billed a Stripe of their own: the
// stand-in, with everything that plans.json sells.
package paytest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/catalog"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/stripe"
)

// WebhookSecret signs the stand-in's webhooks.
const WebhookSecret = "whsec_of_the_tests_0123456789"

// Webhook is the address that webhooks are meant for. They are held back:
// [stripe.Server.Held] gives them.
const Webhook = "https://api.example.com/api/v1/webhooks/stripe/"

// World is a Stripe.
type World struct {
	*stripe.Server
	// API is Stripe's own client, for what a test does there by itself.
	API *client.API
	// Client is the platform's.
	Client *payment.Client
	HTTP   *httptest.Server
}

type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// New starts one and tells the environment of it.
func New(t testing.TB, e *functest.Env, opts ...stripe.Option) *World {
	t.Helper()
	s, err := stripe.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Server: s, HTTP: httptest.NewServer(s.Handler())}
	store := secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte(stripe.Key)}), secrets.Config{})
	w.Client = payment.New(payment.Config{URL: w.HTTP.URL, Timeout: 20 * time.Second}, store, slog.New(slog.DiscardHandler))
	w.API = client.New(stripe.Key, &api.Backends{API: api.GetBackendWithConfig(api.APIBackend, &api.BackendConfig{
		URL: new(w.HTTP.URL), LeveledLogger: quiet{}, MaxNetworkRetries: api.Int64(0), HTTPClient: w.HTTP.Client(),
	})})
	t.Cleanup(func() {
		_ = w.Client.Close()
		w.HTTP.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := catalog.Sync(context.Background(), w.Client, catalog.Options{}); err != nil {
		t.Fatal(err)
	}
	s.Hold()
	s.Listen(Webhook, WebhookSecret)
	if e != nil {
		e.Vars["STRIPE_API_URL"], e.Vars["STRIPE_SECRET_KEY"], e.Vars["STRIPE_WEBHOOK_SECRETS"] = w.HTTP.URL, stripe.Key, WebhookSecret
		e.Vars["STRIPE_TIMEOUT"] = "20s"
	}
	return w
}

// Sync makes the rows of a person's tenant equal to what Stripe has, as the
// webhooks do in the end.
func (w *World) Sync(t testing.TB, e *functest.Env, by functest.Person) payment.Row {
	t.Helper()
	d, err := db.Open(db.Config{URL: config.Secret(e.Database.URL)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, row, err := w.Client.Sync(t.Context(), d, by.Principal, "", func(fn func(*db.Tx) error) error {
		return db.Note(t.Context(), d, by.Principal, fn)
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}
