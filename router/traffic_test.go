package router

import (
	"context"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// crowd lets n requests enter, the last of which meets the others.
func crowd(tr *traffic, n int) (leave func()) {
	for range n {
		tr.enter()
	}
	if n > 0 {
		tr.met(time.Now())
	}
	return func() {
		for range n {
			tr.leave(false)
		}
	}
}

// What is usual follows what is met within seconds, however often that is.
func TestTrafficKnowsTheUsual(t *testing.T) {
	t.Parallel()
	for _, each := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			tr := newTraffic()
			crowd(tr, 5)
			crowd(tr, 16) // 20 beside one
			for _, c := range []struct {
				after       time.Duration
				least, most float64
			}{{0, 4, 4}, {max(each, 100*time.Millisecond), 5, 18}, {3 * time.Second, 19, 20}} {
				for began := time.Now(); time.Since(began) < c.after; {
					pass(each)
					tr.met(time.Now())
				}
				if u := math.Float64frombits(tr.usual.Load()); u < c.least || u > c.most {
					t.Errorf("%v after meeting 20 each %v: %.1f, want %v to %v", c.after, each, u, c.least, c.most)
				}
			}
		})
	}
}

// Somebody's stream that never ends keeps a heedless caller out for seconds.
func TestStreamsAreUsual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pit, noisy := newPit(1, nil), holder{user: ids.New()}
		annoy(pit, noisy, patience+1)
		pit.traffic.enter()
		ask := func(n int) time.Duration {
			began := time.Now()
			for range n {
				pit.traffic.enter()
				pit.traffic.leave(pit.hold(t.Context(), let, nil, noisy))
			}
			return time.Since(began)
		}
		if took := ask(5); took > 4*time.Second {
			t.Errorf("the first took %v", took)
		}
		if took := ask(50); took > 50*time.Minute/3000 {
			t.Errorf("50 at the plan's pace took %v", took)
		}
	})
}

func TestTrafficLetsTheLastGo(t *testing.T) {
	t.Parallel()
	const most = time.Second
	for name, c := range map[string]struct {
		usual, now int
		// leave is how many end, one every ten milliseconds.
		leave int
		want  time.Duration
	}{
		"nobody is there":          {0, 0, 0, 0},
		"as many as usually":       {4, 3, 0, 0},
		"more, until one has left": {4, 4, 4, 10 * time.Millisecond},
		"many more":                {4, 20, 20, 170 * time.Millisecond},
		"one, where nobody is":     {1, 1, 1, 10 * time.Millisecond},
		"more for long":            {4, 20, 0, most},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := newTraffic()
				crowd(tr, c.usual)()
				for range c.now {
					tr.enter()
				}
				var leaving sync.WaitGroup
				defer leaving.Wait()
				leaving.Go(func() {
					for range c.leave {
						pass(10 * time.Millisecond)
						tr.leave(false)
					}
				})
				began := time.Now()
				tr.enter()
				tr.last.Add(1)
				tr.wait(t.Context(), most, nil)
				if took := time.Since(began); took != c.want {
					t.Errorf("waited %v, want %v", took, c.want)
				}
				tr.leave(true)
			})
		})
	}
}

// When the moment comes, those that wait go one after another, and all of them
// go, also when nobody else comes any more.
func TestTrafficLetsTheLastGoOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const waiting, each = 10, 7 * time.Millisecond
		tr := newTraffic()
		leave := crowd(tr, 3)
		tr.enter()
		began := time.Now()
		var inside, most atomic.Int64
		for range waiting {
			tr.enter()
			tr.last.Add(1)
			go func() {
				tr.wait(t.Context(), time.Minute, nil)
				most.Store(max(most.Load(), inside.Add(1)))
				pass(each)
				inside.Add(-1)
				tr.leave(true)
			}()
		}
		synctest.Wait()
		if n := tr.waiting.Load(); n != waiting {
			t.Fatalf("%d wait, want %d", n, waiting)
		}
		tr.leave(false)
		leave()
		for tr.all.Load() > 0 {
			pass(time.Millisecond)
		}
		if took := time.Since(began); took > (waiting+1)*each {
			t.Errorf("it took %v", took)
		}
		if n := most.Load(); n > 4 {
			t.Errorf("%d went at once", n)
		}
	})
}

func TestTrafficGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTraffic()
		tr.enter() // and nobody ever met anybody
		ctx, hangUp := context.WithCancel(t.Context())
		leaving := make(chan struct{})
		var waiting atomic.Int32
		for _, ctx := range []context.Context{ctx, t.Context()} {
			waiting.Add(1)
			go func() {
				tr.wait(ctx, time.Hour, leaving)
				waiting.Add(-1)
			}()
		}
		check := func(what string, want int32) {
			t.Helper()
			synctest.Wait()
			if n := waiting.Load(); n != want {
				t.Errorf("%s: %d wait, want %d", what, n, want)
			}
		}
		check("both", 2)
		hangUp()
		check("a client went away", 1)
		close(leaving)
		check("the process is to end", 0)
	})
}

// gated is a transport whose trips wait while the gate is closed.
type gated struct {
	http.RoundTripper
	gate <-chan struct{}
}

func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/api/v1/projects/" {
		select {
		case <-g.gate:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return g.RoundTripper.RoundTrip(r)
}

// While more than usually is in flight, a heedless caller waits, whatever its
// budget says, and nobody else does; it goes on as soon as the rest is answered.
func TestEdgeLetsHeedlessCallersGoLast(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	w := newWorld(t, setting("RATE_HOLD", "20s"), func(_ *world, o *Options) {
		o.Wrap = func(rt http.RoundTripper) http.RoundTripper { return gated{rt, gate} }
	})
	noisy, other, third := w.person(ids.New()), w.person(ids.New()), w.person(ids.New())
	annoy(w.app.tarpit, holder{tenant: noisy.TenantID, user: noisy.UserID}, patience+1)
	ask := func(p person, path string) <-chan int {
		status := make(chan int, 1)
		go func() { status <- w.do(call{path: path, token: p.token}).Code }()
		return status
	}
	slow := ask(other, "/api/v1/projects/")
	until(t, func() bool { return w.app.traffic.all.Load() == 1 })
	held := ask(noisy, "/api/v1/users/"+ids.New().String()+"/")
	until(t, func() bool { return w.app.traffic.waiting.Load() == 1 })
	want(t, w.do(call{path: "/api/v1/users/" + ids.New().String() + "/", token: third.token}), 200, "")
	if n := w.app.traffic.waiting.Load(); n != 1 {
		t.Fatalf("%d wait, want the heedless one", n)
	}
	close(gate)
	opened := time.Now()
	for _, status := range []<-chan int{slow, held} {
		if s := <-status; s != 200 {
			t.Errorf("status %d", s)
		}
	}
	if took := time.Since(opened); took > 10*time.Second { // half of what it waits at most
		t.Errorf("it went on after %v", took)
	}
	want(t, w.do(call{path: "/api/v1/projects/", token: noisy.token}), 200, "")
	if n := w.app.traffic.last.Load() + w.app.traffic.all.Load(); n != 0 {
		t.Errorf("%d are still counted", n)
	}
}
