package router

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

func TestHeedlessCallersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pit := newTarpit(LimitConfig{Hold: time.Second, Held: 1}, ratelimit.NewMemory(10, nil), nil)
		noisy, colleague := holder{tenant: ids.New(), user: ids.New()}, holder{tenant: ids.New(), user: ids.New()}
		refused := errRate.WithRetry(time.Second)
		check := func(what string, verdict error, caller holder, want time.Duration) {
			t.Helper()
			began := time.Now()
			pit.hold(t.Context(), verdict, caller)
			if took := time.Since(began); took != want {
				t.Errorf("%s took %v, want %v", what, took, want)
			}
		}
		for range 2 * heedless.Limit {
			check("an answer", nil, noisy, 0)
			check("a refusal for something else", errRevoked, noisy, 0)
		}
		for range heedless.Limit {
			check("one of the first refusals", refused, noisy, 0)
		}
		for range 3 {
			check("a further one", refused, noisy, time.Second)
		}
		check("an answer between them", nil, noisy, 0)
		check("a colleague's", refused, colleague, 0)
		check("an address's", refused, holder{address: "192.0.2.1"}, 0)
		time.Sleep(heedless.Window)
		check("the first after a minute's peace", refused, noisy, 0)
	})
}

func TestTarpitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leaving := make(chan struct{})
		pit := newTarpit(LimitConfig{Hold: time.Minute, Held: 2}, ratelimit.NewMemory(10, nil), leaving)
		caller := holder{user: ids.New()}
		for range heedless.Limit {
			pit.hold(t.Context(), errRate, caller)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		var held atomic.Int32
		hold := func(ctx context.Context) {
			held.Add(1)
			pit.hold(ctx, errRate, caller)
			held.Add(-1)
		}
		go hold(ctx)
		synctest.Wait()
		go hold(t.Context())
		synctest.Wait()
		go hold(t.Context()) // there is no place left
		synctest.Wait()
		if n := held.Load(); n != 2 {
			t.Errorf("%d are held, want 2", n)
		}
		hangUp() // a client that went away leaves its place
		synctest.Wait()
		go hold(t.Context())
		synctest.Wait()
		if n := held.Load(); n != 2 {
			t.Errorf("%d are held, want 2", n)
		}
		close(leaving)
		synctest.Wait()
		if n := held.Load(); n != 0 {
			t.Errorf("%d are still held by a process that is to end", n)
		}
		began := time.Now()
		pit.hold(t.Context(), errRate, caller)
		if took := time.Since(began); took != 0 {
			t.Errorf("a process that is to end holds for %v", took)
		}
	})
}

// A person, and an address, that ask on are held at the edge, while others are
// served; a drain lets them go with their refusal.
func TestEdgeHoldsHeedlessCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("RATE_HOLD", "20s"), setting("RATE_IP_PER_MINUTE", "1"))
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
		for range heedless.Limit {
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
