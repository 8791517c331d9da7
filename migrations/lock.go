package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrLocked says that another run held the lock for longer than this one was willing to wait.
var ErrLocked = errors.New("another migration is running on this database")

// lockID is the advisory lock of migrations: any number that nothing else of the platform uses.
const lockID int64 = 0x636f6469_74656374

// sessionLock keeps two runs apart. It asks again and again instead of waiting inside pg_advisory_lock: a
// waiting statement holds a snapshot, and the other run's concurrent index build would wait for that snapshot
// while we wait for it.
type sessionLock struct {
	patience time.Duration
	log      *slog.Logger
}

func (l *sessionLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	deadline := time.NewTimer(l.patience)
	defer deadline.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for waited := false; ; waited = true {
		var ok bool
		if err := conn.QueryRowContext(ctx, "select pg_try_advisory_lock($1)", lockID).Scan(&ok); err != nil {
			return fmt.Errorf("take the migration lock: %w", err)
		}
		if ok {
			return nil
		}
		if !waited {
			l.log.Info("waiting for another migration to end")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("take the migration lock: %w", ctx.Err())
		case <-deadline.C:
			return fmt.Errorf("%w: gave up after %s", ErrLocked, l.patience)
		case <-again.C:
		}
	}
}

func (l *sessionLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "select pg_advisory_unlock($1)", lockID); err != nil {
		return fmt.Errorf("release the migration lock: %w", err)
	}
	return nil
}
