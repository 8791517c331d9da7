package listcache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/ids"
)

const list List = "things"

func open(t *testing.T) (*Cache, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	client, err := cache.Open(cache.Config{URL: config.Secret("redis://" + server.Addr() + "/0"), Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return New(client, nil), server
}

func (c *Cache) get(t *testing.T, tenant ids.ID, what string) (string, bool, Place) {
	t.Helper()
	var v string
	found, place := c.Get(t.Context(), list, tenant, what, &v)
	return v, found, place
}

func TestPages(t *testing.T) {
	t.Parallel()
	c, server := open(t)
	mine, theirs := ids.New(), ids.New()
	_, found, place := c.get(t, mine, "a")
	if found {
		t.Fatal("found what nobody kept")
	}
	c.Keep(t.Context(), place, "page a")
	if v, found, _ := c.get(t, mine, "a"); !found || v != "page a" {
		t.Errorf("%q, %v", v, found)
	}
	for tenant, what := range map[ids.ID]string{mine: "b", theirs: "a"} {
		if v, found, _ := c.get(t, tenant, what); found {
			t.Errorf("%s of %s is %q", what, tenant, v)
		}
	}
	var v string
	if found, _ := c.Get(t.Context(), "others", mine, "a", &v); found {
		t.Error("another list's page")
	}
	c.Drop(t.Context(), list, mine)
	if _, found, _ := c.get(t, mine, "a"); found {
		t.Error("found what was dropped")
	}
	server.FastForward(Life)
	_, _, place = c.get(t, mine, "a")
	c.Keep(t.Context(), place, "page a")
	server.FastForward(Life - time.Second)
	if _, found, _ := c.get(t, mine, "a"); !found {
		t.Error("forgotten early")
	}
	server.FastForward(2 * time.Second) // reading does not prolong it
	if _, found, _ := c.get(t, mine, "a"); found {
		t.Error("remembered for too long")
	}
}

// TestWhoReadBeforeKeepsNothing holds that a page read before a write is not kept
// after it, under the mark of before or of after, nor once the mark ran out.
func TestWhoReadBeforeKeepsNothing(t *testing.T) {
	t.Parallel()
	c, server := open(t)
	tenant := ids.New()
	for name, meanwhile := range map[string]func(){
		"a write":                func() { c.Drop(t.Context(), list, tenant) },
		"a write and a reader":   func() { c.Drop(t.Context(), list, tenant); c.get(t, tenant, "b") },
		"Redis forgot":           func() { server.FlushAll(); c.get(t, tenant, "a") },
		"the minute was over":    func() { server.FastForward(2 * Life) },
		"the mark alone is gone": func() { server.HDel(key(list, tenant), "mark") },
	} {
		server.FlushAll()
		_, _, place := c.get(t, tenant, "a")
		meanwhile()
		c.Keep(t.Context(), place, "old")
		if v, found, _ := c.get(t, tenant, "a"); found {
			t.Errorf("%s: %q is remembered", name, v)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	c, server := open(t)
	tenant := ids.New()
	_, _, place := c.get(t, tenant, "large")
	c.Keep(t.Context(), place, strings.Repeat("x", maxBytes))
	if _, found, _ := c.get(t, tenant, "large"); found {
		t.Error("a page of any size is kept")
	}
	for range 2 * maxPages {
		_, _, place := c.get(t, tenant, ids.New().String())
		c.Keep(t.Context(), place, "x")
	}
	if keys, err := server.HKeys(key(list, tenant)); err != nil || len(keys) != maxPages+1 {
		t.Errorf("%d fields (%v)", len(keys), err)
	}
	server.HSet(key(list, tenant), place.field, "not JSON")
	if _, found, place := c.get(t, tenant, "large"); found || place.mark != "" {
		t.Error("what cannot be read is found, or written over")
	}
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	c, server := open(t)
	server.Close()
	for range 10 {
		_, found, place := c.get(t, ids.New(), "a")
		c.Keep(t.Context(), place, "x")
		c.Drop(t.Context(), list, ids.New())
		if found || place.mark != "" {
			t.Error("found something")
		}
	}
}

// held is a transaction that waits for its answer.
type held struct{ err error }

func (h held) Commit(context.Context, idempotency.Response) error { return h.err }
func (held) Rollback(context.Context)                             {}

// TestDropWaitsForTheCommit holds that what a keyed request wrote is dropped when
// it is committed, and not before.
func TestDropWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	for _, outcome := range []error{nil, errors.New("nobody knows")} {
		c, _ := open(t)
		tenant := ids.New()
		_, _, place := c.get(t, tenant, "a")
		c.Keep(t.Context(), place, "old")
		attempt := &idempotency.Attempt{Key: "k"}
		ctx, leave := context.WithCancel(idempotency.With(t.Context(), attempt))
		attempt.Hold(held{outcome})
		c.Drop(ctx, list, tenant)
		if _, found, _ := c.get(t, tenant, "a"); !found {
			t.Error("dropped before the commit: a reader may bring the old page back")
		}
		leave() // the client is gone
		_ = attempt.Commit(ctx, idempotency.Response{Status: 201})
		if _, found, _ := c.get(t, tenant, "a"); found {
			t.Error("not dropped after the commit")
		}
	}
	c, _ := open(t)
	tenant := ids.New()
	_, _, place := c.get(t, tenant, "a")
	c.Keep(t.Context(), place, "old")
	attempt := &idempotency.Attempt{Key: "k"}
	attempt.Hold(held{})
	c.Drop(idempotency.With(t.Context(), attempt), list, tenant)
	attempt.Rollback(t.Context())
	if _, found, _ := c.get(t, tenant, "a"); !found {
		t.Error("dropped for a write that was given up")
	}
}
