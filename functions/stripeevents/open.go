package stripeevents

import (
	"context"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

// Config is what the function is told besides what every job function is.
type Config struct {
	Stripe payment.Config
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	return open(lookup, func(string) {})
}

func open(lookup config.Lookup, at func(string)) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	base, err := worker.Open(lookup, "stripeevents")
	if err != nil {
		return nil, err
	}
	client := payment.New(cfg.Stripe, base.Secrets, base.Log)
	base.OnClose(client.Close)
	s := &service{db: base.DB, stripe: client, at: at}
	return base.App(
		worker.On(queue.BillingEvent, s.event),
		worker.On(queue.BillingSync, s.sync),
		worker.On(queue.BillingClose, s.close),
	), nil
}
