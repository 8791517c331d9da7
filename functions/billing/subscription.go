package billing

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
)

// Subscription is what an organization pays for, as clients see it.
type Subscription struct {
	Plan               string     `json:"plan" doc:"The plan that was subscribed to; free without a subscription."`
	Status             string     `json:"status" enum:"active,trialing,past_due,canceled,incomplete" doc:"incomplete waits for its first payment; past_due owes one."`
	Interval           string     `json:"interval" enum:"month,year" doc:"How often it is paid."`
	CurrentPeriodStart *time.Time `json:"current_period_start" doc:"Since when the present period is paid for; null without a subscription."`
	CurrentPeriodEnd   *time.Time `json:"current_period_end" doc:"Until when; null without a subscription."`
	NextInvoiceDate    *time.Time `json:"next_invoice_date" doc:"When the next invoice is made; null when there is none to come."`
	CancelAtPeriodEnd  bool       `json:"cancel_at_period_end" doc:"Whether it ends with the period."`
	PendingPlan        *string    `json:"pending_plan" doc:"The plan from the period's end on, when that is another one."`
	PendingInterval    *string    `json:"pending_interval" doc:"How often that one is paid."`
	GraceEndsAt        *time.Time `json:"grace_ends_at" doc:"When the limits of the free plan begin to hold, if what is owed is not paid before."`
}

// Changed is a subscription after a change, or what its person has to do first.
type Changed struct {
	Status             string     `json:"status" enum:"active,trialing,past_due,canceled,incomplete,requires_action" doc:"requires_action: confirm the payment with client_secret (3-D Secure); the subscription follows by itself."`
	ClientSecret       string     `json:"client_secret,omitempty" doc:"For Stripe.js, with requires_action."`
	Plan               string     `json:"plan" doc:"The plan that was subscribed to."`
	Interval           string     `json:"interval" enum:"month,year" doc:"How often it is paid."`
	CurrentPeriodStart *time.Time `json:"current_period_start" doc:"Since when the present period is paid for."`
	CurrentPeriodEnd   *time.Time `json:"current_period_end" doc:"Until when."`
	NextInvoiceDate    *time.Time `json:"next_invoice_date" doc:"When the next invoice is made; null when there is none to come."`
	CancelAtPeriodEnd  bool       `json:"cancel_at_period_end" doc:"Whether it ends with the period."`
	PendingPlan        *string    `json:"pending_plan" doc:"The plan from the period's end on, when that is another one."`
	PendingInterval    *string    `json:"pending_interval" doc:"How often that one is paid."`
	GraceEndsAt        *time.Time `json:"grace_ends_at" doc:"When the limits of the free plan begin to hold, if what is owed is not paid before."`
}

const requiresAction = "requires_action"

func shown(v payment.Row) Subscription {
	s := Subscription{
		Plan: v.Plan, Status: v.Status, Interval: v.Interval, CurrentPeriodStart: v.PeriodStart, CurrentPeriodEnd: v.PeriodEnd,
		NextInvoiceDate: v.NextInvoiceAt, CancelAtPeriodEnd: v.CancelAtPeriodEnd, PendingPlan: maybe(v.PendingPlan), PendingInterval: maybe(v.PendingInterval),
	}
	if v.PastDueSince != nil {
		s.GraceEndsAt = new(v.PastDueSince.Add(plans.Grace))
	}
	return s
}

func maybe(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func changed(v payment.Row) Changed {
	s := shown(v)
	return Changed{
		Status: s.Status, Plan: s.Plan, Interval: s.Interval, CurrentPeriodStart: s.CurrentPeriodStart, CurrentPeriodEnd: s.CurrentPeriodEnd,
		NextInvoiceDate: s.NextInvoiceDate, CancelAtPeriodEnd: s.CancelAtPeriodEnd, PendingPlan: s.PendingPlan, PendingInterval: s.PendingInterval, GraceEndsAt: s.GraceEndsAt,
	}
}

// asking is the answer to whom their bank asks a question.
func asking(v payment.Row, secret string) Changed {
	c := changed(v)
	c.Status, c.ClientSecret = requiresAction, secret
	return c
}

var exampleRow = payment.Row{
	Plan: "pro", Status: payment.StatusActive, Interval: plans.Month,
	PeriodStart: new(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)), PeriodEnd: new(time.Date(2026, 12, 24, 9, 0, 0, 0, time.UTC)),
	NextInvoiceAt: new(time.Date(2026, 12, 24, 9, 0, 0, 0, time.UTC)),
}

var subscriptionSpec = api.Spec{
	ID: "get-subscription", Method: http.MethodGet, Path: "/api/v1/billing/subscription/", Tag: "Billing",
	Summary:     "Get the subscription",
	Description: "An organization that never subscribed is free and active.",
	Permission:  identity.BillingRead, OpenWhenSuspended: true, Essential: true, ResponseExample: shown(exampleRow),
}

type subscriptionInput struct{}

func (s *service) subscription(ctx context.Context, by identity.Caller, _ *subscriptionInput) (*api.Item[Subscription], error) {
	var found *db.Row[payment.Row]
	var org *db.Row[organization]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found, org = payment.Get(tx), getOrganization(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	o, err := org.Value()
	if err != nil {
		return nil, err
	}
	v, err := found.Value()
	if errs.KindOf(err) == errs.NotFound || err == nil && v.Subscription == "" {
		// Its plan is free, or one that was agreed on outside of here.
		v, err = payment.Row{Plan: o.plan, Status: payment.StatusActive, Interval: plans.Month, Version: 0}, nil
	}
	if err != nil {
		return nil, err
	}
	return api.NewItem(v.Version, shown(v)), nil
}
