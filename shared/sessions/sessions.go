// Package sessions tells every part of the platform that sessions have ended.
// What Redis says of a session the router reads on every request; functions/auth
// answers it when Redis does not know. The database is the truth behind both,
// so that telling Redis is best effort.
//
// Whoever ends sessions in the database calls [Announce] after the commit.
package sessions

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/ids"
)

// What Redis says of a session.
const (
	Live    = "live"
	Revoked = "revoked"
)

// Key is where Redis keeps it.
func Key(id ids.ID) string { return "sess:" + id.String() }

// LiveLife bounds how long Redis may call a session live: should it be out of
// reach at the moment a session ends, that is how long its access token can go
// on once Redis is back.
const LiveLife = 2 * time.Minute

// slack covers the leeway of verifiers and the clocks of other instances.
const slack = time.Minute

// Config is what who ends sessions has to know.
type Config struct {
	// AccessLife is how long an access token holds.
	AccessLife time.Duration `env:"ACCESS_TOKEN_LIFE" envDefault:"1h"`
}

// Announce tells Redis that sessions have ended. It overwrites, and outlives
// every access token of theirs, which hold for accessLife; a reader who looked
// before the end only fills what is empty. A request with an Idempotency-Key
// gets here just before its commit; should that fail, a session that goes on
// has lost its access tokens, which errs on the safe side.
func Announce(ctx context.Context, c *cache.Client, log *slog.Logger, accessLife time.Duration, ended ...ids.ID) {
	if len(ended) == 0 {
		return
	}
	// The client may be gone; its session has ended all the same.
	ctx = context.WithoutCancel(ctx)
	err := c.Pipeline(ctx, func(p redis.Pipeliner) {
		for _, id := range ended {
			p.Set(ctx, Key(id), Revoked, accessLife+slack)
		}
	})
	if err != nil {
		log.ErrorContext(ctx, "the end of a session did not reach Redis", "sessions", len(ended), "within", LiveLife.String(), "error", err)
	}
}
