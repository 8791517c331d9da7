package usagesync

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/coditect/platform/shared/ids"
)

// TestFailover kills a Redis (SIGKILL) whose replica was behind, makes the
// replica the primary, and goes on counting there. What was not replicated is
// lost unless it was in the records; nothing is ever counted twice, whether the
// records had been brought up before, between or not at all. The log has what
// was lost at worst.
func TestFailover(t *testing.T) {
	f := setup(t)
	for _, c := range []struct {
		name              string
		before, lag, then int64 // counted while replicated, not replicated, and after
		early, late       bool  // the records are brought up to it while replicated, and just before the end
		want              int64
	}{
		{"never moved before", 100, 7, 50, false, false, 150},
		{"moved before the lag", 100, 7, 50, true, false, 150},
		{"moved all", 100, 7, 50, true, true, 150},
		{"moved all, and little comes after", 100, 7, 3, false, true, 107},
		{"moved all, and nothing comes after", 100, 7, 0, false, true, 107},
		{"nothing was replicated", 0, 40, 30, false, true, 70},
	} {
		t.Run(c.name, func(t *testing.T) {
			tenant := ids.New()
			primary := (&server{}).start(t, "")
			replica := (&server{}).start(t, primary.port)
			at := func(s *server) { f.Vars["REDIS_URL"] = "redis://" + s.address() }
			count := func(n int64) {
				for ; n > 0; n-- {
					f.count(t, noon, tenant, 1)
				}
			}
			at(primary)
			count(c.before)
			admin := redis.NewClient(&redis.Options{Addr: replica.address()})
			t.Cleanup(func() { _ = admin.Close() })
			replicated(t, primary, replica)
			if c.early {
				f.syncOn(t)
				replicated(t, primary, replica)
			}
			// From here on nothing reaches the replica.
			if err := admin.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
			count(c.lag)
			if c.late {
				f.syncOn(t)
			}
			primary.kill(t)
			at(replica)
			count(c.then)
			for range 2 {
				f.syncOn(t)
			}
			truth, got := c.before+c.lag+c.then, f.moved(t, noon, tenant)
			if got > truth || got < truth-c.lag || got != c.want {
				t.Errorf("%d of %d, want %d", got, truth, c.want)
			}
			t.Logf("%d counted, %d not replicated, %d lost", truth, c.lag, truth-got)
		})
	}
}

func (f *fixture) syncOn(t *testing.T) {
	t.Helper()
	f.sync(t).Want(t, http.StatusOK)
}

// replicated waits until a replica has what its primary has.
func replicated(t *testing.T, primary, replica *server) {
	t.Helper()
	a, b := redis.NewClient(&redis.Options{Addr: primary.address()}), redis.NewClient(&redis.Options{Addr: replica.address()})
	defer func() { _ = a.Close(); _ = b.Close() }()
	content := func(c *redis.Client) string {
		info, err := c.Info(context.Background(), "replication").Result()
		if err != nil {
			return ""
		}
		var offset int64
		if i := indexAfter(info, "\r\nmaster_repl_offset:"); i >= 0 {
			_, _ = fmt.Sscan(info[i:], &offset)
		}
		n, err := c.DBSize(context.Background()).Result()
		if err != nil {
			return ""
		}
		return fmt.Sprint(offset, " ", n)
	}
	until(t, func() bool {
		state, err := b.Info(context.Background(), "replication").Result()
		up := err == nil && indexAfter(state, "master_link_status:up") >= 0
		return up && content(a) == content(b)
	})
}

// TestRedisLost kills a Redis (SIGKILL) that keeps nothing on disk, again and
// again. What is lost is what came since the records were brought up to it.
func TestRedisLost(t *testing.T) {
	f := setup(t)
	one := (&server{}).start(t, "")
	f.Vars["REDIS_URL"] = "redis://" + one.address()
	tenant := ids.New()
	counted, lost := int64(0), int64(0)
	for i := range int64(4) {
		f.count(t, noon, tenant, 100*(i+1))
		counted += 100 * (i + 1)
		f.syncOn(t)
		f.count(t, noon, tenant, 10+i)
		counted += 10 + i
		lost += 10 + i
		one.kill(t)
		one.start(t, "")
	}
	f.count(t, noon, tenant, 5)
	counted += 5
	for range 2 {
		f.syncOn(t)
		f.want(t, noon, tenant, counted-lost)
	}
	t.Logf("%d counted, %d since the records were brought up to it, %d lost", counted, lost, counted-f.moved(t, noon, tenant))
}
