package retention

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/blob/key"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

type fixture struct {
	*functest.Env
	objects *blob.Store
	slots   int
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t)}
	cfg, err := config.Load[blob.Config](config.Map(f.Vars))
	if err != nil {
		t.Fatal(err)
	}
	if f.objects, err = blob.Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.objects.Close() })
	f.Vars["RETENTION_BATCH"] = "2"
	return f
}

func (f *fixture) open(t *testing.T) http.Handler {
	t.Helper()
	return f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour}))
	})
}

// run calls the schedule for a slot of its own.
func (f *fixture) run(t *testing.T) functest.Response {
	t.Helper()
	f.slots++
	return f.Trigger(t, f.open(t), Name, time.Now().Add(time.Duration(f.slots-100)*time.Second))
}

func (f *fixture) put(t *testing.T, at string) {
	t.Helper()
	w, err := f.objects.Create(t.Context(), at, "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) has(t *testing.T, at string) bool {
	t.Helper()
	_, err := f.objects.Stat(t.Context(), at)
	return err == nil
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

// whole makes an organization with a row in every table that organizations have:
// the migrations' own testdata, which a test of theirs holds to be complete.
func (f *fixture) whole(t *testing.T) functest.Person {
	t.Helper()
	who := f.Tenant(t)
	raw, err := os.ReadFile(filepath.Join("..", "..", "migrations", "testdata", "tenant.sql"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("$T", who.TenantID.String(), "$U", who.UserID.String(), "'Manager'", "'Chief'", "work.example.com", "w"+who.TenantID.String()+".example.com").Replace(string(raw))
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--") || strings.Contains(line, "app.organizations") || strings.Contains(line, "app.tenant_settings") || strings.Contains(line, "app.memberships (") {
			continue // they are there
		}
		f.SQL(t, line)
	}
	f.SQL(t, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ($1, $2)`, "cus_"+who.TenantID.String(), who.TenantID)
	f.SQL(t, `insert into app.stripe_events (event_id, type, tenant_id, payload, created_at) values ($1, 'x', $2, '{}', now())`, "evt_"+who.TenantID.String(), who.TenantID)
	f.SQL(t, `insert into app.oauth_tokens (user_id, id, tenant_id, issuer, subject) values ($1, $2, $3, 'i', $4)`, who.UserID, ids.New(), who.TenantID, who.TenantID.String())
	f.SQL(t, `update app.user_state set last_tenant_id = $2 where user_id = $1`, who.UserID, who.TenantID)
	f.SQL(t, `update app.sessions set tenant_id = $2 where user_id = $1`, who.UserID, who.TenantID)
	f.put(t, key.Of(who.TenantID, "attachments", "a"))
	f.put(t, key.Of(who.TenantID, "jobs", "b", "part"))
	return who
}

// snapshot is every row of every table, as text. Whatever names the schedule
// itself is left out.
func (f *fixture) snapshot(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name := range migrations.Tables {
		if migrations.Tables[name] == migrations.System {
			continue
		}
		var rows []string
		f.Scan(t, `select coalesce(array_agg(r::text order by r::text), '{}') from app.`+name+` r`, nil, &rows)
		out[name] = rows
	}
	return out
}

// Every table is one that retention knows of, or was decided to keep.
func TestTablesAreKnown(t *testing.T) {
	f := setup(t)
	known := map[string]string{"organizations": "", "users": "", "user_events": ""}
	for _, all := range [][]table{ofTenant, ofPerson} {
		for _, x := range all {
			known[x.name] = x.key
		}
	}
	for _, name := range withPerson {
		known[name] = ""
	}
	for name, group := range migrations.Tables {
		if _, ok := known[name]; (group == migrations.Tenant || group == migrations.User) && !ok {
			t.Errorf("app.%s is erased by nothing: name it in store_tenants.go or store_people.go", name)
		}
	}
	all := append(slices.Clone(ofTenant), ofPerson...)
	for _, r := range (&service{cfg: Config{Activity: time.Hour}}).rules() {
		all = append(all, table{r.table, r.key})
		if r.owner != tenant && r.owner != user {
			continue
		}
		if want := migrations.Tables[r.table].Key(); r.owner != want {
			t.Errorf("app.%s belongs by %s, not by %s", r.table, want, r.owner)
		}
	}
	for _, x := range all {
		var rest string
		f.Scan(t, `select coalesce(string_agg(a.attname, ', ' order by k.n) filter (where k.n > 1), '') from pg_index i, unnest(i.indkey) with ordinality k(attnum, n), pg_attribute a
			where i.indrelid = ('app.' || $1)::regclass and i.indisprimary and a.attrelid = i.indrelid and a.attnum = k.attnum`, []any{x.name}, &rest)
		if x.key != rest {
			t.Errorf("app.%s: the rest of its key is %q, not %q", x.name, rest, x.key)
		}
	}
	// Whatever else speaks of organizations.
	var columns []string
	f.Scan(t, `select array_agg(c.relname || '.' || a.attname order by 1) from pg_attribute a join pg_class c on c.oid = a.attrelid
		where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p') and a.attname like '%tenant_id' and not a.attisdropped`, nil, &columns)
	for _, column := range columns {
		name, attribute, _ := strings.Cut(column, ".")
		if migrations.Tables[name] == migrations.Tenant && attribute == "tenant_id" {
			continue
		}
		if !slices.ContainsFunc(elsewhere, func(e struct{ column, sql string }) bool { return e.column == column }) {
			t.Errorf("app.%s speaks of organizations: say in store_tenants.go what becomes of it", column)
		}
	}
}

// An organization that is due leaves nothing, in no table and no object, and
// nothing of another one is touched.
func TestTenant(t *testing.T) {
	f := setup(t)
	due, other, early, held := f.whole(t), f.whole(t), f.whole(t), f.Tenant(t)
	f.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, due.UserID, held.TenantID)
	end := func(p functest.Person, days int) {
		f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() - make_interval(days => $2), erase_after = now() - make_interval(days => $2) + interval '30 days' where tenant_id = $1`, p.TenantID, days)
	}
	end(due, 31)
	end(early, 29)
	before := f.snapshot(t)
	f.run(t).Want(t, http.StatusOK)
	after := f.snapshot(t)
	for name, rows := range before {
		var want []string
		for _, row := range rows {
			if !strings.Contains(row, due.TenantID.String()) {
				want = append(want, row)
			}
		}
		got := slices.DeleteFunc(slices.Clone(after[name]), func(row string) bool {
			// The rows of a person who stays, without the organization.
			return (name == "user_state" || name == "sessions") && strings.Contains(row, due.UserID.String())
		})
		if !slices.Equal(got, slices.DeleteFunc(want, func(row string) bool {
			return (name == "user_state" || name == "sessions") && strings.Contains(row, due.UserID.String())
		})) {
			t.Errorf("app.%s:\n got %q\nwant %q", name, got, want)
		}
		for _, row := range after[name] {
			if strings.Contains(row, due.TenantID.String()) {
				t.Errorf("app.%s still has %s", name, row)
			}
		}
	}
	if f.has(t, key.Of(due.TenantID, "attachments", "a")) || f.has(t, key.Of(due.TenantID, "jobs", "b", "part")) || !f.has(t, key.Of(other.TenantID, "attachments", "a")) || !f.has(t, key.Of(early.TenantID, "attachments", "a")) {
		t.Error("not just the objects of the organization are gone")
	}
	if n := f.count(t, `select count(*) from app.users u join app.sessions s using (user_id) join app.user_state using (user_id) join app.user_tenants using (user_id) where user_id = $1`, due.UserID); n != 1 {
		t.Error("the person did not keep their account")
	}
	f.SQL(t, `insert into app.host_claims (host, kind, tenant_id) select subdomain || 'x', 'subdomain', tenant_id from app.organizations where tenant_id = $1`, other.TenantID)
	f.run(t).Want(t, http.StatusOK)
}

// A run that dies in the middle is gone on with; one whose organization was
// given back in time stops.
func TestTenantInterrupted(t *testing.T) {
	f := setup(t)
	who := f.whole(t)
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() - interval '40 days' where tenant_id = $1`, who.TenantID)
	f.run(t).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.organizations where tenant_id = $1 and erase_after between now() + interval '29 days' and now() + interval '31 days'`, who.TenantID); n != 1 {
		t.Fatal("one without a date was not given one")
	}
	f.SQL(t, `update app.organizations set erase_after = now() - interval '1 day' where tenant_id = $1`, who.TenantID)
	f.SQL(t, `revoke delete on app.projects from coditect_system`)
	f.run(t).Want(t, http.StatusInternalServerError)
	if f.count(t, `select count(*) from app.tasks where tenant_id = $1`, who.TenantID) != 0 || f.count(t, `select count(*) from app.organizations where tenant_id = $1`, who.TenantID) != 1 {
		t.Error("it did not die in the middle")
	}
	f.SQL(t, `grant delete on app.projects to coditect_system`)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			h := f.open(t)
			f.Trigger(t, h, Name, time.Now().Add(-time.Second))
		})
	}
	all.Wait()
	f.run(t)
	if n := f.count(t, `select count(*) from app.organizations where tenant_id = $1`, who.TenantID); n != 0 {
		t.Error("it was not gone on with")
	}
	back := f.whole(t)
	s := &service{cfg: Config{Batch: 2}, db: f.Database.DB, objects: f.objects}
	if err := s.eraseTenant(t.Context(), &schedule.Run{Now: time.Now()}, back.TenantID.String(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, `select count(*) from app.tasks where tenant_id = $1`, back.TenantID); n != 1 || !f.has(t, key.Of(back.TenantID, "attachments", "a")) {
		t.Error("what was given back was erased")
	}
}

// What was deleted goes after its time, with its objects, from the leaves up;
// what was deleted later, or not at all, stays.
func TestWork(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	id := func(n int) ids.ID { return ids.Must(fmt.Sprintf("0192f0c1-7b7e-7cc3-98c4-%012d", n)) }
	ago := func(days int) any {
		if days == 0 {
			return nil
		}
		return time.Now().AddDate(0, 0, -days)
	}
	deletion := func(days, n int) any {
		if days == 0 {
			return nil
		}
		return id(n)
	}
	project := func(n, days int) {
		f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by, deleted_at, deletion_id) values ($1, $2, 'P', $3, $3, $4, $5)`, who.TenantID, id(n), who.UserID, ago(days), deletion(days, n))
	}
	task := func(n, project, days int) {
		f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, deleted_at, deletion_id) values ($1, $2, $3, 'T', $4, $5, $6)`, who.TenantID, id(n), id(project), who.UserID, ago(days), deletion(days, n))
	}
	comment := func(n, task, days int) {
		f.SQL(t, `insert into app.comments (tenant_id, id, task_id, author_id, content, deleted_at, deletion_id) values ($1, $2, $3, $4, 'C', $5, $6)`, who.TenantID, id(n), id(task), who.UserID, ago(days), deletion(days, n))
	}
	attachment := func(n, task, days int, status string, hours int) {
		at := key.Of(who.TenantID, "attachments", id(n).String())
		f.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, status, ready_at, created_at, deleted_at, deletion_id)
			values ($1, $2, $3, $4, 'a', 1, 'text/plain', $5, $6, case when $6 = 'ready' then now() end, now() - make_interval(hours => $7), $8, $9)`,
			who.TenantID, id(n), id(task), who.UserID, at, status, hours, ago(days), deletion(days, n))
		f.put(t, at)
	}
	project(1, 0)
	project(2, 31)
	project(3, 29)
	task(11, 1, 0)
	task(12, 1, 31)
	task(13, 1, 29)
	task(14, 2, 31)
	task(15, 2, 35)
	task(16, 3, 29)
	for i, x := range [][2]int{{11, 0}, {11, 31}, {11, 29}, {12, 0}, {12, 31}, {14, 31}, {15, 40}, {16, 29}} {
		comment(21+i, x[0], x[1])
	}
	attachment(41, 11, 0, "ready", 100)
	attachment(42, 11, 31, "ready", 800)
	attachment(43, 11, 0, "pending", 100)
	attachment(44, 11, 0, "pending", 1)
	attachment(45, 12, 0, "ready", 900)
	attachment(46, 14, 31, "ready", 900)
	attachment(47, 16, 29, "ready", 900)
	want := map[string]string{"projects": "1 3", "tasks": "11 13 16", "comments": "21 23 28", "attachments": "41 44 47"}
	for range 2 {
		f.run(t).Want(t, http.StatusOK)
		for name, rows := range want {
			var got string
			f.Scan(t, `select coalesce(string_agg(ltrim(right(id::text, 12), '0'), ' ' order by id), '') from app.`+name, nil, &got)
			if got != rows {
				t.Errorf("%s %q are left, want %q", name, got, rows)
			}
		}
		for n := 41; n <= 47; n++ {
			stays := strings.Contains(want["attachments"], fmt.Sprint(n))
			if f.has(t, key.Of(who.TenantID, "attachments", id(n).String())) != stays {
				t.Errorf("object %d: stays should be %v", n, stays)
			}
		}
	}
}

// The files of jobs go when they expire; the job stays.
func TestFiles(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	expired, kept := ids.New(), ids.New()
	for id, at := range map[ids.ID]string{expired: "-1 minute", kept: "1 day"} {
		f.SQL(t, `insert into app.jobs (tenant_id, id, kind, status, created_by, finished_at, expires_at, result) values ($1, $2, 'report', 'succeeded', $3, now(), now() + $4::interval, '{"object_key": "x"}')`,
			who.TenantID, id, who.UserID, at)
		f.put(t, strings.TrimSuffix(job.Prefix(who.TenantID, id), "/")+"/file")
	}
	f.run(t).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.jobs where result is null and expires_at is null and id = $1`, expired); n != 1 || f.has(t, job.Prefix(who.TenantID, expired)+"file") {
		t.Error("the expired file is still there")
	}
	if n := f.count(t, `select count(*) from app.jobs where result is not null and id = $1`, kept); n != 1 || !f.has(t, job.Prefix(who.TenantID, kept)+"file") {
		t.Error("the other file is gone")
	}
}

// Closed accounts go after their time, and their address is free.
func TestPeople(t *testing.T) {
	f := setup(t)
	due, early, stays := f.Tenant(t), f.Person(t), f.Person(t)
	f.SQL(t, `update app.users set deleted_at = now() - interval '31 days' where user_id = $1`, due.UserID)
	f.SQL(t, `update app.users set deleted_at = now() - interval '29 days' where user_id = $1`, early.UserID)
	f.SQL(t, `insert into app.user_outbox (user_id, id, kind) values ($1, $1, 'x')`, due.UserID)
	f.SQL(t, `insert into app.user_events (user_id, id, action) values ($1, $1, 'x')`, due.UserID)
	f.run(t).Want(t, http.StatusOK)
	for name, group := range migrations.Tables {
		if group == migrations.User && name != "user_events" && f.count(t, `select count(*) from app.`+name+` where user_id = $1`, due.UserID) != 0 {
			t.Errorf("app.%s still has the account", name)
		}
	}
	if f.count(t, `select count(*) from app.email_claims where user_id = $1`, due.UserID) != 0 || f.count(t, `select count(*) from app.user_events where user_id = $1`, due.UserID) != 1 {
		t.Error("the address is not free, or the events are gone")
	}
	for _, p := range []functest.Person{early, stays} {
		if f.count(t, `select count(*) from app.users u join app.sessions s on s.user_id = u.user_id where u.user_id = $1`, p.UserID) != 1 || f.count(t, `select count(*) from app.email_claims where user_id = $1`, p.UserID) != 1 {
			t.Error("another account was touched")
		}
	}
}

// Each rule takes what is due and nothing else, however many rows there are.
func TestRules(t *testing.T) {
	f := setup(t)
	f.Vars["RETENTION_ACTIVITY"] = "8760h"
	who := f.Tenant(t)
	tenant, user := who.TenantID, who.UserID
	f.SQL(t, `delete from app.sessions`)
	for _, c := range map[string]struct {
		insert string // %s is the age
		owner  ids.ID
		due    []string
		kept   []string
	}{
		"idempotency_keys":      {`insert into app.idempotency_keys (tenant_id, user_id, method, path, key, fingerprint, expires_at) values ($1, $2::uuid, 'POST', '/', $2::uuid::text, '\x00', now() - interval '%s')`, tenant, []string{"1 second"}, []string{"-1 minute"}},
		"user_idempotency_keys": {`insert into app.user_idempotency_keys (user_id, method, path, key, fingerprint, expires_at) values ($1, 'POST', '/', $2::uuid::text, '\x00', now() - interval '%s')`, user, []string{"1 second"}, []string{"-1 minute"}},
		"email_tokens":          {`insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at) values ($1, $2::uuid, 'verify_email', decode(md5($2::uuid::text), 'hex'), 'a@b.c', now() - interval '%s')`, user, []string{"8 days"}, []string{"6 days", "-1 day"}},
		"sessions":              {`insert into app.sessions (user_id, session_id, expires_at, revoked_at) values ($1, $2, now() - interval '%s', null)`, user, []string{"31 days"}, []string{"29 days", "-1 day"}},
		"outbox":                {`insert into app.outbox (tenant_id, id, kind, done_at) values ($1, $2, 'x', now() - interval '%s')`, tenant, []string{"15 days"}, []string{"13 days"}},
		"user_outbox":           {`insert into app.user_outbox (user_id, id, kind, dead_at) values ($1, $2, 'x', now() - interval '%s')`, user, []string{"91 days"}, []string{"89 days"}},
		"processed_messages":    {`insert into app.processed_messages (tenant_id, consumer, message_id, processed_at) values ($1, 'c', $2, now() - interval '%s')`, tenant, []string{"46 days"}, []string{"44 days"}},
		"user_processed":        {`insert into app.user_processed (user_id, consumer, message_id, processed_at) values ($1, 'c', $2, now() - interval '%s')`, user, []string{"46 days"}, []string{"44 days"}},
		"jobs":                  {`insert into app.jobs (tenant_id, id, kind, status, created_by, finished_at) select $1, $2, 'x', 'failed', user_id, now() - interval '%s' from app.memberships where tenant_id = $1`, tenant, []string{"91 days"}, []string{"89 days"}},
		"invitations":           {`insert into app.invitations (tenant_id, id, email, secret_hash, expires_at, accepted_at) values ($1, $2::uuid, $2::uuid::text, '', now(), now() - interval '%s')`, tenant, []string{"91 days"}, []string{"89 days"}},
		"activity":              {`insert into app.activity (tenant_id, id, action, model, object_id, created_at) values ($1, $2, 'x', 'x', $2, now() - interval '%s')`, tenant, []string{"366 days"}, []string{"364 days"}},
		"user_events":           {`insert into app.user_events (user_id, id, action, created_at) values ($1, $2, 'x', now() - interval '%s')`, user, []string{"366 days"}, []string{"364 days"}},
		"usage_records":         {`insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, 'api_requests', (now() at time zone 'utc' - interval '%s')::date, 1)`, tenant, []string{"761 days"}, []string{"759 days"}},
		"usage_reports":         {`insert into app.usage_reports (tenant_id, metric, day, seq, identifier, customer_id, quantity, state) values ($1, 'storage_gb', (now() at time zone 'utc' - interval '%s')::date, ('x' || substr(md5($2::uuid::text), 1, 7))::bit(28)::int, 'i', 'cus_a', 1, 'matched')`, tenant, []string{"761 days"}, []string{"759 days"}},
		"usage_warnings":        {`insert into app.usage_warnings (tenant_id, metric, period, threshold, plan, quantity, allowed) values ($1, 'api_requests', (now() at time zone 'utc' - interval '%s')::date, 50, left($2::uuid::text, 8), 1, 2) on conflict do nothing`, tenant, []string{"761 days"}, []string{"759 days"}},
	} {
		for _, age := range slices.Concat(c.due, c.due, c.due, c.kept) {
			f.SQL(t, fmt.Sprintf(c.insert, age), c.owner, ids.New())
		}
	}
	f.SQL(t, `insert into app.outbox (tenant_id, id, kind, created_at) values ($1, $2, 'x', now() - interval '100 days')`, tenant, ids.New())
	f.SQL(t, `insert into app.sessions (user_id, session_id, expires_at, revoked_at) values ($1, $2, now() + interval '1 day', now() - interval '31 days')`, user, ids.New())
	// One listener was done with it, another gave it up: it may be replayed.
	dead := ids.New()
	f.SQL(t, `insert into app.outbox (tenant_id, id, kind, dead_at) values ($1, $2, 'x', now() - interval '60 days')`, tenant, dead)
	f.SQL(t, `insert into app.processed_messages (tenant_id, consumer, message_id, processed_at) values ($1, 'c', $2, now() - interval '60 days')`, tenant, dead)
	for address, sql := range map[string]string{
		"a": `insert into app.mail_recipients (address_hash, updated_at) values ($1, now() - interval '46 days')`,
		"b": `insert into app.mail_recipients (address_hash, updated_at) values ($1, now() - interval '44 days')`,
		"c": `insert into app.mail_recipients (address_hash, updated_at, suppressed_at, reason) values ($1, now() - interval '46 days', now() - interval '46 days', 'bounce')`,
		"d": `insert into app.mail_recipients (address_hash, updated_at) values ($1, now() - interval '46 days')`,
	} {
		f.SQL(t, sql, strings.Repeat(address, 64))
	}
	f.SQL(t, `insert into app.mail_sends (address_hash, message_id, kind) values ($1, $2, 'x')`, strings.Repeat("d", 64), ids.New())
	f.SQL(t, `insert into app.jobs (tenant_id, id, kind, status, created_by, finished_at, expires_at) values ($1, $2, 'x', 'succeeded', $3, now() - interval '91 days', now() + interval '1 day')`, tenant, ids.New(), user)
	f.SQL(t, `insert into app.jobs (tenant_id, id, kind, created_by, created_at) values ($1, $2, 'x', $3, now() - interval '91 days')`, tenant, ids.New(), user)
	f.SQL(t, `insert into app.invitations (tenant_id, id, email, secret_hash, expires_at, revoked_at) values ($1, $2, 'a@b.c', '', now(), now() - interval '91 days'), ($1, $3, 'd@e.f', '', now() - interval '91 days', null)`, tenant, ids.New(), ids.New())
	f.SQL(t, `insert into app.host_claims (host, kind, tenant_id, held_until) values ('held', 'subdomain', $1, now() - interval '1 minute'), ('holding', 'subdomain', $1, now() + interval '1 minute')`, tenant)
	f.SQL(t, `insert into app.usage_reports (tenant_id, metric, day, seq, identifier, customer_id, quantity, state) values
		($1, 'api_requests', current_date - 761, 1, 'a', 'cus_a', 1, 'differs'), ($1, 'api_requests', current_date - 761, 2, 'b', 'cus_a', 1, 'failed')`, tenant)
	f.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, 'storage_bytes', current_date - 1000, 1)`, tenant, ids.New())
	f.run(t).Want(t, http.StatusOK)
	for name, want := range map[string]int{
		"usage_records": 2, "usage_reports": 3, "usage_warnings": 1,
		"idempotency_keys": 1, "user_idempotency_keys": 1, "email_tokens": 2, "sessions": 2, "outbox": 3, "user_outbox": 1,
		"processed_messages": 2, "user_processed": 1, "activity": 1, "user_events": 1, "host_claims": 2,
		"jobs": 3, "invitations": 2, "mail_recipients": 3, "mail_sends": 1,
	} {
		if n := f.count(t, `select count(*) from app.`+name); n != want {
			t.Errorf("%d rows of app.%s are left, want %d", n, name, want)
		}
	}
}

// Events of Stripe go when they are done or nobody's, many at a time; those that
// wait for a person, or to be looked at, stay however old they are.
func TestEvents(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	event := func(id, status string, days int, of any) {
		f.SQL(t, `insert into app.stripe_events (event_id, type, customer_id, status, payload, created_at, received_at, tenant_id)
			values ($1, 'x', 'cus_a', $2, '{}', now() - make_interval(days => $3) - interval '1 hour', now() - make_interval(days => $3), $4)`, id, status, days, of)
	}
	for i := range 5 { // more than a batch
		event(fmt.Sprint("evt_done_", i), "processed", 91+i, who.TenantID)
		event(fmt.Sprint("evt_ignored_", i), "ignored", 91+i, nil)
		event(fmt.Sprint("evt_stranger_", i), "failed", 91+i, nil)
	}
	kept := []string{"evt_ignored_young", "evt_open", "evt_stranger_young", "evt_waits_for_a_person", "evt_young"}
	event("evt_young", "processed", 89, who.TenantID)
	event("evt_ignored_young", "ignored", 89, nil)
	event("evt_stranger_young", "failed", 89, nil)
	event("evt_waits_for_a_person", "failed", 500, who.TenantID)
	event("evt_open", "received", 500, nil)
	left := func() (ids []string) {
		f.Scan(t, `select array_agg(event_id order by event_id) from app.stripe_events`, nil, &ids)
		return ids
	}
	f.SQL(t, `revoke delete on app.stripe_events from coditect_system`)
	f.run(t).Want(t, http.StatusInternalServerError)
	if n := len(left()); n != 20 {
		t.Errorf("%d events are left by a run that could erase none", n)
	}
	f.SQL(t, `grant delete on app.stripe_events to coditect_system`)
	f.run(t).Want(t, http.StatusOK)
	if got := left(); !slices.Equal(got, kept) {
		t.Errorf("%v are left, want %v", got, kept)
	}
	f.run(t).Want(t, http.StatusOK)
	if got := left(); !slices.Equal(got, kept) {
		t.Errorf("%v are left by another run", got)
	}
}

// What goes wrong for one owner keeps no other from its turn.
func TestOneOwnerFails(t *testing.T) {
	f := setup(t)
	bad, good := f.Tenant(t), f.Tenant(t)
	for p, at := range map[*functest.Person]string{&bad: "no key of an object", &good: key.Of(good.TenantID, "attachments", "a")} {
		f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $1, 'P', $2, $2)`, p.TenantID, p.UserID)
		f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by) values ($1, $1, $1, 'T', $2)`, p.TenantID, p.UserID)
		f.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, deleted_at, deletion_id)
			values ($1, $1, $1, $2, 'a', 1, 'text/plain', $3, now() - interval '31 days', $1)`, p.TenantID, p.UserID, at)
		f.SQL(t, `insert into app.outbox (tenant_id, id, kind, done_at) values ($1, $1, 'x', now() - interval '15 days')`, p.TenantID)
	}
	f.run(t).Want(t, http.StatusInternalServerError)
	if f.count(t, `select count(*) from app.attachments where tenant_id = $1`, bad.TenantID) != 1 || f.count(t, `select count(*) from app.attachments`) != 1 || f.count(t, `select count(*) from app.outbox`) != 0 {
		t.Error("others were not served")
	}
}

// A run whose time is up stops, and says that there is more.
func TestTimeIsUp(t *testing.T) {
	f := setup(t)
	f.Vars["SCHEDULE_TIMEOUT"] = "5s"
	f.run(t).Want(t, http.StatusServiceUnavailable)
}

func TestConfigRefuses(t *testing.T) {
	f := setup(t)
	for name, value := range map[string]string{
		"RETENTION_DELETED": "1h", "RETENTION_PROCESSED": "700h", "RETENTION_MESSAGES": "1100h", "RETENTION_ACTIVITY": "1h", "RETENTION_EVENTS": "720h", "RETENTION_USAGE": "1584h", "RETENTION_BATCH": "0", "OBJECTS_URL": "ftp://x", "DATABASE_URL": "",
	} {
		vars := maps.Clone(f.Vars)
		vars[name] = value
		if _, err := open(config.Map(vars), schedule.WithPlan(schedule.Plan{Name: Name})); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
}
