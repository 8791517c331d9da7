// Package usagereport is the schedule that reports the usage of organizations
// with a metered plan to Stripe's meters, a day at a time, when it is over in UTC.
//
// A run does three things, each of which finds what a run before left:
//
//   - It writes down what has to be said: for each organization, metric and day
//     what the day came to, less what was said of it before (report.go). What came
//     late, by a router that could not reach Redis, is one more report.
//   - It sends what was written down, under the identifier that stands there, and
//     notes what Stripe took (send.go). Stripe takes an identifier once within 24
//     hours, so that a run which died after sending sends again without harm; what
//     is older is looked for at Stripe first, and never sent blindly.
//   - It compares what was reported with Stripe's own sums, an hour later at the
//     earliest, since Stripe adds up in its own time (reconcile.go). A difference
//     is an error in the log that an alert counts, and stays one until the sums
//     agree.
//
// So it runs twice a day: the second run compares what the first one sent.
package usagereport

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/billing/meter"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/serve"
)

// Name is the function's, as functions.json has it.
const Name = "usagereport"

const (
	// late is for how many days what comes late is still reported.
	late = 7
	// oldest is how old a day may be: Stripe takes nothing beyond 35 days.
	oldest = 34
	// known is for how long Stripe surely knows an identifier again: it promises
	// 24 hours.
	known = 23 * time.Hour
	// settles is how long Stripe has to add a report up.
	settles = time.Hour
	// batch is how many reports, or sums, are looked at together.
	batch = 200
	// senders is how many calls to Stripe are under way.
	senders = 8
)

type settings struct {
	Stripe payment.Config
}

type service struct {
	db     *db.DB
	stripe *payment.Client
	log    *slog.Logger
	at     func(string) // for tests that end a run at a point
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
	client := payment.New(cfg.Stripe, base.Secrets, base.Log)
	base.OnClose(client.Close)
	return &service{db: base.DB, stripe: client, log: base.Log, at: at}, base, nil
}

func (s *service) run(ctx context.Context, run *schedule.Run) error {
	if err := s.prepare(ctx, run); err != nil {
		return err
	}
	s.at("written")
	meters, err := s.meters(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.send(ctx, run, meters), s.reconcile(ctx, run, meters))
}

// meters are the ones of plans.json, and where they are at Stripe.
type meters struct {
	backend stripe.Backend
	key     string
	event   map[string]string // metric → name of the events
	id      map[string]string // metric → the meter
}

func (s *service) meters(ctx context.Context) (*meters, error) {
	backend, key, err := s.stripe.Use(ctx)
	if err != nil {
		return nil, err
	}
	m := &meters{backend: backend, key: key, event: map[string]string{}, id: map[string]string{}}
	params := &stripe.BillingMeterListParams{Status: new("active")}
	params.Context, params.Limit = ctx, stripe.Int64(100)
	byEvent := map[string]string{}
	it := meter.Client{B: backend, Key: key}.List(params)
	for it.Next() {
		byEvent[it.BillingMeter().EventName] = it.BillingMeter().ID
	}
	if err := it.Err(); err != nil {
		return nil, payment.Explain(err)
	}
	for _, p := range plans.Meters() {
		id, ok := byEvent[p.Event]
		if !ok {
			return nil, errors.New("usagereport: Stripe has no active meter for " + p.Event + ": run stripe-sync")
		}
		m.event[p.Metric], m.id[p.Metric] = p.Event, id
	}
	return m, nil
}

// dayOf is the day of a moment, in UTC.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
