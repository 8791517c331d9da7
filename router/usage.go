package router

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/ids"
)

const (
	// usageLife is how long a day's counts wait in Redis to be collected.
	usageLife = 40 * 24 * time.Hour
	// usageBeat is how long a count waits in this process at most, and so what
	// a crash can lose. A day's last second may be counted to the next.
	usageBeat = time.Second
)

// usageKey is a hash of tenant → requests for a day in UTC.
func usageKey(now time.Time) string { return "usage:" + now.UTC().Format("2006-01-02") }

// usage counts answered requests by tenant until the next trip to Redis takes
// them along. What no request takes is flushed each second, and at the end.
type usage struct {
	mu      sync.Mutex
	pending map[ids.ID]int64
}

func newUsage() *usage { return &usage{pending: map[ids.ID]int64{}} }

func (u *usage) add(tenant ids.ID, n int64) {
	if n == 0 || tenant == ids.Nil {
		return
	}
	u.mu.Lock()
	u.pending[tenant] += n
	u.mu.Unlock()
}

// take gives what is pending for a tenant and forgets it; who fails to write it
// down adds it again.
func (u *usage) take(tenant ids.ID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.pending[tenant]
	if n != 0 {
		delete(u.pending, tenant)
	}
	return n
}

// flush writes everything pending in one trip. A pipeline that failed half way
// may count some requests twice; that is rarer than losing them all.
func (u *usage) flush(ctx context.Context, c *cache.Client, now time.Time) error {
	u.mu.Lock()
	all := u.pending
	u.pending = make(map[ids.ID]int64, len(all))
	u.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	key := usageKey(now)
	err := c.Pipeline(ctx, func(p redis.Pipeliner) {
		for tenant, n := range all {
			p.HIncrBy(ctx, key, tenant.String(), n)
		}
		p.Expire(ctx, key, usageLife)
	})
	if err != nil {
		for tenant, n := range all {
			u.add(tenant, n)
		}
	}
	return err
}

func (u *usage) run(stop <-chan struct{}, c *cache.Client, now func() time.Time) {
	beat := time.NewTicker(usageBeat)
	defer beat.Stop()
	for {
		select {
		case <-stop:
			return
		case <-beat.C:
			// A failure keeps the counts; the log has Redis's state already.
			_ = u.flush(context.Background(), c, now())
		}
	}
}
