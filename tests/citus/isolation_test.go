//go:build citus

package citus

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// TestWorkersKeepTenantsApart asks through the pooler, as the application's
// role, with the setting of one tenant for the rows of another, on the same
// worker and on a different one.
func TestWorkersKeepTenantsApart(t *testing.T) {
	t.Parallel()
	e := environment(t)
	var people []functest.Person
	for _, n := range e.Database.Nodes()[1:] {
		for range 2 {
			p := on(t, e, n.Port)
			furnish(t, e, p)
			people = append(people, p)
		}
	}
	app := connect(t, e.Database.URL)
	for _, mine := range []functest.Person{people[0], people[len(people)-1]} {
		for _, other := range people {
			for table, group := range migrations.Tables {
				if group.Key() == "" {
					continue
				}
				in(t, app, mine, func(tx pgx.Tx) { between(t, tx, table, group, mine, other) })
			}
			in(t, app, mine, func(tx pgx.Tx) {
				_, err := tx.Exec(t.Context(), `insert into app.activity (tenant_id, id, action, model, object_id) values ($1, $2, 'x', 'x', $2)`, other.TenantID, ids.New())
				var refused *pgconn.PgError
				if foreign := other.TenantID != mine.TenantID; foreign != (errors.As(err, &refused) && refused.Code == "42501") {
					t.Errorf("insert for another tenant: %v", err)
				}
			})
		}
	}
	for table, group := range migrations.Tables {
		if group == migrations.Reference || group == migrations.System {
			continue
		}
		var n int
		if err := app.QueryRow(t.Context(), `select count(*) from app.`+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("app.%s without a tenant: %d rows, %v", table, n, err)
		}
	}
}

// between looks for other's rows under the settings of mine.
func between(t *testing.T, tx pgx.Tx, table string, group migrations.Group, mine, other functest.Person) {
	t.Helper()
	self, wanted := mine.TenantID, other.TenantID
	if group == migrations.User {
		self, wanted = mine.UserID, other.UserID
	}
	count := func(where string, args ...any) (n int) {
		if err := tx.QueryRow(t.Context(), `select count(*) from app.`+table+where, args...).Scan(&n); err != nil {
			t.Fatalf("app.%s%s: %v", table, where, err)
		}
		return n
	}
	if n := count(` where `+group.Key()+` = $1`, wanted); self != wanted && n != 0 {
		t.Errorf("app.%s: %d rows of another", table, n)
	}
	// Over all shards of all workers.
	if n, own := count(``), count(` where `+group.Key()+` = $1`, self); n != own {
		t.Errorf("app.%s: %d rows over all shards, %d are one's own", table, n, own)
	}
	if self == wanted && filled[table] && count(``) == 0 {
		t.Errorf("app.%s: own rows are not seen", table)
	}
	if self == wanted || table == "activity" || table == "user_events" {
		return
	}
	tag, err := tx.Exec(t.Context(), `delete from app.`+table+` where `+group.Key()+` = $1`, wanted)
	if err != nil || tag.RowsAffected() != 0 {
		t.Errorf("app.%s: %d rows of another deleted, %v", table, tag.RowsAffected(), err)
	}
}

// filled are tables that furnish, or making the tenant, has put rows into.
var filled = map[string]bool{
	"organizations": true, "tenant_settings": true, "memberships": true, "roles": true, "projects": true, "tasks": true, "activity": true, "outbox": true,
	"users": true, "profiles": true, "sessions": true, "user_tenants": true, "user_state": true,
}

func furnish(t testing.TB, e *functest.Env, p functest.Person) {
	t.Helper()
	project := ids.New()
	e.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'secret', $3, $3)`, p.TenantID, project, p.UserID)
	for range 3 {
		e.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by) values ($1, $2, $3, 'secret', $4)`, p.TenantID, ids.New(), project, p.UserID)
	}
	e.SQL(t, `insert into app.activity (tenant_id, id, action, model, object_id) values ($1, $2, 'created', 'Project', $3)`, p.TenantID, ids.New(), project)
	e.SQL(t, `insert into app.outbox (tenant_id, id, kind) values ($1, $2, 'test')`, p.TenantID, ids.New())
}

// in runs do in a transaction for p, and takes it back.
func in(t *testing.T, c *pgx.Conn, p functest.Person, do func(pgx.Tx)) {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `select app.set_tenant($1)`, p.TenantID); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select app.set_user($1)`, p.UserID); err != nil {
		t.Fatal(err)
	}
	do(tx)
}
