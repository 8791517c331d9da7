package usagereport

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/schedule"
)

// reconcile compares the sum of what was reported of each day with Stripe's, for
// days that have settled and did not agree yet.
func (s *service) reconcile(ctx context.Context, run *schedule.Run, m *meters) error {
	var after group
	for {
		if run.Enough(ctx) {
			return schedule.ErrUnfinished
		}
		all, err := s.unmatched(ctx, run.Now.Add(-settles), dayOf(run.Now).AddDate(0, 0, -oldest), after)
		if err != nil {
			return err
		}
		var mu sync.Mutex
		var faults []error
		var workers errgroup.Group
		workers.SetLimit(senders)
		for _, g := range all {
			workers.Go(func() error {
				err := s.compare(ctx, run, m, g)
				mu.Lock()
				defer mu.Unlock()
				if err != nil && len(faults) < 5 {
					faults = append(faults, err)
				}
				return nil
			})
		}
		_ = workers.Wait() // nothing above fails the group
		if len(faults) > 0 || len(all) < batch {
			return errors.Join(faults...)
		}
		after = all[len(all)-1].group
	}
}

func (s *service) compare(ctx context.Context, run *schedule.Run, m *meters, g total) error {
	there, err := s.sum(ctx, m, g.group)
	if errors.Is(err, payment.ErrMissing) {
		there, err = 0, nil // the customer was deleted
	}
	if err != nil {
		return err
	}
	state := "matched"
	if there != g.ours {
		state = "differs"
		s.log.ErrorContext(ctx, saysDiffers, "tenant", g.tenant, "customer", g.customer, "metric", g.metric, "day", g.date(), "ours", g.ours, "stripe", there)
	}
	run.Count(state, 1)
	return s.compared(ctx, g, state, there, run.Now)
}
