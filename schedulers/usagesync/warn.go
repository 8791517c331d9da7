package usagesync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/usage"
)

// thresholds are the parts of a limit, in percent, at which owners are told. The
// migration of usage_warnings knows them too.
var thresholds = []int{50, 80, 100}

const (
	// lookBack is how long before the last run a change of storage is looked for:
	// its transaction began then, and ended later.
	lookBack = 10 * time.Minute
	// changedAtOnce is how many organizations one look finds.
	changedAtOnce = 1000
)

// warnOfRequests tells the owners of those organizations, among some whose
// counters moved, that came to a threshold in this month and were not told yet.
// What comes late to a month that is over is too late for a warning.
func (s *service) warnOfRequests(ctx context.Context, run *schedule.Run, day usage.Day, tenants []ids.ID) error {
	period, _ := usage.Month(run.Now)
	if day < usage.DayOf(period) {
		return nil
	}
	var faults []error
	for some := range slices.Chunk(tenants, changedAtOnce) {
		faults = append(faults, s.warnOf(ctx, run, requests, period, some))
	}
	return errors.Join(faults...)
}

// warnOfStorage does the same for those whose files changed since the last run.
// With a new month it looks at everybody: who is near the limit is told once in
// each.
func (s *service) warnOfStorage(ctx context.Context, run *schedule.Run) error {
	period, _ := usage.Month(run.Now)
	since := run.Last.Add(-lookBack)
	if run.Last.Before(period) {
		since = time.Time{}
	}
	var faults []error
	for after := ids.Nil; ; {
		if run.Enough(ctx) {
			return errors.Join(append(faults, schedule.ErrUnfinished)...)
		}
		tenants, err := s.changed(ctx, since, after)
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
		faults = append(faults, s.warnOf(ctx, run, storage, period, tenants))
		if len(tenants) < changedAtOnce {
			return errors.Join(faults...)
		}
		after = tenants[len(tenants)-1]
	}
}

// warnOf tells the owners of some organizations, one by one: one that fails
// keeps none of the others.
func (s *service) warnOf(ctx context.Context, run *schedule.Run, m metric, period time.Time, tenants []ids.ID) error {
	if len(tenants) == 0 {
		return nil
	}
	near, err := s.near(ctx, m, period, tenants)
	if err != nil {
		return err
	}
	var faults []error
	for _, n := range near {
		if run.Enough(ctx) {
			return errors.Join(append(faults, schedule.ErrUnfinished)...)
		}
		told, err := s.tell(ctx, m, period, n)
		if err != nil {
			faults = append(faults, fmt.Errorf("organization %s: %w", n.tenant, err))
		}
		if told {
			run.Count("warnings", 1)
			s.at("told")
		}
	}
	return errors.Join(faults...)
}

// reached are the thresholds that a quantity has come to, lowest first.
func reached(quantity, allowed int64) (out []int) {
	for _, t := range thresholds {
		// As numbers that cannot overflow: a limit is below 2^53.
		if float64(quantity)*100 >= float64(allowed)*float64(t) {
			out = append(out, t)
		}
	}
	return out
}
