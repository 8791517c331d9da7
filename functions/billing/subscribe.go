package billing

import (
	"context"
	"net/http"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/customer"
	"github.com/stripe/stripe-go/v76/paymentmethod"
	"github.com/stripe/stripe-go/v76/subscription"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
)

var (
	errSubscribed = errs.New(errs.Conflict, "already_subscribed", "The organization has a subscription. Upgrade or cancel that one.")
	errFree       = errs.InvalidField("body.plan", "needs no subscription: cancel the present one to go back to the free plan")
	errNoPrice    = errs.New(errs.Unavailable, "billing_unavailable", "The plan cannot be sold at the moment. Try again later.").WithRetry(60e9)
)

var subscribeSpec = api.Spec{
	ID: "subscribe", Method: http.MethodPost, Path: "/api/v1/billing/subscribe/", Tag: "Billing",
	Summary: "Subscribe to a plan",
	Description: "Pays at once: with `payment_method_id`, which becomes the default one, or with the default. Where the bank wants to ask its customer, " +
		"the answer is 200 with `status: requires_action` and a `client_secret` for Stripe.js; the subscription follows by itself.",
	Permission: identity.BillingWrite, OpenWhenSuspended: true, Essential: true, Status: http.StatusCreated, Also: http.StatusOK, Sealed: true,
	Errors:         append([]errs.Error{*errSubscribed, *payment.ErrDeclined}, common...),
	RequestExample: subscribeBody{Plan: "pro", Interval: plans.Month, PaymentMethodID: "pm_1PqR5s2eZvKYlo2C"}, ResponseExample: changed(exampleRow),
}

type subscribeBody struct {
	Plan            string `json:"plan" enum:"free,pro,enterprise" doc:"A plan that is paid for."`
	Interval        string `json:"interval" enum:"month,year" doc:"How often it is paid."`
	PaymentMethodID string `json:"payment_method_id,omitempty" minLength:"1" maxLength:"255" doc:"Of Stripe.js. Without it the default payment method pays."`
}

type subscribeInput struct {
	Body subscribeBody
}

func (s *service) subscribe(ctx context.Context, by identity.Caller, in *subscribeInput) (*api.Value[Changed], error) {
	if in.Body.Plan == plans.Free {
		return nil, errFree
	}
	var asked *payment.Subscription
	row, state, err := s.change(ctx, by, func(ctx context.Context, c *change) (err error) {
		asked, err = c.begin(ctx, in.Body)
		return err
	})
	if err != nil {
		return nil, err
	}
	if secret := waits(state, asked); secret != "" {
		return api.NewValue(asking(row, secret)).As(http.StatusOK), nil
	}
	return api.NewValue(changed(row)).At("/api/v1/billing/subscription/"), nil
}

// waits gives the client secret when the subscription's payment still waits for
// its person.
func waits(now *payment.State, asked *payment.Subscription) string {
	if asked == nil || asked.PaymentStatus != requiresAction {
		return ""
	}
	if sub := now.Subscription; sub != nil && sub.ID == asked.ID && sub.PaymentStatus != requiresAction {
		return "" // their answer was faster than ours
	}
	return asked.Secret
}

// begin makes the subscription, unless this very request made it before.
func (c *change) begin(ctx context.Context, want subscribeBody) (*payment.Subscription, error) {
	api := subscription.Client{B: c.backend, Key: c.secret}
	if sub := c.state.Subscription; sub != nil && (sub.Live() || sub.Status == payment.StatusIncomplete) {
		switch {
		case sub.Request == c.key:
			return sub, c.paid(ctx, sub)
		case sub.Live():
			return nil, errSubscribed
		}
		// A first payment that somebody did not finish gives way.
		params := &stripe.SubscriptionCancelParams{Params: c.params(ctx, "give up "+sub.ID)}
		if _, err := api.Cancel(sub.ID, params); err != nil {
			return nil, payment.Explain(err)
		}
	}
	price, err := c.price(ctx, want.Plan, want.Interval)
	if err != nil {
		return nil, err
	}
	if want.PaymentMethodID != "" {
		if err := c.useMethod(ctx, want.PaymentMethodID); err != nil {
			return nil, err
		}
	} else if c.usual() == "" {
		return nil, errMethodNeeded
	}
	c.s.at("before subscribe")
	params := &stripe.SubscriptionParams{
		Params: c.params(ctx, "subscribe"), Customer: new(c.row.Customer), PaymentBehavior: new("allow_incomplete"),
		Items: []*stripe.SubscriptionItemsParams{{Price: new(price)}},
	}
	params.AddMetadata(payment.MetaTenant, c.by.TenantID.String())
	params.AddMetadata(payment.MetaRequest, c.key)
	params.AddExpand("latest_invoice.payment_intent")
	made, err := api.New(params)
	if err != nil {
		return nil, payment.Explain(err)
	}
	c.s.at("subscribed")
	sub := payment.Describe(made)
	return sub, c.paid(ctx, sub)
}

// paid refuses a first payment that was declined, and takes the subscription
// back.
func (c *change) paid(ctx context.Context, sub *payment.Subscription) error {
	if sub.Status != payment.StatusIncomplete || sub.PaymentStatus == requiresAction {
		return nil
	}
	params := &stripe.SubscriptionCancelParams{Params: c.params(ctx, "take back")}
	if _, err := (subscription.Client{B: c.backend, Key: c.secret}).Cancel(sub.ID, params); err != nil {
		return payment.Explain(err)
	}
	return declined(sub)
}

func declined(sub *payment.Subscription) error {
	e := *payment.ErrDeclined
	if sub.PaymentError != "" {
		e.Detail = sub.PaymentError
	}
	return &e
}

func (c *change) price(ctx context.Context, plan, interval string) (string, error) {
	p, err := payment.Price(ctx, c.backend, c.secret, plans.LookupKey(plan, interval))
	if err != nil {
		return "", payment.Explain(err)
	}
	if p == nil {
		return "", errNoPrice
	}
	return p.ID, nil
}

// usual is the default payment method.
func (c *change) usual() string {
	for _, m := range c.state.Methods {
		if m.Default {
			return m.ID
		}
	}
	return ""
}

// useMethod makes a payment method the customer's, and the default.
func (c *change) useMethod(ctx context.Context, id string) error {
	params := &stripe.PaymentMethodAttachParams{Params: c.params(ctx, "attach"), Customer: new(c.row.Customer)}
	m, err := paymentmethod.Client{B: c.backend, Key: c.secret}.Attach(id, params)
	if err != nil {
		return usable(payment.Explain(err))
	}
	c.s.at("attached")
	return c.setUsual(ctx, m.ID)
}

// usable turns what is wrong with a payment method of the request into a fault
// of the request.
func usable(err error) error {
	if k := errs.KindOf(err); k == errs.NotFound || k == errs.Internal {
		return errMethod.WithCause(err)
	}
	return err
}

func (c *change) setUsual(ctx context.Context, id string) error {
	params := &stripe.CustomerParams{Params: c.params(ctx, "default"), InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: new(id)}}
	_, err := customer.Client{B: c.backend, Key: c.secret}.Update(c.row.Customer, params)
	return payment.Explain(err)
}
