package usage_test

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/trips"
	"github.com/coditect/platform/shared/usage"
)

func client(t *testing.T, address string) *cache.Client {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret("redis://" + address), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// server starts a Redis of the test's own: what holds in the stand-in must hold
// where it will run.
func server(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is needed for this test: install the package redis-server")
	}
	for range 20 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		ln, err := net.Listen("tcp", "127.0.0.1:"+port) //nolint:noctx // to see whether the port is free
		if err != nil {
			continue
		}
		_ = ln.Close()
		cmd := exec.CommandContext(context.Background(), path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()) //nolint:gosec // found above
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				return "127.0.0.1:" + port
			}
		}
	}
	t.Fatal("redis-server did not start")
	return ""
}

// each runs a test in the stand-in and on a server.
func each(t *testing.T, act func(t *testing.T, c *cache.Client)) {
	t.Helper()
	t.Parallel()
	t.Run("stand-in", func(t *testing.T) { t.Parallel(); act(t, client(t, miniredis.RunT(t).Addr())) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); act(t, client(t, server(t))) })
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var day = usage.DayOf(time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC))

func send(t *testing.T, c *cache.Client, process string, number int64, d usage.Day, counts ...usage.Count) {
	t.Helper()
	if err := (&usage.Batch{Process: process, Number: number, Day: d, Counts: counts}).Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"2026-02-28T23:59:59Z": "2026-02-28", "2026-03-01T00:00:00Z": "2026-03-01", "2028-02-29T23:59:59.999Z": "2028-02-29",
		"2026-12-31T23:59:59Z": "2026-12-31", "2027-01-01T00:59:59+01:00": "2026-12-31", "2026-03-29T02:30:00+02:00": "2026-03-29",
	} {
		moment := must(time.Parse(time.RFC3339Nano, at))(t)
		if got := usage.DayOf(moment); got.String() != want || usage.DayOf(got.Start()) != got || got.Start().Location() != time.UTC {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	if d := usage.DayOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)); usage.Oldest(d.Start()) != d-40 {
		t.Errorf("the oldest is %s", usage.Oldest(d.Start()))
	}
}

// A batch counts once however often it comes, in one trip, and those of two
// processes add up.
func TestBatches(t *testing.T) {
	each(t, func(t *testing.T, c *cache.Client) {
		t.Helper()
		a, b := ids.New(), ids.New()
		send(t, c, "warm", 1, day) // loads the script
		ctx, n := trips.Count(t.Context())
		batch := &usage.Batch{Process: "one", Number: 1, Day: day, Counts: []usage.Count{{Tenant: a, N: 3}, {Tenant: b, N: 1}}}
		for range 3 {
			if err := batch.Send(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		if n.Redis() != 3 {
			t.Errorf("%d trips for 3 batches", n.Redis())
		}
		send(t, c, "two", 1, day, usage.Count{Tenant: a, N: 4})
		send(t, c, "one", 2, day, usage.Count{Tenant: a, N: 5})
		send(t, c, "one", 3, day+1, usage.Count{Tenant: a, N: 6})
		got := must(usage.Read(t.Context(), c, a, []usage.Day{day - 1, day, day + 1}))(t)
		if got[0] != (usage.Counter{}) || got[1].N != 12 || got[2].N != 6 || got[1].Epoch == ids.Nil || got[1].Epoch == got[2].Epoch {
			t.Errorf("%+v", got)
		}
		if other := must(usage.Read(t.Context(), c, ids.New(), []usage.Day{day}))(t); other[0].N != 0 {
			t.Errorf("a stranger has %+v", other)
		}
	})
}

// What is marked is not behind any more until more comes, and only what is
// marked as it is may be dropped. What comes after that begins another epoch.
func TestMarkAndDrop(t *testing.T) {
	each(t, func(t *testing.T, c *cache.Client) {
		t.Helper()
		ctx, a := t.Context(), ids.New()
		shard := usage.Shard(a)
		state := func() usage.State { return must(usage.States(ctx, c, day))(t)[shard] }
		if s := state(); s != (usage.State{}) || s.Behind() {
			t.Errorf("before anything: %+v", s)
		}
		send(t, c, "p", 1, day, usage.Count{Tenant: a, N: 3})
		first := state()
		send(t, c, "p", 2, day, usage.Count{Tenant: a, N: 1}) // while the first is moved
		if err := usage.Mark(ctx, c, day, shard, first); err != nil {
			t.Fatal(err)
		}
		if s := state(); !s.Behind() || s.Synced != 1 || s.Batches != 2 {
			t.Errorf("%+v", s)
		}
		if gone := must(usage.Drop(ctx, c, day, shard, first))(t); gone {
			t.Error("what nobody has moved was dropped")
		}
		second := state()
		if err := usage.Mark(ctx, c, day, shard, second); err != nil {
			t.Fatal(err)
		}
		if state().Behind() {
			t.Error("behind although all was moved")
		}
		if gone := must(usage.Drop(ctx, c, day, shard, second))(t); !gone || state() != (usage.State{}) {
			t.Errorf("%v, %+v", gone, state())
		}
		send(t, c, "p", 3, day, usage.Count{Tenant: a, N: 2})
		third := state()
		if third.Epoch == second.Epoch || !third.Behind() {
			t.Errorf("%+v after %+v", third, second)
		}
		// Whoever comes late with what was speaks of another epoch.
		if err := usage.Mark(ctx, c, day, shard, second); err != nil || !state().Behind() {
			t.Errorf("%v, %+v", err, state())
		}
		if gone := must(usage.Drop(ctx, c, day, shard, second))(t); gone {
			t.Error("another epoch was dropped")
		}
	})
}

// A hundred thousand organizations lie in hashes of about the same size, and are
// read in pages of about what was asked for, each at least once.
func TestManyTenants(t *testing.T) {
	t.Parallel()
	const tenants, page = 100_000, 1000
	c := client(t, server(t))
	var counts []usage.Count
	for i := range tenants {
		counts = append(counts, usage.Count{Tenant: ids.New(), N: int64(i%7 + 1)})
	}
	var routers sync.WaitGroup
	for r := range 4 {
		routers.Go(func() {
			for i := r; i < tenants/500; i += 4 {
				b := usage.Batch{Process: strconv.Itoa(r), Number: int64(i + 1), Day: day, Counts: counts[i*500 : (i+1)*500]}
				if err := b.Send(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	routers.Wait()
	seen := map[ids.ID]int64{}
	largest, longest := 0, 0
	for shard := range usage.Shards {
		size := 0
		for cursor := usage.First; ; {
			p := must(usage.Scan(t.Context(), c, day, shard, cursor, page))(t)
			longest = max(longest, len(p.Counts))
			for _, n := range p.Counts {
				if _, twice := seen[n.Tenant]; !twice {
					size++
				}
				seen[n.Tenant] = n.N
			}
			if cursor = p.Cursor; cursor == usage.First {
				break
			}
		}
		largest = max(largest, size)
	}
	if largest > tenants/usage.Shards*6/5 || longest > 2*page || len(seen) != tenants {
		t.Errorf("%d seen, the largest shard has %d, the longest page %d", len(seen), largest, longest)
	}
	for _, n := range counts {
		if seen[n.Tenant] != n.N {
			t.Fatalf("%s: %d, want %d", n.Tenant, seen[n.Tenant], n.N)
		}
	}
	t.Logf("the largest shard has %d counts, the longest page %d", largest, longest)
}

// What somebody else put there is an error, not a number.
func TestStrangeThings(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c, a := client(t, mr.Addr()), ids.New()
	key := usage.Key(day, usage.Shard(a))
	scan := func() error {
		_, err := usage.Scan(t.Context(), c, day, usage.Shard(a), usage.First, 10)
		return err
	}
	read := func() error { _, err := usage.Read(t.Context(), c, a, []usage.Day{day}); return err }
	states := func() error { _, err := usage.States(t.Context(), c, day); return err }
	if p := must(usage.Scan(t.Context(), c, day, 0, usage.First, 10))(t); p.Epoch != ids.Nil || len(p.Counts) != 0 || p.Cursor != usage.First {
		t.Errorf("of nothing: %+v", p)
	}
	mr.HSet(key, "epoch", ids.New().String(), a.String(), "many")
	if read() == nil || scan() == nil {
		t.Error("a count that is no number")
	}
	mr.HSet(key, a.String(), "1", "batches", "x")
	if states() == nil {
		t.Error("batches that are no number")
	}
	mr.HSet(key, "epoch", "yesterday")
	if read() == nil || scan() == nil || states() == nil {
		t.Error("an epoch that is none")
	}
	mr.Close()
	if err := read(); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	if scan() == nil || states() == nil {
		t.Error("down")
	}
}
