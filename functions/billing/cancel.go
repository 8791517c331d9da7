package billing

import (
	"context"
	"net/http"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/subscription"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/payment"
)

var errNotCanceled = errs.New(errs.Conflict, "not_canceled", "The subscription is not about to end.")

var cancelSpec = api.Spec{
	ID: "cancel-subscription", Method: http.MethodPost, Path: "/api/v1/billing/cancel/", Tag: "Billing",
	Summary:     "Cancel the subscription",
	Description: "It ends with the period that is paid for; until then it can be resumed. One that waits for its first payment ends at once.",
	Permission:  identity.BillingWrite, OpenWhenSuspended: true, Essential: true, Status: http.StatusOK,
	Errors: append([]errs.Error{*errNoSubscription}, common...), ResponseExample: changed(exampleRow),
}

type cancelInput struct{}

func (s *service) cancel(ctx context.Context, by identity.Caller, _ *cancelInput) (*api.Value[Changed], error) {
	row, _, err := s.change(ctx, by, func(ctx context.Context, c *change) error {
		sub, api := c.state.Subscription, subscription.Client{B: c.backend, Key: c.secret}
		switch {
		case sub != nil && sub.Status == payment.StatusIncomplete:
			_, err := api.Cancel(sub.ID, &stripe.SubscriptionCancelParams{Params: c.params(ctx, "give up")})
			return payment.Explain(err)
		case !sub.Live():
			return errNoSubscription
		case sub.CancelAtPeriodEnd:
			return nil
		}
		if err := c.unschedule(ctx); err != nil {
			return err
		}
		c.s.at("before cancel")
		_, err := api.Update(sub.ID, &stripe.SubscriptionParams{Params: c.params(ctx, "cancel"), CancelAtPeriodEnd: new(true)})
		c.s.at("canceled")
		return payment.Explain(err)
	})
	if err != nil {
		return nil, err
	}
	return api.NewValue(changed(row)), nil
}

var resumeSpec = api.Spec{
	ID: "resume-subscription", Method: http.MethodPost, Path: "/api/v1/billing/resume/", Tag: "Billing",
	Summary:     "Take a cancellation back",
	Description: "Before the period has ended.",
	Permission:  identity.BillingWrite, OpenWhenSuspended: true, Essential: true, Status: http.StatusOK,
	Errors: append([]errs.Error{*errNoSubscription, *errNotCanceled}, common...), ResponseExample: changed(exampleRow),
}

func (s *service) resume(ctx context.Context, by identity.Caller, _ *cancelInput) (*api.Value[Changed], error) {
	row, _, err := s.change(ctx, by, func(ctx context.Context, c *change) error {
		switch sub := c.state.Subscription; {
		case !sub.Live():
			return errNoSubscription
		case !sub.CancelAtPeriodEnd:
			return errNotCanceled
		}
		return c.stay(ctx)
	})
	if err != nil {
		return nil, err
	}
	return api.NewValue(changed(row)), nil
}
