package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Setup is what Bootstrap makes.
type Setup struct {
	Database string // created when absent
	// A password that is empty is left as it is: no password for a new role.
	MigratorPassword, AppPassword, SystemPassword string
	// Citus makes the extension too, before there is a table: for a server that is a
	// cluster of its own. Nodes that are joined to others have it by then (docs/citus.md).
	Citus bool
}

// Bootstrap makes the database and its three roles, or brings those that exist to their right state; it can be
// run at any time. superuserURL names any database of the server, as a superuser, directly. It makes no table:
// Up does, as the migrator.
func Bootstrap(ctx context.Context, superuserURL string, s Setup) error {
	if s.Database == "" {
		return errors.New("migrations: bootstrap: no database name")
	}
	conn, err := connect(ctx, superuserURL, "")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Two at once would alter the same role rows. The lock goes with the session.
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", lockID); err != nil {
		return fmt.Errorf("migrations: bootstrap: %w", err)
	}
	if err := bootstrapRoles(ctx, conn, s); err != nil {
		return fmt.Errorf("migrations: bootstrap: %w", err)
	}
	if err := bootstrapDatabase(ctx, conn, s.Database); err != nil {
		return fmt.Errorf("migrations: bootstrap: %w", err)
	}
	inside, err := connect(ctx, superuserURL, s.Database)
	if err != nil {
		return err
	}
	defer inside.Close(context.WithoutCancel(ctx))
	if s.Citus {
		if _, err := inside.Exec(ctx, "create extension if not exists citus"); err != nil {
			return fmt.Errorf("migrations: bootstrap: the extension citus: %w", err)
		}
	}
	if err := spreadRoles(ctx, inside, s); err != nil {
		return fmt.Errorf("migrations: bootstrap: citus: %w", err)
	}
	name := pgx.Identifier{s.Database}.Sanitize()
	for _, q := range []string{
		"alter database " + name + " owner to " + RoleMigrator,
		"revoke all on database " + name + " from public",
		"grant connect on database " + name + " to " + RoleApp + ", " + RoleSystem,
		// The default of PostgreSQL 15; a database upgraded from an older one still lets everybody create here.
		"alter schema public owner to pg_database_owner",
		"revoke create on schema public from public",
	} {
		if _, err := inside.Exec(ctx, q); err != nil {
			return fmt.Errorf("migrations: bootstrap: %s: %w", q, err)
		}
	}
	return nil
}

// spreadRoles brings the roles to the workers of a database that has Citus. What was made from another database of
// the server is unknown to them, and the migrator, who is no superuser, could not make it known. A role is spread
// with the first distributed object that names it; from then on changes of it travel too.
func spreadRoles(ctx context.Context, inside *pgx.Conn, s Setup) error {
	var citus bool
	if err := inside.QueryRow(ctx, "select exists (select from pg_extension where extname = 'citus')").Scan(&citus); err != nil || !citus {
		return err
	}
	tx, err := inside.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing is left after a commit
	for _, q := range []string{
		"create function public.coditect_roles() returns void language sql as ''",
		"grant execute on function public.coditect_roles() to " + RoleMigrator + ", " + RoleApp + ", " + RoleSystem,
		"drop function public.coditect_roles()",
	} {
		if _, err := tx.Exec(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return bootstrapRoles(ctx, inside, s)
}

func connect(ctx context.Context, url, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("migrations: the database address is not valid: %w", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	if database != "" {
		cfg.Database = database
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("migrations: cannot reach the database: %w", err)
	}
	return conn, nil
}

type roleSpec struct {
	name, attributes, password string
	settings                   [][2]string
}

// roleSpecs: what a role may do, and what its sessions start with. PgBouncer refuses settings as parameters of
// a connection, so they belong to the role. citus.propagate_set_commands carries the tenant to Citus' workers;
// without Citus it is a name nobody reads. A statement that outlives its request only keeps others waiting.
func roleSpecs(s Setup) []roleSpec {
	const plain = "login nosuperuser nocreatedb nocreaterole noreplication inherit "
	propagate := [2]string{"citus.propagate_set_commands", "local"}
	return []roleSpec{
		{RoleMigrator, plain + "nobypassrls", s.MigratorPassword, [][2]string{{"timezone", "UTC"}}},
		{RoleApp, plain + "nobypassrls", s.AppPassword, [][2]string{propagate, {"timezone", "UTC"},
			{"statement_timeout", "15s"}, {"lock_timeout", "5s"}, {"idle_in_transaction_session_timeout", "15s"}}},
		{RoleSystem, plain + "bypassrls", s.SystemPassword, [][2]string{propagate, {"timezone", "UTC"},
			{"statement_timeout", "60s"}, {"lock_timeout", "10s"}, {"idle_in_transaction_session_timeout", "60s"}}},
	}
}

func bootstrapRoles(ctx context.Context, conn *pgx.Conn, s Setup) error {
	for _, r := range roleSpecs(s) {
		var exists bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", r.name).Scan(&exists); err != nil {
			return err
		}
		verb := "create role "
		if exists {
			verb = "alter role "
		}
		if _, err := conn.Exec(ctx, verb+r.name+" "+r.attributes); err != nil {
			return fmt.Errorf("role %s: %w", r.name, err)
		}
		if r.password != "" {
			if err := setPassword(ctx, conn, r.name, r.password); err != nil {
				return err
			}
		}
		for _, kv := range r.settings {
			if _, err := conn.Exec(ctx, "alter role "+r.name+" set "+kv[0]+" = '"+kv[1]+"'"); err != nil {
				return fmt.Errorf("role %s: %s: %w", r.name, kv[0], err)
			}
		}
	}
	// Without a real superuser (managed PostgreSQL) the owner of a new database must be a role one is a member of.
	var member bool
	if err := conn.QueryRow(ctx, "select pg_has_role(current_user, $1, 'member')", RoleMigrator).Scan(&member); err != nil {
		return err
	}
	if !member {
		if _, err := conn.Exec(ctx, "grant "+RoleMigrator+" to current_user"); err != nil {
			return err
		}
	}
	return nil
}

func setPassword(ctx context.Context, conn *pgx.Conn, role, password string) error {
	var statement string
	if err := conn.QueryRow(ctx, "select format('alter role %I password %L', $1::text, $2::text)", role, password).Scan(&statement); err != nil {
		return fmt.Errorf("role %s: the password: %w", role, err)
	}
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("role %s: the password was refused: %s", role, sqlState(err)) // the error's text would repeat it
	}
	return nil
}

// bootstrapDatabase prefers C.UTF-8: bytes compare the same on every system (a collation that changes with the
// C library corrupts indexes), while letters still have upper and lower case, which search needs.
func bootstrapDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil {
		return err
	}
	if exists {
		return nil
	}
	create := "create database " + pgx.Identifier{name}.Sanitize() + " owner " + RoleMigrator + " template template0 encoding 'UTF8'"
	var err error
	for _, locale := range []string{" locale 'C.UTF-8'", " lc_collate 'C' lc_ctype 'en_US.UTF-8'", ""} {
		if _, err = conn.Exec(ctx, create+locale); err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), "locale") {
			break
		}
	}
	return fmt.Errorf("database %s: %w", name, err)
}

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "SQLSTATE " + e.Code
	}
	return "connection lost"
}
