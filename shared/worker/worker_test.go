package worker_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/telemetry"
	"github.com/coditect/platform/shared/worker"
)

type work struct {
	Say string `json:"say"`
}

var (
	plain  = queue.Kind[work]{Route: queue.Route{Kind: "test.plain", Consumer: "tester"}}
	alone  = queue.Kind[work]{Route: queue.Route{Kind: "test.alone", Consumer: "tester", Exclusive: true}}
	person = queue.Kind[work]{Route: queue.Route{Kind: "test.person", Owner: queue.ForPerson, Consumer: "tester"}}
	event  = queue.Kind[work]{Route: queue.Route{Kind: "test.event", Topic: "tests"}}
	other  = queue.Kind[work]{Route: queue.Route{Kind: "test.other", Consumer: "tester"}}
)

var policy = queue.Consumer{
	MaxAttempts: 4, MinBackoff: time.Second, MaxBackoff: time.Minute, MaxAge: 24 * time.Hour, Rate: 100, Concurrency: 10,
}

func registry(t *testing.T) *queue.Registry {
	t.Helper()
	of := func(name, queueName, topic string) queue.Consumer {
		c := policy
		c.Name, c.Queue, c.Topic = name, queueName, topic
		return c
	}
	r, err := queue.NewRegistry([]queue.Route{plain.Route, alone.Route, person.Route, event.Route, other.Route},
		[]queue.Consumer{of("tester", "tests", ""), of("one", "", "tests"), of("two", "", "tests")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type fixture struct {
	*functest.Env
	owner functest.Person
	reg   *queue.Registry
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Tenant(t), registry(t)}
}

// open opens a job function under a name with its handlers.
func (f *fixture) open(t *testing.T, name string, handlers ...worker.Handler) http.Handler {
	t.Helper()
	return f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		b, err := worker.Open(lookup, name, worker.WithRegistry(f.reg))
		if err != nil {
			return nil, err
		}
		return b.App(handlers...), nil
	})
}

// say is a handler whose effect is one activity row.
func say(ctx context.Context, d worker.Delivery[work]) error {
	return d.Once(ctx, func(tx *db.Tx) error {
		tx.Record(activity.Created("Said", d.Envelope.ID, map[string]any{"say": d.Payload.Say}))
		return nil
	})
}

func (f *fixture) said(t *testing.T, id ids.ID) int {
	t.Helper()
	var n int
	f.Scan(t, `select count(*) from app.activity where object_id = $1`, []any{id}, &n)
	return n
}

type row struct {
	Done, Dead, Leased bool
	Attempts, Wait     int
	Error              string
}

func (f *fixture) row(t *testing.T, table string, id ids.ID) row {
	t.Helper()
	var r row
	f.Scan(t, `select done_at is not null, dead_at is not null, coalesce(lease_until > now(), false), attempts,
		ceil(extract(epoch from available_at - now()))::int, coalesce(last_error, '') from app.`+table+` where id = $1`,
		[]any{id}, &r.Done, &r.Dead, &r.Leased, &r.Attempts, &r.Wait, &r.Error)
	return r
}

// What a handler answers decides what becomes of the message, and what the
// queue is told.
func TestOutcomes(t *testing.T) {
	f := setup(t)
	down := errs.Wrap(errors.New("connection refused"), errs.Unavailable, "mail_down", "Mail is down.")
	for name, c := range map[string]struct {
		err     error
		attempt int
		status  int
		want    func(row) bool
	}{
		"nothing left to do": {nil, 1, 200, func(r row) bool { return r.Done && !r.Dead && r.Attempts == 0 }},
		"skipped":            {worker.Skip("revoked"), 1, 200, func(r row) bool { return r.Done && r.Attempts == 0 }},
		"failed": {errors.New("odd"), 1, 500, func(r row) bool {
			return !r.Done && !r.Dead && r.Attempts == 1 && r.Error == "odd" && r.Leased && r.Wait > 40 && r.Wait < 60
		}},
		"hopeless": {worker.Permanent(errors.New("no such address")), 1, 200, func(r row) bool { return r.Dead && r.Attempts == 1 && r.Error == "no such address" }},
		"dependency": {down, 1, 200, func(r row) bool {
			return !r.Dead && !r.Done && r.Attempts == 0 && !r.Leased && r.Wait >= 1 && r.Wait < 5
		}},
		"panic":         {errPanic, 1, 500, func(r row) bool { return r.Attempts == 1 && r.Error == "panic: oh" }},
		"in many lines": {errors.New("first\nsecond"), 1, 500, func(r row) bool { return r.Error == "first" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := f.open(t, "tester", worker.On(plain, func(context.Context, worker.Delivery[work]) error {
				if errors.Is(c.err, errPanic) {
					panic("oh")
				}
				return c.err
			}))
			m := plain.Message("", work{"x"})
			env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
			f.Deliver(t, h, "tester", env, c.attempt).Want(t, c.status)
			if r := f.row(t, "outbox", m.ID); !c.want(r) {
				t.Errorf("the message is %+v", r)
			}
		})
	}
}

var errPanic = errors.New("panics")

// A message that fails each time is a dead letter after its attempts, and the
// queue has nothing more to do with it.
func TestDeadAfterItsAttempts(t *testing.T) {
	f := setup(t)
	h := f.open(t, "tester", worker.On(plain, func(context.Context, worker.Delivery[work]) error { return errors.New("poison") }))
	next := plain.Message("k", work{})
	m := plain.Message("k", work{})
	env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
	f.Enqueue(t, f.owner.TenantID, ids.Nil, next)
	f.SQL(t, `update app.outbox set available_at = now() + interval '1 hour' where id = $1`, next.ID)
	for attempt := 1; attempt <= policy.MaxAttempts; attempt++ {
		want := http.StatusInternalServerError
		if attempt == policy.MaxAttempts {
			want = http.StatusOK
		}
		f.Deliver(t, h, "tester", env, attempt).Want(t, want)
	}
	if r := f.row(t, "outbox", m.ID); !r.Dead || r.Attempts != policy.MaxAttempts {
		t.Errorf("the message is %+v", r)
	}
	// It no longer stands before the next of its key.
	if r := f.row(t, "outbox", next.ID); r.Wait > 0 {
		t.Errorf("the next one still waits: %+v", r)
	}
	// An outage is not counted, but it ends with the message's age.
	old := plain.Message("", work{})
	env = f.Enqueue(t, f.owner.TenantID, ids.Nil, old)
	f.SQL(t, `update app.outbox set created_at = now() - interval '25 hours' where id = $1`, old.ID)
	down := f.open(t, "tester", worker.On(plain, func(context.Context, worker.Delivery[work]) error {
		return errs.New(errs.Unavailable, "down", "Down.")
	}))
	f.Deliver(t, down, "tester", env, 1).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", old.ID); !r.Dead || r.Attempts != 0 {
		t.Errorf("the old message is %+v", r)
	}
}

// However often a message arrives, and from however many sides at once, its
// effect is there once.
func TestOnce(t *testing.T) {
	f := setup(t)
	for _, kind := range []queue.Kind[work]{plain, alone} {
		t.Run(kind.Kind, func(t *testing.T) {
			t.Parallel()
			h := f.open(t, "tester", worker.On(kind, say))
			m := kind.Message("", work{"hello"})
			env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK) })
			}
			all.Wait()
			f.Deliver(t, h, "tester", env, 2).Want(t, http.StatusOK)
			if n := f.said(t, m.ID); n != 1 {
				t.Errorf("said %d times", n)
			}
			if r := f.row(t, "outbox", m.ID); !r.Done || r.Leased {
				t.Errorf("the message is %+v", r)
			}
		})
	}
}

// A transaction that fails leaves neither effect nor record, and the same
// message does both later.
func TestEffectAndRecordTogether(t *testing.T) {
	f := setup(t)
	var fail atomic.Bool
	fail.Store(true)
	h := f.open(t, "tester", worker.On(plain, func(ctx context.Context, d worker.Delivery[work]) error {
		return d.Once(ctx, func(tx *db.Tx) error {
			tx.Record(activity.Created("Said", d.Envelope.ID, map[string]any{"say": "x"}))
			if fail.Load() {
				db.Exec(tx, `select 1 / 0`)
			}
			return nil
		})
	}))
	m := plain.Message("", work{})
	env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusInternalServerError)
	if n := f.said(t, m.ID); n != 0 {
		t.Errorf("said %d times by a transaction that failed", n)
	}
	fail.Store(false)
	f.Deliver(t, h, "tester", env, 2).Want(t, http.StatusOK)
	if n := f.said(t, m.ID); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// Exclusive work is done by one at a time, who keeps it as long as it lives.
func TestExclusive(t *testing.T) {
	f := setup(t)
	f.Vars["JOB_LEASE"] = "9s"
	began, finish := make(chan struct{}, 8), make(chan struct{})
	var runs atomic.Int64
	h := f.open(t, "tester", worker.On(alone, func(ctx context.Context, d worker.Delivery[work]) error {
		runs.Add(1)
		began <- struct{}{}
		select {
		case <-finish:
			return say(ctx, d)
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	m := alone.Message("", work{})
	env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
	var first sync.WaitGroup
	first.Go(func() { f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK) })
	<-began
	var since time.Time
	f.Scan(t, `select running_until from app.outbox where id = $1`, []any{m.ID}, &since)
	until := since
	for deadline := time.Now().Add(20 * time.Second); !until.After(since.Add(time.Second)) && time.Now().Before(deadline); {
		f.Scan(t, `select running_until from app.outbox where id = $1`, []any{m.ID}, &until)
	}
	if !until.After(since.Add(time.Second)) {
		t.Errorf("the lease was not kept: %s, then %s", since, until)
	}
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK)
	close(finish)
	first.Wait()
	if n := runs.Load(); n != 1 {
		t.Errorf("ran %d times", n)
	}
	// Whoever died without a word is succeeded when the lease is over.
	orphan := alone.Message("", work{})
	env = f.Enqueue(t, f.owner.TenantID, ids.Nil, orphan)
	f.SQL(t, `update app.outbox set running_until = now() + interval '1 hour' where id = $1`, orphan.ID)
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", orphan.ID); r.Done {
		t.Error("taken from one who lives")
	}
	f.SQL(t, `update app.outbox set running_until = now() - interval '1 second' where id = $1`, orphan.ID)
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", orphan.ID); !r.Done {
		t.Error("nobody succeeded the one who died")
	}
}

// Exclusive work that cannot be kept ends before its lease does, however long
// the database takes: nobody else begins beside it.
func TestLeaseLost(t *testing.T) {
	f := setup(t)
	f.Vars["JOB_LEASE"] = "9s"
	elsewhere := f.Database.Owner(t)
	var mine bool
	h := f.open(t, "tester", worker.On(alone, func(ctx context.Context, d worker.Delivery[work]) error {
		tx, err := elsewhere.Begin(context.Background())
		if err != nil {
			return err
		}
		// Whoever prolongs the lease now waits for this lock.
		if _, err := tx.Exec(context.Background(), `select 1 from app.outbox where tenant_id = $1 and id = $2 for update`, f.owner.TenantID, d.Envelope.ID); err != nil {
			return err
		}
		<-ctx.Done()
		f.Scan(t, `select running_until > clock_timestamp() from app.outbox where id = $1`, []any{d.Envelope.ID}, &mine)
		return errors.Join(ctx.Err(), tx.Rollback(context.Background()))
	}))
	m := alone.Message("", work{})
	env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
	if got := f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK).String(t, "result"); got != "deferred" || !mine {
		t.Errorf("the attempt was %s; the lease lasted to its end: %v", got, mine)
	}
	if r := f.row(t, "outbox", m.ID); r.Done || r.Dead || r.Attempts != 0 {
		t.Errorf("the message is %+v", r)
	}
}

// An attempt that another one has followed decides nothing any more, whatever
// it comes to.
func TestOvertaken(t *testing.T) {
	f := setup(t)
	for name, answer := range map[string]error{
		"failed": errors.New("late"), "hopeless": worker.Permanent(errors.New("late")),
		"down": errs.New(errs.Unavailable, "down", "Down."), "yielding": worker.Yield("it runs"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := f.open(t, "tester", worker.On(alone, func(_ context.Context, d worker.Delivery[work]) error {
				// The other one's lease.
				f.SQL(t, `update app.outbox set running_until = now() + interval '1 hour', lease_until = now() + interval '1 hour' where id = $1`, d.Envelope.ID)
				return answer
			}))
			m := alone.Message("", work{})
			env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
			if got := f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK).String(t, "result"); got != "repeated" {
				t.Errorf("the attempt was %s", got)
			}
			var held bool
			f.Scan(t, `select running_until > now() + interval '50 minutes' from app.outbox where id = $1`, []any{m.ID}, &held)
			if r := f.row(t, "outbox", m.ID); !held || r.Done || r.Dead || r.Attempts != 0 || r.Error != "" {
				t.Errorf("the message is held: %v; %+v", held, r)
			}
		})
	}
}

// A message for several listeners is done when each recorded it; each does its
// part once.
func TestListeners(t *testing.T) {
	f := setup(t)
	hears := worker.On(event, say)
	one, two := f.open(t, "one", hears), f.open(t, "two") // two has no use for it
	m := event.Message("", work{})
	env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
	f.Publish(t, one, "one", env, 1).Want(t, http.StatusOK)
	f.Publish(t, one, "one", env, 2).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", m.ID); r.Done {
		t.Error("done before the second listener heard it")
	}
	f.Publish(t, two, "two", env, 1).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", m.ID); !r.Done || f.said(t, m.ID) != 1 {
		t.Errorf("the message is %+v, said %d times", r, f.said(t, m.ID))
	}
	// Two that finished at the same moment did not see one another: the next
	// delivery closes the message.
	f.SQL(t, `update app.outbox set done_at = null where id = $1`, m.ID)
	f.Publish(t, two, "two", env, 2).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", m.ID); !r.Done {
		t.Error("nobody closed the message")
	}
}

// Messages of a person are recorded with the person; a handler sees their trace
// and their payload.
func TestPersonAndTrace(t *testing.T) {
	f := setup(t)
	who := f.Person(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	h := f.open(t, "tester", worker.On(person, func(ctx context.Context, d worker.Delivery[work]) error {
		if got := telemetry.TraceID(ctx); got != "4bf92f3577b34da6a3ce929d0e0e4736" {
			return errors.New("trace " + got)
		}
		if d.Payload.Say != "hi" || d.Envelope.UserID != who.UserID || d.Attempt != 3 {
			return errors.New("another message")
		}
		return nil
	}))
	m := person.Message("", work{"hi"})
	env := f.Enqueue(t, ids.Nil, who.UserID, m)
	env.Trace = trace
	f.Deliver(t, h, "tester", env, 3).Want(t, http.StatusOK)
	if r := f.row(t, "user_outbox", m.ID); !r.Done {
		t.Errorf("the message is %+v", r)
	}
}

// What no handler can have: strangers, other methods, other kinds, bodies that
// are no messages.
func TestRefusals(t *testing.T) {
	f := setup(t)
	h := f.open(t, "tester", worker.On(plain, say))
	m := other.Message("", work{})
	env := f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusInternalServerError)
	if r := f.row(t, "outbox", m.ID); r.Attempts != 1 || r.Done {
		t.Errorf("a kind without a handler is %+v", r)
	}
	f.Deliver(t, h, "mailer", env, 1).Want(t, http.StatusUnauthorized) // a token for another function
	f.Do(t, h, functest.Request{Method: http.MethodPost, Path: "/", Body: env}).Want(t, http.StatusUnauthorized)
	f.Do(t, h, functest.Request{Method: http.MethodPost, Path: "/", Token: f.owner.Token, Body: env}).Want(t, http.StatusUnauthorized)
	f.Do(t, h, functest.Request{Method: http.MethodGet, Path: "/"}).Want(t, http.StatusMethodNotAllowed)
	env.Version = 2
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusNoContent)
	odd := plain.Message("", work{})
	env = f.Enqueue(t, f.owner.TenantID, ids.Nil, odd)
	env.Payload = []byte(`{"say": 7}`)
	f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK)
	if r := f.row(t, "outbox", odd.ID); !r.Dead {
		t.Errorf("a payload of another form is %+v", r)
	}
	if _, err := worker.Open(config.Map(f.Vars), "nobody", worker.WithRegistry(f.reg)); err == nil {
		t.Error("a function that nothing leads to was opened")
	}
}

// A database that cannot be told leaves the message with the queue.
func TestDatabaseDown(t *testing.T) {
	f := setup(t)
	f.Vars["DATABASE_URL"] = "postgres://x:y@127.0.0.1:1/none"
	f.Vars["DATABASE_ACQUIRE_TIMEOUT"] = "200ms"
	h := f.open(t, "tester",
		worker.On(plain, say),
		worker.On(alone, func(context.Context, worker.Delivery[work]) error {
			t.Error("ran without being taken")
			return nil
		}))
	for _, kind := range []queue.Kind[work]{plain, alone} {
		env := f.Enqueue(t, f.owner.TenantID, ids.Nil, kind.Message("", work{}))
		f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusServiceUnavailable)
	}
}

// A job that leaves messages, or lets the next one of its key go, tells the
// relay; a relay that does not answer harms nobody.
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
	h := f.open(t, "tester", worker.On(plain, func(ctx context.Context, d worker.Delivery[work]) error {
		return d.Once(ctx, func(tx *db.Tx) error {
			if d.Payload.Say == "more" {
				tx.Enqueue(other.Message("", work{}))
			}
			return nil
		})
	}))
	for _, c := range []struct {
		key, say string
		want     int64
	}{{"", "", 0}, {"", "more", 1}, {"k", "", 2}} {
		env := f.Enqueue(t, f.owner.TenantID, ids.Nil, plain.Message(c.key, work{c.say}))
		f.Deliver(t, h, "tester", env, 1).Want(t, http.StatusOK)
		if n := calls.Load(); n != c.want {
			t.Errorf("after %+v the relay was called %d times", c, n)
		}
	}
}
