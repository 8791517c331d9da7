package payment

import (
	"context"
	"slices"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/customer"
	"github.com/stripe/stripe-go/v76/invoice"
	"github.com/stripe/stripe-go/v76/paymentmethod"
	"github.com/stripe/stripe-go/v76/subscription"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/plans"
)

// The metadata by which objects at Stripe tell what they are here.
const (
	MetaTenant   = "tenant_id" // of customers and subscriptions
	MetaPlan     = "plan"      // of prices and schedules
	MetaInterval = "interval"  // of schedules
	MetaRequest  = "request"   // of subscriptions: a hash of the request that made it
)

// How much of a customer is read. Nobody has more cards; of invoices the latest
// can change.
const (
	maxMethods       = 100
	maxSubscriptions = 100
	latestInvoices   = 20
)

// State is a customer at Stripe, at one moment.
type State struct {
	Customer string
	TenantID string // as its metadata says
	// Subscription is the one that counts; nil when there never was one.
	Subscription *Subscription
	// Others are live too, and must not be: what is paid for twice.
	Others   []string
	Methods  []Method
	Invoices []Invoice
}

// Subscription is one at Stripe, in our words.
type Subscription struct {
	ID, ItemID, PriceID   string
	Plan, Interval        string
	Status                string
	Start, End            time.Time
	TrialEnd, CanceledAt  *time.Time
	CancelAtPeriodEnd     bool
	ScheduleID            string
	PendingPlan           string // from the period's end on
	PendingInterval       string
	Request               string
	TenantID              string
	PaymentMethod         string
	LatestInvoice         string
	PaymentStatus, Secret string // of the latest invoice's payment
	PaymentError          string
	Upgrading             bool // an upgrade waits to be paid
	live                  bool
	created               int64
}

// Live reports whether the subscription goes on.
func (s *Subscription) Live() bool { return s != nil && s.live }

// Method is a card.
type Method struct {
	ID, Brand, Last4  string
	ExpMonth, ExpYear int64
	Default           bool
	Created           time.Time
}

// Invoice is a bill.
type Invoice struct {
	ID, Number, Status, Currency string
	Due, Paid                    int64
	HostedURL, PDF               string
	PeriodStart, PeriodEnd       time.Time
	Created                      time.Time
	IssuedAt, PaidAt             *time.Time
	Attempts                     int64
	First                        bool // of a new subscription: its person sees what becomes of it
}

// Fetch reads what a customer has now.
func (c *Client) Fetch(ctx context.Context, id string) (*State, error) {
	backend, key, err := c.Use(ctx)
	if err != nil {
		return nil, err
	}
	s := &State{Customer: id}
	subs, methods, bills := &stripe.SubscriptionListParams{Customer: new(id), Status: new("all")},
		&stripe.PaymentMethodListParams{Customer: new(id), Type: new("card")}, &stripe.InvoiceListParams{Customer: new(id)}
	subs.Context, methods.Context, bills.Context = ctx, ctx, ctx
	subs.Limit, methods.Limit, bills.Limit = stripe.Int64(maxSubscriptions), stripe.Int64(maxMethods), stripe.Int64(latestInvoices)
	subs.Single, methods.Single, bills.Single = true, true, true
	subs.AddExpand("data.schedule")
	subs.AddExpand("data.latest_invoice.payment_intent")

	params := &stripe.CustomerParams{}
	params.Context = ctx
	cus, err := customer.Client{B: backend, Key: key}.Get(id, params)
	if err != nil {
		return nil, Explain(err)
	}
	s.TenantID = cus.Metadata[MetaTenant]
	var all []*stripe.Subscription
	found := subscription.Client{B: backend, Key: key}.List(subs)
	for found.Next() {
		all = append(all, found.Subscription())
	}
	if err := found.Err(); err != nil {
		return nil, Explain(err)
	}
	s.choose(all)
	usual := ""
	if cus.InvoiceSettings != nil && cus.InvoiceSettings.DefaultPaymentMethod != nil {
		usual = cus.InvoiceSettings.DefaultPaymentMethod.ID
	}
	cards := paymentmethod.Client{B: backend, Key: key}.List(methods)
	for cards.Next() {
		s.Methods = append(s.Methods, method(cards.PaymentMethod(), usual))
	}
	if err := cards.Err(); err != nil {
		return nil, Explain(err)
	}
	invoices := invoice.Client{B: backend, Key: key}.List(bills)
	for invoices.Next() {
		s.Invoices = append(s.Invoices, bill(invoices.Invoice()))
	}
	return s, Explain(invoices.Err())
}

// FetchInvoice adds an invoice that is not among the latest.
func (c *Client) FetchInvoice(ctx context.Context, s *State, id string) error {
	if slices.ContainsFunc(s.Invoices, func(i Invoice) bool { return i.ID == id }) {
		return nil
	}
	backend, key, err := c.Use(ctx)
	if err != nil {
		return err
	}
	params := &stripe.InvoiceParams{}
	params.Context = ctx
	i, err := invoice.Client{B: backend, Key: key}.Get(id, params)
	if err != nil {
		return Explain(err)
	}
	if i.Customer != nil && i.Customer.ID == s.Customer {
		s.Invoices = append(s.Invoices, bill(i))
	}
	return nil
}

// choose finds the subscription that counts: one that goes on, else one that
// waits for its first payment, else the last one that was.
func (s *State) choose(all []*stripe.Subscription) {
	var found []*Subscription
	for _, v := range all {
		found = append(found, Describe(v))
	}
	class := func(v *Subscription) int {
		switch {
		case v.live:
			return 0
		case v.Status == StatusIncomplete:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(found, func(a, b *Subscription) int {
		if c := class(a) - class(b); c != 0 {
			return c
		}
		if a.live { // the first of several that live: the others are mistakes
			return int(a.created - b.created)
		}
		return int(b.created - a.created)
	})
	if len(found) == 0 {
		return
	}
	s.Subscription = found[0]
	for _, v := range found[1:] {
		if v.live {
			s.Others = append(s.Others, v.ID)
		}
	}
}

// The states of a subscription here.
const (
	StatusActive     = "active"
	StatusTrialing   = "trialing"
	StatusPastDue    = "past_due"
	StatusCanceled   = "canceled"
	StatusIncomplete = "incomplete"
)

func status(s stripe.SubscriptionStatus) (string, bool) {
	switch s {
	case stripe.SubscriptionStatusActive:
		return StatusActive, true
	case stripe.SubscriptionStatusTrialing:
		return StatusTrialing, true
	case stripe.SubscriptionStatusPastDue, stripe.SubscriptionStatusUnpaid, stripe.SubscriptionStatusPaused:
		return StatusPastDue, true
	case stripe.SubscriptionStatusIncomplete:
		return StatusIncomplete, false
	case stripe.SubscriptionStatusCanceled, stripe.SubscriptionStatusIncompleteExpired:
	}
	return StatusCanceled, false
}

// Describe puts a subscription of Stripe into our words. Its latest invoice and
// that one's payment, and its schedule, are told where they are expanded.
func Describe(v *stripe.Subscription) *Subscription {
	s := &Subscription{
		ID: v.ID, Start: moment(v.CurrentPeriodStart), End: moment(v.CurrentPeriodEnd), TrialEnd: maybe(v.TrialEnd), CanceledAt: maybe(v.CanceledAt),
		CancelAtPeriodEnd: v.CancelAtPeriodEnd, Request: v.Metadata[MetaRequest], TenantID: v.Metadata[MetaTenant], created: v.Created, Upgrading: v.PendingUpdate != nil,
	}
	s.Status, s.live = status(v.Status)
	if len(v.Items.Data) > 0 {
		item := v.Items.Data[0]
		s.ItemID, s.PriceID = item.ID, item.Price.ID
		s.Plan, s.Interval = priced(item.Price)
	}
	if v.DefaultPaymentMethod != nil {
		s.PaymentMethod = v.DefaultPaymentMethod.ID
	}
	if i := v.LatestInvoice; i != nil {
		s.LatestInvoice = i.ID
		if pi := i.PaymentIntent; pi != nil {
			s.PaymentStatus, s.Secret = string(pi.Status), pi.ClientSecret
			if pi.LastPaymentError != nil {
				s.PaymentError = pi.LastPaymentError.Msg
			}
		}
	}
	if sched := v.Schedule; sched != nil {
		s.ScheduleID = sched.ID
		for _, p := range sched.Phases {
			if p.StartDate >= v.CurrentPeriodEnd && len(p.Items) > 0 && p.Items[0].Price != nil && s.live {
				s.PendingPlan, s.PendingInterval = sched.Metadata[MetaPlan], sched.Metadata[MetaInterval]
				break
			}
		}
	}
	return s
}

// priced tells what a price is of. It is written on the price, as the name it
// is looked up by moves on to its successor.
func priced(p *stripe.Price) (plan, interval string) {
	interval = plans.Month
	if p.Recurring != nil && p.Recurring.Interval == stripe.PriceRecurringIntervalYear {
		interval = plans.Year
	}
	return p.Metadata[MetaPlan], interval
}

func method(m *stripe.PaymentMethod, usual string) Method {
	out := Method{ID: m.ID, Default: m.ID == usual, Created: moment(m.Created)}
	if m.Card != nil {
		out.Brand, out.Last4, out.ExpMonth, out.ExpYear = string(m.Card.Brand), m.Card.Last4, m.Card.ExpMonth, m.Card.ExpYear
	}
	return out
}

func bill(i *stripe.Invoice) Invoice {
	out := Invoice{
		ID: i.ID, Number: i.Number, Status: string(i.Status), Currency: string(i.Currency), Due: i.AmountDue, Paid: i.AmountPaid, HostedURL: i.HostedInvoiceURL, PDF: i.InvoicePDF,
		PeriodStart: moment(i.PeriodStart), PeriodEnd: moment(i.PeriodEnd), Created: moment(i.Created), Attempts: i.AttemptCount,
		First: i.BillingReason == stripe.InvoiceBillingReasonSubscriptionCreate,
	}
	if i.StatusTransitions != nil {
		out.IssuedAt, out.PaidAt = maybe(i.StatusTransitions.FinalizedAt), maybe(i.StatusTransitions.PaidAt)
	}
	return out
}

func moment(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

func maybe(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	return new(moment(unix))
}

// Of reports whether the state is of a tenant: what Stripe's objects say of
// themselves must agree with our claim.
func (s *State) Of(tenant ids.ID) bool {
	return s.TenantID == tenant.String() && (s.Subscription == nil || s.Subscription.TenantID == tenant.String())
}
