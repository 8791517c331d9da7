package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

const name = "sweeper"

var plan = schedule.Plan{Name: name, MaxLateness: 10 * time.Minute, LongestGap: time.Hour}

type fixture struct{ *functest.Env }

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return &fixture{functest.New(t)}
}

func (f *fixture) open(t *testing.T, act func(context.Context, *schedule.Run) error) http.Handler {
	t.Helper()
	return f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		b, err := schedule.Open(lookup, name, schedule.WithPlan(plan))
		if err != nil {
			return nil, err
		}
		b.OnClose(func() error { return nil })
		return b.App(act), nil
	})
}

type row struct {
	Outcome, Error string
	Finished       time.Time
	Leased         bool
}

func (f *fixture) row(t *testing.T) (r row) {
	t.Helper()
	f.Scan(t, `select outcome, coalesce(error, ''), coalesce(finished_slot, 'epoch'), coalesce(running_until > now(), false) from app.schedules where name = $1`,
		[]any{name}, &r.Outcome, &r.Error, &r.Finished, &r.Leased)
	return r
}

func slot(minutes int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(time.Duration(minutes) * time.Minute)
}

// What an act returns decides what Cloud Scheduler is told, and what is
// remembered.
func TestOutcomes(t *testing.T) {
	f := setup(t)
	at := slot(-60)
	for _, c := range []struct {
		what    string
		err     error
		status  int
		outcome string
		reason  string
	}{
		{"a failure", errors.New("odd\nat line 7"), 500, "failed", "odd"},
		{"a panic", errPanic, 500, "failed", "panic: oh"},
		{"more to do", errors.Join(schedule.ErrUnfinished, fmt.Errorf("tasks: %w", schedule.ErrUnfinished)), 503, "unfinished", ""},
		{"more to do after a failure", errors.Join(errors.New("odd"), schedule.ErrUnfinished), 500, "failed", "odd"},
		{"done", nil, 200, "done", ""},
	} {
		h := f.open(t, func(_ context.Context, run *schedule.Run) error {
			if !run.Slot.Equal(at) || !run.Last.IsZero() || time.Since(run.Now) > time.Minute {
				t.Errorf("%s: run %+v", c.what, run)
			}
			run.Count("things", 2)
			if errors.Is(c.err, errPanic) {
				panic("oh")
			}
			return c.err
		})
		f.Trigger(t, h, name, at).Want(t, c.status)
		if r := f.row(t); r.Outcome != c.outcome || r.Error != c.reason || r.Leased || r.Finished.Equal(at) != (c.err == nil) {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
	// The next one is told of it, and an older one is not run again.
	runs := 0
	h := f.open(t, func(_ context.Context, run *schedule.Run) error {
		runs++
		if !run.Last.Equal(at) {
			t.Errorf("last %s, want %s", run.Last, at)
		}
		return nil
	})
	f.Trigger(t, h, name, at).Want(t, http.StatusOK)
	f.Trigger(t, h, name, at.Add(-time.Hour)).Want(t, http.StatusOK)
	f.Trigger(t, h, name, at.Add(30*time.Minute)).Want(t, http.StatusOK)
	if runs != 1 {
		t.Errorf("ran %d times", runs)
	}
}

var errPanic = errors.New("panics")

// Two calls at once do the work once, and the one that waited finds it done.
func TestOneAtATime(t *testing.T) {
	f := setup(t)
	f.Vars["SCHEDULE_LEASE"] = "600ms"
	began, finish := make(chan struct{}, 8), make(chan struct{})
	var runs atomic.Int64
	h := f.open(t, func(context.Context, *schedule.Run) error {
		runs.Add(1)
		began <- struct{}{}
		<-finish
		return nil
	})
	at := slot(-5)
	var first sync.WaitGroup
	first.Go(func() { f.Trigger(t, h, name, at).Want(t, http.StatusOK) })
	<-began
	var since, until time.Time
	f.Scan(t, `select running_until from app.schedules where name = $1`, []any{name}, &since)
	for end := time.Now().Add(20 * time.Second); !until.After(since.Add(time.Second)) && time.Now().Before(end); {
		f.Scan(t, `select running_until from app.schedules where name = $1`, []any{name}, &until)
	}
	if !until.After(since.Add(time.Second)) {
		t.Errorf("the lease was not kept: %s, then %s", since, until)
	}
	for _, other := range []time.Time{at, at.Add(time.Minute)} {
		if got := f.Trigger(t, h, name, other).Want(t, http.StatusServiceUnavailable); got.Header.Get("Retry-After") == "" {
			t.Error("does not say when to call again")
		}
	}
	close(finish)
	first.Wait()
	f.Trigger(t, h, name, at).Want(t, http.StatusOK)
	if n := runs.Load(); n != 1 {
		t.Errorf("ran %d times", n)
	}
	// Whoever died without a word is succeeded when the lease is over.
	f.SQL(t, `update app.schedules set running_until = now() - interval '1 second' where name = $1`, name)
	f.Trigger(t, h, name, at.Add(time.Minute)).Want(t, http.StatusOK)
	if n := runs.Load(); n != 2 {
		t.Errorf("ran %d times", n)
	}
}

// A run that lost its lease is told to stop, and cannot say that it is done.
func TestLostLease(t *testing.T) {
	f := setup(t)
	f.Vars["SCHEDULE_LEASE"] = "300ms"
	h := f.open(t, func(ctx context.Context, _ *schedule.Run) error {
		f.SQL(t, `update app.schedules set holder = gen_random_uuid() where name = $1`, name)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Second):
			return errors.New("nobody stopped it")
		}
	})
	f.Trigger(t, h, name, slot(-5)).Want(t, http.StatusServiceUnavailable)
	if r := f.row(t); r.Outcome != "running" || !r.Finished.Equal(time.Unix(0, 0)) {
		t.Errorf("%+v", r)
	}
}

// A run knows when its time ends, and what it came to is recorded all the same.
func TestTime(t *testing.T) {
	f := setup(t)
	f.Vars["SCHEDULE_TIMEOUT"] = "1s"
	h := f.open(t, func(ctx context.Context, run *schedule.Run) error {
		if run.Enough(context.Background()) {
			t.Error("a run without an end has enough")
		}
		if !run.Enough(ctx) {
			t.Error("a run that is about to end begins more")
		}
		<-ctx.Done()
		return ctx.Err()
	})
	f.Trigger(t, h, name, slot(-5)).Want(t, http.StatusInternalServerError)
	if r := f.row(t); r.Outcome != "failed" || r.Leased {
		t.Errorf("%+v", r)
	}
}

// Nobody but the platform's scheduler comes in, and only with times that can be.
func TestRefusals(t *testing.T) {
	f := setup(t)
	h := f.open(t, func(context.Context, *schedule.Run) error {
		t.Error("ran")
		return nil
	})
	f.Trigger(t, h, "another", slot(-5)).Want(t, http.StatusUnauthorized)
	f.Do(t, h, functest.Request{Method: http.MethodPost, Path: "/", Body: "{}"}).Want(t, http.StatusUnauthorized)
	f.Do(t, h, functest.Request{Method: http.MethodGet, Path: "/"}).Want(t, http.StatusMethodNotAllowed)
	f.Trigger(t, h, name, time.Now().Add(2*time.Hour)).Want(t, http.StatusBadRequest)
	for _, vars := range []map[string]string{{"SCHEDULE_LEASE": "0s"}, {"SCHEDULE_TIMEOUT": "-1s"}, {"DATABASE_URL": ""}} {
		lookup := func(key string) (string, bool) {
			if v, ok := vars[key]; ok {
				return v, v != ""
			}
			v, ok := f.Vars[key]
			return v, ok
		}
		if _, err := schedule.Open(lookup, name, schedule.WithPlan(plan)); err == nil {
			t.Errorf("%v was taken", vars)
		}
	}
	if _, err := schedule.Open(config.Map(f.Vars), "nobody"); err == nil {
		t.Error("opened what is no schedule")
	}
}

// A database that cannot be told leaves the call with Cloud Scheduler.
func TestDatabaseDown(t *testing.T) {
	f := setup(t)
	f.Vars["SYSTEM_DATABASE_URL"] = "postgres://x:y@127.0.0.1:1/none"
	f.Vars["DATABASE_ACQUIRE_TIMEOUT"] = "200ms"
	h := f.open(t, func(context.Context, *schedule.Run) error {
		t.Error("ran")
		return nil
	})
	f.Trigger(t, h, name, slot(-5)).Want(t, http.StatusServiceUnavailable)
}

// A run that left messages tells the relay, and one that did not leaves it
// alone. What the relay answers changes nothing.
func TestNudge(t *testing.T) {
	f := setup(t)
	var calls atomic.Int64
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := f.Hops.Verify(r.Context(), r.Header.Get(hop.Header), r.Method, r.URL.Path); err != nil || r.URL.Path != "/internal/relay/" {
			t.Errorf("called at %s: %v", r.URL.Path, err)
		}
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(relay.Close)
	f.Vars["RELAY_URL"] = relay.URL
	for i, messages := range []int{0, 2, 0} {
		h := f.open(t, func(ctx context.Context, _ *schedule.Run) error {
			outbox.Committed(ctx, messages)
			return nil
		})
		f.Trigger(t, h, name, slot(i-60)).Want(t, http.StatusOK)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the relay was told %d times", n)
	}
}
