package outboxrelay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
)

var (
	mail   = queue.Kind[queue.None]{Route: queue.Route{Kind: "test.mail", Consumer: "mailer"}}
	report = queue.Kind[queue.None]{Route: queue.Route{Kind: "test.report", Consumer: "reporter"}}
	greet  = queue.Kind[queue.None]{Route: queue.Route{Kind: "test.greet", Owner: queue.ForPerson, Consumer: "mailer"}}
	event  = queue.Kind[queue.None]{Route: queue.Route{Kind: "test.event", Topic: "events"}}
)

const (
	mailRate = 10
	mailAge  = 24 * time.Hour
)

func registry(t testing.TB) *queue.Registry {
	t.Helper()
	r, err := queue.NewRegistry([]queue.Route{mail.Route, report.Route, greet.Route, event.Route}, []queue.Consumer{
		{Name: "mailer", Queue: "mail", Rate: mailRate, Concurrency: 5, MaxAttempts: 4, MaxAge: mailAge},
		{Name: "reporter", Queue: "reports", Rate: 500, Concurrency: 50, MaxAttempts: 4},
		{Name: "listener", Topic: "events", Concurrency: 50, MaxAttempts: 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// service takes messages, until it is down.
type taker struct {
	mu   sync.Mutex
	got  []queue.Handover
	fail func(queue.Handover) error
}

func (s *taker) Deliver(_ context.Context, messages []queue.Handover) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]error, len(messages))
	for i, m := range messages {
		if s.fail != nil {
			if out[i] = s.fail(m); out[i] != nil {
				continue
			}
		}
		s.got = append(s.got, m)
	}
	return out
}

func (s *taker) take() []queue.Handover {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.got
	s.got = nil
	return out
}

func down(queue.Handover) error { return errs.New(errs.Unavailable, "queue_down", "Down.") }

type fixture struct {
	*functest.Env
	relay         *relay
	tasks, events *taker
	owner         functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	f := &fixture{Env: e, tasks: &taker{}, events: &taker{}, owner: e.Tenant(t)}
	f.relay = f.another(t)
	return f
}

// another is one more relay on the same database.
func (f *fixture) another(t *testing.T) *relay {
	t.Helper()
	cfg, err := config.Load[db.Config](config.Map(f.Vars))
	if err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(cfg, testLog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return newRelay(store{d}, registry(t), f.tasks, f.events, func(name string) string { return "http://" + name }, testLog)
}

func (f *fixture) pass(t *testing.T) count {
	t.Helper()
	n, err := f.relay.pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (f *fixture) fill(t *testing.T, tenant ids.ID, kind string, n int) {
	t.Helper()
	f.SQL(t, `insert into app.outbox (tenant_id, id, kind) select $1, gen_random_uuid(), $2 from generate_series(1, $3)`, tenant, kind, n)
}

func (f *fixture) done(t *testing.T, messages ...queue.Handover) {
	t.Helper()
	for _, m := range messages {
		f.SQL(t, `update app.outbox set done_at = now(), lease_until = null where id = $1`, m.Envelope.ID)
	}
}

// A message is handed over as it was written, to the right place, and not again
// while its lease lasts; when it is over and nobody recorded the message, it is.
func TestHandOver(t *testing.T) {
	f := setup(t)
	toTask := mail.Message("order", queue.None{})
	toEvent := event.Message("", queue.None{})
	toPerson := greet.Message("", queue.None{})
	f.Enqueue(t, f.owner.TenantID, ids.Nil, toTask)
	f.Enqueue(t, f.owner.TenantID, ids.Nil, toEvent)
	f.Enqueue(t, ids.Nil, f.owner.UserID, toPerson)
	f.SQL(t, `update app.outbox set trace = '00-aa', payload = '{"a": 1}' where id = $1`, toTask.ID)
	if n := f.pass(t); n.HandedOver != 3 || n.Refused != 0 || n.Waiting {
		t.Errorf("the pass came to %+v", n)
	}
	byID := map[ids.ID]queue.Handover{}
	for _, m := range append(f.tasks.take(), f.events.take()...) {
		byID[m.Envelope.ID] = m
	}
	got := byID[toTask.ID]
	if e := got.Envelope; e.TenantID != f.owner.TenantID || e.UserID != ids.Nil || e.Kind != mail.Kind || e.Key != "order" || e.Trace != "00-aa" ||
		string(e.Payload) != `{"a": 1}` || got.Number != 1 || got.URL != "http://mailer" || got.Consumer.Queue != "mail" || time.Since(e.CreatedAt) > time.Minute {
		t.Errorf("the task is %+v", got)
	}
	if m := byID[toPerson.ID]; m.Envelope.UserID != f.owner.UserID || m.Envelope.TenantID != ids.Nil || m.Consumer.Name != "mailer" {
		t.Errorf("the person's is %+v", m)
	}
	if m := byID[toEvent.ID]; m.Route.Topic != "events" {
		t.Errorf("the event is %+v", m)
	}
	if n := f.pass(t); n.HandedOver != 0 {
		t.Errorf("handed over again: %+v", n)
	}
	f.SQL(t, `update app.outbox set lease_until = now(), available_at = now() where id = $1`, toTask.ID)
	f.SQL(t, `update app.outbox set done_at = now() where id = $1`, toEvent.ID)
	f.SQL(t, `update app.user_outbox set dead_at = now(), available_at = now() where id = $1`, toPerson.ID)
	f.pass(t)
	if again := f.tasks.take(); len(again) != 1 || again[0].Envelope.ID != toTask.ID || again[0].Number != 2 {
		t.Errorf("after the lease: %+v", again)
	}
	if again := f.events.take(); len(again) != 0 {
		t.Errorf("done, and handed over: %+v", again)
	}
}

// Messages of one key go one after the other, in the order of their writing;
// those of another tenant, another key or none do not wait for them.
func TestOrderWithinAKey(t *testing.T) {
	f := setup(t)
	other := f.Tenant(t)
	var want []ids.ID
	for i := range 5 {
		m := mail.Message("k", queue.None{})
		f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
		want = append(want, m.ID)
		// What is due first is not what was written first.
		f.SQL(t, `update app.outbox set available_at = now() - $2::interval where id = $1`, m.ID, time.Duration(i)*time.Second)
	}
	f.Enqueue(t, f.owner.TenantID, ids.Nil, mail.Message("other", queue.None{}))
	f.Enqueue(t, f.owner.TenantID, ids.Nil, mail.Message("", queue.None{}))
	f.Enqueue(t, other.TenantID, ids.Nil, mail.Message("k", queue.None{}))
	f.pass(t)
	first := f.tasks.take()
	if len(first) != 4 {
		t.Fatalf("%d messages at first", len(first))
	}
	var got []ids.ID
	for _, m := range first {
		if m.Envelope.Key == "k" && m.Envelope.TenantID == f.owner.TenantID {
			got = append(got, m.Envelope.ID)
			f.consume(t, m)
		}
	}
	for range 4 {
		f.pass(t)
		next := f.tasks.take()
		if len(next) != 1 {
			t.Fatalf("%d at a time", len(next))
		}
		got = append(got, next[0].Envelope.ID)
		f.consume(t, next[0])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("came as %v, want %v", got, want)
	}
}

// consume records a message as its consumer does.
func (f *fixture) consume(t *testing.T, m queue.Handover) {
	t.Helper()
	err := db.Consume(t.Context(), f.relay.store.db, db.Receipt{
		TenantID: m.Envelope.TenantID, MessageID: m.Envelope.ID, Key: m.Envelope.Key, Consumer: "mailer", Receivers: 1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// A crowd of one tenant's messages stands in the outbox, not in the queue
// before everybody else's.
func TestFairness(t *testing.T) {
	f := setup(t)
	f.fill(t, f.owner.TenantID, mail.Kind, 100_000)
	n := f.pass(t)
	w := windowOf(queue.Consumer{Rate: mailRate, Concurrency: 5})
	if n.HandedOver != w.owner {
		t.Fatalf("%d of one tenant are under way, want %d", n.HandedOver, w.owner)
	}
	crowd := f.tasks.take()
	var others []functest.Person
	for range 3 {
		who := f.Tenant(t)
		others = append(others, who)
		f.fill(t, who.TenantID, mail.Kind, 1)
	}
	f.fill(t, f.owner.TenantID, report.Kind, 1)
	f.pass(t)
	seen := map[ids.ID]int{}
	for _, m := range f.tasks.take() {
		seen[m.Envelope.TenantID]++
	}
	for _, who := range others {
		if seen[who.TenantID] != 1 {
			t.Errorf("a tenant behind the crowd got %d", seen[who.TenantID])
		}
	}
	if seen[f.owner.TenantID] != 1 {
		t.Errorf("another kind of the same tenant: %d, want its one report", seen[f.owner.TenantID])
	}
	f.done(t, crowd[:3]...)
	f.pass(t)
	if more := f.tasks.take(); len(more) != 3 {
		t.Errorf("%d took the room of 3", len(more))
	}
}

// When there is no room for everybody, everybody's turn comes.
func TestTurns(t *testing.T) {
	f := setup(t)
	w := windowOf(queue.Consumer{Rate: mailRate, Concurrency: 5})
	const crowd = 12
	served := map[ids.ID]bool{}
	for range crowd {
		f.fill(t, f.Tenant(t).TenantID, mail.Kind, 1000)
	}
	for pass := 0; len(served) < crowd && pass < 2*crowd; pass++ {
		f.pass(t)
		got := f.tasks.take()
		if limit := w.all + sideBySide; len(got) > limit {
			t.Fatalf("%d at once, at most %d fit", len(got), limit)
		}
		for _, m := range got {
			served[m.Envelope.TenantID] = true
		}
		f.done(t, got...)
	}
	if len(served) != crowd {
		t.Errorf("%d of %d had a turn", len(served), crowd)
	}
}

// Many relays at once hand everything over exactly once.
func TestManyRelays(t *testing.T) {
	f := setup(t)
	const tenants, each = 7, 40
	for range tenants {
		f.fill(t, f.Tenant(t).TenantID, report.Kind, each)
	}
	var all sync.WaitGroup
	for range 4 {
		r := f.another(t)
		all.Go(func() {
			for range 3 {
				if _, err := r.pass(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	seen := map[ids.ID]int{}
	for _, m := range f.tasks.take() {
		seen[m.Envelope.ID]++
		if m.Number != 1 {
			t.Errorf("%s was handed over as number %d", m.Envelope.ID, m.Number)
		}
	}
	if len(seen) != tenants*each {
		t.Errorf("%d of %d", len(seen), tenants*each)
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// A service that is down keeps its messages in the outbox and stops nobody
// else's; a message that is refused by itself stops no other one.
func TestServicesDown(t *testing.T) {
	f := setup(t)
	f.fill(t, f.owner.TenantID, mail.Kind, 3)
	f.fill(t, f.owner.TenantID, event.Kind, 2)
	f.tasks.fail = down
	n, err := f.relay.pass(t.Context())
	if errs.KindOf(err) != errs.Unavailable || n.Refused != 3 {
		t.Errorf("came to %+v, %v", n, err)
	}
	if got := f.events.take(); len(got) != 2 {
		t.Errorf("%d events while Cloud Tasks is down", len(got))
	}
	var waiting, again int
	f.Scan(t, `select count(*) filter (where available_at > now() and last_error <> ''), count(*) filter (where available_at < now() + interval '10 seconds')
		from app.outbox where kind = $1`, []any{mail.Kind}, &waiting, &again)
	if waiting != 3 || again != 3 {
		t.Errorf("%d wait, %d for seconds", waiting, again)
	}
	bad := mail.Message("", queue.None{})
	f.Enqueue(t, f.owner.TenantID, ids.Nil, bad)
	f.tasks.fail = func(m queue.Handover) error {
		if m.Envelope.ID == bad.ID {
			return errors.New("refused")
		}
		return nil
	}
	f.SQL(t, `update app.outbox set available_at = now(), lease_until = null where kind = $1`, mail.Kind)
	if n := f.pass(t); n.HandedOver != 3 || n.Refused != 1 {
		t.Errorf("came to %+v", n)
	}
}

// What comes back at a time of its own, after an outage, is given to Cloud Tasks
// a little earlier, to be delivered then; Pub/Sub gets it when it is due. Nobody
// has it in between, and a message that waits for another of its key keeps
// waiting.
func TestAhead(t *testing.T) {
	f := setup(t)
	f.fill(t, f.owner.TenantID, report.Kind, 1)
	f.fill(t, f.owner.TenantID, event.Kind, 1)
	f.pass(t)
	f.tasks.take()
	f.events.take()
	soon := time.Now().Add(ahead - 200*time.Millisecond)
	f.SQL(t, `update app.outbox set available_at = $1, lease_until = null, last_error = 'down'`, soon)
	first, second := mail.Message("k", queue.None{}), mail.Message("k", queue.None{})
	f.Enqueue(t, f.owner.TenantID, ids.Nil, first)
	f.Enqueue(t, f.owner.TenantID, ids.Nil, second)
	f.SQL(t, `update app.outbox set available_at = $2 where id = $1`, second.ID, soon)
	if busy, err := f.relay.store.underway(t.Context(), time.Minute); err != nil || !busy {
		t.Errorf("the sweep would end before them: %v", err)
	}
	f.pass(t)
	f.pass(t)
	var got []queue.Handover
	for _, m := range f.tasks.take() {
		if m.Envelope.Kind == report.Kind {
			got = append(got, m)
		} else if m.Envelope.ID != first.ID || !m.NotBefore.IsZero() {
			t.Errorf("handed over: %+v", m)
		}
	}
	if len(got) != 1 || got[0].NotBefore.Sub(soon).Abs() > time.Millisecond || got[0].Number != 2 || got[0].Trouble != "down" {
		t.Fatalf("given to the queue: %+v", got)
	}
	if early := f.events.take(); len(early) != 0 {
		t.Errorf("%d events before their time", len(early))
	}
	// Its lease begins when it is delivered.
	var lease time.Time
	f.Scan(t, `select lease_until from app.outbox where id = $1`, []any{got[0].Envelope.ID}, &lease)
	if d := lease.Sub(soon.Add(f.relay.lease)); d.Abs() > time.Second {
		t.Errorf("the lease is off by %s", d)
	}
}

// What was handed over again and again without anybody telling what became of it
// (its consumer dies of it, or is not there) is a dead letter in the end, and
// lets the next one of its key go. What was never handed over is only late.
func TestGivenUp(t *testing.T) {
	f := setup(t)
	var log bytes.Buffer
	f.relay.log = slog.New(slog.NewJSONHandler(&log, nil))
	deadly, next, late := mail.Message("k", queue.None{}), mail.Message("k", queue.None{}), mail.Message("", queue.None{})
	f.Enqueue(t, f.owner.TenantID, ids.Nil, deadly)
	f.Enqueue(t, f.owner.TenantID, ids.Nil, next)
	f.pass(t)
	f.tasks.take()
	f.Enqueue(t, f.owner.TenantID, ids.Nil, late)
	old := func(age time.Duration) {
		f.SQL(t, `update app.outbox set created_at = $2, available_at = now(), lease_until = null where id = any($1::uuid[])`,
			[]string{deadly.ID.String(), late.ID.String()}, time.Now().Add(-age))
	}
	old(mailAge + grace/2)
	if n := f.pass(t); n.HandedOver != 2 || n.GivenUp != 0 {
		t.Errorf("within its time: %+v", n)
	}
	f.tasks.take()
	f.SQL(t, `update app.outbox set handovers = 0 where id = $1`, late.ID)
	old(mailAge + 2*grace)
	n := f.pass(t)
	n.add(f.pass(t))
	if n.GivenUp != 1 {
		t.Errorf("after its time: %+v", n)
	}
	seen := map[ids.ID]bool{}
	for _, m := range f.tasks.take() {
		seen[m.Envelope.ID] = true
	}
	if len(seen) != 2 || !seen[late.ID] || !seen[next.ID] {
		t.Errorf("handed over: %v", seen)
	}
	var reason string
	f.Scan(t, `select last_error from app.outbox where id = $1 and dead_at is not null and attempts = 0`, []any{deadly.ID}, &reason)
	if reason != "handed over 2 times, and no consumer told what became of it" {
		t.Errorf("given up as %q", reason)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	for name, want := range map[string]string{
		"level": "ERROR", "msg": "message", "result": "dead", "kind": mail.Kind, "tenant_id": f.owner.TenantID.String(), "message_id": deadly.ID.String(),
	} {
		if line[name] != want {
			t.Errorf("%s is logged as %v", name, line[name])
		}
	}
}

// Who calls, and what they are told.
func TestCallers(t *testing.T) {
	f := setup(t)
	f.Vars["TASKS_ENDPOINT"], f.Vars["PUBSUB_ENDPOINT"] = "127.0.0.1:1", "127.0.0.1:1"
	f.Vars["TASKS_LOCATION"], f.Vars["PUSH_SERVICE_ACCOUNT"] = "local", functest.ServiceAccount
	h := f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return OpenWith(lookup, registry(t))
	})
	nudge := func(path string) functest.Response {
		r := f.NewRequest(t, functest.Request{Method: http.MethodPost, Path: path})
		r.Header.Del(hop.Header)
		signature, err := f.Hops.Sign(t.Context(), http.MethodPost, "/internal/relay/", netip.Addr{}, "nudge-1")
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(hop.Header, signature)
		return serveHTTP(h, r)
	}
	if got := nudge("/internal/relay/").Want(t, http.StatusOK); got.Get(t, "handed_over") != 0.0 {
		t.Errorf("nothing was due: %s", got.Body)
	}
	f.Trigger(t, h, Name, time.Now()).Want(t, http.StatusOK)
	f.Trigger(t, h, "mailer", time.Now()).Want(t, http.StatusUnauthorized)
	unsigned := f.NewRequest(t, functest.Request{Method: http.MethodPost, Path: "/internal/relay/"})
	unsigned.Header.Del(hop.Header)
	serveHTTP(h, unsigned).Want(t, http.StatusNotFound)
	f.Do(t, h, functest.Request{Method: http.MethodGet, Path: "/"}).Want(t, http.StatusMethodNotAllowed)
	// With the services unreachable, the caller hears it and nothing is lost.
	f.fill(t, f.owner.TenantID, mail.Kind, 1)
	nudge("/internal/relay/").Want(t, http.StatusServiceUnavailable)
	var due int
	f.Scan(t, `select count(*) from app.outbox where done_at is null and dead_at is null and available_at < now() + interval '10 seconds'`, nil, &due)
	if due != 1 {
		t.Errorf("%d messages wait", due)
	}
	for name, value := range map[string]string{"FUNCTION_URLS": "mailer=ftp://x", "FUNCTION_URL": "{name}", "RELAY_POLL": "0s"} {
		vars := maps.Clone(f.Vars)
		vars[name] = value
		if _, err := OpenWith(config.Map(vars), registry(t)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// Calls at the same time share passes, and none returns before a pass that
// began after it came.
func TestNudgesShareAPass(t *testing.T) {
	f := setup(t)
	s := &service{relay: f.relay}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			m := report.Message("", queue.None{})
			f.Enqueue(t, f.owner.TenantID, ids.Nil, m)
			if _, err := s.join(t.Context()); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			var number int
			f.Scan(t, `select handovers from app.outbox where id = $1`, []any{m.ID}, &number)
			if number != 1 {
				t.Errorf("message %d was handed over %d times when its nudge returned", i, number)
			}
		})
	}
	all.Wait()
	// One who gives up waiting leaves no pass that never begins.
	s.now = &run{done: make(chan struct{})}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.join(gone); !errors.Is(err, context.Canceled) || s.next != nil {
		t.Errorf("%v, and a run is left: %v", err, s.next != nil)
	}
}
