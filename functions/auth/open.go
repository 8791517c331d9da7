package auth

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/secrets/manager"
	"github.com/coditect/platform/shared/serve"
)

// buckets bounds how many budgets an instance remembers while Redis is down.
const buckets = 20_000

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	// auth alone asks Secret Manager itself: it signs, so it has to follow a
	// rotation within minutes and not with its next revision.
	store, source := manager.Open(lookup, cfg.Manager, cfg.Secrets)
	base, err := function.Open(lookup, "auth", function.WithOwnKeys(), function.WithSecrets(store))
	if err != nil {
		return nil, err
	}
	keys := secrets.Parse(base.Secrets, secrets.SigningKeys, identity.ParseKeySet)
	limits := ratelimit.New(base.Cache, ratelimit.NewMemory(buckets, nil))
	s := &service{
		cfg: cfg, db: base.DB, cache: base.Cache, access: base.Access,
		limits: limits, signIn: ratelimit.NewSignIn(limits, cfg.SignIn),
		hasher: identity.NewHasher(cfg.Hashers), signer: identity.NewSigner(keys, base.Config.Identity.Issuer), keys: keys,
		ring: secrets.Parse(base.Secrets, secrets.EnvelopeKeys, secrets.ParseRing),
		log:  base.Log, now: time.Now,
	}
	app := base.App(s.operations()...)
	end := app.Close
	app.Close = func(ctx context.Context) error { return errors.Join(end(ctx), source.Close()) }
	return app, nil
}
