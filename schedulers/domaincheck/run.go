package domaincheck

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/schedule"
)

// atATime is how many domains are asked for at a time.
const atATime = 16

// run looks at every domain that is due, and drops those that waited too long.
func (s *service) run(ctx context.Context, run *schedule.Run) error {
	var faults []error
	for at := (place{}); ; {
		if run.Enough(ctx) {
			return errors.Join(append(faults, schedule.ErrUnfinished)...)
		}
		hosts, err := s.due(ctx, run.Now, at)
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
		if err := s.check(ctx, run, hosts); err != nil {
			if faults = append(faults, err); errors.Is(err, errResolver) || len(faults) > maxFaults {
				return errors.Join(faults...)
			}
		}
		if len(hosts) < s.batch {
			return errors.Join(faults...)
		}
		last := hosts[len(hosts)-1]
		at = place{last.due, last.tenant, last.id}
	}
}

// maxFaults is after how many batches with a fault a run gives up.
const maxFaults = 10

// errResolver stops a run whose answers cannot be believed.
var errResolver = errors.New("more domains than not lost their record at once: look at the resolver (DNS_RESOLVER)")

// few is how many domains may lose their record at once without a doubt about
// the resolver.
const few = 10

type looked struct {
	answer domain.Answer
	err    error
}

// check asks for some domains and then writes down what was found.
func (s *service) check(ctx context.Context, run *schedule.Run, hosts []host) error {
	found := make([]looked, len(hosts))
	var asking errgroup.Group
	asking.SetLimit(atATime)
	for i, h := range hosts {
		if !h.verified {
			continue
		}
		asking.Go(func() error {
			found[i].answer, found[i].err = domain.Look(ctx, s.dns, h.name, h.token)
			return nil
		})
	}
	_ = asking.Wait() // what fails is an answer, too
	verified, lost := 0, 0
	for i, h := range hosts {
		if h.verified {
			verified++
			if found[i].answer == domain.Absent && h.failures == 0 {
				lost++
			}
		}
	}
	if lost > few && lost*2 > verified {
		return fmt.Errorf("%w: %d of %d", errResolver, lost, verified)
	}
	var faults []error
	for i, h := range hosts {
		if err := s.settle(ctx, run, h, found[i]); err != nil && len(faults) < maxFaults {
			faults = append(faults, fmt.Errorf("domain %s of organization %s: %w", h.id, h.tenant, err))
		}
	}
	return errors.Join(faults...)
}

func (s *service) settle(ctx context.Context, run *schedule.Run, h host, l looked) error {
	switch {
	case !h.verified:
		run.Count("dropped", 1)
		return s.drop(ctx, h)
	case l.answer == domain.Present:
		run.Count("present", 1)
		return s.note(ctx, h, 0, nil, run.Now)
	case l.answer == domain.Unknown:
		// Looked at again with the next run, and not counted.
		run.Count("unknown", 1)
		return nil
	}
	since := run.Now
	if h.since != nil {
		since = *h.since
	}
	if h.failures+1 >= looks && run.Now.Sub(since) >= grace {
		run.Count("lost", 1)
		return s.lose(ctx, h, run.Now.Add(hold))
	}
	run.Count("absent", 1)
	return s.note(ctx, h, h.failures+1, &since, run.Now)
}
