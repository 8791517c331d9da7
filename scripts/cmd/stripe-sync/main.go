// Command stripe-sync makes Stripe have what shared/plans/plans.json sells:
// products, prices, meters and the endpoint of the webhooks.
//
//	STRIPE_SECRET_KEY=sk_test_… go run ./scripts/cmd/stripe-sync -dry-run -webhook https://api.example.com/api/v1/webhooks/stripe/
//
// It changes what differs and can be run again at any time. The secret of an
// endpoint that it makes is written to standard output, once: it belongs into
// the secret stripe-webhook-secrets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/catalog"
	"github.com/coditect/platform/shared/secrets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, config.Environ, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "stripe-sync:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, lookup config.Lookup, args []string, out, diagnostics io.Writer) error {
	flags := flag.NewFlagSet("stripe-sync", flag.ContinueOnError)
	flags.SetOutput(diagnostics)
	var o catalog.Options
	flags.BoolVar(&o.DryRun, "dry-run", false, "tell what would change, and change nothing")
	flags.StringVar(&o.Webhook, "webhook", "", "address of the webhook endpoint; without it endpoints are left alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	cfg, err := config.Load[payment.Config](lookup)
	if err != nil {
		return err
	}
	if key, ok := lookup("STRIPE_SECRET_KEY"); !ok || key == "" {
		return errors.New("STRIPE_SECRET_KEY is not set: take the secret key of the account from Stripe's dashboard, a test one to try")
	}
	client := payment.New(cfg, secrets.New(secrets.Environment(lookup), secrets.Config{}), slog.New(slog.NewTextHandler(diagnostics, nil)))
	defer client.Close() //nolint:errcheck // idle connections
	done, err := catalog.Sync(ctx, client, o)
	for _, change := range done.Changes {
		if o.DryRun {
			change = "would " + change
		}
		fmt.Fprintln(diagnostics, change)
	}
	if done.Secret != "" {
		fmt.Fprintln(out, done.Secret)
	}
	if err == nil && len(done.Changes) == 0 {
		fmt.Fprintln(diagnostics, "nothing differs")
	}
	return err
}
