package access_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/trips"
)

type fixture struct {
	*functest.Env
	owner identity.Principal
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Tenant(t).Principal}
}

// process is a resolver with a process cache of its own, as each instance has.
func (f *fixture) process(t *testing.T) *access.Resolver {
	t.Helper()
	c, err := cache.Open(cache.Config{URL: config.Secret("redis://" + f.Redis.Addr() + "/0"), Timeout: 5 * time.Second, Failures: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return access.New(f.Database.DB, c, nil)
}

// resolve gives the access and what it cost.
func resolve(t *testing.T, r *access.Resolver, by identity.Principal) (a identity.Access, postgres, redis int, err error) {
	t.Helper()
	ctx, counter := trips.Count(t.Context())
	a, err = r.Resolve(ctx, by)
	return a, counter.Postgres(), counter.Redis(), err
}

func want(t *testing.T, what string, r *access.Resolver, by identity.Principal, role string, postgres, redis int) identity.Access {
	t.Helper()
	a, pg, rd, err := resolve(t, r, by)
	if err != nil || a.Role != role || pg != postgres || rd != redis {
		t.Errorf("%s: %q, %v at %d trips to PostgreSQL and %d to Redis; want %q at %d and %d", what, a.Role, err, pg, rd, role, postgres, redis)
	}
	return a
}

// TestOrder holds that the process is asked first, Redis then, the database
// last.
func TestOrder(t *testing.T) {
	f := setup(t)
	one, two := f.process(t), f.process(t)
	a := want(t, "cold", one, f.owner, "owner", 1, 2)
	if a.Plan != "free" || a.TenantStatus != identity.TenantActive || !a.Permissions.Has(identity.TenantOwn) {
		t.Errorf("access %+v", a)
	}
	if b := want(t, "in the process", one, f.owner, "owner", 0, 0); !slices.Equal(b.Permissions, a.Permissions) {
		t.Errorf("another answer: %+v", b)
	}
	if b := want(t, "another process, from Redis", two, f.owner, "owner", 0, 1); !slices.Equal(b.Permissions, a.Permissions) || b.Plan != a.Plan || b.TenantStatus != a.TenantStatus {
		t.Errorf("another answer: %+v", b)
	}
	for key, ttl := range map[string]time.Duration{"acc:" + f.owner.TenantID.String() + ":" + f.owner.UserID.String(): access.RedisLife, "ten:" + f.owner.TenantID.String(): access.RedisLife} {
		if got := f.Redis.TTL(key); got != ttl {
			t.Errorf("%s lives for %v, want %v", key, got, ttl)
		}
	}
	f.Redis.FlushAll()
	want(t, "flushed, in the process", one, f.owner, "owner", 0, 0)
	want(t, "flushed, a fresh process", f.process(t), f.owner, "owner", 1, 2)
	f.Redis.FastForward(access.RedisLife)
	want(t, "expired", f.process(t), f.owner, "owner", 1, 2)
	_ = f.Redis.Set("acc:"+f.owner.TenantID.String()+":"+f.owner.UserID.String(), "garbage")
	want(t, "unreadable", f.process(t), f.owner, "owner", 1, 2)
}

// TestRoles holds what each kind of membership gives.
func TestRoles(t *testing.T) {
	f := setup(t)
	f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, 'auditor', '{activity:read,projects:read}'), ($1, $3, 'nothing', '{}')`, f.owner.TenantID, ids.New(), ids.New())
	viewer, _ := identity.Builtin(identity.RoleViewer)
	for role, set := range map[string]identity.Set{
		"viewer": viewer, "manager": identity.SeedRoles()["manager"], "auditor": identity.NewSet(identity.ActivityRead, identity.ProjectsRead), "nothing": {},
	} {
		by := f.Member(t, f.owner.TenantID, role).Principal
		for _, r := range []*access.Resolver{f.process(t), f.process(t)} { // from the database, from Redis
			a, _, _, err := resolve(t, r, by)
			if err != nil || a.Role != role || !slices.Equal(a.Permissions, set) {
				t.Errorf("%s: %+v, %v", role, a, err)
			}
		}
	}
	// A role whose rights change gives all its members the new ones, everywhere,
	// by the tenant's one key.
	by, colleague := f.Member(t, f.owner.TenantID, "auditor").Principal, f.Member(t, f.owner.TenantID, "auditor").Principal
	r := f.process(t)
	for _, p := range []identity.Principal{by, colleague} {
		if _, err := r.Resolve(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	f.SQL(t, `update app.roles set permissions = '{tasks:read}' where name = 'auditor'`)
	r.DropTenant(t.Context(), by.TenantID)
	for name, r := range map[string]*access.Resolver{"where it was changed": r, "a fresh process": f.process(t)} {
		for _, p := range []identity.Principal{by, colleague} {
			if a, err := r.Resolve(t.Context(), p); err != nil || !slices.Equal(a.Permissions, identity.NewSet(identity.TasksRead)) {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
		}
	}
	f.Redis.FastForward(cache.TombstoneTTL)
	want(t, "after the tombstone", f.process(t), by, "auditor", 1, 2)
	want(t, "then from Redis", f.process(t), colleague, "auditor", 0, 1)
	// A role that Redis has not heard of is asked for, and never taken for none.
	f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, 'young', '{tasks:read}')`, f.owner.TenantID, ids.New())
	young := f.Member(t, f.owner.TenantID, "young").Principal
	for range 2 {
		if a := want(t, "younger than the cache", f.process(t), young, "young", 1, 2); !a.Permissions.Has(identity.TasksRead) {
			t.Errorf("%+v", a)
		}
	}
}

// TestNobody holds who has no access, and that this is not remembered.
func TestNobody(t *testing.T) {
	f := setup(t)
	r := f.process(t)
	stranger := f.Person(t).Principal.InTenant(f.owner.TenantID)
	left, inactive := f.Member(t, f.owner.TenantID, "admin").Principal, f.Member(t, f.owner.TenantID, "admin").Principal
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, left.UserID)
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, inactive.UserID)
	other := f.Tenant(t).Principal
	for name, by := range map[string]identity.Principal{
		"a stranger": stranger, "who left": left, "who is inactive": inactive, "a member elsewhere": other.InTenant(f.owner.TenantID), "of no tenant that is": f.owner.InTenant(ids.New()),
		"a tenant's id alone": {TenantID: f.owner.TenantID},
	} {
		for range 2 {
			if _, err := r.Resolve(t.Context(), by); !errors.Is(err, access.ErrNotMember) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := r.Resolve(t.Context(), f.Person(t).Principal); !errors.Is(err, db.ErrNoTenant) {
		t.Errorf("without an organization: %v", err)
	}
	f.SQL(t, `update app.memberships set is_active = true, left_at = null where user_id = $1`, left.UserID)
	want(t, "who came back", r, left, "admin", 1, 2)
}

// TestDrops holds that a change is seen at once where it was made, and within
// LocalLife elsewhere.
func TestDrops(t *testing.T) {
	f := setup(t)
	by, colleague := f.Member(t, f.owner.TenantID, "admin").Principal, f.Member(t, f.owner.TenantID, "member").Principal
	here, there := f.process(t), f.process(t)
	for _, r := range []*access.Resolver{here, there} {
		for _, p := range []identity.Principal{by, colleague} {
			if _, err := r.Resolve(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, by.UserID)
	here.DropMember(t.Context(), by.TenantID, by.UserID)
	want(t, "where it was changed", here, by, "viewer", 1, 2)
	want(t, "elsewhere, for its time", there, by, "admin", 0, 0)
	want(t, "a third, not from Redis", f.process(t), by, "viewer", 1, 2)
	want(t, "a colleague is untouched", here, colleague, "member", 0, 0)

	f.SQL(t, `update app.organizations set status = 'suspended', plan = 'pro' where tenant_id = $1`, f.owner.TenantID)
	here.DropTenant(t.Context(), f.owner.TenantID)
	for name, r := range map[string]*access.Resolver{"here": here, "a fresh process": f.process(t)} {
		for _, p := range []identity.Principal{by, colleague} {
			if a, err := r.Resolve(t.Context(), p); err != nil || a.TenantStatus != identity.TenantSuspended || a.Plan != "pro" {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
		}
	}
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, by.UserID)
	here.DropMember(t.Context(), by.TenantID, by.UserID)
	for _, r := range []*access.Resolver{here, f.process(t)} {
		if _, err := r.Resolve(t.Context(), by); !errors.Is(err, access.ErrNotMember) {
			t.Errorf("who was removed: %v", err)
		}
	}
	// The process that nobody told follows when its time is up.
	tick, deadline := time.NewTicker(50*time.Millisecond), time.After(2*access.LocalLife)
	defer tick.Stop()
	for {
		if _, err := there.Resolve(t.Context(), by); errors.Is(err, access.ErrNotMember) {
			break
		}
		select {
		case <-deadline:
			t.Fatal("a removed member is still let in elsewhere")
		case <-tick.C:
		}
	}
}

// TestRacingFillDoesNotResurrect lets a reader look into the database before a
// change and cache after it: what it read must not outlive the change.
func TestRacingFillDoesNotResurrect(t *testing.T) {
	f := setup(t)
	by := f.Member(t, f.owner.TenantID, "admin").Principal
	slow, writer := f.process(t), f.process(t)
	// The reader's look is held up behind a lock on the table, with the old
	// snapshot taken first; the change and its drop happen in between.
	lock := f.Database.Owner(t)
	if _, err := lock.Exec(t.Context(), `begin; lock table app.memberships in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := slow.Resolve(context.WithoutCancel(t.Context()), by); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, "the reader never looked", func() bool {
		var n int
		f.Scan(t, `select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()`, nil, &n)
		return n > 0
	})
	writer.DropMember(t.Context(), by.TenantID, by.UserID) // as after a commit that the reader did not see
	slow.DropMember(t.Context(), by.TenantID, by.UserID)
	if _, err := lock.Exec(t.Context(), `commit`); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, by.UserID)
	want(t, "the process that read early", slow, by, "viewer", 1, 2)
	want(t, "another", f.process(t), by, "viewer", 1, 2)
	f.Redis.FastForward(cache.TombstoneTTL)
	want(t, "after the tombstone", f.process(t), by, "viewer", 1, 2)
	want(t, "and then from Redis", f.process(t), by, "viewer", 0, 1)
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// TestRedisDown holds that losing Redis costs trips and admits nobody.
func TestRedisDown(t *testing.T) {
	f := setup(t)
	by := f.Member(t, f.owner.TenantID, "member").Principal
	r := f.process(t)
	want(t, "before", r, by, "member", 1, 2)
	f.Redis.SetError("LOADING Redis is loading the dataset in memory")
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, by.UserID)
	var logged strings.Builder
	c, err := cache.Open(cache.Config{URL: config.Secret("redis://" + f.Redis.Addr() + "/0"), Timeout: 5 * time.Second, Failures: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	down := access.New(f.Database.DB, c, slog.New(slog.NewTextHandler(&logged, nil)))
	if _, err := down.Resolve(t.Context(), by); !errors.Is(err, access.ErrNotMember) {
		t.Errorf("a removed member without Redis: %v", err)
	}
	if a, err := down.Resolve(t.Context(), f.owner); err != nil || a.Role != "owner" {
		t.Errorf("the owner without Redis: %+v, %v", a, err)
	}
	down.DropMember(t.Context(), by.TenantID, by.UserID)
	down.DropTenant(t.Context(), by.TenantID)
	if strings.Count(logged.String(), "level=ERROR") != 2 {
		t.Errorf("a drop that Redis did not hear was not told of: %s", logged.String())
	}
	f.Redis.SetError("")
	want(t, "Redis is back", down, f.owner, "owner", 1, 2)
}

// TestDatabaseDown holds that what is not known is not granted, and not held
// against anyone either.
func TestDatabaseDown(t *testing.T) {
	f := setup(t)
	d, err := db.Open(db.Config{URL: "postgres://x@127.0.0.1:1/x", AcquireTimeout: time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c, err := cache.Open(cache.Config{URL: config.Secret("redis://" + f.Redis.Addr() + "/0"), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := access.New(d, c, nil)
	if _, err := r.Resolve(t.Context(), f.owner); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("err = %v", err)
	}
	want(t, "filling Redis", f.process(t), f.owner, "owner", 1, 2)
	want(t, "Redis knows", r, f.owner, "owner", 0, 1)
}

// TestOneLookForMany holds that a crowd asks the database once.
func TestOneLookForMany(t *testing.T) {
	f := setup(t)
	r := f.process(t)
	ctx, counter := trips.Count(t.Context())
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if a, err := r.Resolve(ctx, f.owner); err != nil || a.Role != "owner" {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	wait.Wait()
	if counter.Postgres() != 1 {
		t.Errorf("%d trips to PostgreSQL", counter.Postgres())
	}
}
