// Package catalog makes Stripe have what plans.json sells: products, prices,
// meters, and the endpoint of the webhooks. It can be run again at any time: it
// changes what differs and nothing else. scripts/stripe-sync is its command; the
// local runner and the tests fill the stand-in with it.
//
// A price cannot be changed at Stripe. A changed one becomes a new price that
// takes the lookup key over, and the old one takes no new subscriptions; who
// has it keeps it.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/billing/meter"
	"github.com/stripe/stripe-go/v76/price"
	"github.com/stripe/stripe-go/v76/product"
	"github.com/stripe/stripe-go/v76/webhookendpoint"

	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
)

// Events are what the webhook is told of. The platform handles these; others
// would be stored and left alone.
var Events = []string{
	"invoice.payment_succeeded", "invoice.payment_failed",
	"customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
	"payment_intent.succeeded", "payment_intent.payment_failed",
	"payment_method.attached", "payment_method.detached",
}

const managed = "coditect" // metadata of the endpoint that is ours

// Options say what to do.
type Options struct {
	// Webhook is the endpoint's address; empty leaves endpoints alone.
	Webhook string
	// DryRun changes nothing and tells what would change.
	DryRun bool
}

// Result is what was done, or would be.
type Result struct {
	Changes []string
	// Secret signs the webhooks of an endpoint that was made just now. It is
	// shown once.
	Secret string
}

type syncer struct {
	ctx     context.Context //nolint:containedctx // a syncer is one call's
	backend stripe.Backend
	key     string
	Options
	Result
}

// Sync makes what is at Stripe equal to plans.json.
func Sync(ctx context.Context, c *payment.Client, o Options) (Result, error) {
	backend, key, err := c.Use(ctx)
	if err != nil {
		return Result{}, err
	}
	s := &syncer{ctx: ctx, backend: backend, key: key, Options: o}
	for _, step := range []func() error{s.prices, s.meters, s.webhook} {
		if err := step(); err != nil {
			return s.Result, payment.Explain(err)
		}
	}
	return s.Result, nil
}

// change notes a change and makes it, unless it is only to be told.
func (s *syncer) change(act func() error, format string, args ...any) error {
	s.Changes = append(s.Changes, fmt.Sprintf(format, args...))
	if s.DryRun {
		return nil
	}
	return act()
}

func (s *syncer) prices() error {
	for _, p := range plans.All() {
		if p.ID == plans.Free {
			continue // nobody subscribes to it
		}
		if err := s.product(p); err != nil {
			return err
		}
		for _, interval := range []string{plans.Month, plans.Year} {
			if err := s.price(p, interval); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *syncer) product(p plans.Plan) error {
	api := product.Client{B: s.backend, Key: s.key}
	id, name := plans.ProductID(p.ID), "Coditect "+p.Name
	get := &stripe.ProductParams{}
	get.Context = s.ctx
	have, err := api.Get(id, get)
	if errors.Is(payment.Explain(err), payment.ErrMissing) {
		return s.change(func() error {
			params := &stripe.ProductParams{ID: new(id), Name: new(name)}
			params.Context = s.ctx
			params.AddMetadata(payment.MetaPlan, p.ID)
			_, err := api.New(params)
			return err
		}, "create the product %s", id)
	}
	if err != nil || have.Active && have.Name == name {
		return err
	}
	return s.change(func() error {
		params := &stripe.ProductParams{Name: new(name), Active: new(true)}
		params.Context = s.ctx
		_, err := api.Update(id, params)
		return err
	}, "update the product %s", id)
}

func (s *syncer) price(p plans.Plan, interval string) error {
	api, key := price.Client{B: s.backend, Key: s.key}, plans.LookupKey(p.ID, interval)
	have, err := payment.Price(s.ctx, s.backend, s.key, key)
	if err != nil {
		return err
	}
	if have != nil && have.UnitAmount == p.Price(interval) && string(have.Currency) == plans.Currency && have.Recurring != nil &&
		string(have.Recurring.Interval) == interval && have.Product.ID == plans.ProductID(p.ID) && have.Metadata[payment.MetaPlan] == p.ID {
		return nil
	}
	err = s.change(func() error {
		params := &stripe.PriceParams{
			Product: new(plans.ProductID(p.ID)), Currency: new(plans.Currency), UnitAmount: new(p.Price(interval)),
			LookupKey: new(key), TransferLookupKey: new(true), Recurring: &stripe.PriceRecurringParams{Interval: new(interval)},
		}
		params.Context = s.ctx
		params.AddMetadata(payment.MetaPlan, p.ID)
		_, err := api.New(params)
		return err
	}, "create the price %s: %d %s a %s", key, p.Price(interval), plans.Currency, interval)
	if err != nil || have == nil {
		return err
	}
	return s.change(func() error {
		params := &stripe.PriceParams{Active: new(false)}
		params.Context = s.ctx
		_, err := api.Update(have.ID, params)
		return err
	}, "retire the price %s", have.ID)
}

func (s *syncer) meters() error {
	api := meter.Client{B: s.backend, Key: s.key}
	params := &stripe.BillingMeterListParams{Status: new("active")}
	params.Context, params.Limit = s.ctx, stripe.Int64(100)
	have := map[string]bool{}
	it := api.List(params)
	for it.Next() {
		have[it.BillingMeter().EventName] = true
	}
	if err := it.Err(); err != nil {
		return err
	}
	for _, m := range plans.Meters() {
		if have[m.Event] {
			continue
		}
		err := s.change(func() error {
			params := &stripe.BillingMeterParams{
				EventName: new(m.Event), DisplayName: new(m.Name), DefaultAggregation: &stripe.BillingMeterDefaultAggregationParams{Formula: new("sum")},
			}
			params.Context = s.ctx
			_, err := api.New(params)
			return err
		}, "create the meter %s", m.Event)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *syncer) webhook() error {
	if s.Webhook == "" {
		return nil
	}
	api := webhookendpoint.Client{B: s.backend, Key: s.key}
	list := &stripe.WebhookEndpointListParams{}
	list.Context, list.Limit = s.ctx, stripe.Int64(100)
	var have *stripe.WebhookEndpoint
	it := api.List(list)
	for it.Next() {
		if e := it.WebhookEndpoint(); e.URL == s.Webhook && e.Metadata["managed_by"] == managed {
			have = e
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	if have != nil && have.APIVersion != stripe.APIVersion {
		return fmt.Errorf("the endpoint %s sends API version %q and not %s: delete it, and run this again", have.ID, have.APIVersion, stripe.APIVersion)
	}
	if have == nil {
		return s.change(func() error {
			params := &stripe.WebhookEndpointParams{URL: new(s.Webhook), EnabledEvents: stripe.StringSlice(Events), APIVersion: stripe.String(stripe.APIVersion), Description: new("Coditect Platform")}
			params.Context = s.ctx
			params.AddMetadata("managed_by", managed)
			made, err := api.New(params)
			if err == nil {
				s.Secret = made.Secret
			}
			return err
		}, "create the webhook endpoint %s", s.Webhook)
	}
	want := slices.Sorted(slices.Values(Events))
	if slices.Equal(slices.Sorted(slices.Values(have.EnabledEvents)), want) && have.Status == "enabled" {
		return nil
	}
	return s.change(func() error {
		params := &stripe.WebhookEndpointParams{EnabledEvents: stripe.StringSlice(Events), Disabled: new(false)}
		params.Context = s.ctx
		_, err := api.Update(have.ID, params)
		return err
	}, "update the webhook endpoint %s", have.ID)
}
