package dailysummary

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/digest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
)

// run goes once through everybody who is due. Who could not be served stays
// due; the others do not wait for them.
func (s *service) run(ctx context.Context, run *schedule.Run) error {
	var at place
	var faults []error
	for {
		if run.Enough(ctx) {
			return errors.Join(append(faults, schedule.ErrUnfinished)...)
		}
		people, err := s.due(ctx, run.Now, at)
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
		if err := s.serve(ctx, run, people); err != nil {
			if faults = append(faults, err); len(faults) > maxFaults {
				return errors.Join(faults...)
			}
		}
		if len(people) < s.batch {
			return errors.Join(faults...)
		}
		at = place{people[len(people)-1].due, people[len(people)-1].id}
	}
}

// maxFaults is after how many batches with a fault a run gives up: then it is
// not about one shard.
const maxFaults = 10

// serve leaves the messages for some people, then moves those on whose messages
// are there.
func (s *service) serve(ctx context.Context, run *schedule.Run, people []person) error {
	mail, err := s.organizations(ctx, people)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := map[ids.ID]bool{}
	var faults []error
	var group errgroup.Group
	group.SetLimit(s.writers)
	for tenant, members := range mail {
		group.Go(func() error {
			rows := make([]message, 0, len(members))
			for _, p := range members {
				rows = append(rows, messageFor(tenant, p, run.Now))
			}
			n, err := s.leave(ctx, tenant, rows)
			run.Count("messages", n)
			if err == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if len(faults) == 0 {
				faults = append(faults, fmt.Errorf("organization %s: %w", tenant, err))
			}
			for _, p := range members {
				failed[p.id] = true
			}
			return nil // the others are served all the same
		})
	}
	_ = group.Wait() // nothing above fails the group
	moves := map[move][]ids.ID{}
	for _, p := range people {
		if failed[p.id] {
			continue
		}
		m := move{from: p.due}
		if p.wanted {
			m.to = digest.Next(run.Now, p.zone)
		}
		moves[m] = append(moves[m], p.id)
	}
	n, err := s.move(ctx, moves)
	run.Count("people", n)
	return errors.Join(append(faults, err)...)
}

// messageFor is the summary that was due for p last.
func messageFor(tenant ids.ID, p person, now time.Time) message {
	day := digest.Day(now, p.zone)
	return message{id: digest.ID(tenant, p.id, day), user: p.id, day: day}
}
