// Package domaincheck is the function that looks, once a day, whether the
// domains of organizations still carry the record by which they were verified
// (shared/domain). A domain whose record is gone is let alone for a week, as
// people move their zones and make mistakes; after seven looks in a row without
// it, over seven days at least, it is no longer verified and leads nowhere.
//
// Its name is then held for the organization for thirty days more: nobody else
// can take it over at once, and who mends the record verifies it again. A domain
// that was never verified, or not again, is dropped after thirty days, and its
// name is free.
//
// Servers that do not answer say nothing about a record. When many domains lose
// theirs at once, it is rather our resolver that fails: then nothing is counted,
// and the run fails for people to look.
package domaincheck

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "domaincheck"

const (
	// often is how old the last look is before the next. Less than a day, so
	// that a run that comes a little early finds yesterday's.
	often = 20 * time.Hour
	// looks in a row, and grace since the first of them, without the record.
	looks = 7
	grace = 7 * 24 * time.Hour
	// waiting is how long a domain may stay unverified, and hold how long a lost
	// one is kept from others.
	waiting = 30 * 24 * time.Hour
	hold    = 30 * 24 * time.Hour
)

// Config is what the function is told besides what every schedule is.
type Config struct {
	// Resolver is the DNS server that is asked, host:port; empty means those of
	// the system.
	Resolver string `env:"DNS_RESOLVER"`
}

type service struct {
	db    *db.DB
	dns   domain.Resolver
	batch int
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	return open(lookup, domain.NewResolver(cfg.Resolver), 200)
}

func open(lookup config.Lookup, dns domain.Resolver, batch int, opts ...schedule.Option) (*serve.App, error) {
	base, err := schedule.Open(lookup, Name, opts...)
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, dns: dns, batch: batch}
	return base.App(s.run), nil
}
