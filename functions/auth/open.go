package auth

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
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
	base, err := function.Open(lookup, "auth", function.WithOwnKeys())
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
	return base.App(s.operations()...), nil
}
