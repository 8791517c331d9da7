// Package usagesync is the schedule that moves what the edge counted from Redis
// into app.usage_records, and tells owners when their organization comes near to
// the limits of its plan. shared/usage says how counters and records hang
// together, docs/usage.md what can be lost.
//
// Every five minutes it looks at the hashes of each day that can still be there,
// and raises the records of those that took something since. It may do so twice,
// beside another run, or die in the middle: a record is raised to a counter and
// never added to. A day's hashes go when the day is an hour over and all of them
// is in the records.
package usagesync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/usage"
)

// Name is the function's, as functions.json has it.
const Name = "usagesync"

const (
	// every is how often it runs, as functions.json has it.
	every = 5 * time.Minute
	// page is how many counters are read, and records raised, at a time.
	page = 1000
	// linger is how long after its end a day's counters stay where they are: what
	// routers still hold of it then comes to the same hash.
	linger = time.Hour
	// maxFaults is after how many shards with a fault a run gives up: then it is
	// not about one shard.
	maxFaults = 10
)

type settings struct {
	Redis cache.Config
}

type service struct {
	db    *db.DB
	redis *cache.Client
	log   *slog.Logger
	at    func(string) // for tests that end a run at a point
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	return open(lookup, func(string) {})
}

func open(lookup config.Lookup, at func(string), opts ...schedule.Option) (*serve.App, error) {
	s, base, err := build(lookup, at, opts...)
	if err != nil {
		return nil, err
	}
	return base.App(s.run), nil
}

func build(lookup config.Lookup, at func(string), opts ...schedule.Option) (*service, *schedule.Base, error) {
	cfg, err := config.Load[settings](lookup)
	if err != nil {
		return nil, nil, err
	}
	base, err := schedule.Open(lookup, Name, opts...)
	if err != nil {
		return nil, nil, err
	}
	redis, err := cache.Open(cfg.Redis)
	if err != nil {
		return nil, nil, err
	}
	base.OnClose(redis.Close)
	return &service{db: base.DB, redis: redis, log: base.Log, at: at}, base, nil
}

func (s *service) run(ctx context.Context, run *schedule.Run) error {
	var faults []error
	// Until tomorrow: a router's clock may be ahead of ours.
	for day := usage.Oldest(run.Now); day <= usage.DayOf(run.Now)+1; day++ {
		if len(faults) > maxFaults {
			return errors.Join(faults...)
		}
		if run.Enough(ctx) {
			return errors.Join(append(faults, schedule.ErrUnfinished)...)
		}
		states, err := usage.States(ctx, s.redis, day)
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
		for shard, state := range states {
			if err := s.shard(ctx, run, day, shard, state); err != nil {
				faults = append(faults, fmt.Errorf("counters of %s, shard %d: %w", day, shard, err))
			}
		}
	}
	return errors.Join(errors.Join(faults...), s.warnOfStorage(ctx, run))
}

// shard moves one hash, if anything came to it, tells the owners of those who
// came to a threshold by it, and takes it away when its day is over.
func (s *service) shard(ctx context.Context, run *schedule.Run, day usage.Day, shard int, state usage.State) error {
	if state.Epoch == ids.Nil {
		return nil
	}
	if state.Behind() {
		tenants, err := s.move(ctx, run, day, shard)
		if err != nil {
			return err
		}
		s.at("moved")
		if err := s.warnOfRequests(ctx, run, day, tenants); err != nil {
			return err
		}
		// Only now: what is not marked is looked at again.
		if err := usage.Mark(ctx, s.redis, day, shard, state); err != nil {
			return err
		}
		s.at("marked")
	}
	if run.Now.Before((day + 1).Start().Add(linger)) {
		return nil
	}
	gone, err := usage.Drop(ctx, s.redis, day, shard, state)
	if gone {
		run.Count("shards over", 1)
		s.at("dropped")
	}
	return err
}

// move raises the records of a hash, page by page, each in a transaction, and
// gives the organizations that may have come to a threshold by it: those whose
// record changed, or everybody when a run before did not come to its end and
// told nobody.
func (s *service) move(ctx context.Context, run *schedule.Run, day usage.Day, shard int) ([]ids.ID, error) {
	all := run.Now.Sub(run.Last) > 3*every/2
	var tenants []ids.ID
	for cursor := usage.First; ; {
		p, err := usage.Scan(ctx, s.redis, day, shard, cursor, page)
		if err != nil {
			return nil, err
		}
		s.at("read")
		// One order for all, so that two runs wait for each other.
		slices.SortFunc(p.Counts, func(a, b usage.Count) int { return bytes.Compare(a.Tenant[:], b.Tenant[:]) })
		for counts := range slices.Chunk(p.Counts, page) { // small hashes come whole
			raised, err := s.raise(ctx, day, p.Epoch, counts)
			if err != nil {
				return nil, err
			}
			run.Count("records", len(raised))
			if all {
				raised = raised[:0]
				for _, c := range counts {
					raised = append(raised, c.Tenant)
				}
			}
			tenants = append(tenants, raised...)
			s.at("raised")
		}
		if cursor = p.Cursor; cursor == usage.First {
			return tenants, nil
		}
	}
}
