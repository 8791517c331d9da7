package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

// grip is what a run learns when it asks for the work.
type grip uint8

const (
	held     grip = iota // the work is the run's
	finished             // the slot, or a later one, was finished
	busy                 // another run is at work, or died within its lease
)

// errLost tells a run that another one has the work.
var errLost = errors.New("another run has begun")

type kept struct {
	held, finished bool
	last           *time.Time
}

// take asks for the work of the run's slot, in one round trip.
func (b *Base) take(ctx context.Context, run *Run) (grip, error) {
	run.holder = ids.New()
	var found *db.Row[kept]
	err := db.System(ctx, b.DB, "begin "+b.Name, func(tx *db.Tx) error {
		db.Exec(tx, `insert into app.schedules (name) values ($1) on conflict (name) do nothing`, b.Name)
		db.Exec(tx, `update app.schedules set started_slot = $2, started_at = now(), running_until = now() + $3::interval, holder = $4, outcome = 'running'
			where name = $1 and (running_until is null or running_until <= now()) and (finished_slot is null or finished_slot < $2)`,
			b.Name, run.Slot, b.Config.Lease, run.holder)
		found = db.One(tx, func(r pgx.CollectableRow) (k kept, err error) {
			err = r.Scan(&k.held, &k.last, &k.finished)
			return k, err
		}, `select holder is not distinct from $3::uuid, finished_slot, coalesce(finished_slot >= $2, false)
			from app.schedules where name = $1`, b.Name, run.Slot, run.holder)
		return nil
	})
	if err != nil {
		return 0, err
	}
	k, err := found.Value()
	if err != nil {
		return 0, err
	}
	if k.last != nil {
		run.Last = k.last.UTC()
	}
	switch {
	case k.held:
		return held, nil
	case k.finished:
		return finished, nil
	}
	return busy, nil
}

// prolong keeps the work, or says that it is another's.
func (b *Base) prolong(ctx context.Context, run *Run) error {
	return b.write(ctx, "go on with "+b.Name, `update app.schedules set running_until = now() + $3::interval where name = $1 and holder = $2`,
		b.Name, run.holder, b.Config.Lease)
}

func (b *Base) write(ctx context.Context, why, sql string, args ...any) error {
	var tag *db.Tag
	err := db.System(ctx, b.DB, why, func(tx *db.Tx) error {
		tag = db.Exec(tx, sql, args...)
		return nil
	})
	if err == nil && tag.Affected() == 0 {
		return errLost
	}
	return err
}

// finish remembers what a run came to and gives the work back.
func (b *Base) finish(ctx context.Context, run *Run, err error) result {
	// The run may have used up its time; what it came to is told all the same.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	got, outcome, why, slot := result{took: b.now().Sub(run.Now)}, "done", any(nil), any(run.Slot)
	switch {
	case onlyUnfinished(err):
		got.verdict, outcome, slot = unfinished, "unfinished", nil
	case err != nil:
		got.verdict, got.err, outcome, why, slot = failed, err, "failed", reason(err), nil
	}
	fault := b.write(ctx, "finish "+b.Name, `update app.schedules set outcome = $3, error = left($4, 2000), running_until = null, holder = null,
		  finished_slot = greatest(finished_slot, $5::timestamptz), finished_at = case when $5::timestamptz is null then finished_at else now() end
		where name = $1 and holder = $2`, b.Name, run.holder, outcome, why, slot)
	if fault != nil {
		return result{verdict: unrecorded, err: errors.Join(err, fault), took: got.took}
	}
	return got
}
