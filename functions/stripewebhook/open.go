package stripewebhook

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/payment/signature"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
)

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	return open(lookup, time.Now)
}

func open(lookup config.Lookup, now func() time.Time) (*serve.App, error) {
	base, err := function.Open(lookup, "stripewebhook")
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, secrets: secrets.Parse(base.Secrets, secrets.StripeWebhooks, signature.ParseSecrets), now: now}
	return base.App(s.operations()...), nil
}
