package dailysummary

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/digest"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// morning is a quarter past eight in London.
var morning = time.Date(2026, 11, 24, 8, 15, 0, 0, time.UTC)

type fixture struct{ *functest.Env }

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return &fixture{functest.New(t)}
}

func (f *fixture) open(t *testing.T, now time.Time, batch int) http.Handler {
	t.Helper()
	return f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, batch, schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour}), schedule.WithClock(func() time.Time { return now }))
	})
}

// at runs the schedule at a moment.
func (f *fixture) at(t *testing.T, now time.Time) functest.Response {
	t.Helper()
	return f.Trigger(t, f.open(t, now, 2), Name, now)
}

func (f *fixture) due(t *testing.T, who functest.Person, zone, at string) {
	t.Helper()
	f.SQL(t, `update app.profiles set timezone = $2, next_digest_at = $3::timestamptz where user_id = $1`, who.UserID, zone, at)
}

func (f *fixture) next(t *testing.T, who functest.Person) string {
	t.Helper()
	var at *time.Time
	f.Scan(t, `select next_digest_at from app.profiles where user_id = $1`, []any{who.UserID}, &at)
	if at == nil {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

// days lists what was left for a person, by date.
func (f *fixture) days(t *testing.T, who functest.Person) (out string) {
	t.Helper()
	f.Scan(t, `select coalesce(string_agg(payload->>'date', ' ' order by payload->>'date'), '') from app.outbox where kind = $1 and payload->>'user_id' = $2`,
		[]any{queue.MailDigest.Kind, who.UserID.String()}, &out)
	return out
}

func TestWhoIsDue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone, due  string
		now        time.Time
		days, next string
	}{
		"in London":                 {"Europe/London", "2026-11-24T08:00:00Z", morning, "2026-11-24", "2026-11-25T08:00:00Z"},
		"not yet in New York":       {"America/New_York", "2026-11-24T13:00:00Z", morning, "", "2026-11-24T13:00:00Z"},
		"a day missed":              {"Europe/London", "2026-11-22T08:00:00Z", morning, "2026-11-24", "2026-11-25T08:00:00Z"},
		"late, the evening before":  {"Asia/Tokyo", "2026-11-22T23:00:00Z", morning, "2026-11-24", "2026-11-24T23:00:00Z"},
		"the clock is put forward":  {"Europe/Berlin", "2026-03-28T07:00:00Z", time.Date(2026, 3, 28, 7, 5, 0, 0, time.UTC), "2026-03-28", "2026-03-29T06:00:00Z"},
		"the clock is put back":     {"Australia/Lord_Howe", "2026-04-03T21:00:00Z", time.Date(2026, 4, 3, 21, 1, 0, 0, time.UTC), "2026-04-04", "2026-04-04T21:30:00Z"},
		"a zone that is none today": {"Mars/Olympus", "2026-11-24T08:00:00Z", morning, "2026-11-24", "2026-11-25T08:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			who := f.Tenant(t)
			f.due(t, who, c.zone, c.due)
			f.at(t, c.now).Want(t, http.StatusOK)
			if days, next := f.days(t, who), f.next(t, who); days != c.days || next != c.next {
				t.Errorf("left %q, next %s; want %q, %s", days, next, c.days, c.next)
			}
		})
	}
}

// One message for each organization of a person that is open to them, and none
// for who does not want any.
func TestOnePerOrganization(t *testing.T) {
	f := setup(t)
	first, second, closed, left := f.Tenant(t), f.Tenant(t), f.Tenant(t), f.Tenant(t)
	who := f.Member(t, first.TenantID, "member")
	for _, other := range []functest.Person{second, closed, left} {
		f.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, who.UserID, other.TenantID)
	}
	f.SQL(t, `update app.organizations set status = 'suspended' where tenant_id = $1`, closed.TenantID)
	f.SQL(t, `update app.user_tenants set left_at = now() where user_id = $1 and tenant_id = $2`, who.UserID, left.TenantID)
	without, gone := f.Member(t, first.TenantID, "member"), f.Member(t, first.TenantID, "member")
	f.SQL(t, `update app.profiles set digest_enabled = false where user_id = $1`, without.UserID)
	f.SQL(t, `update app.users set deleted_at = now(), is_active = false where user_id = $1`, gone.UserID)
	nowhere := f.Person(t)
	for _, p := range []functest.Person{who, without, gone, nowhere} {
		f.due(t, p, "UTC", "2026-11-24T08:00:00Z")
	}
	f.at(t, morning).Want(t, http.StatusOK)
	pending := f.Pending(t, queue.MailDigest.Kind)
	tenants := map[ids.ID]bool{}
	for _, m := range pending {
		tenants[m.TenantID] = true
		if m.ID != digest.ID(m.TenantID, who.UserID, "2026-11-24") {
			t.Errorf("message %+v", m)
		}
	}
	if len(pending) != 2 || !tenants[first.TenantID] || !tenants[second.TenantID] {
		t.Errorf("left %v", pending)
	}
	for p, want := range map[*functest.Person]string{&who: "2026-11-25T08:00:00Z", &nowhere: "2026-11-25T08:00:00Z", &without: "never", &gone: "never"} {
		if got := f.next(t, *p); got != want {
			t.Errorf("next %s, want %s", got, want)
		}
	}
}

// Whoever moves over the date line has one summary for each date.
func TestTrapT27OneSummaryForEachDate(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	f.due(t, who, "Asia/Tokyo", "2026-11-23T23:00:00Z")
	f.at(t, time.Date(2026, 11, 23, 23, 5, 0, 0, time.UTC)).Want(t, http.StatusOK)
	// The 24th comes again in Los Angeles.
	f.due(t, who, "America/Los_Angeles", "2026-11-24T16:00:00Z")
	f.at(t, time.Date(2026, 11, 24, 16, 5, 0, 0, time.UTC)).Want(t, http.StatusOK)
	f.at(t, time.Date(2026, 11, 25, 16, 5, 0, 0, time.UTC)).Want(t, http.StatusOK)
	if days := f.days(t, who); days != "2026-11-24 2026-11-25" {
		t.Errorf("left %q", days)
	}
}

// A run that dies after the messages and before the profiles is repeated, and
// leaves nothing twice and nobody out.
func TestDeathBetweenTheShards(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	people := []functest.Person{owner}
	for range 4 {
		people = append(people, f.Member(t, owner.TenantID, "member"))
	}
	for _, p := range people {
		f.due(t, p, "UTC", "2026-11-24T08:00:00Z")
	}
	f.SQL(t, `alter table app.profiles add constraint profiles_broken check (next_digest_at <= '2026-11-24T08:00:00Z')`)
	f.at(t, morning).Want(t, http.StatusInternalServerError)
	if got := len(f.Pending(t, queue.MailDigest.Kind)); got != 5 {
		t.Errorf("%d messages were left by the run that died", got)
	}
	f.SQL(t, `alter table app.profiles drop constraint profiles_broken`)
	f.at(t, morning).Want(t, http.StatusOK)
	if got := len(f.Pending(t, queue.MailDigest.Kind)); got != 5 {
		t.Errorf("%d messages after the repeat", got)
	}
	for _, p := range people {
		if got := f.next(t, p); got != "2026-11-25T08:00:00Z" {
			t.Errorf("next %s", got)
		}
	}
	// Repeated once more by hand, for the same day.
	for _, p := range people {
		f.due(t, p, "UTC", "2026-11-24T08:00:00Z")
	}
	f.at(t, morning.Add(15*time.Minute)).Want(t, http.StatusOK)
	if got := len(f.Pending(t, queue.MailDigest.Kind)); got != 5 {
		t.Errorf("%d messages after another run", got)
	}
}

// An organization that cannot be written to keeps its people due, and nobody
// else.
func TestOneOrganizationFails(t *testing.T) {
	f := setup(t)
	bad, good := f.Tenant(t), f.Tenant(t)
	for _, p := range []functest.Person{bad, good} {
		f.due(t, p, "UTC", "2026-11-24T08:00:00Z")
	}
	f.SQL(t, `alter table app.outbox add constraint outbox_broken check (tenant_id <> '`+bad.TenantID.String()+`')`)
	f.at(t, morning).Want(t, http.StatusInternalServerError)
	if f.next(t, bad) != "2026-11-24T08:00:00Z" || f.next(t, good) != "2026-11-25T08:00:00Z" || f.days(t, good) != "2026-11-24" {
		t.Errorf("next %s and %s", f.next(t, bad), f.next(t, good))
	}
	f.SQL(t, `alter table app.outbox drop constraint outbox_broken`)
	f.at(t, morning).Want(t, http.StatusOK)
	if f.days(t, bad) != "2026-11-24" || f.days(t, good) != "2026-11-24" {
		t.Errorf("left %q and %q", f.days(t, bad), f.days(t, good))
	}
}

// Two runs at once, even where the lease does not keep them apart, leave each
// message once.
func TestTwoAtOnce(t *testing.T) {
	f := setup(t)
	owner := f.Tenant(t)
	for range 10 {
		f.due(t, f.Member(t, owner.TenantID, "member"), "UTC", "2026-11-24T08:00:00Z")
	}
	h := f.open(t, morning, 3)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if got := f.Trigger(t, h, Name, morning); got.Status != http.StatusOK && got.Status != http.StatusServiceUnavailable {
				t.Errorf("status %d: %s", got.Status, got.Body)
			}
		})
	}
	all.Wait()
	var services []*service
	for range 2 {
		services = append(services, &service{db: f.Database.DB, batch: 3, writers: 4})
	}
	f.SQL(t, `update app.profiles set next_digest_at = '2026-11-24T08:00:00Z' where next_digest_at is not null`)
	for _, s := range services {
		all.Go(func() {
			if err := s.run(t.Context(), &schedule.Run{Now: morning}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(f.Pending(t, queue.MailDigest.Kind)); got != 10 {
		t.Errorf("%d messages", got)
	}
}
