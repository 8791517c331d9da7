package tasks

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool" // want db-connect
)

var (
	_ = pgxpool.New
	_ = pgx.CollectRows[int]
	_ pgx.CollectableRow
)

func open(ctx context.Context) {
	_, _ = pgx.Connect(ctx, "")           // want db-connect
	_, _ = pgx.ConnectConfig(ctx, nil)    // want db-connect
	_, _ = sql.Open("pgx", "postgres://") // want db-connect
}
