// Package paytest gives the tests of what is billed a Stripe of their own: the
// stand-in, with everything that plans.json sells. Those that need nothing but
// Stripe's API run on an account in test mode as well ([Connect]).
package paytest

import (
	"context"
	"log/slog"
	"net/http"
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

// Account is an account at Stripe, the stand-in's or a real one in test mode.
type Account struct {
	// API is Stripe's own client, for what a test does there by itself.
	API *client.API
	// Client is the platform's.
	Client *payment.Client
}

// World is the stand-in with its account.
type World struct {
	*stripe.Server
	*Account
	HTTP *httptest.Server
}

// The variables that scripts/test-stripe.sh names an account with.
const (
	accountKey = "STRIPE_TEST_KEY"
	accountURL = "STRIPE_API_URL"
)

// Connect gives the account that `make test-stripe` names, with everything that
// plans.json sells, and a new stand-in's where it names none.
func Connect(t testing.TB, e *functest.Env) *Account {
	t.Helper()
	key, _ := config.Environ(accountKey)
	if key == "" {
		return New(t, e).Account
	}
	url, _ := config.Environ(accountURL)
	return open(t, e, url, key)
}

// open offers the plans on an account and tells the environment of it.
func open(t testing.TB, e *functest.Env, url, key string) *Account {
	t.Helper()
	store := secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte(key)}), secrets.Config{})
	backend := &api.BackendConfig{LeveledLogger: quiet{}, MaxNetworkRetries: api.Int64(0), HTTPClient: &http.Client{Timeout: 30 * time.Second}}
	if url != "" {
		backend.URL = new(url)
	}
	a := &Account{
		Client: payment.New(payment.Config{URL: url, Timeout: 20 * time.Second}, store, slog.New(slog.DiscardHandler)),
		API:    client.New(key, &api.Backends{API: api.GetBackendWithConfig(api.APIBackend, backend)}),
	}
	t.Cleanup(func() { _ = a.Client.Close() })
	if _, err := catalog.Sync(context.Background(), a.Client, catalog.Options{}); err != nil {
		t.Fatal(err)
	}
	if e != nil {
		e.Vars["STRIPE_API_URL"], e.Vars["STRIPE_SECRET_KEY"], e.Vars["STRIPE_TIMEOUT"] = url, key, "20s"
	}
	return a
}

// Advance takes a test clock to a later time and waits until it is there.
func (a *Account) Advance(t testing.TB, clock string, to time.Time) {
	t.Helper()
	if _, err := a.API.TestHelpersTestClocks.Advance(clock, &api.TestHelpersTestClockAdvanceParams{FrozenTime: new(to.Unix())}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(2 * time.Minute)
	for wait := time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		now, err := a.API.TestHelpersTestClocks.Get(clock, nil)
		if err != nil {
			t.Fatal(err)
		}
		if now.Status == api.TestHelpersTestClockStatusReady {
			return
		}
		select {
		case <-time.After(wait):
		case <-deadline:
			t.Fatalf("the clock is %s after two minutes", now.Status)
		}
	}
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
	t.Cleanup(func() {
		w.HTTP.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Account = open(t, e, w.HTTP.URL, stripe.Key)
	s.Hold()
	s.Listen(Webhook, WebhookSecret)
	if e != nil {
		e.Vars["STRIPE_WEBHOOK_SECRETS"] = WebhookSecret
	}
	return w
}

// Sync makes the rows of a person's tenant equal to what Stripe has, as the
// webhooks do in the end.
func (a *Account) Sync(t testing.TB, e *functest.Env, by functest.Person) payment.Row {
	t.Helper()
	d, err := db.Open(db.Config{URL: config.Secret(e.Database.URL)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, row, err := a.Client.Sync(t.Context(), d, by.Principal, "", func(fn func(*db.Tx) error) error {
		return db.Note(t.Context(), d, by.Principal, fn)
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}
