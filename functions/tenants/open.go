package tenants

import (
	"context"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/serve"
)

// Config is what the function is told besides what every function is.
type Config struct {
	// BaseDomain is the platform's own, under which subdomains are: nobody can
	// bring a domain of it. It is the router's.
	BaseDomain string `env:"BASE_DOMAIN" envDefault:"localhost"`
	// Resolver is the DNS server that is asked, host:port; empty means those of
	// the system.
	Resolver string `env:"DNS_RESOLVER"`
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	return open(lookup, cfg, domain.NewResolver(cfg.Resolver))
}

func open(lookup config.Lookup, cfg Config, dns domain.Resolver) (*serve.App, error) {
	base, err := function.Open(lookup, "tenants")
	if err != nil {
		return nil, err
	}
	s := &service{cfg: cfg, db: base.DB, access: base.Access, cache: base.Cache, box: base.Box, dns: dns, log: base.Log}
	return base.App(s.operations()...), nil
}
