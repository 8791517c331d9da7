package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/payment/catalog"
	"github.com/coditect/platform/shared/payment/signature"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/stripe"
)

// webhookPath is where the platform takes Stripe's webhooks.
const webhookPath = "/api/v1/webhooks/stripe/"

// stripeAPI is the stand-in with its server.
type stripeAPI struct {
	server *stripe.Server
	http   *http.Server
	url    string
	served chan error
}

// startStripe bills instead of Stripe. Its state stays in the home; what
// plans.json sells is there from the start.
func (p *parts) startStripe(ctx context.Context, ports *state.Ports) error {
	log := slog.New(slog.NewTextHandler(p.Out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	dir := p.Home.Path("stripe")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	server, err := stripe.New(stripe.WithFile(filepath.Join(dir, "state")), stripe.WithLog(log))
	if err != nil {
		return fmt.Errorf("stripe: the state in %s cannot be read: %w", dir, err)
	}
	p.stripe = &stripeAPI{server: server, served: make(chan error, 1)}
	_, err = ports.Bind("Stripe", p.cfg.StripePort, firstStripe, state.Free, func(port int) error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("stripe: %w: %d", state.ErrPortTaken, port)
		}
		if err != nil {
			return err
		}
		p.stripe.url = "http://" + l.Addr().String()
		p.stripe.http = &http.Server{Handler: server.Handler(), ReadHeaderTimeout: 10 * time.Second}
		go func() { p.stripe.served <- p.stripe.http.Serve(l) }()
		return nil
	})
	if err != nil {
		return err
	}
	p.env["STRIPE_API_URL"] = p.stripe.url
	store := secrets.New(secrets.Static(map[string][]byte{secrets.StripeKey: []byte(stripe.Key)}), secrets.Config{})
	// What is not there yet is made, and no news.
	quiet := slog.New(slog.NewTextHandler(p.Out, &slog.HandlerOptions{ReplaceAttr: withoutTime, Level: slog.LevelError}))
	client := payment.New(payment.Config{URL: p.stripe.url, Timeout: 10 * time.Second}, store, quiet)
	defer client.Close() //nolint:errcheck // idle connections
	if _, err := catalog.Sync(ctx, client, catalog.Options{}); err != nil {
		return fmt.Errorf("stripe: offer the plans: %w", err)
	}
	return nil
}

// listen sends the webhooks to the platform, signed with its first secret.
func (s *stripeAPI) listen(dir, url string) error {
	data, err := os.ReadFile(filepath.Join(dir, secrets.StripeWebhooks))
	if err != nil {
		return fmt.Errorf("stripe: the secret of the webhooks: %w", err)
	}
	all, err := signature.ParseSecrets(data)
	if err != nil {
		return fmt.Errorf("stripe: %w", err)
	}
	s.server.Listen(url, all[0])
	return nil
}

func (s *stripeAPI) close() error {
	var faults []error
	if s.http != nil {
		faults = append(faults, s.http.Close())
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(append(faults, s.server.Close())...)
}
