package router

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

// beside is another instance of the same platform.
func beside(t *testing.T, one *world) *world {
	t.Helper()
	return newWorld(t, func(w *world, o *Options) {
		w.env["REDIS_URL"] = one.env["REDIS_URL"]
		w.signer = one.signer
		o.Keys = identity.StaticKeys(one.keys.Public())
		o.Transport = one.functions
	})
}

func TestTwoRoutersShareOneBudget(t *testing.T) {
	t.Parallel()
	one := newWorld(t)
	two := newWorld(t, func(w *world, o *Options) {
		w.env["REDIS_URL"] = "redis://" + one.mr.Addr()
		o.Keys = identity.StaticKeys(one.keys.Public())
		o.Transport = one.functions
	})
	tenant := ids.New()
	one.functions.limits[tenant] = 20
	me := one.person(tenant)
	allowed := 0
	for i := range 30 {
		w := []*world{one, two}[i%2]
		if w.do(call{path: "/api/v1/projects/", token: me.token}).Code == 200 {
			allowed++
		}
	}
	if allowed != 20 {
		t.Errorf("%d of 20 let in", allowed)
	}
}

// remaining reads a budget's r of the RateLimit header.
func remaining(t *testing.T, h http.Header, budget string) int {
	t.Helper()
	_, rest, ok := strings.Cut(h.Get("RateLimit"), `"`+budget+`";r=`)
	n, err := strconv.Atoi(rest[:max(0, strings.IndexByte(rest, ';'))])
	if !ok || err != nil {
		t.Fatalf("RateLimit %q", h.Get("RateLimit"))
	}
	return n
}

// Three instances share a budget by leases, under load at once: together they
// never let in more than the limit, and refuse early by no more than the others
// hold; that comes back.
func TestLeasesNeverLetInMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 600
	for name, server := range map[string]bool{"stand-in": false, "redis": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := newWorld(t, func(w *world, _ *Options) {
				if server {
					w.env["REDIS_URL"] = "redis://" + realRedis(t)
				}
			})
			worlds := []*world{one, beside(t, one), beside(t, one)}
			tenant := ids.New()
			one.functions.limits[tenant] = limit
			inOneWindow(t)
			var in atomic.Int64
			var wait sync.WaitGroup
			for i := range 12 {
				me := one.person(tenant)
				wait.Go(func() {
					for {
						rec := worlds[i%3].do(call{path: "/api/v1/projects/", token: me.token})
						switch rec.Code {
						case 200:
							in.Add(1)
						case 429:
							return
						default:
							t.Errorf("status %d: %s", rec.Code, rec.Body)
							return
						}
					}
				})
			}
			wait.Wait()
			early := limit - int(in.Load())
			if early < 0 || early > 2*limit/ratelimit.LeaseShare {
				t.Errorf("%d of %d let in", in.Load(), limit)
			}
			t.Logf("%d refused early", early)
			// What the others held comes back on their way out.
			for _, w := range worlds {
				if err := w.app.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			me := one.person(tenant)
			for i := range early {
				if rec := worlds[0].do(call{path: "/api/v1/projects/", token: me.token}); rec.Code != 200 {
					t.Fatalf("%d of the %d that were held came back: %d", i, early, rec.Code)
				}
			}
			want(t, worlds[1].do(call{path: "/api/v1/projects/", token: me.token}), 429, "rate_limited")
		})
	}
}

// inOneWindow waits for one that a test's traffic fits into: at a boundary the
// count begins anew, and would prove nothing.
func inOneWindow(t *testing.T) {
	t.Helper()
	until(t, func() bool { return time.Now().Second() < 55 })
}

func TestHeadersCountDownAlthoughLeased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := ids.New()
	w.functions.limits[tenant] = 1000
	me, other := w.person(tenant), w.person(tenant)
	inOneWindow(t)
	for i := range 100 {
		who := me
		if i%4 == 3 {
			who = other
		}
		rec := w.do(call{path: "/api/v1/projects/", token: who.token})
		want(t, rec, 200, "")
		if got := remaining(t, rec.Header(), "tenant"); got != 999-i {
			t.Fatalf("request %d: %d remain", i, got)
		}
	}
}

// What an instance leased and did not use goes back within a beat of its life.
func TestIdleLeasesGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := beside(t, w)
	tenant := ids.New()
	w.functions.limits[tenant] = 1000
	me := w.person(tenant)
	inOneWindow(t)
	for range 40 {
		want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	}
	until(t, func() bool {
		rec := two.do(call{path: "/api/v1/tenants/me/", token: me.token}) // another budget
		want(t, rec, 200, "")
		raw, err := w.mr.Get("rl:tenant:" + tenant.String())
		return err == nil && strings.Contains(raw, " 40 ")
	})
}

// Killed under load, Redis takes leases along and nobody is turned away by that.
func TestRedisDiesUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("REDIS_TIMEOUT", "100ms"))
	tenant := ids.New()
	w.functions.limits[tenant] = 100_000
	stop := make(chan struct{})
	var wait sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		me := w.person(tenant)
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if rec := w.do(call{path: "/api/v1/projects/", token: me.token}); rec.Code != 200 {
					t.Errorf("status %d: %s", rec.Code, rec.Body)
					return
				}
				served.Add(1)
			}
		})
	}
	more := func(n int64) {
		from := served.Load()
		until(t, func() bool { return served.Load() > from+n || t.Failed() })
	}
	more(500)
	w.mr.Close()
	more(1000)
	if err := w.mr.Restart(); err != nil {
		t.Error(err)
	}
	more(500)
	close(stop)
	wait.Wait()
	until(t, func() bool { return w.app.Drain(t.Context()) == nil })
	if got := w.counted(time.Now(), tenant); got != strconv.FormatInt(served.Load(), 10) {
		t.Errorf("%s requests counted of %d", got, served.Load())
	}
}
