package router

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/trips"
)

func TestAtMostOneTripToRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	_ = w.mr.Set("sess:"+me.SessionID.String(), "live")
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "") // loads the script
	trip := func(c call) int {
		t.Helper()
		ctx, n := trips.Count(context.Background())
		c.ctx = ctx
		want(t, w.do(c), 200, "")
		return n.Redis()
	}
	for name, c := range map[string]call{
		"member":            {path: "/api/v1/projects/", token: me.token},
		"essential":         {path: "/api/v1/tenants/me/", token: me.token},
		"public":            {method: "POST", path: "/api/v1/auth/login/", body: "{}"},
		"public with token": {method: "POST", path: "/api/v1/auth/login/", body: "{}", token: me.token},
	} {
		w.later(time.Minute) // nothing is leased or remembered
		if n := trip(c); n != 1 {
			t.Errorf("%s: %d trips", name, n)
		}
	}
	all := 0
	for range 200 {
		all += trip(call{path: "/api/v1/projects/", token: me.token})
	}
	if all > 60 {
		t.Errorf("200 requests at once made %d trips", all)
	}
	ctx, n := trips.Count(context.Background())
	w.do(call{path: "/api/v1/projects/", ctx: ctx})
	w.do(call{path: "/nothing", ctx: ctx})
	w.do(call{path: "/livez", ctx: ctx})
	if n.Redis() != 0 {
		t.Errorf("refusals made %d trips", n.Redis())
	}
	if w.functions.asked["sessions"] != 0 || w.functions.asked["limits"] > 5 {
		t.Errorf("asked %v", w.functions.asked)
	}
}

func TestRevokedSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	c := call{path: "/api/v1/projects/", token: me.token}
	want(t, w.do(c), 200, "") // unknown to Redis: auth says live
	want(t, w.do(c), 200, "")
	if w.functions.asked["sessions"] != 1 {
		t.Errorf("auth was asked %d times", w.functions.asked["sessions"])
	}
	_ = w.mr.Set("sess:"+me.SessionID.String(), "revoked")
	w.later(sessionLife)
	want(t, w.do(c), 401, "token_revoked") // Redis knows better than what we remembered
	w.mr.Del("sess:" + me.SessionID.String())
	want(t, w.do(c), 401, "token_revoked") // and we remember that

	// Redis says nothing, auth says revoked.
	gone := w.person(ids.New())
	w.functions.set(func(f *functions) { f.revoked[gone.SessionID.String()] = true })
	want(t, w.do(call{path: "/api/v1/projects/", token: gone.token}), 401, "token_revoked")
	// Neither can say: nobody is let in on a guess.
	lost := w.person(ids.New())
	w.functions.set(func(f *functions) { f.down["auth"] = errDial })
	want(t, w.do(call{path: "/api/v1/projects/", token: lost.token}), 503, "unavailable")
}

// With Redis gone, sessions and limits hold all the same, and the log says so
// once.
func TestRedisDies(t *testing.T) {
	t.Parallel()
	tenant := ids.New()
	w := newWorld(t)
	w.functions.limits[tenant] = 50
	me, ended := w.person(tenant), w.person(tenant)
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	w.functions.set(func(f *functions) { f.revoked[ended.SessionID.String()] = true })
	_ = w.mr.Set("sess:"+ended.SessionID.String(), "live") // from before the outage

	w.mr.Close()
	want(t, w.do(call{path: "/api/v1/projects/", token: ended.token}), 401, "token_revoked")
	codes := map[int]int{}
	for range 80 {
		rec := w.do(call{path: "/api/v1/projects/", token: me.token})
		codes[rec.Code]++
		if rec.Code == 429 && (rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Header().Get("RateLimit"), `"tenant";r=0`)) {
			t.Errorf("429 with %v", rec.Header())
		}
	}
	if codes[200] < 49 || codes[200] > 50 || codes[429] == 0 || codes[200]+codes[429] != 80 {
		t.Errorf("answers %v", codes)
	}
	rec := w.do(call{path: "/health/"})
	if want(t, rec, 200, ""); rec.Body.String() != `{"status":"healthy","database":"ok","redis":"degraded"}` {
		t.Errorf("health %s", rec.Body)
	}
	if n := strings.Count(w.log.String(), "redis does not answer"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}

	if err := w.mr.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return w.app.redis.Ping(context.Background()) == nil })
	if n := strings.Count(w.log.String(), "redis answers again"); n != 1 {
		t.Errorf("the log says %d times that it is back", n)
	}
	// "live" may be from before a revocation that Redis never heard of.
	w.app.admission.sessions.forgetAll()
	want(t, w.do(call{path: "/api/v1/projects/", token: ended.token}), 401, "token_revoked")
}

func TestLimitsOfThePlanAndTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setting("RATE_USER_PERCENT", "50"), setting("RATE_ESSENTIAL_PER_MINUTE", "3"), setting("RATE_IP_PER_MINUTE", "4"), setting("RATE_USER_PER_MINUTE", "2"))
	tenant := ids.New()
	w.functions.limits[tenant] = 10
	a, b, c, loner := w.person(tenant), w.person(tenant), w.person(tenant), w.person(ids.Nil)
	spend := func(who person, path string, n int) {
		t.Helper()
		for i := range n {
			if rec := w.do(call{path: path, token: who.token}); rec.Code != 200 {
				t.Fatalf("request %d: %d %s", i, rec.Code, rec.Body)
			}
		}
	}
	spend(a, "/api/v1/projects/", 5)
	rec := w.do(call{path: "/api/v1/projects/", token: a.token})
	want(t, rec, 429, "rate_limited")
	if got := rec.Header().Get("RateLimit-Policy"); got != `"tenant";q=10;w=60, "user";q=5;w=60` {
		t.Error(got)
	}
	if got := rec.Header().Get("RateLimit"); !strings.HasPrefix(got, `"tenant";r=5;t=`) || !strings.Contains(got, `"user";r=0;t=`) {
		t.Error(got)
	}
	if rec.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	spend(b, "/api/v1/projects/", 5)
	want(t, w.do(call{path: "/api/v1/projects/", token: c.token}), 429, "rate_limited")
	spend(c, "/api/v1/tenants/me/", 3) // never blocked by the plan
	want(t, w.do(call{path: "/api/v1/tenants/me/", token: c.token}), 429, "rate_limited")
	spend(loner, "/api/v1/users/me/", 2)
	want(t, w.do(call{path: "/api/v1/users/me/", token: loner.token}), 429, "rate_limited")
	spend(w.person(ids.New()), "/api/v1/projects/", 2) // another tenant has its own; 0 is no limit
	for i := range 4 {
		rec := w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: fmt.Sprintf("[2001:db8::%x]:1", i)})
		want(t, rec, 200, "")
	}
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: "[2001:db8::ffff]:1"}), 429, "rate_limited")
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", remote: "192.0.2.77:1"}), 200, "")
}

func TestPublicRoutesUseATokenOnlyWhileItHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me, ended := w.person(ids.New()), w.person(ids.New())
	_ = w.mr.Set("sess:"+ended.SessionID.String(), "revoked")
	for name, tt := range map[string]struct {
		token  string
		passed bool
	}{"good": {me.token, true}, "revoked": {ended.token, false}, "nonsense": {"x.y.z", false}, "none": {"", false}} {
		rec := w.do(call{method: "POST", path: "/api/v1/auth/login/", body: "{}", token: tt.token})
		want(t, rec, 200, "")
		if got := w.functions.last(t).Header.Get("Authorization") != ""; got != tt.passed {
			t.Errorf("%s: passed on %v", name, got)
		}
		if rec.Header().Get("RateLimit") == "" {
			t.Errorf("%s: no RateLimit", name)
		}
	}
	w.functions.set(func(f *functions) { delete(f.down, "auth") })
}
