// Package usage is what the edge, which counts requests, and those who read its
// counters agree on: how they lie in Redis, and how they become rows of
// app.usage_records without any being lost or counted twice.
//
// A day's counters are [Shards] hashes of tenant → requests since the hash was
// begun. They only grow. Each hash has an epoch, a UUID made with its first
// count, and what was counted under an epoch is one row per tenant: its id is
// the epoch, its quantity the largest count that anybody saw. So a day's number
// is, at any moment,
//
//	the rows of other epochs + the larger of this epoch's row and counter
//
// whoever reads it and however far the schedule is. Moving a counter twice, from
// two places at once, or half of them before a crash changes nothing: a row is
// never added to, only raised. A Redis that fails over to a replica goes back by
// what was not replicated, in the same epoch: the row stays, and the counter
// grows past it again. A Redis that lost a hash begins another epoch, whose row
// stands beside the old one. Nothing is renamed or subtracted, since a fail-over
// may undo just that, and what was moved already would be moved again.
//
// docs/usage.md says what is lost at worst. A new thing to count is a field that
// is no UUID, or a hash of its own with the same fields.
package usage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/ids"
)

const (
	// Shards is how many hashes a day's counters are spread over, so that none is
	// large: with 100,000 tenants some 6,250 fields.
	Shards = 16
	// life is how long a counter waits in Redis to be moved. Stripe takes nothing
	// that is older.
	life = 40 * 24 * time.Hour
	// markLife is how long Redis remembers which batch of a process it took last.
	// A batch whose answer was lost is not counted twice within that.
	markLife = 24 * time.Hour
)

// Metric is what the records of requests are called.
const Metric = "api_requests"

// Day is a day in UTC, by its number since 1970.
type Day int64

const secondsOfDay = 24 * 60 * 60

// DayOf is the day of a moment.
func DayOf(t time.Time) Day { return Day(t.Unix() / secondsOfDay) }

// Start is the day's first moment.
func (d Day) Start() time.Time { return time.Unix(int64(d)*secondsOfDay, 0).UTC() }

// String is the day as YYYY-MM-DD.
func (d Day) String() string { return d.Start().Format(time.DateOnly) }

// Oldest is the first day whose counters may still wait at a moment.
func Oldest(now time.Time) Day { return DayOf(now.Add(-life)) }

// Month is the period of a plan's limits that a moment is in: the month in UTC,
// with the first moment of the next.
func Month(t time.Time) (start, end time.Time) {
	y, m, _ := t.UTC().Date()
	start = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 1, 0)
}

// Key names the hash of a day and a shard.
func Key(d Day, shard int) string { return "usage:" + d.String() + ":" + strconv.Itoa(shard) }

// Shard is the one that a tenant's counters are in. The last byte of a UUID is
// random, in whatever version.
func Shard(tenant ids.ID) int { return int(tenant[len(tenant)-1]) % Shards }

// Count is how often a tenant was counted.
type Count struct {
	Tenant ids.ID
	N      int64
}

// Batch is what one process counted of a day. It has a number, and Redis takes
// each number of a process once: a batch whose answer was lost goes again as it
// is.
type Batch struct {
	Process string
	Number  int64
	Day     Day
	Counts  []Count
}

// The other fields of a hash are tenants.
const fields = `
local function state(key) return redis.call('HMGET', key, 'epoch', 'batches', 'synced') end
`

// add: KEYS are the process's mark and the hashes; ARGV are the number, the lives
// of the mark and of the hashes, an epoch for those that have none, then for each
// count the place of its key, the tenant and the number.
var add = cache.NewScript(`
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for i = 2, #KEYS do
  redis.call('HSETNX', KEYS[i], 'epoch', ARGV[4])
  redis.call('HINCRBY', KEYS[i], 'batches', 1)
  redis.call('EXPIRE', KEYS[i], ARGV[3])
end
for i = 5, #ARGV, 3 do redis.call('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]) end
return 1
`)

// Send adds the batch to the counters, in one trip.
func (b *Batch) Send(ctx context.Context, c *cache.Client) error {
	keys := make([]string, 1, 1+Shards)
	keys[0] = "usage:by:" + b.Process
	args := append(make([]any, 0, 4+3*len(b.Counts)), b.Number, int(markLife/time.Second), int(life/time.Second), ids.New().String())
	var places [Shards]int
	for _, n := range b.Counts {
		s := Shard(n.Tenant)
		if places[s] == 0 {
			keys = append(keys, Key(b.Day, s))
			places[s] = len(keys)
		}
		args = append(args, places[s], n.Tenant.String(), n.N)
	}
	_, err := c.Run(ctx, add, keys, args...)
	return err
}

// Counter is what stands in Redis for one tenant and day. Without an epoch there
// is nothing.
type Counter struct {
	Epoch ids.ID
	N     int64
}

var read = cache.NewScript(`
local out = {}
for i = 1, #KEYS do
  local v = redis.call('HMGET', KEYS[i], 'epoch', ARGV[1])
  out[2 * i - 1], out[2 * i] = v[1] or '', v[2] or '0'
end
return out
`)

// Read gives a tenant's counters of some days, in one trip.
func Read(ctx context.Context, c *cache.Client, tenant ids.ID, days []Day) ([]Counter, error) {
	keys := make([]string, len(days))
	for i, d := range days {
		keys[i] = Key(d, Shard(tenant))
	}
	reply, err := c.Run(ctx, read, keys, tenant.String())
	if err != nil {
		return nil, err
	}
	texts, err := words(reply, 2*len(days))
	if err != nil {
		return nil, err
	}
	out := make([]Counter, len(days))
	for i := range out {
		if texts[2*i] == "" {
			continue
		}
		if out[i].Epoch, err = ids.Parse(texts[2*i]); err != nil {
			return nil, strange(texts[2*i])
		}
		if out[i].N, err = strconv.ParseInt(texts[2*i+1], 10, 64); err != nil {
			return nil, strange(texts[2*i+1])
		}
	}
	return out, nil
}

// State is how far a hash is.
type State struct {
	Epoch ids.ID
	// Batches is how many batches it took; Synced how many of them are known to
	// be in the records. A hash that is not there has no epoch.
	Batches, Synced int64
}

// Behind reports whether there is something to move.
func (s State) Behind() bool { return s.Epoch != ids.Nil && s.Synced < s.Batches }

var states = cache.NewScript(fields + `
local out = {}
for i = 1, #KEYS do
  local v = state(KEYS[i])
  out[3 * i - 2], out[3 * i - 1], out[3 * i] = v[1] or '', v[2] or '0', v[3] or '0'
end
return out
`)

// States gives how far each shard of a day is, in one trip.
func States(ctx context.Context, c *cache.Client, d Day) ([Shards]State, error) {
	var out [Shards]State
	keys := make([]string, Shards)
	for i := range keys {
		keys[i] = Key(d, i)
	}
	reply, err := c.Run(ctx, states, keys)
	if err != nil {
		return out, err
	}
	texts, err := words(reply, 3*Shards)
	if err != nil {
		return out, err
	}
	for i := range out {
		if out[i], err = parseState(texts[3*i : 3*i+3]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func parseState(t []string) (s State, err error) {
	if t[0] == "" {
		return s, nil
	}
	if s.Epoch, err = ids.Parse(t[0]); err != nil {
		return s, strange(t[0])
	}
	for i, into := range []*int64{&s.Batches, &s.Synced} {
		if *into, err = strconv.ParseInt(t[1+i], 10, 64); err != nil {
			return s, strange(t[1+i])
		}
	}
	return s, nil
}

// Page is a part of a hash.
type Page struct {
	// Epoch is that of the counts. It differs from the page before when Redis
	// lost the hash in between.
	Epoch  ids.ID
	Cursor string // of the next page; "0" after the last
	Counts []Count
}

// First is the cursor of a hash's first page.
const First = "0"

// The epoch and the counts are of one moment, as nothing comes between.
var scan = cache.NewScript(`
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local out = {redis.call('HGET', KEYS[1], 'epoch') or '', page[1]}
for i = 1, #page[2] do out[i + 2] = page[2][i] end
return out
`)

// Scan reads about n counts of a hash from a cursor on, in one trip. Counts that
// are there throughout are given at least once, some maybe twice.
func Scan(ctx context.Context, c *cache.Client, d Day, shard int, cursor string, n int) (Page, error) {
	reply, err := c.Run(ctx, scan, []string{Key(d, shard)}, cursor, n)
	if err != nil {
		return Page{}, err
	}
	texts, err := words(reply, -1)
	if err != nil {
		return Page{}, err
	}
	if len(texts) < 2 || len(texts)%2 != 0 {
		return Page{}, strange(reply)
	}
	p := Page{Cursor: texts[1]}
	if texts[0] == "" {
		return Page{Cursor: First}, nil // it went away meanwhile
	}
	if p.Epoch, err = ids.Parse(texts[0]); err != nil {
		return Page{}, strange(texts[0])
	}
	at := map[ids.ID]int{}
	for i := 2; i < len(texts); i += 2 {
		tenant, err := ids.Parse(texts[i])
		if err != nil {
			continue // epoch, batches, synced
		}
		v, err := strconv.ParseInt(texts[i+1], 10, 64)
		if err != nil {
			return Page{}, strange(texts[i+1])
		}
		if j, twice := at[tenant]; twice {
			p.Counts[j].N = max(p.Counts[j].N, v)
			continue
		}
		at[tenant] = len(p.Counts)
		p.Counts = append(p.Counts, Count{tenant, v})
	}
	return p, nil
}

var mark = cache.NewScript(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'synced', ARGV[2])
return 1
`)

// Mark notes that the batches which a hash had at s are in the records. It is
// only a note: without it they are looked at again.
func Mark(ctx context.Context, c *cache.Client, d Day, shard int, s State) error {
	_, err := c.Run(ctx, mark, []string{Key(d, shard)}, s.Epoch.String(), s.Batches)
	return err
}

var drop = cache.NewScript(fields + `
local v = state(KEYS[1])
if v[1] ~= ARGV[1] or v[2] ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])
`)

// Drop takes a hash away whose batches at s are in the records, unless more came
// since. What is counted for its day later begins another epoch.
func Drop(ctx context.Context, c *cache.Client, d Day, shard int, s State) (bool, error) {
	reply, err := c.Run(ctx, drop, []string{Key(d, shard)}, s.Epoch.String(), s.Batches)
	return reply == int64(1), err
}

// words reads a reply that is a list of n texts, or of any number.
func words(reply any, n int) ([]string, error) {
	list, ok := reply.([]any)
	if !ok || n >= 0 && len(list) != n {
		return nil, strange(reply)
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			return nil, strange(reply)
		}
	}
	return out, nil
}

var errStrange = errors.New("usage: what lies in Redis is not what was put there")

func strange(v any) error { return fmt.Errorf("%w: %.100v", errStrange, v) }
