package membersync

import (
	"context"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

// Config is what the function is told besides what every job function is.
type Config struct {
	Redis cache.Config
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup) }

func open(lookup config.Lookup, opts ...worker.Option) (*serve.App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	base, err := worker.Open(lookup, "membersync", opts...)
	if err != nil {
		return nil, err
	}
	redis, err := cache.Open(cfg.Redis)
	if err != nil {
		return nil, err
	}
	base.OnClose(redis.Close)
	s := &service{db: base.DB, access: access.New(base.DB, redis, base.Log)}
	return base.App(
		worker.On(queue.ProfileChanged, s.profileChanged),
		worker.On(queue.AccessChanged, s.accessChanged),
	), nil
}
