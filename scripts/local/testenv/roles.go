package testenv

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/scripts/local/database"
)

// prepare makes the three roles log in with the test password, so that a
// database made by any test is reachable as each of them through PgBouncer.
// Their rights are the migrations' business.
func prepare(ctx context.Context, vars map[string]string) error {
	conn, err := pgx.Connect(ctx, vars[SuperuserURL])
	if err != nil {
		return fmt.Errorf("connect to the test database: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // Nothing is pending.
	for _, role := range []string{database.Migrator, database.App, database.System} {
		if err := login(ctx, conn, role, vars[Password]); err != nil {
			return err
		}
	}
	return nil
}

func login(ctx context.Context, conn *pgx.Conn, role, password string) error {
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, role).Scan(&exists); err != nil {
		return fmt.Errorf("look for role %s: %w", role, err)
	}
	verb := "create"
	if exists {
		verb = "alter"
	}
	// The words are ours and the password is letters and digits: a role
	// statement takes no parameters.
	if _, err := conn.Exec(ctx, fmt.Sprintf(`%s role %s login password '%s'`, verb, role, password)); err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	return nil
}
