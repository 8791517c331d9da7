package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// CheckIsolation refuses a database in which the application's role could see
// past its tenant: a given one may be set up in any way.
func CheckIsolation(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("DATABASE_URL is no PostgreSQL address") // The parser's error quotes the password.
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect as the application's role: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var role string
	var bypass, citus bool
	var owned, open int
	var propagate string
	err = conn.QueryRow(ctx, `
select current_user::text,
       (select rolsuper or rolbypassrls from pg_roles where rolname = current_user),
       (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'app' and c.relkind in ('r', 'p') and pg_has_role(current_user, c.relowner, 'member')),
       (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'app' and c.relkind in ('r', 'p') and not c.relrowsecurity
           and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')
           and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id')),
       exists (select from pg_extension where extname = 'citus'),
       coalesce(current_setting('citus.propagate_set_commands', true), '')`).
		Scan(&role, &bypass, &owned, &open, &citus, &propagate)
	if err != nil {
		return fmt.Errorf("read the rights of the application's role: %w", err)
	}
	switch {
	case bypass:
		return fmt.Errorf("the role %s bypasses row-level security: DATABASE_URL must be the application's role (coditect_app)", role)
	case owned > 0:
		return fmt.Errorf("the role %s owns %d tables or belongs to their owner, whom row policies do not bind: DATABASE_URL must be the application's role (coditect_app)", role, owned)
	case open > 0:
		return fmt.Errorf("%d tables of tenants have row-level security off", open)
	case citus && propagate != "local":
		return fmt.Errorf("citus.propagate_set_commands is %q for the role %s, so the tenant does not reach the workers: alter role %s set citus.propagate_set_commands = 'local'", propagate, role, role)
	}
	return blind(ctx, conn)
}

// blind tries it: a transaction of a tenant that does not exist sees nothing.
// On Citus the rows are on the workers, so this asks them too.
func blind(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction as the application's role: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // Nothing was written.
	if _, err := tx.Exec(ctx, `select app.set_tenant($1)`, uuid.New()); err != nil {
		return fmt.Errorf("set a tenant: %w", err)
	}
	var seen bool
	if err := tx.QueryRow(ctx, `select exists (select from app.organizations)`).Scan(&seen); err != nil {
		return fmt.Errorf("look for foreign rows: %w", err)
	}
	if seen {
		return errors.New("a tenant sees the organizations of others: row policies do not hold in this database")
	}
	return nil
}
