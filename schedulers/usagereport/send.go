package usagereport

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/billing/meterevent"
	"github.com/stripe/stripe-go/v76/billing/metereventsummary"
	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/schedule"
)

// The lines of the log that alerts count (terraform/modules/monitoring). Both
// need a person: docs/runbooks/usage.md.
const (
	saysDiffers = "usage differs from Stripe"
	saysRefused = "usage was refused by Stripe"
)

// send sends every report that is not known to have arrived, a batch at a time:
// noted as tried before, and as reported after. What Stripe refuses is marked
// and told; while Stripe cannot be reached the rest waits for the next run.
func (s *service) send(ctx context.Context, run *schedule.Run, m *meters) error {
	for {
		if run.Enough(ctx) {
			return schedule.ErrUnfinished
		}
		all, err := s.pending(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		if err := s.attempt(ctx, all, run.Now); err != nil {
			return err
		}
		s.at("tried")
		arrived, failed, fault := s.sendAll(ctx, run, m, all)
		s.at("sent")
		if err := s.arrived(ctx, arrived, run.Now); err != nil {
			return err
		}
		s.at("noted")
		run.Count("reported", len(arrived))
		for _, f := range failed {
			s.log.ErrorContext(ctx, saysRefused, "tenant", f.tenant, "metric", f.metric, "day", f.date(), "quantity", f.quantity, "error", f.reason)
			if err := s.fail(ctx, f.report, f.reason); err != nil {
				return err
			}
		}
		run.Count("refused", len(failed))
		if fault != nil {
			return fault
		}
	}
}

type failure struct {
	report
	reason string
}

// sendAll sends a batch. What is neither arrived nor failed was not sent, or
// nobody knows.
func (s *service) sendAll(ctx context.Context, run *schedule.Run, m *meters, all []report) (arrived []report, failed []failure, fault error) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(senders)
	for _, r := range all {
		group.Go(func() error {
			mu.Lock()
			down := fault != nil
			mu.Unlock()
			if down {
				return nil // each would wait as long for the same answer
			}
			reason, err := s.sendOne(ctx, run, m, r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				fault = err
			case reason != "":
				failed = append(failed, failure{r, reason})
			default:
				arrived = append(arrived, r)
			}
			return nil // the others are sent all the same
		})
	}
	_ = group.Wait() // nothing above fails the group
	return arrived, failed, fault
}

// sendOne sends a report, unless it was tried so long ago that Stripe may not
// know its identifier any more: then what Stripe has decides. reason is why it
// must not be sent.
func (s *service) sendOne(ctx context.Context, run *schedule.Run, m *meters, r report) (reason string, err error) {
	if r.attempted != nil && run.Now.Sub(*r.attempted) > known {
		there, err := s.sum(ctx, m, r.group)
		if err != nil {
			return "", err
		}
		switch {
		case there == r.before+r.quantity:
			return "", nil
		case there != r.before:
			return "it was tried long ago, and Stripe has " + strconv.FormatInt(there, 10) + " of the day where " + strconv.FormatInt(r.before, 10) +
				" were reported: whether it arrived cannot be told", nil
		}
	}
	params := &stripe.BillingMeterEventParams{
		EventName: new(m.event[r.metric]), Identifier: new(r.identifier), Timestamp: new(r.moment()),
		Payload: map[string]string{"stripe_customer_id": r.customer, "value": strconv.FormatInt(r.quantity, 10)},
	}
	params.Context = ctx
	// A key gives its first answer again, a failure too: so each run has its own.
	// What holds over runs is the identifier.
	params.SetIdempotencyKey(r.identifier + ":" + strconv.FormatInt(run.Slot.Unix(), 10))
	_, err = meterevent.Client{B: m.backend, Key: m.key}.New(params)
	var refused *stripe.Error
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &refused) && refused.Code == "duplicate_meter_event":
		return "", nil // it is there
	case errors.As(err, &refused) && (refused.HTTPStatusCode == http.StatusBadRequest || refused.HTTPStatusCode == http.StatusNotFound):
		return refused.Msg, nil
	}
	return "", payment.Explain(err)
}

// sum is what Stripe has of a customer's day.
func (s *service) sum(ctx context.Context, m *meters, g group) (int64, error) {
	params := &stripe.BillingMeterEventSummaryListParams{
		ID: new(m.id[g.metric]), Customer: new(g.customer), StartTime: new(g.day.Unix()), EndTime: new(g.day.AddDate(0, 0, 1).Unix()), ValueGroupingWindow: new("day"),
	}
	params.Context, params.Limit = ctx, stripe.Int64(10)
	total := 0.0
	it := metereventsummary.Client{B: m.backend, Key: m.key}.List(params)
	for it.Next() {
		total += it.BillingMeterEventSummary().AggregatedValue
	}
	if err := it.Err(); err != nil {
		return 0, payment.Explain(err)
	}
	return int64(total), nil
}

// moment is when a day's usage counts at Stripe: with its last second, so that
// the day belongs to the period of billing that it ends in.
func (g group) moment() int64 { return g.day.AddDate(0, 0, 1).Add(-time.Second).Unix() }

func (g group) date() string { return g.day.Format(time.DateOnly) }
