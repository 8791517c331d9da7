// Package trips counts round trips to PostgreSQL and Redis, so that tests can
// hold every operation to the budget of the house (one for a read, one or two
// for a write, at most one pipelined call to Redis). Where nobody counts, it
// costs one context lookup.
package trips

import (
	"context"
	"sync/atomic"
)

// Counter holds the trips made under one context.
type Counter struct{ postgres, redis atomic.Int64 }

type key struct{}

// Count returns a context under which trips are counted.
func Count(ctx context.Context) (context.Context, *Counter) {
	c := &Counter{}
	return context.WithValue(ctx, key{}, c), c
}

// Postgres notes one exchange with the database.
func Postgres(ctx context.Context) {
	if c, ok := ctx.Value(key{}).(*Counter); ok {
		c.postgres.Add(1)
	}
}

// Redis notes one exchange with Redis; a pipeline is one.
func Redis(ctx context.Context) {
	if c, ok := ctx.Value(key{}).(*Counter); ok {
		c.redis.Add(1)
	}
}

// Postgres is the number of exchanges with the database.
func (c *Counter) Postgres() int { return int(c.postgres.Load()) }

// Redis is the number of exchanges with Redis.
func (c *Counter) Redis() int { return int(c.redis.Load()) }
