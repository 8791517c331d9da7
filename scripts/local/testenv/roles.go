package testenv

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/migrations"
)

// prepare makes the three roles, all with the test password, so that a database
// made by any test is reachable as each of them through PgBouncer. Roles belong
// to the server: the database named here only has to exist.
func prepare(ctx context.Context, vars map[string]string) error {
	return migrations.Bootstrap(ctx, vars[SuperuserURL], migrations.Setup{
		Database:         "coditect",
		MigratorPassword: vars[Password], AppPassword: vars[Password], SystemPassword: vars[Password],
	})
}

func ping(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the test database: %w", err)
	}
	return conn.Close(ctx)
}
