package membersync

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

type fixture struct {
	*functest.Env
	handler http.Handler
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{Env: functest.New(t)}
	f.Vars["REDIS_TIMEOUT"] = "500ms"
	registry, err := queue.NewRegistry([]queue.Route{queue.ProfileChanged.Route, queue.AccessChanged.Route}, []queue.Consumer{{
		Name: "membersync", Topic: "events", MaxAttempts: 10, MinBackoff: time.Second, MaxBackoff: time.Minute, MaxAge: 24 * time.Hour, Concurrency: 10,
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, worker.WithRegistry(registry))
	})
	return f
}

// changed leaves the message of a person's change.
func (f *fixture) changed(t *testing.T, who functest.Person) queue.Envelope {
	t.Helper()
	return f.Enqueue(t, ids.Nil, who.UserID, queue.ProfileChanged.Message(who.UserID.String(), queue.Person{UserID: who.UserID}))
}

func (f *fixture) publish(t *testing.T, m queue.Envelope) functest.Response {
	t.Helper()
	return f.Publish(t, f.handler, "membersync", m, 1)
}

type membership struct {
	Email, First, Last string
	Version            int64
}

func (f *fixture) membership(t *testing.T, tenant, user ids.ID) (m membership) {
	t.Helper()
	f.Scan(t, `select email, first_name, last_name, version from app.memberships where tenant_id = $1 and user_id = $2`, []any{tenant, user}, &m.Email, &m.First, &m.Last, &m.Version)
	return m
}

func (f *fixture) done(t *testing.T, m queue.Envelope) (done bool) {
	t.Helper()
	table := "outbox"
	if m.ForPerson() {
		table = "user_outbox"
	}
	f.Scan(t, `select done_at is not null from app.`+table+` where id = $1`, []any{m.ID}, &done)
	return done
}

// Every organization of a person follows, those they left too, and nobody
// else's membership changes.
func TestProfile(t *testing.T) {
	f := setup(t)
	first, second, other := f.Tenant(t), f.Tenant(t), f.Tenant(t)
	who := f.Member(t, first.TenantID, "member")
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, first_name, last_name, is_active, joined_at, left_at)
		values ($1, $2, $3, 'Test', 'Person', false, now(), now())`, second.TenantID, who.UserID, who.Email)
	f.SQL(t, `insert into app.user_tenants (user_id, tenant_id, left_at) values ($1, $2, now())`, who.UserID, second.TenantID)
	f.SQL(t, `update app.profiles set first_name = 'Ada' where user_id = $1`, who.UserID)
	f.SQL(t, `update app.users set email = $2 where user_id = $1`, who.UserID, "new-"+who.Email)
	m := f.changed(t, who)
	f.publish(t, m).Want(t, http.StatusOK)
	want := membership{"new-" + who.Email, "Ada", "Person", 2}
	for _, tenant := range []ids.ID{first.TenantID, second.TenantID} {
		if got := f.membership(t, tenant, who.UserID); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if got := f.membership(t, other.TenantID, other.UserID); got.Version != 1 || got.First != "Test" {
		t.Errorf("a stranger's membership is %+v", got)
	}
	var activity int
	f.Scan(t, `select count(*) from app.activity`, nil, &activity)
	if !f.done(t, m) || activity != 0 {
		t.Errorf("done %v, %d rows of activity", f.done(t, m), activity)
	}
	// Again, and once more for a change of nothing that memberships repeat.
	f.publish(t, m).Want(t, http.StatusOK)
	f.publish(t, f.changed(t, who)).Want(t, http.StatusOK)
	if got := f.membership(t, first.TenantID, who.UserID); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Messages at once, with the person changing all the while, end at what the
// person is.
func TestProfileInAnyOrder(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	var all sync.WaitGroup
	for i := range 12 {
		f.SQL(t, `update app.profiles set first_name = $2 where user_id = $1`, who.UserID, strings.Repeat("x", i+1))
		m := f.changed(t, who)
		all.Go(func() { f.publish(t, m).Want(t, http.StatusOK) })
	}
	all.Wait()
	if got := f.membership(t, who.TenantID, who.UserID); got.First != strings.Repeat("x", 12) {
		t.Errorf("%+v", got)
	}
}

// An organization that cannot be written to keeps the message, and the others
// have followed.
func TestOneOrganizationFails(t *testing.T) {
	f := setup(t)
	good, bad := f.Tenant(t), f.Tenant(t)
	who := f.Member(t, good.TenantID, "member")
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, joined_at) values ($1, $2, $3, now())`, bad.TenantID, who.UserID, who.Email)
	f.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, who.UserID, bad.TenantID)
	f.SQL(t, `update app.profiles set first_name = 'Ada' where user_id = $1`, who.UserID)
	f.SQL(t, `alter table app.memberships add constraint memberships_broken check (tenant_id <> '`+bad.TenantID.String()+`') not valid`)
	m := f.changed(t, who)
	f.publish(t, m).Want(t, http.StatusInternalServerError)
	if got := f.membership(t, good.TenantID, who.UserID); got.First != "Ada" || f.done(t, m) {
		t.Errorf("%+v, done %v", got, f.done(t, m))
	}
	f.SQL(t, `alter table app.memberships drop constraint memberships_broken`)
	f.publish(t, m).Want(t, http.StatusOK)
	if got := f.membership(t, bad.TenantID, who.UserID); got.First != "Ada" || !f.done(t, m) {
		t.Errorf("%+v, done %v", got, f.done(t, m))
	}
}

// Whoever is gone, or in no organization, is nothing to do; a message about
// somebody else is given up.
func TestNothingToDo(t *testing.T) {
	f := setup(t)
	gone, alone := f.Tenant(t), f.Person(t)
	f.SQL(t, `update app.users set deleted_at = now() where user_id = $1`, gone.UserID)
	for _, who := range []functest.Person{gone, alone} {
		m := f.changed(t, who)
		if got := f.publish(t, m).Want(t, http.StatusOK); got.String(t, "result") != "skipped" || !f.done(t, m) {
			t.Errorf("%s", got.Body)
		}
	}
	m := f.Enqueue(t, ids.Nil, alone.UserID, queue.ProfileChanged.Message("", queue.Person{UserID: gone.UserID}))
	if got := f.publish(t, m).Want(t, http.StatusOK); got.String(t, "result") != "dead" {
		t.Errorf("%s", got.Body)
	}
}

// What Redis remembers goes, of the member or of the organization; while Redis
// is down the message waits and is not counted as failed.
func TestAccess(t *testing.T) {
	f := setup(t)
	who := f.Tenant(t)
	member, tenant := "acc:"+who.TenantID.String()+":"+who.UserID.String(), "ten:"+who.TenantID.String()
	remember := func() {
		for _, k := range []string{member, tenant} {
			if err := f.Redis.Set(k, "old"); err != nil {
				t.Fatal(err)
			}
		}
	}
	remains := func(k string) bool { v, err := f.Redis.Get(k); return err == nil && v == "old" }
	remember()
	f.publish(t, f.Enqueue(t, who.TenantID, ids.Nil, queue.AccessChanged.Message("", queue.Access{UserID: who.UserID}))).Want(t, http.StatusOK)
	if remains(member) || !remains(tenant) {
		t.Error("not the member alone was dropped")
	}
	remember()
	m := f.Enqueue(t, who.TenantID, ids.Nil, queue.AccessChanged.Message("", queue.Access{}))
	f.Redis.SetError("LOADING Redis is loading the dataset in memory")
	if got := f.publish(t, m).Want(t, http.StatusOK); got.String(t, "result") != "deferred" || f.done(t, m) {
		t.Errorf("%s, done %v", got.Body, f.done(t, m))
	}
	f.Redis.SetError("")
	for end := time.Now().Add(30 * time.Second); !f.done(t, m) && time.Now().Before(end); {
		f.publish(t, m).Want(t, http.StatusOK)
	}
	if remains(tenant) || !f.done(t, m) {
		t.Error("the organization was not dropped")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, vars := range []map[string]string{{}, {"REDIS_URL": "redis://127.0.0.1:1/0"}} {
		if _, err := Open(context.Background(), config.Map(vars)); err == nil {
			t.Errorf("%v was taken", vars)
		}
	}
}
