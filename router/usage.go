package router

import (
	"context"
	"sync"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/ids"
)

const (
	// usageLife is how long a day's counts wait in Redis to be collected.
	usageLife = 40 * 24 * time.Hour
	// usageBeat is how long a count waits in this process, and so what a crash
	// can lose: a second of counts per process, or all since Redis went away.
	usageBeat = time.Second
	// usageMark is how long Redis remembers which batch of this process it took
	// last. A batch whose answer was lost is not counted twice within that.
	usageMark = 24 * time.Hour
	// usageBatch is how many tenants one trip counts, usageBound how many wait
	// at most, each day's by itself. What does not fit is not counted.
	usageBatch = 500
	usageBound = 200_000
)

// usageKey is a hash of tenant → requests for a day in UTC.
func usageKey(day int64) string {
	return "usage:" + time.Unix(day*secondsOfDay, 0).UTC().Format(time.DateOnly)
}

const secondsOfDay = 24 * 60 * 60

func dayOf(now time.Time) int64 { return now.Unix() / secondsOfDay }

// usage counts answered requests by tenant and day, and writes them down in
// batches. A batch has a number; until Redis has answered for it, the same batch
// goes again under the same number, and Redis counts each number of a process
// once. So a lost answer counts nothing twice, and loses nothing.
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
	batch    *usageOf // sent, and not known to have arrived
}

type dayCounts struct {
	day    int64
	counts map[ids.ID]int64
}

// usageOf is a batch: ARGV of its script.
type usageOf struct {
	keys []string
	args []any
}

func newUsage(now func() time.Time) *usage {
	return &usage{process: ids.New().String(), bound: usageBound, now: now}
}

// add counts a request.
func (u *usage) add(tenant ids.ID) {
	day := dayOf(u.now())
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

var countScript = cache.NewScript(`
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for i = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
`)

// next takes up to a batch of what waits.
func (u *usage) next() *usageOf {
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
	b := &usageOf{keys: []string{"usage:by:" + u.process, usageKey(oldest.day)},
		args: append(make([]any, 0, 3+2*min(usageBatch, len(oldest.counts))), u.sequence, int(usageMark/time.Second), int(usageLife/time.Second))}
	for tenant, n := range oldest.counts {
		if len(b.args) >= 3+2*usageBatch {
			break
		}
		b.args = append(b.args, tenant.String(), n)
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
		if _, err := c.Run(ctx, countScript, u.batch.keys, u.batch.args...); err != nil {
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
