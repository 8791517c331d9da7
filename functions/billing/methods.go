package billing

import (
	"context"
	"net/http"
	"slices"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/invoice"
	"github.com/stripe/stripe-go/v76/paymentmethod"
	"github.com/stripe/stripe-go/v76/setupintent"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/payment"
)

// Method is a card, as clients see it.
type Method struct {
	ID        string `json:"id" doc:"Its id at Stripe."`
	Brand     string `json:"brand" doc:"visa, mastercard …"`
	Last4     string `json:"last4" doc:"The end of its number."`
	ExpMonth  int64  `json:"exp_month" doc:"The last month that it holds."`
	ExpYear   int64  `json:"exp_year" doc:"The year of that month."`
	IsDefault bool   `json:"is_default" doc:"Whether it pays the subscription."`
}

// Added is a card that was added, or what its person has to do first.
type Added struct {
	Status       string  `json:"status" enum:"added,requires_action" doc:"requires_action: confirm the setup with client_secret (3-D Secure); the payment method follows by itself."`
	ClientSecret string  `json:"client_secret,omitempty" doc:"For Stripe.js, with requires_action."`
	ID           string  `json:"id" doc:"Its id at Stripe."`
	Brand        *string `json:"brand" doc:"visa, mastercard …; null until it is added."`
	Last4        *string `json:"last4" doc:"The end of its number."`
	ExpMonth     *int64  `json:"exp_month" doc:"The last month that it holds."`
	ExpYear      *int64  `json:"exp_year" doc:"The year of that month."`
	IsDefault    bool    `json:"is_default" doc:"Whether it pays the subscription."`
}

var exampleMethod = Method{ID: "pm_1PqR5s2eZvKYlo2C", Brand: "visa", Last4: "4242", ExpMonth: 12, ExpYear: 2029, IsDefault: true}

func added(m payment.Method) Added {
	return Added{Status: "added", ID: m.ID, Brand: &m.Brand, Last4: &m.Last4, ExpMonth: &m.ExpMonth, ExpYear: &m.ExpYear, IsDefault: m.Default}
}

var errLastMethod = errs.New(errs.Conflict, "last_payment_method", "It is the only payment method of a plan that is paid for. Add another one first, or cancel the subscription.")

var addMethodSpec = api.Spec{
	ID: "add-payment-method", Method: http.MethodPost, Path: "/api/v1/billing/payment-method/", Tag: "Billing",
	Summary: "Add a payment method",
	Description: "The first one becomes the default. With `set_default` it pays from now on, and what is owed at once. Where the bank wants to ask its customer, " +
		"the answer is 200 with `status: requires_action` and a `client_secret` for Stripe.js; make it the default once it is there.",
	Permission: identity.BillingWrite, OpenWhenSuspended: true, Essential: true, Status: http.StatusCreated, Also: http.StatusOK, Sealed: true,
	Errors:         append([]errs.Error{*payment.ErrDeclined}, common...),
	RequestExample: addMethodBody{PaymentMethodID: "pm_1PqR5s2eZvKYlo2C"},
	ResponseExample: added(payment.Method{ID: exampleMethod.ID, Brand: exampleMethod.Brand, Last4: exampleMethod.Last4,
		ExpMonth: exampleMethod.ExpMonth, ExpYear: exampleMethod.ExpYear, Default: true}),
}

type addMethodBody struct {
	PaymentMethodID string `json:"payment_method_id" minLength:"1" maxLength:"255" doc:"Of Stripe.js."`
	SetDefault      bool   `json:"set_default,omitempty" doc:"Whether it pays the subscription from now on."`
}

type addMethodInput struct {
	Body addMethodBody
}

func (s *service) addMethod(ctx context.Context, by identity.Caller, in *addMethodInput) (*api.Value[Added], error) {
	var setup *stripe.SetupIntent
	_, state, err := s.change(ctx, by, func(ctx context.Context, c *change) (err error) {
		setup, err = c.add(ctx, in.Body)
		return err
	})
	if err != nil {
		return nil, err
	}
	id := setup.PaymentMethod.ID
	if i := slices.IndexFunc(state.Methods, func(m payment.Method) bool { return m.ID == id }); i >= 0 {
		return api.NewValue(added(state.Methods[i])).At("/api/v1/billing/payment-method/" + id + "/"), nil
	}
	return api.NewValue(Added{Status: requiresAction, ClientSecret: setup.ClientSecret, ID: id}).As(http.StatusOK), nil
}

func (c *change) add(ctx context.Context, want addMethodBody) (*stripe.SetupIntent, error) {
	params := &stripe.SetupIntentParams{
		Params: c.params(ctx, "setup"), Customer: new(c.row.Customer), PaymentMethod: new(want.PaymentMethodID), Confirm: new(true),
		Usage: new("off_session"), PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
	}
	setup, err := setupintent.Client{B: c.backend, Key: c.secret}.New(params)
	if err != nil {
		return nil, usable(payment.Explain(err))
	}
	c.s.at("set up")
	switch {
	case setup.Status == stripe.SetupIntentStatusRequiresAction:
		return setup, nil
	case setup.Status != stripe.SetupIntentStatusSucceeded || setup.PaymentMethod == nil:
		return nil, payment.ErrDeclined
	}
	c.record = append(c.record, activity.Created("PaymentMethod", c.by.TenantID, map[string]any{"id": setup.PaymentMethod.ID, "default": want.SetDefault}))
	if !want.SetDefault && c.usual() != "" {
		return setup, nil
	}
	if err := c.setUsual(ctx, setup.PaymentMethod.ID); err != nil {
		return nil, err
	}
	return setup, c.settle(ctx)
}

// settle tries to pay what is owed. When that fails the payment method stays
// all the same, and Stripe tries again by its own plan.
func (c *change) settle(ctx context.Context) error {
	sub := c.state.Subscription
	if !sub.Live() || sub.Status != payment.StatusPastDue || sub.LatestInvoice == "" {
		return nil
	}
	_, err := invoice.Client{B: c.backend, Key: c.secret}.Pay(sub.LatestInvoice, &stripe.InvoicePayParams{Params: c.params(ctx, "settle")})
	if err = payment.Explain(err); errs.KindOf(err) == errs.Unavailable {
		return err
	}
	return nil
}

var listMethodsSpec = api.Spec{
	ID: "list-payment-methods", Method: http.MethodGet, Path: "/api/v1/billing/payment-methods/", Tag: "Billing",
	Summary: "List the payment methods", Description: "The default comes first. An organization has at most a hundred.",
	Permission: identity.BillingRead, OpenWhenSuspended: true, Essential: true, ResponseExample: api.ListBody[Method]{Results: []Method{exampleMethod}},
}

type listMethodsInput struct{}

func (s *service) listMethods(ctx context.Context, by identity.Caller, _ *listMethodsInput) (*api.List[Method], error) {
	var found *db.Rows[Method]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = listMethods(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewList(all, nil, nil), nil
}

var deleteMethodSpec = api.Spec{
	ID: "delete-payment-method", Method: http.MethodDelete, Path: "/api/v1/billing/payment-method/{id}/", Tag: "Billing",
	Summary:     "Remove a payment method",
	Description: "Of several, another one becomes the default when the default goes.",
	Permission:  identity.BillingWrite, OpenWhenSuspended: true, Essential: true,
	Errors: append([]errs.Error{*errLastMethod}, common...),
}

type deleteMethodInput struct {
	ID string `path:"id" maxLength:"255" doc:"The payment method's id." example:"pm_1PqR5s2eZvKYlo2C"`
}

func (s *service) deleteMethod(ctx context.Context, by identity.Caller, in *deleteMethodInput) (*api.Empty, error) {
	// What was never seen here is nobody's; the look saves a stranger's id the
	// way to Stripe.
	var found *db.Rows[Method]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error { found = listMethods(tx); return nil })
	if err != nil {
		return nil, err
	}
	known, err := found.Value()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(known, func(m Method) bool { return m.ID == in.ID }) {
		return nil, errs.ErrNotFound
	}
	_, _, err = s.change(ctx, by, func(ctx context.Context, c *change) error { return c.remove(ctx, in.ID) })
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}

func (c *change) remove(ctx context.Context, id string) error {
	i := slices.IndexFunc(c.state.Methods, func(m payment.Method) bool { return m.ID == id })
	if i < 0 {
		return errs.ErrNotFound
	}
	others := slices.DeleteFunc(slices.Clone(c.state.Methods), func(m payment.Method) bool { return m.ID == id })
	if len(others) == 0 && c.state.Subscription.Live() && !c.state.Subscription.CancelAtPeriodEnd {
		return errLastMethod
	}
	if c.state.Methods[i].Default && len(others) > 0 {
		if err := c.setUsual(ctx, others[0].ID); err != nil {
			return err
		}
	}
	if _, err := (paymentmethod.Client{B: c.backend, Key: c.secret}).Detach(id, &stripe.PaymentMethodDetachParams{Params: c.params(ctx, "detach")}); err != nil {
		return payment.Explain(err)
	}
	c.s.at("detached")
	c.record = append(c.record, activity.Deleted("PaymentMethod", c.by.TenantID, activity.Changes{"id": {Old: id}}))
	return nil
}
