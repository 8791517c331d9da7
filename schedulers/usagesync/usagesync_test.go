package usagesync

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/usage"
)

// clock is what a child takes for the time.
const clock = "TEST_CLOCK"

var plan = schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour})

func TestMain(m *testing.M) {
	functest.Main(m, func(lookup config.Lookup, at func(string)) (*serve.App, error) {
		said, _ := lookup(clock)
		now, err := time.Parse(time.RFC3339, said)
		if err != nil {
			return nil, err
		}
		return open(lookup, at, plan, schedule.WithClock(func() time.Time { return now }))
	})
}

type fixture struct {
	*functest.Env
	now   time.Time
	batch atomic.Int64
}

// noon is the time of most tests: the last day of a month.
var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return &fixture{Env: functest.New(t), now: noon}
}

// sync runs the schedule.
func (f *fixture) sync(t *testing.T) functest.Response {
	t.Helper()
	f.now = f.now.Add(time.Second) // each slot once
	h := f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, func(string) {}, plan, schedule.WithClock(func() time.Time { return f.now }))
	})
	return f.Trigger(t, h, Name, f.now)
}

func (f *fixture) service(t *testing.T) *service {
	t.Helper()
	s, base, err := build(config.Map(f.Vars), func(string) {}, plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.redis.Close(); base.DB.Close() })
	return s
}

func (f *fixture) client(t *testing.T) *cache.Client {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret(f.Vars["REDIS_URL"]), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// count counts requests of a tenant as a router does.
func (f *fixture) count(t *testing.T, at time.Time, tenant ids.ID, n int64) {
	t.Helper()
	b := &usage.Batch{Process: t.Name(), Number: f.batch.Add(1), Day: usage.DayOf(at), Counts: []usage.Count{{Tenant: tenant, N: n}}}
	if err := b.Send(t.Context(), f.client(t)); err != nil {
		t.Fatal(err)
	}
}

// moved is what the records say of a tenant's day.
func (f *fixture) moved(t *testing.T, at time.Time, tenant ids.ID) (n int64) {
	t.Helper()
	f.Scan(t, `select coalesce(sum(quantity), 0)::bigint from app.usage_records where tenant_id = $1 and metric = 'api_requests' and day = $2::date`,
		[]any{tenant, at.Format(time.DateOnly)}, &n)
	return n
}

func (f *fixture) want(t *testing.T, at time.Time, tenant ids.ID, want int64) {
	t.Helper()
	if got := f.moved(t, at, tenant); got != want {
		t.Errorf("%s on %s: %d, want %d", tenant, at.Format(time.DateOnly), got, want)
	}
}

// What was counted is in the records once, however often they are brought up to
// it, by the day in UTC on which it was counted; a day that is over leaves
// nothing in Redis, and what comes late to it is added.
func TestMoves(t *testing.T) {
	f := setup(t)
	a, b := ids.New(), ids.New()
	last, next := noon, noon.AddDate(0, 0, 1)
	f.count(t, last, a, 3)
	f.count(t, last, b, 1)
	f.count(t, next, a, 10) // a router's clock is ahead
	for range 3 {
		f.sync(t).Want(t, http.StatusOK)
		f.want(t, last, a, 3)
		f.want(t, last, b, 1)
		f.want(t, next, a, 10)
	}
	f.count(t, last, a, 4)
	f.sync(t).Want(t, http.StatusOK)
	f.want(t, last, a, 7)
	keys := func() (n int) {
		for _, k := range f.Redis.Keys() {
			if strings.HasPrefix(k, "usage:2026-11-30:") {
				n++
			}
		}
		return n
	}
	f.now = time.Date(2026, 12, 1, 0, 59, 0, 0, time.UTC)
	f.count(t, last, a, 1)
	f.sync(t).Want(t, http.StatusOK)
	f.want(t, last, a, 8)
	if keys() == 0 {
		t.Error("the day went before its hour")
	}
	f.now = time.Date(2026, 12, 1, 1, 0, 0, 0, time.UTC)
	f.sync(t).Want(t, http.StatusOK)
	if n := keys(); n != 0 {
		t.Errorf("%d hashes of a day that is over", n)
	}
	f.count(t, last, a, 5) // by a router that could not reach Redis
	for range 2 {
		f.sync(t).Want(t, http.StatusOK)
		f.want(t, last, a, 13)
		f.want(t, last, b, 1)
		f.want(t, next, a, 10)
	}
}

// Runs beside one another, while routers go on counting, and without the lease
// that keeps them apart otherwise.
func TestTwoAtOnce(t *testing.T) {
	f := setup(t)
	tenants := make([]ids.ID, 30)
	for i := range tenants {
		tenants[i] = ids.New()
	}
	one, two := f.service(t), f.service(t)
	var routers, schedules sync.WaitGroup
	ended := make(chan struct{})
	for r := range 2 {
		c := f.client(t)
		routers.Go(func() {
			for n := range int64(200) {
				b := &usage.Batch{Process: fmt.Sprint("router ", r), Number: n + 1, Day: usage.DayOf(noon)}
				for _, tenant := range tenants {
					b.Counts = append(b.Counts, usage.Count{Tenant: tenant, N: 1})
				}
				if err := b.Send(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, s := range []*service{one, two} {
		schedules.Go(func() {
			for {
				if err := s.run(context.Background(), &schedule.Run{Now: noon, Last: noon}); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	routers.Wait()
	close(ended)
	schedules.Wait()
	f.sync(t).Want(t, http.StatusOK)
	for _, tenant := range tenants {
		f.want(t, noon, tenant, 400)
	}
}

// TestKilled kills the function (SIGKILL) at every labelled point. The next run
// finds everything once, and owners are told once.
func TestKilled(t *testing.T) {
	f := setup(t)
	for i, point := range []string{"read", "raised", "moved", "told", "marked", "dropped"} {
		who, other := f.Tenant(t), ids.New()
		at := noon.AddDate(0, 0, -2*i-2) // a day that is over, a new one each time
		f.count(t, at, who.TenantID, 50_001)
		f.count(t, at, other, 4)
		f.count(t, noon, other, 2)
		f.now = f.now.Add(every)
		f.Vars[clock] = f.now.Format(time.RFC3339)
		child := f.Spawn(t, point)
		if got := f.Trigger(t, child.Handler, Name, f.now); got.Status != http.StatusBadGateway {
			t.Fatalf("%s: it lives: %d %s", point, got.Status, got.Body)
		}
		child.WantKilled(t)
		f.SQL(t, `update app.schedules set running_until = now() - interval '1 second'`)
		f.count(t, at, other, 1)
		f.now = f.now.Add(every)
		for range 2 {
			f.sync(t).Want(t, http.StatusOK)
			f.want(t, at, who.TenantID, 50_001)
			f.want(t, at, other, 5)
			f.want(t, noon, other, 2)
		}
		if n := f.mails(t, who); n != 1 {
			t.Errorf("%s: %d mails", point, n)
		}
	}
}

func (f *fixture) mails(t *testing.T, who functest.Person) (n int) {
	t.Helper()
	f.Scan(t, `select count(*) from app.outbox where tenant_id = $1 and kind = 'mail.usage_warning'`, []any{who.TenantID}, &n)
	return n
}

// What fails is told, and nothing is lost by it.
func TestOutages(t *testing.T) {
	f := setup(t)
	a := ids.New()
	f.count(t, noon, a, 3)
	f.Redis.SetError("LOADING Redis is loading the dataset in memory")
	f.sync(t).Want(t, http.StatusInternalServerError)
	f.Redis.SetError("")
	f.SQL(t, `alter table app.usage_records add constraint usage_records_broken check (quantity < 3) not valid`)
	f.sync(t).Want(t, http.StatusInternalServerError)
	f.want(t, noon, a, 0)
	f.SQL(t, `alter table app.usage_records drop constraint usage_records_broken`)
	f.sync(t).Want(t, http.StatusOK)
	f.want(t, noon, a, 3)
}

// Many organizations are moved page by page, and only those that changed are
// written.
func TestMany(t *testing.T) {
	f := setup(t)
	f.Vars["REDIS_URL"] = "redis://" + (&server{}).start(t, "").address()
	const tenants = 20_000
	c := f.client(t)
	all := make([]ids.ID, tenants)
	for i := range all {
		all[i] = ids.New()
	}
	send := func(number int64, some []ids.ID) {
		for i := 0; i < len(some); i += 500 {
			b := &usage.Batch{Process: fmt.Sprint(number, i), Number: 1, Day: usage.DayOf(noon)}
			for _, tenant := range some[i:min(i+500, len(some))] {
				b.Counts = append(b.Counts, usage.Count{Tenant: tenant, N: 2})
			}
			if err := b.Send(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(1, all)
	sum := func() (rows, sum int64) {
		f.Scan(t, `select count(*), coalesce(sum(quantity), 0)::bigint from app.usage_records`, nil, &rows, &sum)
		return rows, sum
	}
	f.sync(t).Want(t, http.StatusOK)
	if rows, n := sum(); rows != tenants || n != 2*tenants {
		t.Errorf("%d records with %d", rows, n)
	}
	send(2, all[:700])
	var before, after string
	f.Scan(t, `select max(xmin::text::bigint)::text from app.usage_records`, nil, &before)
	f.sync(t).Want(t, http.StatusOK)
	f.Scan(t, `select count(*)::text from app.usage_records where xmin::text::bigint > $1::bigint`, []any{before}, &after)
	if rows, n := sum(); rows != tenants || n != 2*tenants+1400 || after != "700" {
		t.Errorf("%d records with %d, %s of them written", rows, n, after)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, vars := range []map[string]string{nil, {"REDIS_URL": "redis://127.0.0.1:1"}} {
		if _, err := Open(context.Background(), config.Map(vars)); err == nil {
			t.Errorf("opened with %v", vars)
		}
	}
}

// server is a Redis that a test may kill.
type server struct {
	port string
	cmd  *exec.Cmd
}

func (s *server) address() string { return "127.0.0.1:" + s.port }

// start starts it, as a replica of another if one is named, on the port that it
// had before.
func (s *server) start(t *testing.T, primary string) *server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is needed for this test: install the package redis-server")
	}
	for range 20 {
		port := s.port
		if port == "" {
			port = strconv.Itoa(20000 + rand.IntN(12000))
		}
		args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--repl-diskless-sync-delay", "0"}
		if primary != "" {
			args = append(args, "--replicaof", "127.0.0.1 "+primary)
		}
		cmd := exec.CommandContext(context.Background(), path, args...) //nolint:gosec // found above
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				s.port, s.cmd = port, cmd
				return s
			}
		}
	}
	t.Fatal("redis-server did not start")
	return nil
}

// kill ends it without notice (SIGKILL).
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
}

func indexAfter(s, word string) int {
	if i := strings.Index(s, word); i >= 0 {
		return i + len(word)
	}
	return -1
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("waited 20 s in vain")
		}
	}
}
