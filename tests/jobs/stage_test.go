package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/oidc"
)

// issuer signs for the queues and the schedule of all tests.
var issuer = sync.OnceValue(func() *oidc.Issuer {
	i, err := oidc.New("https://issuer.test")
	if err != nil {
		panic(err)
	}
	return i
})

// authority serves the issuer's keys, and signs for queue servers.
var authority = sync.OnceValue(func() string {
	m := http.NewServeMux()
	m.Handle(oidc.KeysPath, issuer().Handler())
	m.HandleFunc("POST /sign", func(w http.ResponseWriter, r *http.Request) {
		token, err := issuer().Token(r.FormValue("email"), r.FormValue("audience"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, token)
	})
	return httptest.NewServer(m).URL // serves until the tests end
})

type moment string

const (
	before moment = "before" // what is seen does not reach the other side
	after  moment = "after"  // the other side has answered; the answer does not arrive
)

// point is a moment in which a process is killed.
type point struct {
	name   string
	victim string
	link   string // where the moment is seen
	when   moment
	sees   []string // what passes says all of this; the last of it just now
	nth    int      // the how manieth that does; 0 is the first
	// goesOn lets pass what was seen, as the victim is not the one who waits.
	goesOn bool
	// production leaves the leases as long as they are in production.
	production bool
}

// stage is the platform around one test, in processes.
type stage struct {
	*functest.Env
	t     *testing.T
	owner functest.Person
	point point

	processes map[string]*process
	fronts    map[string]*httpProxy
	queues    *callProxy
	events    *callProxy
	broken    string // while this file exists the counter fails

	seen  atomic.Int64
	fired atomic.Pointer[time.Time]

	onFire func()
}

func newStage(t *testing.T, at point) *stage {
	t.Helper()
	e := functest.New(t)
	s := &stage{
		Env: e, t: t, owner: e.Tenant(t), point: at, processes: map[string]*process{}, fronts: map[string]*httpProxy{},
		broken: filepath.Join(t.TempDir(), "broken"),
	}
	short := map[string]string{"RELAY_LEASE": "5s", "JOB_LEASE": "5s", "RELAY_POLL": "200ms", "RELAY_PAUSE": "300ms", "JOB_TIMEOUT": "15s"}
	if at.production {
		short = nil
	}
	maps.Copy(s.Vars, short)
	maps.Copy(s.Vars, map[string]string{
		"PUSH_ISSUER": issuer().Name(), "PUSH_JWKS_URL": authority() + oidc.KeysPath, "SIGNER": authority() + "/sign",
		"PUSH_SERVICE_ACCOUNT": functest.ServiceAccount, "TASKS_LOCATION": location, "DATABASE_MAX_CONNS": "4", "BROKEN": s.broken,
		"GOOGLE_CLOUD_PROJECT": "t-" + s.owner.TenantID.String(),
	})
	return s
}

// add makes a process behind a proxy for requests, with proxies between it and
// the database. It does not run yet.
func (s *stage) add(name, role string, vars map[string]string) *httpProxy {
	s.t.Helper()
	own := maps.Clone(s.Vars)
	maps.Copy(own, vars)
	for _, v := range []string{"DATABASE_URL", "SYSTEM_DATABASE_URL"} {
		own[v] = s.sqlProxy(s.t, name+" sql", own[v])
	}
	p := newProcess(s.t, name, role, own)
	front := s.httpProxy(s.t, name, p.address())
	own["PUSH_AUDIENCE"] = front.url
	s.processes[name], s.fronts[name] = p, front
	return front
}

// addQueues makes the queue servers, and the relays that hand over to them.
func (s *stage) addQueues(relays ...string) {
	s.t.Helper()
	vars := maps.Clone(s.Vars)
	var urls []string
	for name, front := range s.fronts {
		vars["LISTENER_"+strings.ToUpper(name)] = front.url
		urls = append(urls, name+"="+front.url)
	}
	p := newProcess(s.t, "queues", "queues", vars)
	s.processes["queues"] = p
	s.queues = s.callProxy(s.t, p.address())
	s.events = s.queues
	if at := os.Getenv(emulatorVariable); at != "" {
		s.events = s.callProxy(s.t, at)
		s.subscribe(at)
	}
	for _, name := range relays {
		s.add(name, "relay", map[string]string{
			"TASKS_ENDPOINT": s.queues.address, "PUBSUB_ENDPOINT": s.events.address, "FUNCTION_URLS": strings.Join(urls, ","),
		})
	}
}

// begin starts every process and the schedule.
func (s *stage) begin() {
	s.t.Helper()
	for _, p := range s.processes {
		if err := p.start(); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var schedules sync.WaitGroup
	for name, front := range s.fronts {
		if strings.HasPrefix(name, "relay") {
			schedules.Go(func() { schedule(ctx, front.url) })
		}
	}
	s.t.Cleanup(func() {
		stop()
		schedules.Wait()
	})
}

// schedule calls a relay as Cloud Scheduler does, only more often.
func schedule(ctx context.Context, url string) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if resp, err := call(ctx, url, nil); err == nil {
			_ = resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// call calls a process as a queue or a schedule of the platform.
func call(ctx context.Context, url string, body any) (*http.Response, error) {
	token, err := issuer().Token(functest.ServiceAccount, url)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-CloudTasks-TaskName", "again")
	return http.DefaultClient.Do(r)
}

// due tells whether the point's moment has come: all that was said so far
// contains what the point waits for, and what is said now the last of it.
func (s *stage) due(link string, when moment, all, now string) bool {
	p := s.point
	if len(p.sees) == 0 || p.link != link || p.when != when || !strings.Contains(now, p.sees[len(p.sees)-1]) {
		return false
	}
	if slices.ContainsFunc(p.sees, func(text string) bool { return !strings.Contains(all, text) }) {
		return false
	}
	return s.seen.Add(1) == int64(max(1, p.nth))
}

// fire kills the victim and starts it again, as Cloud Run does.
func (s *stage) fire() {
	p := s.processes[s.point.victim]
	p.kill()
	now := time.Now()
	s.fired.Store(&now)
	if s.onFire != nil {
		s.onFire()
	}
	if err := p.start(); err != nil {
		s.t.Errorf("%s does not start again: %v", p.name, err)
	}
}

// enqueue commits n messages to the counter, as a function does.
func (s *stage) enqueue(n int) []queue.Envelope {
	s.t.Helper()
	out := make([]queue.Envelope, n)
	for i := range out {
		m := queue.MailTaskAssigned.Message("", queue.Assignment{TaskID: ids.New(), UserID: s.owner.UserID})
		out[i] = s.leave(m)
	}
	return out
}

func (s *stage) leave(m outbox.Message) queue.Envelope {
	s.t.Helper()
	return s.Enqueue(s.t, s.owner.TenantID, ids.Nil, m)
}

// wait waits until the test's point was reached, if it has one, and from then on
// until everything in the outboxes is done. It tells how long that took.
func (s *stage) wait() time.Duration {
	s.t.Helper()
	began := time.Now()
	if len(s.point.sees) > 0 {
		if err := within(began.Add(arrival), func() bool { return s.fired.Load() != nil }); err != nil {
			s.t.Fatalf("the moment did not come within %s", arrival)
		}
		began = *s.fired.Load()
	}
	err := within(began.Add(patience), func() bool { return s.open() == 0 })
	if err != nil {
		var rows string
		s.Scan(s.t, `select coalesce(json_agg(o)::text, '') from (select kind, attempts, handovers, done_at, dead_at, lease_until, running_until, last_error from app.outbox
			where done_at is null) o`, nil, &rows)
		s.t.Fatalf("%v: reached %v, open %s", err, s.fired.Load(), rows)
	}
	took := time.Since(began)
	var dead int
	s.Scan(s.t, `select (select count(*) from app.outbox where dead_at is not null) + (select count(*) from app.user_outbox where dead_at is not null)`, nil, &dead)
	if dead != 0 {
		s.t.Errorf("%d dead letters", dead)
	}
	return took
}

// open counts the messages that are not done.
func (s *stage) open() int {
	var n int
	s.Scan(s.t, `select (select count(*) from app.outbox where done_at is null and dead_at is null)
		+ (select count(*) from app.user_outbox where done_at is null and dead_at is null)`, nil, &n)
	return n
}

// effects wants each message to have had its effect by each of its consumers
// once.
func (s *stage) effects(model string, each int, messages ...queue.Envelope) {
	s.t.Helper()
	for _, m := range messages {
		var total, distinct int
		s.Scan(s.t, `select count(*), count(distinct changes::text) from app.activity where object_id = $1 and model = $2`, []any{m.ID, model}, &total, &distinct)
		if total != each || distinct != each {
			s.t.Errorf("message %s had its effect %d times, by %d", m.ID, total, distinct)
		}
	}
}

// repeat delivers messages that are done once more.
func (s *stage) repeat(consumer string, messages ...queue.Envelope) {
	s.t.Helper()
	for _, m := range messages {
		resp, err := call(s.t.Context(), s.fronts[consumer].url, m)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= 300 {
			s.t.Errorf("a repeated message is answered %s", resp.Status)
		}
	}
}

// breakUntilFired has the counter fail until the point was reached.
func (s *stage) breakUntilFired() {
	s.t.Helper()
	if err := os.WriteFile(s.broken, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.onFire = func() { _ = os.Remove(s.broken) }
}
