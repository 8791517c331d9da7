package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/schedule"
)

// run goes through all that may be due. A part that fails keeps no other from
// its turn; a run whose time is up stops and is called again.
func (s *service) run(ctx context.Context, run *schedule.Run) error {
	parts := []func(context.Context, *schedule.Run) error{s.eraseTenants, s.erasePeople, s.eraseUploads, s.eraseWork, s.eraseFiles, s.freeHosts, s.eraseEvents}
	for _, r := range s.rules() {
		parts = append(parts, func(ctx context.Context, run *schedule.Run) error { return s.apply(ctx, run, r) })
	}
	var faults []error
	for _, part := range parts {
		if run.Enough(ctx) {
			return errors.Join(append(faults, schedule.ErrUnfinished)...)
		}
		if err := part(ctx, run); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// ownersAtATime is how many owners are listed at a time, and maxFaults after how
// many of them that failed a part gives up for this run.
const (
	ownersAtATime = 500
	maxFaults     = 10
)

// source says which owners have something due: condition speaks of the rows of
// table as x and of the time before which they are due as $1.
type source struct {
	name, table, owner, kind, condition string
	before                              time.Time
}

// each calls do for every owner that has something due, in the order of their
// ids.
func (s *service) each(ctx context.Context, run *schedule.Run, from source, do func(ctx context.Context, owner string) error) error {
	after := map[string]string{"uuid": "00000000-0000-0000-0000-000000000000", "text": ""}[from.kind]
	query := `select distinct x.` + from.owner + `::text as owner, x.` + from.owner + ` from app.` + from.table + ` x
		where ` + from.condition + ` and x.` + from.owner + ` > $2::` + from.kind + ` order by x.` + from.owner + ` limit $3`
	var faults []error
	for {
		var found *db.Rows[string]
		err := db.System(ctx, s.db, "find owners of "+from.name+" that are due", func(tx *db.Tx) error {
			found = db.Many(tx, func(r pgx.CollectableRow) (owner string, err error) {
				err = r.Scan(&owner, nil)
				return owner, err
			}, query, from.before, after, ownersAtATime)
			return nil
		})
		if err != nil {
			return errors.Join(append(faults, fmt.Errorf("%s: %w", from.name, err))...)
		}
		owners, err := found.Value()
		if err != nil {
			return errors.Join(append(faults, fmt.Errorf("%s: %w", from.name, err))...)
		}
		for _, owner := range owners {
			if run.Enough(ctx) {
				return errors.Join(append(faults, schedule.ErrUnfinished)...)
			}
			if err := do(ctx, owner); err != nil {
				if faults = append(faults, fmt.Errorf("%s of %s: %w", from.name, owner, err)); len(faults) >= maxFaults {
					return errors.Join(faults...)
				}
			}
		}
		if len(owners) < ownersAtATime {
			return errors.Join(faults...)
		}
		after = owners[len(owners)-1]
	}
}

// drain runs a statement that changes a batch of rows until it changes none.
func (s *service) drain(ctx context.Context, run *schedule.Run, name, sql string, args ...any) error {
	for {
		if run.Enough(ctx) {
			return schedule.ErrUnfinished
		}
		n, err := s.exec(ctx, "erase "+name, sql, args...)
		run.Count(name, n)
		if err != nil || n == 0 {
			return err
		}
	}
}

func (s *service) exec(ctx context.Context, why, sql string, args ...any) (int, error) {
	var tag *db.Tag
	err := db.System(ctx, s.db, why, func(tx *db.Tx) error {
		tag = db.Exec(tx, sql, args...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(tag.Affected()), nil
}
