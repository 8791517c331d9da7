// Package listcache remembers pages of a list in Redis until something that the
// list shows is written: a minute at most.
//
// A tenant's pages of one list are one hash. It begins with a mark, made by
// whoever looks first; a page may be kept only under the mark that its reader
// saw before it asked the database. A write deletes the hash after its commit,
// and with it the mark: who read before the commit can keep nothing any more,
// and who looks after it begins a new hash. So no instance serves what was true
// before a write, once that write was answered. Two things may make it wrong for
// the rest of its minute: an instance that dies between its commit and the
// deletion, or that cannot reach Redis then while others can.
//
// The tenant is part of the key. What else decides about a page (filters, order,
// place, size) is the caller's to name, and so is whether somebody may see it at
// all, which is settled before anything is looked up here: nobody's rights are
// in the key, since pages differ by what was asked and not by who asks.
//
// Without Redis every read goes to the database.
//
// To cache another list, add a List and drop it wherever something that it shows
// is written.
package listcache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

// Life is how long a page is remembered at most.
const Life = time.Minute

// What a tenant may have remembered of one list: pages, and bytes of one page.
const (
	maxPages = 64
	maxBytes = 128 << 10
)

// A List names a list that is remembered.
type List string

// Projects is GET /api/v1/projects/. It shows projects with the counts of their
// tasks: whoever writes either drops it. A changed name of an owner is seen when
// the minute is over.
const Projects List = "projects"

// Cache remembers pages. It is safe for use by many goroutines.
type Cache struct {
	redis *cache.Client
	log   *slog.Logger
}

// New makes a cache over Redis.
func New(c *cache.Client, log *slog.Logger) *Cache {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Cache{redis: c, log: log}
}

// Place is where a page that was not found may be kept.
type Place struct{ key, mark, field string }

// lookScript: KEYS is the hash; ARGV the page, a mark for a new hash, and its
// life in milliseconds. It gives the mark, and the page if it is there.
var lookScript = cache.NewScript(`
local found = redis.call('HMGET', KEYS[1], 'mark', ARGV[1])
if not found[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'mark', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {ARGV[2]}
end
if found[2] then return {found[1], found[2]} end
return {found[1]}
`)

// keepScript: KEYS is the hash; ARGV the mark, the page, its bytes, and how many
// pages there may be.
var keepScript = cache.NewScript(`
if redis.call('HGET', KEYS[1], 'mark') ~= ARGV[1] then return 0 end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
`)

func key(l List, tenant ids.ID) string { return "list:" + string(l) + ":" + tenant.String() }

// Get reads a page into value. what is everything that decides about the page
// besides the tenant. When it is not there, place is where [Cache.Keep] may put
// what the caller now reads.
func (c *Cache) Get(ctx context.Context, l List, tenant ids.ID, what, value any) (found bool, place Place) {
	asked, err := json.Marshal(what)
	if err != nil {
		c.warn(ctx, err)
		return false, Place{}
	}
	sum := sha256.Sum256(asked)
	p := Place{key: key(l, tenant), field: "page:" + base64.RawURLEncoding.EncodeToString(sum[:])}
	reply, err := c.redis.Run(ctx, lookScript, []string{p.key}, p.field, ids.New().String(), Life.Milliseconds())
	if err != nil {
		c.warn(ctx, err)
		return false, Place{}
	}
	list, _ := reply.([]any)
	if len(list) == 0 {
		return false, Place{}
	}
	p.mark, _ = list[0].(string)
	if len(list) > 1 {
		page, _ := list[1].(string)
		if json.Unmarshal([]byte(page), value) == nil {
			return true, p
		}
		return false, Place{} // of another release: let it run out
	}
	return false, p
}

// Keep remembers what was read for a place.
func (c *Cache) Keep(ctx context.Context, p Place, value any) {
	if p.mark == "" {
		return
	}
	page, err := json.Marshal(value)
	if err != nil || len(page) > maxBytes {
		c.warn(ctx, err)
		return
	}
	_, err = c.redis.Run(ctx, keepScript, []string{p.key}, p.mark, p.field, page, maxPages)
	c.warn(ctx, err)
}

// Drop forgets a tenant's pages of a list, once the request's write is committed.
// Call it after the write.
func (c *Cache) Drop(ctx context.Context, l List, tenant ids.ID) {
	db.Committed(ctx, func(ctx context.Context) {
		if err := c.redis.Delete(ctx, key(l, tenant)); err != nil {
			c.log.WarnContext(ctx, "a list may show what was before a write", "list", l, "within", Life, "error", err)
		}
	})
}

func (c *Cache) warn(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, cache.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		c.log.WarnContext(ctx, "a page of a list was not remembered", "error", err)
	}
}
