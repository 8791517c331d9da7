package router

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/problem"
	counters "github.com/coditect/platform/shared/usage"
)

// counted is what stands in Redis for a tenant on a day.
func (w *world) counted(at time.Time, tenant ids.ID) string {
	return w.mr.HGet(counters.Key(counters.DayOf(at), counters.Shard(tenant)), tenant.String())
}

func TestUsageIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := ids.New()
	w.functions.limits[tenant] = 200
	me := w.person(tenant)
	status := 200
	w.functions.answer = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", problem.MediaType)
		rw.WriteHeader(status)
	}
	counted := 0
	for _, status = range []int{200, 201, 404, 422, 500, 503, 401, 429, 304} {
		w.do(call{path: "/api/v1/projects/", token: me.token})
		if status < 500 && status != 401 && status != 429 {
			counted++
		}
	}
	w.do(call{path: "/api/v1/projects/"})
	if err := w.app.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.counted(time.Now(), tenant)
	if got != fmt.Sprint(counted) {
		t.Errorf("counted %s, want %d", got, counted)
	}
	if ttl := w.mr.TTL(counters.Key(counters.DayOf(time.Now()), counters.Shard(tenant))); ttl <= 35*24*time.Hour {
		t.Errorf("the count lives %v", ttl)
	}
	// What Redis does not take is kept for later.
	w.mr.Close()
	status = 200
	w.do(call{path: "/api/v1/projects/", token: me.token})
	if err := w.app.usage.flush(t.Context(), w.app.redis); err == nil {
		t.Error("a flush to a dead Redis succeeded")
	}
	if err := w.mr.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		_ = w.app.usage.flush(context.Background(), w.app.redis)
		return w.counted(time.Now(), tenant) == fmt.Sprint(counted+1)
	})
}

func redisClient(t *testing.T, address string) *cache.Client {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret("redis://" + address), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A batch whose answer was lost goes again and is counted once; what was
// counted meanwhile is not mixed into it.
func TestABatchIsCountedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	u := newUsage(func() time.Time { return now })
	c := redisClient(t, w.mr.Addr())
	a, b := ids.New(), ids.New()
	u.add(a)
	u.add(a)
	u.add(b)
	u.batch = u.next()
	if err := u.batch.Send(t.Context(), c); err != nil { // and nobody hears of it
		t.Fatal(err)
	}
	u.add(a)
	now = now.Add(time.Second) // another day
	u.add(a)
	for range 3 {
		if err := u.flush(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		day    time.Time
		tenant ids.ID
		want   string
	}{{now.Add(-time.Second), a, "3"}, {now.Add(-time.Second), b, "1"}, {now, a, "1"}} {
		if got := w.counted(tt.day, tt.tenant); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.day, got, tt.want)
		}
	}
	marks := 0
	for _, key := range w.mr.Keys() {
		if strings.HasPrefix(key, "usage:by:") {
			marks++
		}
	}
	if marks != 1 {
		t.Errorf("keys %v: one mark a process", w.mr.Keys())
	}
}

func TestUsageOfManyTenantsGoesInBatchesAndIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := newUsage(time.Now)
	u.bound = 2*usageBatch + 1
	for range u.bound + 7 {
		u.add(ids.New())
	}
	if got := u.takeLost(); got != 7 || u.takeLost() != 0 {
		t.Errorf("%d lost", got)
	}
	if err := u.flush(t.Context(), redisClient(t, w.mr.Addr())); err != nil {
		t.Fatal(err)
	}
	written := 0
	for shard := range counters.Shards {
		fields, err := w.mr.HKeys(counters.Key(counters.DayOf(time.Now()), shard))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			if _, err := ids.Parse(f); err == nil {
				written++
			}
		}
	}
	if written != 2*usageBatch+1 || u.size != 0 || u.sequence != 3 {
		t.Errorf("%d written in %d batches, %d left", written, u.sequence, u.size)
	}
}

// What a killed process loses of its counts is what came within a beat.
func TestCountsDoNotWaitForTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	begun := time.Now()
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	until(t, func() bool { return w.counted(begun, me.TenantID) == "1" })
	if took := time.Since(begun); took > 5*usageBeat {
		t.Errorf("it took %v", took)
	}
}
