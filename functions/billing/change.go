package billing

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/customer"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment"
)

// busyFor is how long a change has the subscription to itself at most. It is
// longer than any request lives, so that whoever comes after one that died finds
// at Stripe everything that it did.
const busyFor = time.Minute

var (
	errBusy           = errs.New(errs.Conflict, "billing_busy", "Another change of the subscription is under way, or was broken off. Try again in a minute.")
	errNoSubscription = errs.New(errs.Conflict, "not_subscribed", "There is no subscription. Subscribe to a plan first.")
	errPastDue        = errs.New(errs.Conflict, "payment_due", "A payment is owed. Set a payment method that works as the default first.")
	errMethodNeeded   = errs.InvalidField("body.payment_method_id", "is needed: there is no default payment method")
	errMethod         = errs.InvalidField("body.payment_method_id", "is not a payment method that can be used here")
)

// common are the refusals of every change.
var common = []errs.Error{*errBusy, *payment.ErrUnavailable}

// change is one request that changes something at Stripe.
type change struct {
	s       *service
	by      identity.Caller
	backend stripe.Backend
	secret  string
	key     string       // what the Idempotency-Keys of its calls begin with
	repeats func() error // the answer of the request that this one repeats, if it has one
	row     payment.Row
	state   *payment.State
	// record is the activity beyond what the new state tells by itself.
	record []activity.Entry
}

// params give a call its context and its Idempotency-Key. A request makes each
// of its calls once, by a name of its own.
func (c *change) params(ctx context.Context, name string) stripe.Params {
	return stripe.Params{Context: ctx, IdempotencyKey: new(c.key + "/" + name)}
}

// change runs act on what Stripe has now and writes down what Stripe has then.
func (s *service) change(ctx context.Context, by identity.Caller, act func(context.Context, *change) error) (payment.Row, *payment.State, error) {
	if err := db.ReplayedTenant(ctx, s.db, by.Principal); err != nil {
		return payment.Row{}, nil, err
	}
	c := &change{s: s, by: by, key: requestKey(ctx, by)}
	keyed := idempotency.Current(ctx) != nil
	if keyed {
		c.repeats = func() error { return db.ReplayedTenant(ctx, s.db, by.Principal) }
	}
	// What is written on the way is apart from the answer, which is kept last:
	// no transaction stays open while Stripe is asked.
	row, state, err := c.run(idempotency.Apart(ctx), act)
	if answered := (*idempotency.Replay)(nil); errors.As(err, &answered) {
		return payment.Row{}, nil, err
	}
	waits := errors.Is(err, errBusy) || errors.Is(err, idempotency.ErrInFlight)
	if keyed && errs.KindOf(err) != errs.Unavailable && !waits {
		// The next one comes when the answer is there to be repeated.
		if kept := db.Note(ctx, s.db, by.Principal, func(tx *db.Tx) error { releaseBusy(tx, c.key); return nil }); kept != nil {
			return payment.Row{}, nil, kept
		}
	}
	return row, state, err
}

// requestKey is the same for a request and its repeat, and nobody else's.
func requestKey(ctx context.Context, by identity.Caller) string {
	a := idempotency.Current(ctx)
	if a == nil {
		return ids.New().String()
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s %s %s %s %s", by.TenantID, by.UserID, a.Method, a.Path, a.Key)))
	return hex.EncodeToString(sum[:16])
}

func (c *change) run(ctx context.Context, act func(context.Context, *change) error) (_ payment.Row, _ *payment.State, err error) {
	s := c.s
	if c.backend, c.secret, err = s.stripe.Use(ctx); err != nil {
		return c.row, nil, payment.ErrUnavailable.WithCause(err)
	}
	if err := c.customer(ctx); err != nil {
		return c.row, nil, err
	}
	if err := c.take(ctx); err != nil {
		return c.row, nil, err
	}
	s.at("taken")
	if c.repeats != nil { // the first one may have been answered while this one came here
		if err := c.repeats(); err != nil {
			return c.row, nil, errors.Join(err, c.release(ctx))
		}
	}
	if c.state, err = s.stripe.Fetch(ctx, c.row.Customer); err == nil && !c.state.Of(c.by.TenantID) {
		err = payment.ErrForeign
	}
	if err != nil {
		return c.row, nil, errors.Join(err, c.release(ctx))
	}
	acted := act(ctx, c)
	s.at("acted")
	if errs.KindOf(acted) == errs.Unavailable {
		// Whether Stripe did it is not known. Nobody else changes anything
		// until it must have come to an end there.
		return c.row, nil, acted
	}
	state, row, err := s.stripe.Sync(ctx, s.db, c.by.Principal, "", func(fn func(*db.Tx) error) error {
		return db.Note(ctx, s.db, c.by.Principal, func(tx *db.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			if acted == nil {
				for _, e := range c.record {
					tx.Record(e)
				}
			}
			if c.repeats == nil || acted != nil {
				releaseBusy(tx, c.key)
			}
			return nil
		})
	})
	if err != nil {
		return c.row, nil, errors.Join(acted, err)
	}
	s.at("written")
	if now := s.now(); row.Effective(now) != c.row.Effective(now) {
		s.access.DropTenant(ctx, c.by.TenantID)
	}
	return row, state, acted
}

// customer makes the organization one of Stripe's customers when it needs to be
// one for the first time. Its Idempotency-Key is the organization's: a repeat
// after a crash, and another request at the same time, get the same customer.
func (c *change) customer(ctx context.Context) error {
	var found *db.Row[payment.Row]
	var org *db.Row[organization]
	err := db.Read(ctx, c.s.db, c.by.Principal, func(tx *db.Tx) error {
		found, org = payment.Get(tx), getOrganization(tx)
		return nil
	})
	if err != nil {
		return err
	}
	if c.row, err = found.Value(); errs.KindOf(err) != errs.NotFound {
		return err
	}
	o, err := org.Value()
	if err != nil {
		return err
	}
	api := customer.Client{B: c.backend, Key: c.secret}
	params := &stripe.CustomerParams{Params: stripe.Params{Context: ctx, IdempotencyKey: new("customer/" + c.by.TenantID.String())}}
	params.AddMetadata(payment.MetaTenant, c.by.TenantID.String()) // and nothing that may differ in a repeat
	made, err := api.New(params)
	if err != nil {
		return payment.Explain(err)
	}
	c.s.at("customer made")
	details := &stripe.CustomerParams{Params: c.params(ctx, "details"), Name: new(o.name), Email: new(c.by.Email)}
	if _, err := api.Update(made.ID, details); err != nil {
		return payment.Explain(err)
	}
	var row *db.Row[payment.Row]
	err = db.Span(ctx, c.s.db, db.SpanCustomer, c.by.Principal, func(tx *db.Tx) error {
		n, err := insertCustomer(tx, made.ID).Await(ctx)
		if err != nil {
			return err
		}
		row = payment.Get(tx)
		if n == 0 { // another request was as fast
			_, err = row.Await(ctx)
			tx.Unchanged()
			return err
		}
		claimCustomer(tx, made.ID)
		tx.Record(activity.Created("Subscription", c.by.TenantID, map[string]any{"plan": "free", "status": payment.StatusActive}))
		return nil
	})
	if err != nil {
		return err
	}
	c.row, err = row.Value()
	c.s.at("customer claimed")
	return err
}

// take makes this the one change that is under way.
func (c *change) take(ctx context.Context) error {
	var taken *db.Tag
	var holder *db.Row[string]
	err := db.Note(ctx, c.s.db, c.by.Principal, func(tx *db.Tx) error {
		taken, holder = takeBusy(tx, c.key, busyFor), busyWith(tx)
		return nil
	})
	if err != nil {
		return err
	}
	if taken.Affected() > 0 {
		return nil
	}
	if key, err := holder.Value(); err != nil || key == c.key {
		return cmp.Or(err, error(idempotency.ErrInFlight)) // this very request, sent before
	}
	return errBusy
}

func (c *change) release(ctx context.Context) error {
	return db.Note(ctx, c.s.db, c.by.Principal, func(tx *db.Tx) error { releaseBusy(tx, c.key); return nil })
}
