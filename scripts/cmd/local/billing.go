package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/coditect/platform/scripts/local/billing"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/stripe"
)

func operateBilling(ctx context.Context, here place, args []string) (int, error) {
	client, err := stripeClient(here)
	if err != nil {
		return 1, err
	}
	if client != nil {
		defer client.Close() //nolint:errcheck // idle connections
	}
	return withDatabase(ctx, here, func(at addresses) (int, error) {
		err := billing.Do(ctx, billing.Options{URL: at.system, Stripe: client, Out: os.Stdout}, args)
		switch {
		case errors.Is(err, billing.ErrUsage):
			return 2, err
		case err != nil:
			return 1, err
		}
		return 0, nil
	})
}

// stripeClient calls what STRIPE_SECRET_KEY is of, else the stand-in of the run
// that is up; nil without either.
func stripeClient(here place) (*payment.Client, error) {
	cfg, err := config.Load[payment.Config](config.Environ)
	if err != nil {
		return nil, err
	}
	key, _ := config.Environ("STRIPE_SECRET_KEY")
	if key == "" {
		ports, err := here.home.Ports()
		if err != nil || ports.Of["Stripe"] == 0 || state.Free(ports.Of["Stripe"]) {
			return nil, err
		}
		key, cfg.URL = stripe.Key, fmt.Sprintf("http://127.0.0.1:%d", ports.Of["Stripe"])
	}
	store := secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte(key)}), secrets.Config{})
	return payment.New(cfg, store, slog.New(slog.NewTextHandler(os.Stderr, nil))), nil
}
