package ratelimit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/trips"
)

func client(t testing.TB, addr string) *cache.Client {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret("redis://" + addr), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// realRedis starts a server of its own: the algorithm must hold where it will
// run, not only in the stand-in.
func realRedis(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is needed for this test: install the package redis-server")
	}
	for range 20 {
		port := 20000 + rand.IntN(12000)
		ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		_ = ln.Close()
		cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				go func() {
					for lines.Scan() { // a full pipe would stop the server
					}
				}()
				t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
				return "127.0.0.1:" + strconv.Itoa(port)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Fatal("redis-server did not start on any port")
	return ""
}

// suite is what must be true of every implementation.
func suite(t *testing.T, take func(...Bucket) Decision) {
	t.Helper()
	small := Policy{"small", 5, time.Minute}
	large := Policy{"large", 300, time.Hour}
	none := Policy{"none", 0, time.Minute}

	t.Run("limit", func(t *testing.T) {
		for _, p := range []Policy{small, large} {
			b := Bucket{p, "who"}
			for i := range p.Limit {
				d := take(b)
				if !d.Allowed || d.Denied != -1 || d.States[0].Remaining != p.Limit-1-i {
					t.Fatalf("%s: request %d: %+v", p.Name, i, d)
				}
			}
			d := take(b)
			if d.Allowed || d.Denied != 0 || d.States[0].Remaining != 0 || d.RetryAfter() <= 0 || d.RetryAfter() > 2*p.Window {
				t.Errorf("%s: over the limit: %+v", p.Name, d)
			}
			if !take(Bucket{p, "another"}).Allowed {
				t.Errorf("%s: another's budget is spent", p.Name)
			}
		}
		if d := take(Bucket{none, "x"}); d.Allowed || d.RetryAfter() <= 0 {
			t.Errorf("a limit of 0: %+v", d)
		}
	})
	t.Run("all or nothing", func(t *testing.T) {
		pair, account := Bucket{Policy{"pair", 2, time.Minute}, "p"}, Bucket{Policy{"account", 200, time.Hour}, "a"}
		for range 50 {
			take(pair, account)
		}
		if d := take(account); d.States[0].Remaining != 200-2-1 {
			t.Errorf("refused requests were charged: %d remain of 200 after 2", d.States[0].Remaining)
		}
		d := take(account, pair)
		if d.Denied != 1 || d.Allowed {
			t.Errorf("the second bucket refuses: %+v", d)
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		for _, p := range []Policy{{"c-small", 50, time.Hour}, {"c-large", 500, time.Hour}} {
			var allowed atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 100 {
						if take(Bucket{p, "who"}).Allowed {
							allowed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if got := int(allowed.Load()); got != p.Limit {
				t.Errorf("%s: %d of %d let in", p.Name, got, p.Limit)
			}
		}
	})
	t.Run("no buckets", func(t *testing.T) {
		if d := take(); !d.Allowed || len(d.States) != 0 || d.RetryAfter() != 0 {
			t.Errorf("%+v", d)
		}
	})
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	t.Run("stand-in", func(t *testing.T) {
		t.Parallel()
		l := New(client(t, miniredis.RunT(t).Addr()), NewMemory(1, nil))
		suite(t, func(b ...Bucket) Decision { return inRedis(t, l, b) })
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		l := New(client(t, realRedis(t)), NewMemory(1, nil))
		suite(t, func(b ...Bucket) Decision { return inRedis(t, l, b) })
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		suite(t, NewMemory(1000, nil).Take)
	})
}

func inRedis(t *testing.T, l *Limiter, b []Bucket) Decision {
	t.Helper()
	d := l.Take(t.Context(), b...)
	if d.InProcess {
		t.Error("Redis was not asked")
	}
	return d
}

// The promise of a log: no window of any position holds more than the limit.
// The promise of a counter: no fixed window does. And waiting as long as told
// is enough. Both implementations decide alike on the same traffic.
func TestRandomTraffic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 7))
			mr := miniredis.RunT(t)
			now := time.UnixMilli(1_800_000_000_000 + rnd.Int64N(100_000))
			redis := New(client(t, mr.Addr()), NewMemory(1, nil))
			memory := NewMemory(100, func() time.Time { return now })
			p := Policy{"p", 1 + rnd.IntN(20), time.Duration(1+rnd.IntN(5)) * time.Second}
			if seed%2 == 1 {
				p.Limit += ExactUpTo
			}
			step := p.Window.Milliseconds() * 3 / int64(p.Limit)
			var in []int64
			wait := time.Duration(0)
			for i := range 1500 {
				if wait > 0 && rnd.IntN(4) == 0 {
					now = now.Add(wait)
				} else {
					now, wait = now.Add(time.Duration(rnd.Int64N(step+1)/2)*time.Millisecond), 0
				}
				mr.SetTime(now)
				a, b := redis.Take(t.Context(), Bucket{p, "k"}), memory.Take(Bucket{p, "k"})
				if a.InProcess || a.Allowed != b.Allowed || a.Denied != b.Denied || a.States[0] != b.States[0] {
					t.Fatalf("request %d at %d: redis %+v, memory %+v", i, now.UnixMilli(), a, b)
				}
				if wait > 0 && !a.Allowed {
					t.Fatalf("request %d: refused after waiting the %v it was told to", i, wait)
				}
				wait = a.RetryAfter()
				if a.Allowed {
					in = append(in, now.UnixMilli())
				}
			}
			holds(t, p, in)
		})
	}
}

func holds(t *testing.T, p Policy, in []int64) {
	t.Helper()
	if len(in) < 2*p.Limit {
		t.Fatalf("only %d let in: the traffic proves nothing", len(in))
	}
	w := p.Window.Milliseconds()
	if p.Limit <= ExactUpTo {
		for i := p.Limit; i < len(in); i++ {
			if in[i]-in[i-p.Limit] < w {
				t.Fatalf("%d requests within %d ms, limit %d in %d", p.Limit+1, in[i]-in[i-p.Limit], p.Limit, w)
			}
		}
		return
	}
	perWindow := map[int64]int{}
	for _, at := range in {
		if perWindow[at/w]++; perWindow[at/w] > p.Limit {
			t.Fatalf("over %d in a fixed window", p.Limit)
		}
	}
}

func TestOneTripForAllBuckets(t *testing.T) {
	t.Parallel()
	s := NewSignIn(New(client(t, miniredis.RunT(t).Addr()), NewMemory(10, nil)), defaults())
	ip := netip.MustParseAddr("192.0.2.1")
	if _, err := s.Attempt(t.Context(), ip, "a@example.com", nil); err != nil { // loads the script
		t.Fatal(err)
	}
	ctx, n := trips.Count(t.Context())
	if _, err := s.Attempt(ctx, ip, "a@example.com", nil); err != nil || n.Redis() != 1 {
		t.Errorf("%d trips, %v", n.Redis(), err)
	}
}

func defaults() SignInConfig { return SignInConfig{5, 100, 30, 30, 5, 30, 120, 600} }

// TestTrapT32 holds sign-in limits to what they promise, before and after
// Redis goes away.
func TestTrapT32SignInLimits(t *testing.T) {
	t.Parallel()
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("redis down %v", down), func(t *testing.T) {
			t.Parallel()
			mr := miniredis.RunT(t)
			s := NewSignIn(New(client(t, mr.Addr()), NewMemory(10_000, nil)), defaults())
			if down {
				mr.Close()
			}
			ctx := t.Context()
			allowed := func(ip, account string) bool {
				d, err := s.Attempt(ctx, netip.MustParseAddr(ip), account, nil)
				if d.InProcess != down {
					t.Errorf("decided in process: %v", d.InProcess)
				}
				if err != nil && (errs.KindOf(err) != errs.TooMany || d.RetryAfter() <= 0) {
					t.Errorf("refusal: %v", err)
				}
				return err == nil
			}
			for i := range 5 {
				if !allowed("192.0.2.1", "victim@example.com") {
					t.Fatalf("attempt %d refused", i)
				}
			}
			for range 40 { // more than the account's hour
				if allowed("192.0.2.1", " VICTIM@example.com ") {
					t.Fatal("a sixth attempt of the pair")
				}
			}
			if !allowed("192.0.2.2", "victim@example.com") {
				t.Fatal("hammering from one address locked the account's owner out")
			}
			for i := range 30 - 6 {
				if !allowed(fmt.Sprintf("198.51.100.%d", i), "victim@example.com") {
					t.Fatalf("attempt %d on the account refused", 6+i)
				}
			}
			if allowed("198.51.100.200", "victim@example.com") {
				t.Error("a 31st attempt on the account within the hour")
			}
			for i := range 95 {
				if !allowed("192.0.2.1", fmt.Sprintf("u%d@example.com", i)) {
					t.Fatalf("attempt %d of the address refused", 5+i)
				}
			}
			if allowed("192.0.2.1", "other@example.com") {
				t.Error("a 101st attempt of the address")
			}
			if _, err := s.Refresh(ctx, netip.MustParseAddr("192.0.2.1"), "session"); err != nil {
				t.Errorf("refresh spends sign-in's budget: %v", err)
			}
			for range 119 {
				_, _ = s.Refresh(ctx, netip.MustParseAddr("192.0.2.1"), "session")
			}
			if _, err := s.Refresh(ctx, netip.MustParseAddr("192.0.2.1"), "session"); errs.KindOf(err) != errs.TooMany {
				t.Errorf("a 121st refresh: %v", err)
			}
		})
	}
}

// TestKnownNetworks holds that strangers who spend an account's hour lock its
// owner out of no network they were known from, and that asking is bounded.
func TestKnownNetworks(t *testing.T) {
	t.Parallel()
	limits := defaults()
	limits.AccountPerHour, limits.KnownPerHour = 2, 3
	s := NewSignIn(New(client(t, miniredis.RunT(t).Addr()), NewMemory(100, nil)), limits)
	asked := 0
	attempt := func(ip string, known bool, failure error) error {
		_, err := s.Attempt(t.Context(), netip.MustParseAddr(ip), "victim@example.com", func(context.Context) (bool, error) {
			asked++
			return known, failure
		})
		return err
	}
	for i := range 2 {
		if err := attempt(fmt.Sprintf("198.51.100.%d", i), false, nil); err != nil || asked != 0 {
			t.Fatalf("within the budget: %v, asked %d times", err, asked)
		}
	}
	if err := attempt("192.0.2.1", true, nil); err != nil || asked != 1 {
		t.Errorf("a known network: %v, asked %d times", err, asked)
	}
	down := errs.New(errs.Unavailable, "unavailable", "Down.")
	if err := attempt("192.0.2.1", false, down); !errors.Is(err, down) {
		t.Errorf("nobody knows: %v", err)
	}
	for i := range 6 {
		if err := attempt("192.0.2.2", false, nil); errs.KindOf(err) != errs.TooMany {
			t.Errorf("attempt %d of a stranger: %v", i, err)
		}
	}
	if asked != 2+3 {
		t.Errorf("a stranger had %d questions asked", asked-2)
	}
	_ = attempt("192.0.2.1", true, nil)
	if err := attempt("192.0.2.1", true, nil); errs.KindOf(err) != errs.TooMany {
		t.Errorf("a fourth attempt of a known network: %v", err)
	}
	if _, err := s.Attempt(t.Context(), netip.MustParseAddr("192.0.2.9"), "victim@example.com", nil); errs.KindOf(err) != errs.TooMany {
		t.Errorf("where none is known: %v", err)
	}
}

// TestProof bounds a session's guesses, and a person's over all sessions,
// together with whatever else the request is charged to.
func TestProof(t *testing.T) {
	t.Parallel()
	limits := defaults()
	limits.ProofPerMinute, limits.ProofPerHour = 2, 3
	s := NewSignIn(New(client(t, miniredis.RunT(t).Addr()), NewMemory(100, nil)), limits)
	proof := func(session string, more ...Bucket) bool {
		_, err := s.Proof(t.Context(), "user", session, more...)
		return err == nil
	}
	full := Bucket{Policy{"full", 0, time.Minute}, "x"}
	if proof("one", full) || !proof("one") || !proof("one") || proof("one") || !proof("two") || proof("two") {
		t.Error("the budgets do not hold")
	}
}

func TestAddressKey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := AddressKey(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := AddressKey(netip.Addr{}); got != "unknown" {
		t.Errorf("no address: %s", got)
	}
	if strings.Contains(AccountKey("someone@example.com"), "someone") || AccountKey("A@b.c") != AccountKey(" a@B.C ") {
		t.Error("account keys")
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	Decision{States: []State{
		{Policy{"tenant", 300, time.Minute}, 299, 59_001 * time.Millisecond},
		{Policy{"user", 60, time.Minute}, 0, time.Millisecond},
	}}.SetHeaders(h)
	if got := h.Get("RateLimit"); got != `"tenant";r=299;t=60, "user";r=0;t=1` {
		t.Error(got)
	}
	if got := h.Get("RateLimit-Policy"); got != `"tenant";q=300;w=60, "user";q=60;w=60` {
		t.Error(got)
	}
	Decision{}.SetHeaders(http.Header{})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := NewMemory(100, nil)
	for i := range 10_000 {
		m.Take(Bucket{Policy{"p", 5, time.Minute}, strconv.Itoa(i)})
	}
	if n := m.buckets.Len(); n != 100 {
		t.Errorf("%d buckets", n)
	}
}

func TestStrangeRepliesAreNotBelieved(t *testing.T) {
	t.Parallel()
	b := []Bucket{{Policy{"p", 5, time.Minute}, "k"}}
	for _, reply := range []any{nil, "OK", []any{}, []any{"0", int64(1), int64(1)}, []any{int64(0), "1", int64(1)}, []any{int64(0), int64(1)}} {
		if d, ok := Decode(reply, b); ok {
			t.Errorf("%v: %+v", reply, d)
		}
	}
}

func TestConfigRefusesZero(t *testing.T) {
	t.Parallel()
	_, err := config.Load[SignInConfig](config.Map(map[string]string{"SIGNIN_PAIR_PER_MINUTE": "0", "REFRESH_PER_MINUTE": "-1"}))
	if err == nil || !strings.Contains(err.Error(), "SIGNIN_PAIR_PER_MINUTE") || !strings.Contains(err.Error(), "REFRESH_PER_MINUTE") {
		t.Error(err)
	}
	if got, err := config.Load[SignInConfig](config.Map(nil)); err != nil || got != defaults() {
		t.Errorf("%+v %v", got, err)
	}
}

func BenchmarkTake(b *testing.B) {
	buckets := []Bucket{{Policy{"pair", 5, time.Minute}, "p"}, {Policy{"ip", 100, time.Minute}, "i"}, {Policy{"tenant", 30_000, time.Minute}, "t"}}
	b.Run("memory", func(b *testing.B) {
		m := NewMemory(100, nil)
		b.ReportAllocs()
		for b.Loop() {
			m.Take(buckets...)
		}
	})
	b.Run("redis", func(b *testing.B) {
		l := New(client(b, realRedis(b)), NewMemory(1, nil))
		b.ReportAllocs()
		for b.Loop() {
			l.Take(context.Background(), buckets...)
		}
	})
}
