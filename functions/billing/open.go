package billing

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/serve"
)

// settings is what this function is told beyond what all are.
type settings struct {
	Stripe payment.Config
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	return open(lookup, func(string) {})
}

func open(lookup config.Lookup, at func(string)) (*serve.App, error) {
	cfg, err := config.Load[settings](lookup)
	if err != nil {
		return nil, err
	}
	base, err := function.Open(lookup, "billing")
	if err != nil {
		return nil, err
	}
	client := payment.New(cfg.Stripe, base.Secrets, base.Log)
	s := &service{db: base.DB, redis: base.Cache, access: base.Access, stripe: client, now: time.Now, at: at}
	app := base.App(s.operations()...)
	closeBase := app.Close
	app.Close = func(ctx context.Context) error { return errors.Join(closeBase(ctx), client.Close()) }
	return app, nil
}
