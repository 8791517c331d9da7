package outboxrelay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// Times of the relay.
const (
	// parked is how long a message that waits for another of its key is left
	// alone, if nothing wakes it before.
	parked = 15 * time.Second
	// owners claims run side by side.
	sideBySide = 8
	// grace is how much older than its consumer's max_age a message becomes
	// before the relay gives it up by itself: a consumer that answers is the
	// first to say so.
	grace = 15 * time.Minute
)

// relay hands messages over, pass by pass.
type relay struct {
	store    store
	registry *queue.Registry
	tasks    queue.Deliverer
	events   queue.Deliverer
	address  func(function string) string
	windows  map[queue.Owner]map[string]window
	log      *slog.Logger

	lease, pause time.Duration // Config has others

	mu     sync.Mutex
	cursor map[queue.Owner]ids.ID // where the last pass stopped for want of room
}

func newRelay(s store, registry *queue.Registry, tasks, events queue.Deliverer, address func(string) string, log *slog.Logger) *relay {
	return &relay{
		store: s, registry: registry, tasks: tasks, events: events, address: address, log: log,
		lease: 45 * time.Second, pause: 5 * time.Second,
		windows: map[queue.Owner]map[string]window{
			queue.ForTenant: windows(registry, queue.ForTenant), queue.ForPerson: windows(registry, queue.ForPerson),
		},
		cursor: map[queue.Owner]ids.ID{},
	}
}

// count is what a pass came to.
type count struct {
	HandedOver int `json:"handed_over"`
	Refused    int `json:"refused"`
	GivenUp    int `json:"given_up"`
	// Waiting tells that messages are due that had no room.
	Waiting bool `json:"waiting"`

	// down is why a service takes nothing.
	down error
}

func (c *count) add(o count) {
	c.HandedOver += o.HandedOver
	c.Refused += o.Refused
	c.GivenUp += o.GivenUp
	c.Waiting = c.Waiting || o.Waiting
	if c.down == nil {
		c.down = o.down
	}
}

// pass goes once through everybody with due messages, as often as that brings
// new ones to hand over. It ends when nothing is due, nothing more fits, or ctx
// ends.
func (r *relay) pass(ctx context.Context) (count, error) {
	var total count
	for ctx.Err() == nil {
		var (
			round  count
			faults []error
		)
		for _, b := range boxes {
			n, err := r.round(ctx, b)
			round.add(n)
			faults = append(faults, err)
		}
		total.HandedOver += round.HandedOver
		total.Refused += round.Refused
		total.GivenUp += round.GivenUp
		total.Waiting = round.Waiting
		if err := errors.Join(append(faults, round.down)...); err != nil {
			return total, err
		}
		if round.HandedOver == 0 {
			return total, nil
		}
	}
	return total, ctx.Err()
}

// round gives each owner with due messages one turn. It begins after the owner
// with whom a kind's room ended the last time, so that everybody's turn comes.
func (r *relay) round(ctx context.Context, b box) (count, error) {
	var total count
	start := r.from(b)
	at, wrapped, next := start, start == ids.Nil, ids.Nil
	for ctx.Err() == nil {
		found, err := r.store.look(ctx, b, at, ahead)
		if err != nil {
			return total, err
		}
		room := newRoom(r.windows[b.of], found.busy)
		if room.short() && next == ids.Nil {
			next = start
		}
		for _, group := range chunks(found.owners, sideBySide) {
			n, err := r.turn(ctx, b, group, room)
			total.add(n)
			if err != nil {
				return total, err
			}
			at = group[len(group)-1]
			if room.ended() && (next == ids.Nil || next == start) {
				next = at
			}
			if !room.any() {
				r.stopAt(b, at)
				total.Waiting = true
				return total, nil
			}
		}
		switch {
		case found.full:
		case wrapped:
			r.stopAt(b, next)
			total.Waiting = next != ids.Nil
			return total, nil
		default:
			at, wrapped = ids.Nil, true
		}
	}
	return total, ctx.Err()
}

// turn claims and hands over for a few owners at a time.
func (r *relay) turn(ctx context.Context, b box, owners []ids.ID, room *room) (count, error) {
	var (
		mu    sync.Mutex
		total count
		group errgroup.Group
	)
	for _, owner := range owners {
		mine := room.share(len(owners))
		group.Go(func() error {
			messages, err := r.store.claim(ctx, b, owner, mine, r.lease, parked)
			if err != nil || len(messages) == 0 {
				return err
			}
			room.use(messages)
			messages, lost, err := r.giveUp(ctx, b, messages)
			if err != nil {
				return err
			}
			n, err := r.handOver(ctx, b, owner, messages, room)
			n.GivenUp = lost
			mu.Lock()
			defer mu.Unlock()
			total.add(n)
			return err
		})
	}
	return total, group.Wait()
}

// giveUp makes dead letters of messages that were handed over before and of
// which nobody has told, for so long, what became of them: their consumer dies
// of them, or is not there. It gives those that are left.
func (r *relay) giveUp(ctx context.Context, b box, messages []queue.Handover) (left []queue.Handover, lost int, err error) {
	left = messages[:0]
	for _, m := range messages {
		e := m.Envelope
		limit, age := r.windows[b.of][e.Kind].age, time.Since(e.CreatedAt)
		if limit == 0 || m.Number == 1 || age <= limit+grace {
			left = append(left, m)
			continue
		}
		reason := fmt.Sprintf("handed over %d times, and no consumer told what became of it", m.Number-1)
		if m.Trouble != "" {
			reason += "; before: " + m.Trouble
		}
		if err := r.store.giveUp(ctx, e, reason); err != nil {
			return nil, lost, err
		}
		lost++
		// As consumers say it, so that one alert counts both.
		r.log.LogAttrs(ctx, slog.LevelError, "message", slog.String("kind", e.Kind), slog.String("message_id", e.ID.String()),
			slog.String("result", "dead"), slog.Duration("age", age), slog.String(b.column, e.Owner().String()), slog.String("error", reason))
	}
	return left, lost, nil
}

// handOver gives an owner's claimed messages to their services and takes back
// what those did not accept. A failure to take back is mended by the lease.
//
// A service that is down gets nothing more in this round, the other one does.
func (r *relay) handOver(ctx context.Context, b box, owner ids.ID, messages []queue.Handover, room *room) (count, error) {
	var tasks, events []queue.Handover
	for _, m := range messages {
		m.Route, _ = r.registry.Route(m.Envelope.Kind)
		if m.Route.Topic != "" {
			events = append(events, m)
			continue
		}
		m.Consumer, _ = r.registry.Consumer(m.Route.Consumer)
		m.URL = r.address(m.Consumer.Name)
		tasks = append(tasks, m)
	}
	var (
		total    count
		rejected []ids.ID
		fault    error
	)
	for _, part := range []struct {
		to       queue.Deliverer
		messages []queue.Handover
	}{{r.tasks, tasks}, {r.events, events}} {
		if len(part.messages) == 0 {
			continue
		}
		for i, err := range part.to.Deliver(ctx, part.messages) {
			if err == nil {
				total.HandedOver++
				continue
			}
			rejected, fault = append(rejected, part.messages[i].Envelope.ID), err
			if errs.KindOf(err) == errs.Unavailable {
				total.down = fmt.Errorf("hand over: %w", err)
				room.shut(func(kind string) bool {
					route, _ := r.registry.Route(kind)
					return (route.Topic != "") == (part.messages[i].Route.Topic != "")
				})
			}
		}
	}
	if len(rejected) == 0 {
		return total, nil
	}
	total.Refused = len(rejected)
	r.log.WarnContext(ctx, "messages were not handed over", "count", len(rejected), "error", fault.Error())
	// Not the request's context: it may be its end that broke the hand-over.
	quiet, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	wait := r.pause + rand.N(r.pause/5+1) //nolint:gosec // jitter is no secret
	return total, r.store.release(quiet, b, owner, rejected, fault.Error(), wait)
}

func (r *relay) from(b box) ids.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cursor[b.of]
}

func (r *relay) stopAt(b box, owner ids.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cursor[b.of] = owner
}
