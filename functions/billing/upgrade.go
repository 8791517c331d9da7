package billing

import (
	"context"
	"net/http"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/invoice"
	"github.com/stripe/stripe-go/v76/subscription"
	"github.com/stripe/stripe-go/v76/subscriptionschedule"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
)

var (
	errSamePlan = errs.New(errs.Conflict, "already_on_plan", "The subscription is to this plan and interval already.")
	errToFree   = errs.InvalidField("body.new_plan", "is had by canceling the subscription")
)

var upgradeSpec = api.Spec{
	ID: "change-plan", Method: http.MethodPost, Path: "/api/v1/billing/upgrade/", Tag: "Billing",
	Summary: "Change the plan",
	Description: "A higher plan, or a year instead of a month, holds at once: what is left of the present period is credited, and the difference is paid now. " +
		"Until it is paid (`requires_action`), everything stays as it is. A lower plan, or a month instead of a year, waits for the period's end as `pending_plan`; " +
		"naming the present plan takes that back.",
	Permission: identity.BillingWrite, OpenWhenSuspended: true, Essential: true, Sealed: true, Status: http.StatusOK,
	Errors:         append([]errs.Error{*errNoSubscription, *errSamePlan, *errPastDue, *payment.ErrDeclined}, common...),
	RequestExample: upgradeBody{NewPlan: "enterprise"}, ResponseExample: changed(exampleRow),
}

type upgradeBody struct {
	NewPlan  string `json:"new_plan" enum:"free,pro,enterprise" doc:"The plan to have."`
	Interval string `json:"interval,omitempty" enum:"month,year" doc:"How often to pay it; as now when left out."`
}

type upgradeInput struct {
	Body upgradeBody
}

func (s *service) upgrade(ctx context.Context, by identity.Caller, in *upgradeInput) (*api.Value[Changed], error) {
	if in.Body.NewPlan == plans.Free {
		return nil, errToFree
	}
	var asked *payment.Subscription
	row, state, err := s.change(ctx, by, func(ctx context.Context, c *change) (err error) {
		asked, err = c.move(ctx, in.Body)
		return err
	})
	if err != nil {
		return nil, err
	}
	if secret := waits(state, asked); secret != "" {
		return api.NewValue(asking(row, secret)), nil
	}
	return api.NewValue(changed(row)), nil
}

// move takes the subscription to another plan: at once or, when that is less,
// with the period's end.
func (c *change) move(ctx context.Context, want upgradeBody) (*payment.Subscription, error) {
	sub := c.state.Subscription
	if !sub.Live() {
		return nil, errNoSubscription
	}
	interval := want.Interval
	if interval == "" {
		interval = sub.Interval
	}
	if want.NewPlan == sub.Plan && interval == sub.Interval {
		if sub.PendingPlan == "" {
			return nil, errSamePlan
		}
		return nil, c.unschedule(ctx)
	}
	if sub.Status == payment.StatusPastDue {
		return nil, errPastDue
	}
	if sub.PendingPlan == want.NewPlan && sub.PendingInterval == interval {
		return nil, nil // it waits already
	}
	price, err := c.price(ctx, want.NewPlan, interval)
	if err != nil {
		return nil, err
	}
	if err := c.stay(ctx); err != nil {
		return nil, err
	}
	if !plans.Upgrade(sub.Plan, sub.Interval, want.NewPlan, interval) {
		return nil, c.schedule(ctx, price, want.NewPlan, interval)
	}
	if err := c.unschedule(ctx); err != nil {
		return nil, err
	}
	c.s.at("before upgrade")
	params := &stripe.SubscriptionParams{
		Params: c.params(ctx, "upgrade"), ProrationBehavior: new("always_invoice"), PaymentBehavior: new("pending_if_incomplete"),
		Items: []*stripe.SubscriptionItemsParams{{ID: new(sub.ItemID), Price: new(price)}},
	}
	params.AddExpand("latest_invoice.payment_intent")
	made, err := subscription.Client{B: c.backend, Key: c.secret}.Update(sub.ID, params)
	if err != nil {
		return nil, payment.Explain(err)
	}
	c.s.at("upgraded")
	now := payment.Describe(made)
	if !now.Upgrading {
		return nil, nil
	}
	if now.PaymentStatus == requiresAction {
		return now, nil
	}
	// Declined: without its invoice the upgrade is as if it had never been.
	void := &stripe.InvoiceVoidInvoiceParams{Params: c.params(ctx, "void")}
	if _, err := (invoice.Client{B: c.backend, Key: c.secret}).VoidInvoice(now.LatestInvoice, void); err != nil {
		return nil, payment.Explain(err)
	}
	return nil, declined(now)
}

// stay takes a cancellation back that waits for the period's end.
func (c *change) stay(ctx context.Context) error {
	if !c.state.Subscription.CancelAtPeriodEnd {
		return nil
	}
	params := &stripe.SubscriptionParams{Params: c.params(ctx, "stay"), CancelAtPeriodEnd: new(false)}
	_, err := subscription.Client{B: c.backend, Key: c.secret}.Update(c.state.Subscription.ID, params)
	return payment.Explain(err)
}

// unschedule takes a change back that waits for the period's end.
func (c *change) unschedule(ctx context.Context) error {
	id := c.state.Subscription.ScheduleID
	if id == "" {
		return nil
	}
	params := &stripe.SubscriptionScheduleReleaseParams{Params: c.params(ctx, "release")}
	_, err := subscriptionschedule.Client{B: c.backend, Key: c.secret}.Release(id, params)
	return payment.Explain(err)
}

// schedule has another price begin where the present period ends. The schedule
// is released one period later, and the subscription goes on by itself. One
// that was made and not filled in, by a request that died, changes nothing and
// is filled in by the next.
func (c *change) schedule(ctx context.Context, price, plan, interval string) error {
	sub, api := c.state.Subscription, subscriptionschedule.Client{B: c.backend, Key: c.secret}
	id := sub.ScheduleID
	if id == "" {
		params := &stripe.SubscriptionScheduleParams{Params: c.params(ctx, "schedule"), FromSubscription: new(sub.ID)}
		made, err := api.New(params)
		if err != nil {
			return payment.Explain(err)
		}
		id = made.ID
	}
	c.s.at("scheduled")
	params := &stripe.SubscriptionScheduleParams{
		Params: c.params(ctx, "phases"), EndBehavior: new("release"), ProrationBehavior: new("none"),
		Phases: []*stripe.SubscriptionSchedulePhaseParams{
			{StartDate: new(sub.Start.Unix()), EndDate: new(sub.End.Unix()), Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: new(sub.PriceID)}}},
			{Iterations: stripe.Int64(1), Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: new(price)}}},
		},
	}
	params.AddMetadata(payment.MetaPlan, plan)
	params.AddMetadata(payment.MetaInterval, interval)
	_, err := api.Update(id, params)
	return payment.Explain(err)
}
