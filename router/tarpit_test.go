package router

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

// Decisions of a plan of 3,000 a minute.
var (
	let     = ratelimit.Decision{Allowed: true, Denied: -1, States: []ratelimit.State{{Policy: perMinute("tenant", 3000)}, {Policy: perMinute("user", 3000)}}}
	denied  = ratelimit.Decision{Denied: 0, States: let.States}
	refusal = errRate.WithRetry(time.Second)
)

func newPit(held int, leaving <-chan struct{}) *tarpit {
	return must(newTarpit(LimitConfig{Hold: time.Second, Held: held}, newTraffic(), leaving, time.Now))
}

// pass lets time pass in a bubble of synctest, where it is nobody's.
func pass(d time.Duration) { <-time.After(d) }

// annoy counts refusals of a caller that does not wait for them.
func annoy(pit *tarpit, caller holder, refusals int) {
	for range refusals {
		pit.delay(denied, true, caller)
	}
}

func TestHeedlessCallersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pit := newPit(1, nil)
		noisy, colleague := holder{tenant: ids.New(), user: ids.New()}, holder{tenant: ids.New(), user: ids.New()}
		check := func(what string, verdict error, caller holder, want time.Duration) {
			t.Helper()
			began, d := time.Now(), let
			if verdict != nil {
				d = denied
			}
			pit.hold(t.Context(), d, verdict, caller)
			if took := time.Since(began); took != want {
				t.Errorf("%s took %v, want %v", what, took, want)
			}
		}
		for range 2 * patience {
			check("an answer", nil, noisy, 0)
			check("a refusal for something else", errRevoked, noisy, 0)
		}
		for range patience {
			check("one of the first refusals", refusal, noisy, 0)
		}
		for range 3 {
			check("a further one", refusal, noisy, time.Second)
		}
		check("a colleague's", refusal, colleague, 0)
		check("an address's", refusal, holder{address: "192.0.2.1"}, 0)
		pass((remorse - 1) * time.Second)
		check("one too early", refusal, noisy, time.Second)
		pass((remorse + 1) * time.Second)
		check("the first after a minute's peace", refusal, noisy, 0)

		// One a second is what Retry-After asks for.
		for range 5 * patience {
			check("a patient one", refusal, colleague, 0)
			pass(time.Second)
		}
	})
}

// What a heedless caller is let in with comes at the pace of its plan, however
// many ask at once, until it has been heedful for a minute.
func TestHeedlessCallersArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pit := newPit(1000, nil)
		noisy := holder{tenant: ids.New(), user: ids.New()}
		annoy(pit, noisy, patience+1)
		began := time.Now()
		var mu sync.Mutex
		passed := map[time.Duration]int{}
		burst := func(n int) {
			var asking sync.WaitGroup
			for range n {
				asking.Go(func() {
					pit.hold(t.Context(), let, nil, noisy)
					mu.Lock()
					defer mu.Unlock()
					passed[time.Since(began)]++
				})
			}
			asking.Wait()
		}
		burst(40)
		const every = time.Minute / 3000
		for i := range 40 {
			if n := passed[time.Duration(i)*every]; n != 1 {
				t.Errorf("%d passed after %v, want 1", n, time.Duration(i)*every)
			}
		}
		pass(every)
		began, passed = time.Now(), map[time.Duration]int{}
		burst(200)
		if n := passed[time.Second]; n != 150 {
			t.Errorf("%d of 200 at once waited the longest, want 150", n)
		}
		pass(remorse * time.Second)
		began, passed = time.Now(), map[time.Duration]int{}
		burst(200)
		if passed[0] != 200 {
			t.Errorf("after its peace %v", passed)
		}
	})
}

// Who keeps asking for more than its plan allows is not let go because it is
// refused no more; who asks for a page of twenty things now and then is.
func TestHeedlessCallersStaySoWhileTheyPress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const minutes = 5
		for _, c := range []struct {
			what  string
			each  time.Duration // what it rests between
			asks  int
			still bool
		}{
			{"one that asks for half as much again", 40 * time.Millisecond, 3, true},
			{"one that asks for what its plan allows", 20 * time.Millisecond, 1, false},
			{"one that opens a page every five seconds", 5 * time.Second, 20, false},
		} {
			pit, caller := newPit(1000, nil), holder{user: ids.New()}
			annoy(pit, caller, patience+1)
			for began := time.Now(); time.Since(began) < minutes*time.Minute; pass(c.each) {
				for range c.asks {
					pit.delay(let, false, caller)
				}
			}
			if _, still := pit.delay(let, false, caller); still != c.still {
				t.Errorf("%s: heedless %v after %d minutes, want %v", c.what, still, minutes, c.still)
			}
		}
	})
}

func TestTarpitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leaving := make(chan struct{})
		pit := newPit(2, leaving)
		caller := holder{user: ids.New()}
		annoy(pit, caller, patience)
		ctx, hangUp := context.WithCancel(t.Context())
		var held atomic.Int32
		hold := func(ctx context.Context) {
			held.Add(1)
			pit.hold(ctx, denied, refusal, caller)
			held.Add(-1)
		}
		check := func(want int32) {
			t.Helper()
			synctest.Wait()
			if n := held.Load(); n != want {
				t.Errorf("%d are held, want %d", n, want)
			}
		}
		go hold(ctx)
		check(1)
		go hold(t.Context())
		check(2)
		go hold(t.Context()) // there is no place left
		check(2)
		hangUp() // a client that went away leaves its place
		check(1)
		go hold(t.Context())
		check(2)
		close(leaving)
		check(0)
		began := time.Now()
		pit.hold(t.Context(), denied, refusal, caller)
		if took := time.Since(began); took != 0 {
			t.Errorf("a process that is to end holds for %v", took)
		}
	})
}

// However many callers are refused, so many are remembered.
func TestRefusedCallersAreBounded(t *testing.T) {
	t.Parallel()
	pit := newPit(0, nil)
	for range maxRefused + 10 {
		pit.hold(t.Context(), denied, refusal, holder{user: ids.New()})
	}
	if n := pit.callers.Len(); n != maxRefused {
		t.Errorf("%d are remembered", n)
	}
}

// A person, and an address, that ask on are held at the edge, while others are
// served, and they themselves where the plan never blocks; a drain lets them go
// with their refusal.
func TestEdgeHoldsHeedlessCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("RATE_HOLD", "20s"), setting("RATE_IP_PER_MINUTE", "1"))
	began := time.Now()
	w.app.tarpit.now = func() time.Time { return began } // the seconds that the test takes are not forgiven
	noisyTenant := ids.New()
	w.functions.limits[noisyTenant] = 1
	noisy, other := w.person(noisyTenant), w.person(ids.New())
	login := func(remote string) call {
		return call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: remote}
	}
	floods := map[string]call{
		"person":  {path: "/api/v1/projects/", token: noisy.token},
		"address": login("192.0.2.7:1"),
	}
	answers := make(chan error, len(floods))
	for _, c := range floods {
		want(t, w.do(c), 200, "")
		for range patience {
			want(t, w.do(c), 429, "rate_limited")
		}
		go func() {
			rec := w.do(c)
			if rec.Code != 429 || rec.Header().Get("Retry-After") == "" || rec.Header().Get("RateLimit") == "" {
				answers <- errors.New("the answer to who was held: " + rec.Result().Status)
				return
			}
			answers <- nil
		}()
	}
	until(t, func() bool { return len(w.app.tarpit.places) == len(floods) })
	want(t, w.do(call{path: "/api/v1/projects/", token: other.token}), 200, "")
	want(t, w.do(call{path: "/api/v1/users/me/", token: w.person(ids.Nil).token}), 200, "")
	want(t, w.do(call{path: "/api/v1/tenants/me/", token: noisy.token}), 200, "")
	want(t, w.do(login("192.0.2.8:1")), 200, "")
	if len(answers) != 0 {
		t.Fatal("who asks on was not held")
	}
	if err := w.app.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	for range floods {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}
