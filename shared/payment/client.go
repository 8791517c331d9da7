// Package payment is the platform's side of Stripe, for the functions that talk
// to it: its client, what a customer's present state there means here, and the
// one way in which that state is written down.
//
// Stripe is the truth. Whoever has changed something there, or was told that
// something changed, does the same: [Client.Fetch] what is there now, and
// [Apply] it. What an event or an answer says is never applied itself, so that
// late, repeated and reordered ones leave the same state as in order. Fetching
// is no part of a transaction. So that an answer that was overtaken on its way
// is not written over a newer one, each application raises the customer's
// revision, and one whose state was fetched under an older revision is refused
// with [ErrStale]: its caller fetches again. [Sync] is that loop.
//
// Money is integers of minor units, everywhere.
package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/price"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/secrets"
)

// Config says where Stripe is.
type Config struct {
	// URL is of a stand-in; empty is Stripe itself.
	URL string `env:"STRIPE_API_URL"`
	// Timeout bounds one attempt of a call.
	Timeout time.Duration `env:"STRIPE_TIMEOUT" envDefault:"8s"`
}

// Validate refuses what no call could work with.
func (c Config) Validate() error {
	if c.Timeout <= 0 {
		return config.Invalid("STRIPE_TIMEOUT", "must be above zero")
	}
	return nil
}

// Client calls Stripe. It dials with its first call.
type Client struct {
	backend stripe.Backend
	key     *secrets.Cached[string]
	http    *http.Client
}

// New makes a client that shows the secret key of the store.
func New(cfg Config, store *secrets.Store, log *slog.Logger) *Client {
	c := &Client{
		http: &http.Client{Timeout: cfg.Timeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true,
		}},
		key: secrets.Parse(store, secrets.StripeKey, func(b []byte) (string, error) {
			if len(b) == 0 {
				return "", errors.New("payment: the key is empty")
			}
			return string(b), nil
		}),
	}
	backend := &stripe.BackendConfig{
		HTTPClient: c.http, LeveledLogger: logger{log}, EnableTelemetry: new(false),
		// Once more, under the same Idempotency-Key. More would outlast the
		// request that waits for it.
		MaxNetworkRetries: stripe.Int64(1),
	}
	if cfg.URL != "" {
		backend.URL = new(cfg.URL)
	}
	c.backend = stripe.GetBackendWithConfig(stripe.APIBackend, backend)
	return c
}

// Close gives back connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Use gives what a resource's client of stripe-go is made of.
func (c *Client) Use(ctx context.Context) (stripe.Backend, string, error) {
	key, err := c.key.Get(ctx)
	return c.backend, key, err
}

// Price finds the present price of a lookup key, nil when there is none.
func Price(ctx context.Context, backend stripe.Backend, key, lookup string) (*stripe.Price, error) {
	params := &stripe.PriceListParams{LookupKeys: stripe.StringSlice([]string{lookup}), Active: new(true)}
	params.Context, params.Limit, params.Single = ctx, stripe.Int64(1), true
	it := price.Client{B: backend, Key: key}.List(params)
	if it.Next() {
		return it.Price(), nil
	}
	return nil, it.Err()
}

// retryAfter is when a client may try again while Stripe is away.
const retryAfter = 10 * time.Second

var (
	// ErrUnavailable is the answer while Stripe cannot be reached.
	ErrUnavailable = errs.New(errs.Unavailable, "billing_unavailable", "The payment service does not answer. Nothing is lost: try again shortly.").WithRetry(retryAfter)
	// ErrDeclined is the answer when a card is refused. Its text is Stripe's,
	// which is made for the one who holds the card.
	ErrDeclined = errs.New(errs.Payment, "payment_declined", "The payment was declined. Use another payment method.")
	// ErrMissing is that an object is not there.
	ErrMissing = errs.New(errs.NotFound, "not_found", "There is no such resource.")
)

// Explain turns an error of Stripe's client into one of ours.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	var s *stripe.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &s):
		return ErrUnavailable.WithCause(err) // the network: whether it had an effect is not known
	case s.Type == stripe.ErrorTypeCard || s.HTTPStatusCode == http.StatusPaymentRequired:
		e := *ErrDeclined.WithCause(err)
		if s.Msg != "" {
			e.Detail = s.Msg
		}
		return &e
	case s.Code == stripe.ErrorCodeResourceMissing:
		return ErrMissing.WithCause(err)
	case s.HTTPStatusCode >= 500, s.HTTPStatusCode == http.StatusTooManyRequests, s.HTTPStatusCode == http.StatusConflict,
		s.HTTPStatusCode == http.StatusUnauthorized, s.HTTPStatusCode == http.StatusForbidden: // of our key: the caller can do nothing about it
		return ErrUnavailable.WithCause(err)
	}
	return errs.Wrap(err, errs.Internal, "internal", "Something went wrong on our side.")
}

// Unknown reports whether a failed call may have had its effect all the same.
func Unknown(err error) bool {
	var s *stripe.Error
	if !errors.As(err, &s) {
		return err != nil
	}
	return s.HTTPStatusCode >= 500 || s.HTTPStatusCode == http.StatusConflict
}

// logger takes what stripe-go has to say. Errors come back to the caller too.
type logger struct{ *slog.Logger }

// Debugf implements stripe.LeveledLoggerInterface.
func (l logger) Debugf(string, ...any) {}

// Infof implements stripe.LeveledLoggerInterface.
func (l logger) Infof(string, ...any) {}

// Warnf implements stripe.LeveledLoggerInterface.
func (l logger) Warnf(format string, v ...any) { l.Warn("stripe", "said", fmt.Sprintf(format, v...)) }

// Errorf implements stripe.LeveledLoggerInterface.
func (l logger) Errorf(format string, v ...any) { l.Warn("stripe", "said", fmt.Sprintf(format, v...)) }
