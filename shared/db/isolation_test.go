package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// TestPolicyHoldsAlone runs statements that name one tenant under the setting
// of another: what a forgotten or wrong tenant_id would do.
func TestPolicyHoldsAlone(t *testing.T) {
	f := setup(t)
	a, b := f.by, f.Tenant(t).Principal
	var id ids.ID
	if err := db.Write(t.Context(), f.db, a, func(tx *db.Tx) error { id = add(tx, "A's"); return nil }); err != nil {
		t.Fatal(err)
	}
	for name, sql := range map[string]string{
		"names the other tenant": `select count(*) from app.projects where tenant_id = $1`,
		"names no tenant":        `select count(*) from app.projects where $1::uuid is not null`,
		"joins":                  `select count(*) from app.projects p join app.activity a on a.object_id = p.id where p.tenant_id = $1`,
	} {
		var n *db.Row[int]
		if err := db.Read(t.Context(), f.db, b, func(tx *db.Tx) error { n = db.One(tx, pgx.RowTo[int], sql, a.TenantID); return nil }); err != nil {
			t.Fatal(err)
		}
		if v, _ := n.Value(); v != 0 {
			t.Errorf("a query that %s sees %d rows of it", name, v)
		}
	}
	for name, sql := range map[string]string{
		"update": `update app.projects set name = 'B''s' where tenant_id = $1`, "delete": `delete from app.projects where tenant_id = $1`,
	} {
		err := db.Write(t.Context(), f.db, b, func(tx *db.Tx) error {
			n, err := db.Exec(tx, sql, a.TenantID).Await(t.Context())
			if n != 0 {
				t.Errorf("%s changed %d rows", name, n)
			}
			tx.Record(activity.Updated("Project", id, nil))
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := db.Write(t.Context(), f.db, b, func(tx *db.Tx) error {
		db.Exec(tx, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'x', $3, $3)`, a.TenantID, ids.New(), a.UserID)
		tx.Record(activity.Created("Project", id, nil))
		return nil
	})
	if err == nil || errs.KindOf(err) != errs.Internal {
		t.Errorf("a row for another tenant: %v", err)
	}
	// Nor does a person see another, or anyone without a person.
	for name, read := range map[string]func(fn func(*db.Tx) error) error{
		"another person": func(fn func(*db.Tx) error) error { return db.ReadUser(t.Context(), f.db, b, fn) },
		"nobody":         func(fn func(*db.Tx) error) error { return db.Lookup(t.Context(), f.db, fn) },
		"a tenant":       func(fn func(*db.Tx) error) error { return db.Read(t.Context(), f.db, a, fn) },
	} {
		var n *db.Row[int]
		if err := read(func(tx *db.Tx) error {
			n = db.One(tx, pgx.RowTo[int], `select count(*) from app.users where user_id = $1`, a.UserID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if v, _ := n.Value(); v != 0 {
			t.Errorf("%s sees the person", name)
		}
	}
}

// TestTrapT1NothingLeaks lets many tenants share few connections behind the
// pooler, with failures in between: no transaction finds another's setting.
func TestTrapT1NothingLeaks(t *testing.T) {
	f := setup(t)
	people := make([]identity.Principal, 6)
	for i := range people {
		people[i] = f.Tenant(t).Principal
		if err := db.Write(t.Context(), f.db, people[i], func(tx *db.Tx) error { add(tx, people[i].TenantID.String()); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var wait sync.WaitGroup
	for _, by := range people {
		wait.Go(func() {
			for n := range 25 {
				var names *db.Rows[string]
				var user, left *db.Row[string]
				err := db.Read(t.Context(), f.db, by, func(tx *db.Tx) error {
					names = db.Many(tx, pgx.RowTo[string], `select name from app.projects`)
					user = db.One(tx, pgx.RowTo[string], `select coalesce(current_setting('app.user_id', true), '')`)
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				if v, _ := names.Value(); len(v) != 1 || v[0] != by.TenantID.String() {
					t.Errorf("a tenant sees %v", v)
				}
				if v, _ := user.Value(); v != "" {
					t.Errorf("a person's setting came along: %s", v)
				}
				err = db.Lookup(t.Context(), f.db, func(tx *db.Tx) error {
					left = db.One(tx, pgx.RowTo[string], `select coalesce(current_setting('app.tenant_id', true), '') || coalesce(current_setting('app.user_id', true), '') || coalesce(current_setting('app.claim_key', true), '')`)
					return nil
				})
				if v, _ := left.Value(); err != nil || v != "" {
					t.Errorf("a setting stayed behind: %q, %v", v, err)
				}
				switch n % 3 {
				case 0:
					_ = db.Write(t.Context(), f.db, by, func(tx *db.Tx) error { add(tx, ""); return nil })
				case 1:
					ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
					_ = db.Read(ctx, f.db, by, func(tx *db.Tx) error { db.Exec(tx, `select pg_sleep(0.05)`); return nil })
					stop()
				}
			}
		})
	}
	wait.Wait()
}

// TestReadEach reads several tenants in one transaction, each under its own
// policy, also when the closure awaits in between.
func TestReadEach(t *testing.T) {
	f := setup(t)
	var tenants []ids.ID
	for range 3 {
		by := f.Tenant(t).Principal
		if err := db.Write(t.Context(), f.db, by, func(tx *db.Tx) error { add(tx, by.TenantID.String()); return nil }); err != nil {
			t.Fatal(err)
		}
		tenants = append(tenants, by.TenantID)
	}
	for name, await := range map[string]func(i int) bool{
		"never":          func(int) bool { return false },
		"at the first":   func(i int) bool { return i == 0 },
		"at the second":  func(i int) bool { return i == 1 },
		"at the last":    func(i int) bool { return i == 2 },
		"at each of all": func(int) bool { return true },
	} {
		rows := map[ids.ID]*db.Rows[string]{}
		i := 0
		err := db.ReadEach(t.Context(), f.db, f.by, tenants, func(tx *db.Tx) error {
			r := db.Many(tx, pgx.RowTo[string], `select name from app.projects`)
			rows[tx.Tenant()] = r
			i++
			if await(i - 1) {
				_, err := r.Await(t.Context())
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range tenants {
			if v, err := rows[tenant].Value(); err != nil || len(v) != 1 || v[0] != tenant.String() {
				t.Errorf("awaited %s: under %s one sees %v, %v", name, tenant, v, err)
			}
		}
	}
	stop := errors.New("stop")
	if err := db.ReadEach(t.Context(), f.db, f.by, tenants, func(*db.Tx) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("err = %v", err)
	}
}

// TestWhoMayBegin holds that no transaction begins without what it is for.
func TestWhoMayBegin(t *testing.T) {
	f := setup(t)
	nobody, homeless := identity.Principal{}, identity.Principal{UserID: f.by.UserID}
	tenant := identity.Principal{TenantID: f.by.TenantID}
	never := func(*db.Tx) error { t.Error("it ran"); return nil }
	for name, err := range map[string]error{
		"read":                db.Read(t.Context(), f.db, homeless, never),
		"write":               db.Write(t.Context(), f.db, homeless, never),
		"span":                db.Span(t.Context(), f.db, db.SpanRegister, homeless, never),
		"span of nobody":      db.Span(t.Context(), f.db, db.SpanRegister, tenant, never),
		"a person's read":     db.ReadUser(t.Context(), f.db, nobody, never),
		"a person's write":    db.WriteUser(t.Context(), f.db, tenant, never),
		"system without role": db.System(t.Context(), f.open(t, f.Database.URL, 1, time.Second), "test", never),
	} {
		if err == nil {
			t.Errorf("%s began", name)
		}
	}
	if err := db.Read(t.Context(), f.db, homeless, never); !errors.Is(err, db.ErrNoTenant) {
		t.Errorf("err = %v", err)
	}
}

// TestSystem crosses tenants, and is the only way to.
func TestSystem(t *testing.T) {
	f := setup(t)
	for _, by := range []identity.Principal{f.by, f.Tenant(t).Principal} {
		if err := db.Write(t.Context(), f.db, by, func(tx *db.Tx) error { add(tx, "x"); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time its pool is there
		var n *db.Row[int]
		err := db.System(t.Context(), f.db, "test", func(tx *db.Tx) error { n = db.One(tx, pgx.RowTo[int], `select count(*) from app.projects`); return nil })
		if v, _ := n.Value(); err != nil || v != 2 {
			t.Errorf("%d projects of all, %v", v, err)
		}
	}
	bad, err := db.Open(db.Config{URL: config.Secret(f.Database.URL), SystemURL: "x://"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if err := db.System(t.Context(), bad, "test", func(*db.Tx) error { return nil }); err == nil || strings.Contains(err.Error(), "x://") {
		t.Errorf("err = %v", err)
	}
}

// TestAs holds sign-in's way: a look-up of a claim, then work as who it names.
func TestAs(t *testing.T) {
	f := setup(t)
	err := db.Lookup(t.Context(), f.db, func(tx *db.Tx) error {
		db.Claim(tx, f.by.Email)
		all := db.One(tx, pgx.RowTo[int], `select count(*) from app.email_claims`)
		id, err := db.One(tx, pgx.RowTo[ids.ID], `select user_id from app.email_claims where email = $1`, f.by.Email).Await(t.Context())
		if err != nil {
			return err
		}
		if n, _ := all.Value(); n != 1 {
			t.Errorf("%d claims in sight", n)
		}
		if err := tx.As(identity.Principal{UserID: id}); err != nil {
			return err
		}
		email, err := db.One(tx, pgx.RowTo[string], `select email from app.users where user_id = $1`, tx.User()).Await(t.Context())
		if email != f.by.Email {
			t.Errorf("as %q", email)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other := f.Tenant(t).Principal
	err = db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error {
		if _, err := one(tx).Await(t.Context()); err != nil {
			return err
		}
		return tx.As(other)
	})
	if err == nil {
		t.Error("a transaction changed its tenant")
	}
}

func TestCheckIsolation(t *testing.T) {
	f := setup(t)
	if err := f.db.CheckIsolation(t.Context()); err != nil {
		t.Errorf("the product's role: %v", err)
	}
	for role, tc := range map[string]struct{ url, want string }{
		"the owner":  {f.Database.OwnerURL, "owns"},
		"the system": {f.Database.SystemURL, "bypasses"},
	} {
		if err := f.open(t, tc.url, 1, 5*time.Second).CheckIsolation(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", role, err)
		}
	}
	f.SQL(t, `alter table app.tasks disable row level security`)
	if err := f.db.CheckIsolation(t.Context()); err == nil || !strings.Contains(err.Error(), "1 tables") {
		t.Errorf("an open table: %v", err)
	}
	down := f.open(t, "postgres://x@127.0.0.1:1/x", 1, time.Second)
	if err := down.CheckIsolation(t.Context()); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("no database: %v", err)
	}
	if s := fmt.Sprint(down.Ping(t.Context())); !strings.Contains(s, "unavailable") {
		t.Errorf("no database: %s", s)
	}
}
