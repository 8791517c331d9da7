package cache

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/trips"
)

func open(t *testing.T, addr string, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{URL: config.Secret("redis://" + addr)}
	if change != nil {
		change(&cfg)
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestValuesLiveAndDie(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), nil)
	ctx := t.Context()

	if _, found, err := c.Get(ctx, "t1:a"); found || err != nil {
		t.Fatalf("absent: %v %v", found, err)
	}
	if err := c.Set(ctx, "t1:a", []byte("one"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if v, found, err := c.Get(ctx, "t1:a"); string(v) != "one" || !found || err != nil {
		t.Fatalf("got %q %v %v", v, found, err)
	}
	if won, err := c.SetNX(ctx, "t1:a", []byte("two"), time.Minute); won || err != nil {
		t.Fatalf("SetNX over a value: %v %v", won, err)
	}
	mr.FastForward(time.Minute)
	if won, err := c.SetNX(ctx, "t1:a", []byte("two"), time.Minute); !won || err != nil {
		t.Fatalf("SetNX after its life: %v %v", won, err)
	}
	vs, err := c.GetMany(ctx, "t1:a", "t1:b")
	if err != nil || string(vs[0]) != "two" || vs[1] != nil {
		t.Fatalf("GetMany: %q %v", vs, err)
	}
	if vs, err := c.GetMany(ctx); len(vs) != 0 || err != nil {
		t.Fatalf("GetMany of nothing: %q %v", vs, err)
	}
}

// A reader who looked into the database before a change must not bring the old
// value back after the change dropped it.
func TestDropOutlivesARacingFill(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), nil)
	ctx := t.Context()
	key := "acc:t1:u1"

	if err := c.Fill(ctx, key, []byte("admin"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := c.Drop(ctx, key, "acc:t1:u2"); err != nil {
		t.Fatal(err)
	}
	if err := c.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Fill(ctx, key, []byte("admin"), time.Minute); err != nil {
			t.Fatal(err)
		}
		if v, found, err := c.Get(ctx, key); found || err != nil {
			t.Fatalf("a dropped value is back: %q %v", v, err)
		}
		if vs, err := c.GetMany(ctx, key); err != nil || vs[0] != nil {
			t.Fatalf("a dropped value is back: %q %v", vs, err)
		}
	}
	mr.FastForward(TombstoneTTL)
	if err := c.Fill(ctx, key, []byte("viewer"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if v, _, _ := c.Get(ctx, key); string(v) != "viewer" {
		t.Fatalf("got %q after the tombstone", v)
	}
}

func TestEachCallIsOneTrip(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), nil)
	script := NewScript(`return {KEYS[1], tonumber(ARGV[1])}`)
	calls := map[string]func(context.Context) error{
		"ping":     c.Ping,
		"get":      func(ctx context.Context) error { _, _, err := c.Get(ctx, "k"); return err },
		"get many": func(ctx context.Context) error { _, err := c.GetMany(ctx, "k", "l"); return err },
		"set":      func(ctx context.Context) error { return c.Set(ctx, "k", []byte("v"), time.Minute) },
		"fill":     func(ctx context.Context) error { return c.Fill(ctx, "k", []byte("v"), time.Minute) },
		"drop":     func(ctx context.Context) error { return c.Drop(ctx, "k", "l", "m") },
		"script":   func(ctx context.Context) error { _, err := c.Run(ctx, script, []string{"k"}, 1); return err },
		"pipeline": func(ctx context.Context) error {
			return c.Pipeline(ctx, func(p redis.Pipeliner) { p.Get(ctx, "absent"); p.Incr(ctx, "n") })
		},
	}
	if err := calls["script"](t.Context()); err != nil { // loads it
		t.Fatal(err)
	}
	for name, call := range calls {
		ctx, n := trips.Count(t.Context())
		if err := call(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n.Redis() != 1 {
			t.Errorf("%s made %d trips", name, n.Redis())
		}
	}
}

func TestScriptsSurviveAServerThatForgotThem(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), nil)
	s := NewScript(`return {KEYS[1], tonumber(ARGV[1])}`)
	for range 2 {
		got, err := c.Run(t.Context(), s, []string{"k"}, 7)
		if err != nil {
			t.Fatal(err)
		}
		if l, ok := got.([]any); !ok || l[0] != "k" || l[1] != int64(7) {
			t.Fatalf("got %v", got)
		}
		if err := c.Pipeline(t.Context(), func(p redis.Pipeliner) { p.ScriptFlush(t.Context()) }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Run(t.Context(), NewScript(`return redis.call('NOPE')`), nil); err == nil || errors.Is(err, ErrUnavailable) {
		t.Fatalf("a wrong script is our fault, not an outage: %v", err)
	}
}

func TestOutageCostsNothingAndEnds(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), func(cfg *Config) { cfg.Failures, cfg.Cooldown = 3, 50*time.Millisecond })
	var changes []bool
	var mu sync.Mutex
	c.OnChange(func(up bool) { mu.Lock(); changes = append(changes, up); mu.Unlock() })
	ctx, n := trips.Count(t.Context())
	if err := c.Ping(ctx); err != nil || !c.Up() {
		t.Fatalf("before: %v", err)
	}

	mr.Close()
	for range 200 {
		if _, _, err := c.Get(ctx, "k"); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
	}
	if c.Up() {
		t.Error("the circuit is still closed")
	}
	if n.Redis() > 100 {
		t.Errorf("%d of 200 calls went out to a server that is down", n.Redis())
	}

	if err := mr.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return c.Ping(ctx) == nil })
	mu.Lock()
	defer mu.Unlock()
	if len(changes) != 2 || changes[0] || !changes[1] || !c.Up() {
		t.Errorf("changes told: %v, want [false true]", changes)
	}
}

// A server that accepts and never answers is worse than one that is gone.
func TestSilentServerIsGivenUpOn(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c := open(t, ln.Addr().String(), func(cfg *Config) { cfg.Timeout = 20 * time.Millisecond })
	start := time.Now()
	for range 50 {
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("50 calls took %v", d)
	}
}

func TestTheCallerLeavingIsNotAnOutage(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), func(cfg *Config) { cfg.Failures = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if err := c.Ping(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Fatalf("one caller's leaving opened the circuit for others: %v", err)
	}
}

func TestServerThatCannotServeIsUnavailable(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	c := open(t, mr.Addr(), nil)
	for reply, down := range map[string]bool{
		"LOADING Redis is loading the dataset in memory": true,
		"READONLY You can't write against a read only":   true,
		"OOM command not allowed":                        true,
		"WRONGTYPE Operation against a key":              false,
	} {
		mr.SetError(reply)
		if _, _, err := c.Get(t.Context(), "k"); err == nil || errors.Is(err, ErrUnavailable) != down {
			t.Errorf("%s: %v", reply, err)
		}
	}
}

func TestConfigIsRefusedWhole(t *testing.T) {
	t.Parallel()
	_, err := config.Load[Config](config.Map(map[string]string{
		"REDIS_URL": "http://pw@x", "REDIS_TIMEOUT": "-1s", "REDIS_POOL_SIZE": "0", "REDIS_CIRCUIT_FAILURES": "0", "REDIS_CIRCUIT_COOLDOWN": "0s",
	}))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"REDIS_URL", "REDIS_TIMEOUT", "REDIS_POOL_SIZE", "REDIS_CIRCUIT_FAILURES", "REDIS_CIRCUIT_COOLDOWN"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	if _, err := Open(Config{URL: "nonsense://secret"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open: %v", err)
	}
	if _, err := config.Load[Config](config.Map(map[string]string{"REDIS_URL": "rediss://user:pw@x:6379/1"})); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("waited 10 s in vain")
		}
	}
}

func TestLocalFillsOnceAndForgets(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	l := NewLocal[string, int](LocalConfig{Size: 2, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	fills := 0
	fill := func(context.Context) (int, time.Duration, error) { fills++; return fills, 5 * time.Second, nil }

	for range 3 {
		if v, err := l.Get(t.Context(), "a", fill); v != 1 || err != nil {
			t.Fatalf("got %d %v", v, err)
		}
	}
	if v, ok := l.Peek("a"); v != 1 || !ok {
		t.Errorf("Peek: %d %v", v, ok)
	}
	now.Store(5)
	if _, ok := l.Peek("a"); ok {
		t.Error("an entry outlived its life")
	}
	if v, _ := l.Get(t.Context(), "a", fill); v != 2 {
		t.Errorf("stale value %d", v)
	}
	l.Put("b", 20, time.Second)
	l.Put("c", 30, time.Second)
	if l.Len() != 2 {
		t.Errorf("%d entries in a cache of 2", l.Len())
	}
	if _, ok := l.Peek("a"); ok {
		t.Error("the oldest entry stayed")
	}
	l.DropIf(func(k string) bool { return k == "b" })
	l.Drop("c")
	if l.Len() != 0 {
		t.Error("dropped entries stayed")
	}
	if _, err := l.Get(t.Context(), "d", func(context.Context) (int, time.Duration, error) { return 0, time.Hour, errors.New("no") }); err == nil || l.Len() != 0 {
		t.Error("an error was kept")
	}
}

func TestLocalKeepsStaleOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	down := func(context.Context) (int, time.Duration, error) { return 0, time.Second, errors.New("down") }
	for keep, want := range map[time.Duration]bool{0: false, time.Minute: true} {
		var now atomic.Int64
		l := NewLocal[string, int](LocalConfig{Size: 2, KeepStale: keep, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
		l.Put("a", 1, time.Second)
		now.Store(30)
		if v, err := l.Get(t.Context(), "a", down); (err == nil && v == 1) != want {
			t.Errorf("keep %v: %d %v", keep, v, err)
		}
		now.Store(90)
		if _, err := l.Get(t.Context(), "a", down); err == nil {
			t.Errorf("keep %v: stale for ever", keep)
		}
	}
}

func TestLocalSharesOneFill(t *testing.T) {
	t.Parallel()
	l := NewLocal[string, int](LocalConfig{Size: 10})
	var fills atomic.Int64
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			v, err := l.Get(t.Context(), "a", func(context.Context) (int, time.Duration, error) {
				fills.Add(1)
				<-gate
				return 7, time.Minute, nil
			})
			if v != 7 || err != nil {
				t.Errorf("got %d %v", v, err)
			}
		})
	}
	until(t, func() bool { return fills.Load() == 1 })
	close(gate)
	wg.Wait()
	if fills.Load() != 1 {
		t.Errorf("%d fills", fills.Load())
	}
}

func TestLocalDropBeatsAFillUnderWay(t *testing.T) {
	t.Parallel()
	l := NewLocal[string, int](LocalConfig{Size: 10})
	began, gate, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = l.Get(context.Background(), "a", func(context.Context) (int, time.Duration, error) {
			close(began)
			<-gate
			return 1, time.Minute, nil
		})
	}()
	<-began
	l.DropIf(func(k string) bool { return k == "a" })
	v, err := l.Get(t.Context(), "a", func(context.Context) (int, time.Duration, error) { return 2, time.Minute, nil })
	if v != 2 || err != nil {
		t.Fatalf("joined a fill from before the drop: %d %v", v, err)
	}
	close(gate)
	<-ended
	if v, _ := l.Peek("a"); v != 2 {
		t.Errorf("the old fill overwrote the new one: %d", v)
	}
}

func TestLocalDropsByValue(t *testing.T) {
	t.Parallel()
	l := NewLocal[string, int](LocalConfig{Size: 10})
	for k, v := range map[string]int{"a": 1, "b": 2, "c": 1} {
		l.Put(k, v, time.Minute)
	}
	began, gate, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = l.Get(context.Background(), "d", func(context.Context) (int, time.Duration, error) {
			close(began)
			<-gate
			return 1, time.Minute, nil
		})
	}()
	<-began
	l.DropValues(func(v int) bool { return v == 1 })
	close(gate)
	<-ended
	for k, want := range map[string]bool{"a": false, "b": true, "c": false, "d": false} {
		if _, ok := l.Peek(k); ok != want {
			t.Errorf("%s is there: %v", k, ok)
		}
	}
}

func TestLocalWaiterTakesOverFromALeaver(t *testing.T) {
	t.Parallel()
	l := NewLocal[string, int](LocalConfig{Size: 10})
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	go func() {
		_, _ = l.Get(ctx, "a", func(ctx context.Context) (int, time.Duration, error) {
			close(began)
			<-ctx.Done()
			return 0, 0, ctx.Err()
		})
	}()
	<-began
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := l.Get(gone, "a", nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("a waiter who left got %v", err)
	}
	got := make(chan int)
	go func() {
		v, _ := l.Get(context.Background(), "a", func(context.Context) (int, time.Duration, error) { return 3, time.Minute, nil })
		got <- v
	}()
	cancel()
	if v := <-got; v != 3 {
		t.Errorf("got %d", v)
	}
}

func TestLocalSurvivesAPanic(t *testing.T) {
	t.Parallel()
	l := NewLocal[string, int](LocalConfig{})
	func() {
		defer func() { _ = recover() }()
		_, _ = l.Get(t.Context(), "a", func(context.Context) (int, time.Duration, error) { panic("x") })
	}()
	if v, err := l.Get(t.Context(), "a", func(context.Context) (int, time.Duration, error) { return 4, time.Minute, nil }); v != 4 || err != nil {
		t.Errorf("got %d %v", v, err)
	}
}
