package domaincheck

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// zones answers for all domains.
type zones struct {
	mu    sync.Mutex
	texts map[string]string
	down  map[string]bool
	asked int
}

func (z *zones) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	switch text, ok := z.texts[name]; {
	case z.down[name]:
		return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true}
	case ok:
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (z *zones) set(name, token string, there bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	at, value := domain.Record(name, token)
	if there {
		z.texts[at+"."] = value
	} else {
		delete(z.texts, at+".")
	}
}

func (z *zones) silence(name string, down bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	at, _ := domain.Record(name, "")
	z.down[at+"."] = down
}

type fixture struct {
	*functest.Env
	zones *zones
	now   time.Time
	clock sync.Mutex
	h     http.Handler
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t), zones: &zones{texts: map[string]string{}, down: map[string]bool{}}, now: time.Now().UTC().Truncate(time.Second)}
	f.h = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, f.zones, 3, schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour}), schedule.WithClock(f.time))
	})
	return f
}

func (f *fixture) time() time.Time {
	f.clock.Lock()
	defer f.clock.Unlock()
	return f.now
}

// later moves the clock and runs the schedule.
func (f *fixture) later(t *testing.T, by time.Duration) functest.Response {
	t.Helper()
	f.clock.Lock()
	f.now = f.now.Add(by)
	f.clock.Unlock()
	return f.Trigger(t, f.h, Name, f.time())
}

// host gives an organization a domain, made days ago.
func (f *fixture) host(t *testing.T, who functest.Person, name string, verified bool, days int) ids.ID {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.tenant_hosts (tenant_id, id, domain, is_primary, verification_token, verified_at, created_at, updated_at)
		values ($1, $2, $3, $4, 'token', case when $4 then now() end, now() - make_interval(days => $5), now() - make_interval(days => $5))`, who.TenantID, id, name, verified, days)
	if verified {
		f.SQL(t, `insert into app.host_claims (host, kind, tenant_id) values ($1, 'domain', $2)`, name, who.TenantID)
		f.zones.set(name, "token", true)
	}
	return id
}

type row struct {
	There, Verified, Primary bool
	Failures                 int
	Routes, Held             bool
	Version                  int64
	Activity                 string
}

func (f *fixture) row(t *testing.T, id ids.ID, name string) (r row) {
	t.Helper()
	f.Scan(t, `select h.id is not null, coalesce(h.verified_at is not null, false), coalesce(h.is_primary, false), coalesce(h.failures, 0), coalesce(h.version, 0),
		coalesce(c.host is not null and c.held_until is null, false), coalesce(c.held_until is not null, false),
		coalesce((select string_agg(action, ' ') from app.activity where object_id = $1 and model = 'Domain'), '')
		from (select 1) one left join app.tenant_hosts h on h.id = $1 left join app.host_claims c on c.host = $2`, []any{id, name},
		&r.There, &r.Verified, &r.Primary, &r.Failures, &r.Version, &r.Routes, &r.Held, &r.Activity)
	return r
}

const day = 24 * time.Hour

// A domain without its record keeps leading here for a week, and no longer.
func TestTrapT20cVerificationIsLost(t *testing.T) {
	f := setup(t)
	who, other := f.Tenant(t), f.Tenant(t)
	gone, stays := f.host(t, who, "gone.example.com", true, 3), f.host(t, other, "stays.example.com", true, 3)
	good := row{There: true, Verified: true, Primary: true, Routes: true, Version: 1}
	f.later(t, 0).Want(t, http.StatusOK)
	if r := f.row(t, gone, "gone.example.com"); r != good {
		t.Fatalf("%+v", r)
	}
	f.zones.set("gone.example.com", "token", false)
	for n := 1; n <= 7; n++ {
		f.later(t, day).Want(t, http.StatusOK)
		f.later(t, time.Minute).Want(t, http.StatusOK) // a look a day, however often it runs
		want := good
		want.Failures = n
		if r := f.row(t, gone, "gone.example.com"); r != want {
			t.Fatalf("day %d: %+v, want %+v", n, r, want)
		}
	}
	f.later(t, day).Want(t, http.StatusOK)
	if r := f.row(t, gone, "gone.example.com"); r != (row{There: true, Failures: 7, Held: true, Version: 2, Activity: "updated"}) {
		t.Errorf("%+v", r)
	}
	if r := f.row(t, stays, "stays.example.com"); r != good {
		t.Errorf("another one is %+v", r)
	}
	f.later(t, day).Want(t, http.StatusOK)
	if r := f.row(t, gone, "gone.example.com"); !r.There || r.Activity != "updated" {
		t.Errorf("lost twice: %+v", r)
	}
	// Not verified again, it goes after its time, and its name is free.
	f.SQL(t, `update app.tenant_hosts set updated_at = $2, created_at = $2 where id = $1`, gone, time.Now().AddDate(0, 0, -30))
	f.later(t, day).Want(t, http.StatusOK)
	if r := f.row(t, gone, "gone.example.com"); r.There || r.Held || r.Activity != "updated deleted" {
		t.Errorf("%+v", r)
	}
}

// A record that comes back ends the count; servers that are silent are not
// counted at all.
func TestGrace(t *testing.T) {
	f := setup(t)
	id := f.host(t, f.Tenant(t), "work.example.com", true, 3)
	f.zones.set("work.example.com", "token", false)
	for range 6 {
		f.later(t, day).Want(t, http.StatusOK)
	}
	f.zones.silence("work.example.com", true)
	for range 10 {
		f.later(t, day).Want(t, http.StatusOK)
	}
	if r := f.row(t, id, "work.example.com"); !r.Verified || r.Failures != 6 {
		t.Errorf("%+v", r)
	}
	f.zones.silence("work.example.com", false)
	f.zones.set("work.example.com", "token", true)
	f.later(t, day).Want(t, http.StatusOK)
	f.zones.set("work.example.com", "token", false)
	f.later(t, day).Want(t, http.StatusOK)
	if r := f.row(t, id, "work.example.com"); !r.Verified || r.Failures != 1 || !r.Routes {
		t.Errorf("%+v", r)
	}
	// Another token is another proof.
	f.zones.set("work.example.com", "stolen", true)
	f.later(t, day).Want(t, http.StatusOK)
	if r := f.row(t, id, "work.example.com"); r.Failures != 2 {
		t.Errorf("%+v", r)
	}
}

// Domains that nobody verified go after thirty days; what organizations that
// are deleted have is retention's.
func TestTrapT20cNamesAreHeld(t *testing.T) {
	f := setup(t)
	who, closed := f.Tenant(t), f.Tenant(t)
	old, young, left := f.host(t, who, "old.example.com", false, 31), f.host(t, who, "young.example.com", false, 29), f.host(t, closed, "left.example.com", false, 31)
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, closed.TenantID)
	f.SQL(t, `insert into app.host_claims (host, kind, tenant_id) values ('old.example.com', 'domain', $1)`, closed.TenantID) // verified by another
	f.later(t, 0).Want(t, http.StatusOK)
	if r := f.row(t, old, "old.example.com"); r.There || !r.Routes || r.Activity != "deleted" {
		t.Errorf("the old one is %+v", r)
	}
	for id, name := range map[ids.ID]string{young: "young.example.com", left: "left.example.com"} {
		if r := f.row(t, id, name); !r.There || r.Activity != "" {
			t.Errorf("%s is %+v", name, r)
		}
	}
	if f.zones.asked != 0 {
		t.Error("asked for what nobody verified")
	}
}

// When most lose their record at once, it is not believed.
func TestResolverInDoubt(t *testing.T) {
	f := setup(t)
	f.h = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, f.zones, 100, schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour}), schedule.WithClock(f.time))
	})
	who := f.Tenant(t)
	for i := range 15 {
		name := fmt.Sprintf("d%d.example.com", i)
		f.host(t, who, name, true, 3)
		f.SQL(t, `update app.tenant_hosts set is_primary = false where tenant_id = $1`, who.TenantID)
		f.zones.set(name, "token", i < 4)
	}
	f.later(t, 0).Want(t, http.StatusInternalServerError)
	var counted int
	f.Scan(t, `select count(*) from app.tenant_hosts where failures > 0 or checked_at is not null`, nil, &counted)
	if counted != 0 {
		t.Errorf("%d were counted", counted)
	}
}

// Two runs at once, and one that dies between the look and the loss, end as one
// does.
func TestTwoAtOnceAndDeath(t *testing.T) {
	f := setup(t)
	id := f.host(t, f.Tenant(t), "work.example.com", true, 30)
	f.zones.set("work.example.com", "token", false)
	f.SQL(t, `update app.tenant_hosts set failures = 6, failing_since = now() - interval '8 days', checked_at = now() - interval '1 day'`)
	f.SQL(t, `alter table app.host_claims add constraint host_claims_broken check (held_until is null)`)
	f.later(t, 0).Want(t, http.StatusInternalServerError)
	if r := f.row(t, id, "work.example.com"); !r.Verified || !r.Routes || r.Activity != "" {
		t.Errorf("half is lost: %+v", r)
	}
	f.SQL(t, `alter table app.host_claims drop constraint host_claims_broken`)
	var all sync.WaitGroup
	s := &service{db: f.Database.DB, dns: f.zones, batch: 3}
	for range 3 {
		all.Go(func() {
			if err := s.run(t.Context(), &schedule.Run{Now: f.time()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if r := f.row(t, id, "work.example.com"); r.Verified || r.Routes || !r.Held || r.Activity != "updated" || r.Version != 2 {
		t.Errorf("%+v", r)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(context.Background(), config.Map(map[string]string{"DNS_RESOLVER": "127.0.0.1:53"})); err == nil {
		t.Error("opened without a database")
	}
}
