// Package billingsync is the schedule that keeps billing from depending on
// webhooks alone. Every five minutes it
//
//   - hands events on that wait: of customers who were not claimed yet when the
//     event came, and those whose message was lost. An event whose customer
//     nobody claims within three days is given up, as failed, by an error in the
//     log that an alert counts;
//   - has the customers looked at whose state may have changed without a word: a
//     period that ended, a payment that is owed (its time of grace runs out by
//     itself), and everybody once a day.
//
// It asks Stripe nothing itself: what it leaves are messages for
// functions/stripeevents.
package billingsync

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "billingsync"

const (
	batch = 500
	// patience is how long the message that came with an event has, before
	// the event is handed on again.
	patience = 2 * time.Minute
	// giveUp is how long the claim of a customer is waited for.
	giveUp = 72 * time.Hour
)

type service struct {
	db  *db.DB
	log *slog.Logger
}

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup) }

func open(lookup config.Lookup, opts ...schedule.Option) (*serve.App, error) {
	base, err := schedule.Open(lookup, Name, opts...)
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, log: base.Log}
	return base.App(s.run), nil
}

func (s *service) run(ctx context.Context, run *schedule.Run) error {
	return errors.Join(s.events(ctx, run.Now), s.customers(ctx, run.Now))
}

// events hands on what waits, one by one: one that fails keeps none of the
// others.
func (s *service) events(ctx context.Context, now time.Time) error {
	var open *db.Rows[event]
	if err := db.System(ctx, s.db, "events of Stripe that wait", func(tx *db.Tx) error { open = takeEvents(tx, now); return nil }); err != nil {
		return err
	}
	waiting, err := open.Value()
	if err != nil {
		return err
	}
	var faults []error
	for _, e := range waiting {
		faults = append(faults, s.event(ctx, now, e))
	}
	return errors.Join(faults...)
}

func (s *service) event(ctx context.Context, now time.Time, e event) error {
	if e.tenant != ids.Nil {
		return db.Note(ctx, s.db, identity.Principal{TenantID: e.tenant}, func(tx *db.Tx) error {
			tx.Enqueue(queue.BillingEvent.Message(e.customer, queue.StripeEvent{EventID: e.id}))
			return nil
		})
	}
	if now.Sub(e.receivedAt) < giveUp {
		return nil // later
	}
	s.log.ErrorContext(ctx, "an event of Stripe names a customer whom nobody has claimed: given up", "event", e.id, "type", e.kind, "customer", e.customer)
	return db.System(ctx, s.db, "give an event of Stripe up", func(tx *db.Tx) error { giveEventUp(tx, e.id); return nil })
}

// customers has those looked at who are due. A message of the same kind that
// waits already is enough.
func (s *service) customers(ctx context.Context, now time.Time) error {
	var due *db.Rows[customer]
	if err := db.System(ctx, s.db, "customers of Stripe who are due", func(tx *db.Tx) error { due = dueCustomers(tx, now); return nil }); err != nil {
		return err
	}
	all, err := due.Value()
	if err != nil {
		return err
	}
	var faults []error
	for _, c := range all {
		faults = append(faults, db.Note(ctx, s.db, identity.Principal{TenantID: c.tenant}, func(tx *db.Tx) error {
			tx.Enqueue(queue.BillingSync.Message(c.customer, queue.None{}))
			return nil
		}))
	}
	return errors.Join(faults...)
}
