package usagereport

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/schedule"
)

// prepare writes down what has to be said of the days that are over: of those
// that no run has seen yet, of every organization that pays; of a week before,
// what came late of those that were reported by then.
func (s *service) prepare(ctx context.Context, run *schedule.Run) error {
	yesterday := dayOf(run.Now).AddDate(0, 0, -1)
	unseen := yesterday
	if !run.Last.IsZero() {
		unseen = dayOf(run.Last) // a run sees the days before its own
	}
	if first := yesterday.AddDate(0, 0, -oldest+1); unseen.Before(first) {
		unseen = first
	}
	for day := earlier(unseen, yesterday.AddDate(0, 0, -late)); !day.After(yesterday); day = day.AddDate(0, 0, 1) {
		if run.Enough(ctx) {
			return schedule.ErrUnfinished
		}
		n, err := s.write(ctx, day, !day.Before(unseen))
		run.Count("reports", n)
		if err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
