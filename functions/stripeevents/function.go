// Package stripeevents is the function that follows what happens at Stripe. A
// message says whose customer to look at: because an event came
// (functions/stripewebhook), because it is time to look (schedulers/billingsync),
// or because an organization was deleted, whose subscription then ends.
//
// Whatever the message, the work is the same: what the customer has at Stripe
// now is fetched and written down (shared/payment). So events may come late,
// twice, in any order or not at all. Stripe being down is waited for; what
// cannot be believed (a customer whose objects name another tenant, a price that
// is none of ours) is given up, and visible as a dead letter and as a failed
// event, to be replayed when it is mended.
package stripeevents

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/subscription"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/worker"
)

type service struct {
	db     *db.DB
	stripe *payment.Client
	at     func(point string) // told of each labelled point; tests end the process there
}

// delivery is any message here.
type delivery interface {
	Once(ctx context.Context, fn func(*db.Tx) error) error
}

// event looks at the customer of an event.
func (s *service) event(ctx context.Context, d worker.Delivery[queue.StripeEvent]) error {
	id := d.Payload.EventID
	var found *db.Row[event]
	if err := db.Keyed(ctx, s.db, id, func(tx *db.Tx) error { found = getEvent(tx, id); return nil }); err != nil {
		return err
	}
	e, err := found.Value()
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return worker.Skip("the event is gone")
	case err != nil:
		return err
	case e.status == "processed" || e.status == "ignored":
		return worker.Skip("the event is done")
	}
	err = s.follow(ctx, d, d.Envelope, e.customer, e.invoice())
	of := d.Envelope.TenantID
	if errors.Is(err, errStranger) {
		of = ids.Nil // it is not known whose it is
	}
	if err == nil {
		return s.settle(ctx, id, of, "processed", "")
	}
	if hopeless, _ := given(err); hopeless {
		return errors.Join(err, s.settle(ctx, id, of, "failed", err.Error()))
	}
	return err
}

// settle notes what became of an event, and whose it is: where its customer was
// claimed after it came, nobody knew. It goes with its organization.
func (s *service) settle(ctx context.Context, id string, of ids.ID, status, why string) error {
	s.at("applied")
	return db.Keyed(ctx, s.db, id, func(tx *db.Tx) error { settleEvent(tx, id, of, status, why); return nil })
}

// given tells whether an error is for good.
func given(err error) (hopeless bool, reason error) {
	for _, reason := range []error{payment.ErrForeign, payment.ErrUnknownPlan, payment.ErrMissing, errStranger} {
		if errors.Is(err, reason) {
			return true, reason
		}
	}
	return false, nil
}

// errStranger is that a message names another customer than the tenant's.
var errStranger = errors.New("stripeevents: the event's customer is not the organization's")

// follow writes down what the tenant's customer has now. customer is whom the
// message is about; "" is whoever the tenant's is.
func (s *service) follow(ctx context.Context, d delivery, e queue.Envelope, customer, invoice string) error {
	by := identity.Principal{TenantID: e.TenantID}
	var row *db.Row[payment.Row]
	if err := db.Read(ctx, s.db, by, func(tx *db.Tx) error { row = payment.Get(tx); return nil }); err != nil {
		return err
	}
	have, err := row.Value()
	if errs.KindOf(err) == errs.NotFound {
		return worker.Skip("the organization is no customer")
	}
	if err != nil {
		return err
	}
	if customer != "" && have.Customer != customer {
		return worker.Permanent(errStranger)
	}
	s.at("before fetch")
	state, _, err := s.stripe.Sync(ctx, s.db, by, invoice, func(fn func(*db.Tx) error) error {
		s.at("fetched")
		return d.Once(ctx, fn)
	})
	if ok, hopeless := given(err); ok {
		return worker.Permanent(errors.Join(hopeless, err))
	}
	if err == nil && state != nil && len(state.Others) > 0 {
		// It cannot come from here, and money is at stake: a person must look.
		return worker.Permanent(errors.New("stripeevents: the customer has more than one subscription that goes on: " + strings.Join(state.Others, " ")))
	}
	return err
}

func (s *service) sync(ctx context.Context, d worker.Delivery[queue.None]) error {
	return s.follow(ctx, d, d.Envelope, "", "")
}

// close ends the subscription of an organization that was deleted, at once: it
// is closed. Its key at Stripe is the subscription's, so that a repeat does
// nothing.
func (s *service) close(ctx context.Context, d worker.Delivery[queue.None]) error {
	by := identity.Principal{TenantID: d.Envelope.TenantID}
	var status *db.Row[string]
	var row *db.Row[payment.Row]
	err := db.Read(ctx, s.db, by, func(tx *db.Tx) error {
		status, row = organizationStatus(tx), payment.Get(tx)
		return nil
	})
	if err != nil {
		return err
	}
	if now, ok := status.Found(); !ok || now != "deleted" {
		return worker.Skip("the organization is not deleted")
	}
	have, ok := row.Found()
	if !ok {
		return worker.Skip("the organization is no customer")
	}
	state, err := s.stripe.Fetch(ctx, have.Customer)
	if err != nil {
		return err
	}
	if !state.Of(by.TenantID) {
		return worker.Permanent(payment.ErrForeign)
	}
	backend, key, err := s.stripe.Use(ctx)
	if err != nil {
		return err
	}
	var live []string
	if sub := state.Subscription; sub.Live() || sub != nil && sub.Status == payment.StatusIncomplete {
		live = append(live, sub.ID)
	}
	for _, id := range append(live, state.Others...) {
		params := &stripe.SubscriptionCancelParams{Params: stripe.Params{Context: ctx, IdempotencyKey: new("close/" + id)}}
		if _, err := (subscription.Client{B: backend, Key: key}).Cancel(id, params); err != nil && !errors.Is(payment.Explain(err), payment.ErrMissing) {
			return payment.Explain(err)
		}
		s.at("closed")
	}
	return s.follow(ctx, d, d.Envelope, "", "")
}

// event is one as it is stored.
type event struct {
	kind, customer, status string
	payload                []byte
}

// invoice is what the event is about, when that is an invoice.
func (e event) invoice() string {
	if !strings.HasPrefix(e.kind, "invoice.") {
		return ""
	}
	var body struct {
		Data struct {
			Object struct {
				ID string `json:"id"`
			} `json:"object"`
		} `json:"data"`
	}
	if json.Unmarshal(e.payload, &body) != nil {
		return ""
	}
	return body.Data.Object.ID
}
