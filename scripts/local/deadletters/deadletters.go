// Package deadletters is the operator's command over messages that were given
// up: it lists them and has them delivered again. Their consumers are
// idempotent, so that a replay of something that was done after all does
// nothing.
package deadletters

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrUsage says that the command is not one of ours.
var ErrUsage = errors.New("usage: replay [list]  |  replay all | KIND | MESSAGE …")

// Letter is a message that was given up.
type Letter struct {
	Owner    string // "tenant" or "person"
	OwnerID  uuid.UUID
	ID       uuid.UUID
	Kind     string
	Attempts int
	Error    string
	DeadAt   time.Time
}

var kind = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// boxes are the outboxes, and how each names its owner.
var boxes = []struct{ table, column, owner string }{
	{"app.outbox", "tenant_id", "tenant"},
	{"app.user_outbox", "user_id", "person"},
}

// listed is how many letters of an outbox List gives, the latest ones.
const listed = 200

// List gives the latest dead letters.
func List(ctx context.Context, url string) ([]Letter, error) {
	conn, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var out []Letter
	for _, b := range boxes {
		rows, err := conn.Query(ctx, `select $1::text, `+b.column+`, id, kind, attempts, coalesce(last_error, ''), dead_at from `+b.table+`
			where dead_at is not null and done_at is null order by dead_at desc limit $2`, b.owner, listed)
		if err != nil {
			return nil, err
		}
		letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
		if err != nil {
			return nil, err
		}
		out = append(out, letters...)
	}
	return out, nil
}

// Replay makes dead letters due again: all, those of a kind, or those with one
// of the ids. It tells how many there were.
func Replay(ctx context.Context, url string, which []string) (int64, error) {
	all := len(which) == 1 && which[0] == "all"
	var ids, kinds []string
	for _, w := range which {
		switch _, err := uuid.Parse(w); {
		case all:
		case err == nil:
			ids = append(ids, w)
		case kind.MatchString(w):
			kinds = append(kinds, w)
		default:
			return 0, fmt.Errorf("%q is no kind and no message's id\n%w", w, ErrUsage)
		}
	}
	if len(which) == 0 {
		return 0, ErrUsage
	}
	conn, err := connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var total int64
	for _, b := range boxes {
		// With created_at, by which age counts: a letter that was too old would be
		// given up at once again.
		done, err := conn.Exec(ctx, `update `+b.table+` set dead_at = null, attempts = 0, available_at = now(), lease_until = null,
			  running_until = null, created_at = now()
			where dead_at is not null and done_at is null and ($1 or kind = any($2::text[]) or id = any($3::uuid[]))`, all, kinds, ids)
		if err != nil {
			return total, err
		}
		total += done.RowsAffected()
	}
	return total, nil
}

func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("SYSTEM_DATABASE_URL is no PostgreSQL address") // The parser's error quotes the password.
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect as the system role: %w", err)
	}
	return conn, nil
}
