package payment

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/queue"
)

var (
	// ErrStale refuses a state that was fetched before another one was written.
	ErrStale = errs.New(errs.Conflict, "billing_overtaken", "The subscription changed at the same time. Try again.")
	// ErrForeign refuses a state whose objects name another tenant.
	ErrForeign = errors.New("payment: the customer's objects at Stripe name another tenant")
	// ErrUnknownPlan refuses a subscription to a price that is not ours.
	ErrUnknownPlan = errors.New("payment: the subscription's price at Stripe names no plan of ours")
)

// Effective is the plan whose limits hold: that of a subscription that goes on.
// What is owed locks nobody out before the time of grace is over.
func (v Row) Effective(at time.Time) string {
	switch v.Status {
	case StatusActive, StatusTrialing:
		return v.Plan
	case StatusPastDue:
		if v.PastDueSince == nil || at.Before(v.PastDueSince.Add(plans.Grace)) {
			return v.Plan
		}
	}
	return plans.Free
}

// next is the row that a state makes of the present one.
func (v Row) next(s *State, at time.Time) (Row, error) {
	sub := s.Subscription
	if sub == nil {
		return v, nil
	}
	if _, known := plans.Get(sub.Plan); !known || sub.Plan == plans.Free {
		return v, ErrUnknownPlan
	}
	out := v
	out.Subscription, out.Plan, out.Status, out.Interval = sub.ID, sub.Plan, sub.Status, sub.Interval
	out.PendingPlan, out.PendingInterval = sub.PendingPlan, sub.PendingInterval
	out.PeriodStart, out.PeriodEnd, out.TrialEnd = &sub.Start, &sub.End, sub.TrialEnd
	out.CancelAtPeriodEnd, out.CanceledAt = sub.CancelAtPeriodEnd, sub.CanceledAt
	out.NextInvoiceAt = nil
	if sub.Live() && !sub.CancelAtPeriodEnd {
		out.NextInvoiceAt = &sub.End
	}
	switch {
	case sub.Status != StatusPastDue:
		out.PastDueSince = nil
	case v.PastDueSince == nil || v.Subscription != sub.ID:
		out.PastDueSince = &at
	}
	return out, nil
}

func same(a, b *time.Time) bool { return a == nil && b == nil || a != nil && b != nil && a.Equal(*b) }

// equal compares what a state decides about.
func (v Row) equal(o Row) bool {
	return v.Subscription == o.Subscription && v.Plan == o.Plan && v.Status == o.Status && v.Interval == o.Interval && v.PendingPlan == o.PendingPlan &&
		v.PendingInterval == o.PendingInterval && same(v.PeriodStart, o.PeriodStart) && same(v.PeriodEnd, o.PeriodEnd) && same(v.NextInvoiceAt, o.NextInvoiceAt) &&
		same(v.TrialEnd, o.TrialEnd) && v.CancelAtPeriodEnd == o.CancelAtPeriodEnd && same(v.CanceledAt, o.CanceledAt) && same(v.PastDueSince, o.PastDueSince)
}

func (v Row) changes(o Row) activity.Changes {
	before, after := map[string]any{}, map[string]any{}
	for _, side := range []struct {
		into map[string]any
		row  Row
	}{{before, v}, {after, o}} {
		side.into["plan"], side.into["status"], side.into["interval"] = side.row.Plan, side.row.Status, side.row.Interval
		side.into["pending_plan"], side.into["cancel_at_period_end"] = side.row.PendingPlan, side.row.CancelAtPeriodEnd
		if side.row.PeriodEnd != nil {
			side.into["current_period_end"] = side.row.PeriodEnd.Format(time.RFC3339)
		}
	}
	return activity.Diff(before, after)
}

// Apply writes a state down in the tenant's transaction: subscription, plan,
// invoices, cards, with the activity and the mails that follow. revision is of
// the row before the state was fetched. It awaits results.
func Apply(ctx context.Context, tx *db.Tx, revision int64, s *State) (Row, error) {
	if !s.Of(tx.Tenant()) {
		return Row{}, ErrForeign
	}
	stripeIDs := make([]string, 0, len(s.Invoices))
	for _, i := range s.Invoices {
		stripeIDs = append(stripeIDs, i.ID)
	}
	// The organization first, as everybody who changes it locks it.
	plan, locked, clock, have := organizationPlan(tx), lock(tx), now(tx), storedInvoices(tx, stripeIDs)
	before, err := locked.Await(ctx)
	if err != nil {
		return Row{}, err
	}
	if before.Revision != revision || before.Customer != s.Customer {
		return Row{}, ErrStale
	}
	at, err := clock.Value()
	if err != nil {
		return Row{}, err
	}
	after, err := before.next(s, at.UTC())
	if err != nil {
		return Row{}, err
	}
	touch(tx)
	if !before.equal(after) {
		update(tx, after)
		after.Version++
		changed(tx, before, after)
	}
	// Also when the row is the same: the time of grace runs out by itself. A
	// plan that was given outside of Stripe stays until Stripe has one.
	if had, err := plan.Value(); err != nil {
		return Row{}, err
	} else if want := after.Effective(at); after.Subscription != "" && want != had && (before.Effective(at) != want || after.Status == StatusPastDue) {
		setPlan(tx, want)
		tx.Record(activity.Updated("Organization", tx.Tenant(), activity.Changes{"plan": {Old: had, New: want}}))
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{}))
	}
	known, err := have.Value()
	if err != nil {
		return Row{}, err
	}
	bills(tx, known, s.Invoices)
	replaceMethods(tx, s.Methods)
	after.Revision++
	return after, nil
}

func changed(tx *db.Tx, before, after Row) {
	if c := before.changes(after); len(c) > 0 {
		tx.Record(activity.Updated("Subscription", tx.Tenant(), c))
	}
	ends := func(v Row) bool { return v.CancelAtPeriodEnd || v.Status == StatusCanceled && v.Subscription != "" }
	was := before.Subscription == after.Subscription && ends(before)
	// A first payment that never came is no subscription that anybody misses.
	if ends(after) && !was && before.Status != StatusIncomplete && before.Subscription != "" {
		tx.Enqueue(queue.MailSubscriptionCanceled.Message("", queue.None{}))
	}
}

// bills writes the invoices that differ, and tells the owners of payments.
func bills(tx *db.Tx, known []stored, all []Invoice) {
	by := make(map[string]stored, len(known))
	for _, k := range known {
		by[k.stripeID] = k
	}
	for _, i := range all {
		k, there := by[i.ID]
		if there && k.status == i.Status && k.attempts == i.Attempts && k.due == i.Due && k.paid == i.Paid && k.number == i.Number && k.hosted == i.HostedURL && k.pdfURL == i.PDF {
			continue
		}
		id := k.id
		if !there {
			id = ids.New()
		}
		upsertInvoice(tx, id, i)
		switch {
		case i.Status == "paid" && k.status != "paid" && i.Paid > 0:
			tx.Enqueue(queue.MailPaymentSucceeded.Message("", queue.Invoice{InvoiceID: id}))
		case i.Status == "open" && i.Attempts > k.attempts && !i.First:
			tx.Enqueue(queue.MailPaymentFailed.Message("", queue.Invoice{InvoiceID: id}))
		}
	}
}

// attempts is how often a state that was overtaken is fetched again.
const attempts = 8

// Sync makes a tenant's rows equal to what Stripe has. invoice names one that
// must be among what is read; "" is none. write runs its function in a
// transaction of the tenant.
func (c *Client) Sync(ctx context.Context, d *db.DB, by identity.Principal, invoice string, write func(func(*db.Tx) error) error) (*State, Row, error) {
	var err error
	for range attempts {
		var row *db.Row[Row]
		if err := db.Read(ctx, d, by, func(tx *db.Tx) error { row = Get(tx); return nil }); err != nil {
			return nil, Row{}, err
		}
		have, fault := row.Value()
		if fault != nil {
			return nil, Row{}, fault
		}
		state, fault := c.Fetch(ctx, have.Customer)
		if fault != nil {
			return nil, Row{}, fault
		}
		if invoice != "" {
			if err := c.FetchInvoice(ctx, state, invoice); err != nil && !errors.Is(err, ErrMissing) {
				return nil, Row{}, err
			}
		}
		var after Row
		err = write(func(tx *db.Tx) error {
			var fault error
			after, fault = Apply(ctx, tx, have.Revision, state)
			return fault
		})
		if !errors.Is(err, ErrStale) {
			return state, after, err
		}
	}
	return nil, Row{}, ErrUnavailable.WithCause(err)
}
