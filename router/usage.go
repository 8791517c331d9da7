package router

import (
	"context"
	"sync"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/ids"
	counters "github.com/coditect/platform/shared/usage"
)

const (
	// usageBeat is how long a count waits in this process, and so what a crash
	// can lose: a second of counts per process, or all since Redis went away.
	usageBeat = time.Second
	// usageBatch is how many tenants one trip counts, usageBound how many wait
	// at most, each day's by itself. What does not fit is not counted.
	usageBatch = 500
	usageBound = 200_000
)

// usage counts answered requests by tenant and day, and writes them down in
// batches: a request makes no trip of its own for it. A batch has a number;
// until Redis has answered for it, the same batch goes again under the same
// number, and Redis counts each number of a process once. So a lost answer
// counts nothing twice, and loses nothing.
type usage struct {
	process string // names this process in Redis
	bound   int
	now     func() time.Time

	mu   sync.Mutex
	days []*dayCounts // oldest first
	size int
	lost int64

	flushing sync.Mutex
	sequence int64
	batch    *counters.Batch // sent, and not known to have arrived
}

type dayCounts struct {
	day    counters.Day
	counts map[ids.ID]int64
}

func newUsage(now func() time.Time) *usage {
	return &usage{process: ids.New().String(), bound: usageBound, now: now}
}

// add counts a request.
func (u *usage) add(tenant ids.ID) {
	day := counters.DayOf(u.now())
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.days)
	if n == 0 || u.days[n-1].day < day {
		u.days = append(u.days, &dayCounts{day, map[ids.ID]int64{}})
		n++
	}
	c := u.days[n-1].counts
	had := len(c)
	if u.size >= u.bound {
		if _, known := c[tenant]; !known {
			u.lost++
			return
		}
	}
	c[tenant]++
	u.size += len(c) - had
}

// next takes up to a batch of what waits.
func (u *usage) next() *counters.Batch {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.days) > 0 && len(u.days[0].counts) == 0 {
		u.days = u.days[1:]
	}
	if len(u.days) == 0 {
		return nil
	}
	oldest := u.days[0]
	u.sequence++
	b := &counters.Batch{Process: u.process, Number: u.sequence, Day: oldest.day, Counts: make([]counters.Count, 0, min(usageBatch, len(oldest.counts)))}
	for tenant, n := range oldest.counts {
		if len(b.Counts) >= usageBatch {
			break
		}
		b.Counts = append(b.Counts, counters.Count{Tenant: tenant, N: n})
		delete(oldest.counts, tenant)
		u.size--
	}
	return b
}

// flush writes everything down that waits, until Redis fails to answer.
func (u *usage) flush(ctx context.Context, c *cache.Client) error {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	for {
		if u.batch == nil {
			u.batch = u.next()
		}
		if u.batch == nil {
			return nil
		}
		if err := u.batch.Send(ctx, c); err != nil {
			return err
		}
		u.batch = nil
	}
}

// takeLost gives how many requests were not counted since it was asked last.
func (u *usage) takeLost() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.lost
	u.lost = 0
	return n
}
