package users

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/sessions"
)

// Config is what an operator may set.
type Config struct {
	Sessions sessions.Config
	// Proofs holds the budgets of showing one's password once more.
	Proofs ratelimit.SignInConfig
	// Changes of address: mails an hour for a person, and for an address.
	EmailChanges       int `env:"EMAIL_CHANGE_LIMIT_PER_HOUR" envDefault:"10"`
	EmailChangeAddress int `env:"EMAIL_CHANGE_LIMIT_EMAIL_PER_HOUR" envDefault:"5"`
	// Invitations: mails a day of an organization, of one on the free plan, and
	// to an address, whoever writes to it.
	Invitations        int `env:"INVITE_LIMIT_PER_DAY" envDefault:"2000"`
	InvitationsFree    int `env:"INVITE_LIMIT_FREE_PER_DAY" envDefault:"50"`
	InvitationsAddress int `env:"INVITE_LIMIT_EMAIL_PER_DAY" envDefault:"10"`
	// Hashers is how many passwords one instance hashes at once; 0 means one
	// per core.
	Hashers int `env:"PASSWORD_HASHERS" envDefault:"0"`
}

// Validate refuses limits that let nobody through.
func (c Config) Validate() error {
	var faults []error
	for name, limit := range map[string]int{
		"EMAIL_CHANGE_LIMIT_PER_HOUR": c.EmailChanges, "EMAIL_CHANGE_LIMIT_EMAIL_PER_HOUR": c.EmailChangeAddress,
		"INVITE_LIMIT_PER_DAY": c.Invitations, "INVITE_LIMIT_FREE_PER_DAY": c.InvitationsFree, "INVITE_LIMIT_EMAIL_PER_DAY": c.InvitationsAddress,
	} {
		if limit < 1 {
			faults = append(faults, config.Invalid(name, "must be at least 1"))
		}
	}
	if c.Hashers < 0 {
		faults = append(faults, config.Invalid("PASSWORD_HASHERS", "must not be negative"))
	}
	return errors.Join(faults...)
}

// buckets bounds how many budgets an instance remembers while Redis is down.
const buckets = 10_000

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	base, err := function.Open(lookup, "users")
	if err != nil {
		return nil, err
	}
	limits := ratelimit.New(base.Cache, ratelimit.NewMemory(buckets, nil))
	s := &service{
		cfg: cfg, db: base.DB, cache: base.Cache, access: base.Access,
		limits: limits, proofs: ratelimit.NewSignIn(limits, cfg.Proofs), hasher: identity.NewHasher(cfg.Hashers),
		ring: secrets.Parse(base.Secrets, secrets.EnvelopeKeys, secrets.ParseRing), log: base.Log, now: time.Now,
	}
	return base.App(s.operations()...), nil
}
