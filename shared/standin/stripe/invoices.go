package stripe

import (
	"fmt"
	"net/http"
)

// retries is when a payment that failed is tried again, in seconds after the
// failure; then the subscription is canceled.
var retries = []int64{3 * 86400, 5 * 86400, 7 * 86400}

func (c *request) line(p *Price, amount, start, end int64, proration bool) *Line {
	name := c.s.Products[string(p.Product)].Name
	description := "1 × " + name
	switch {
	case proration && amount < 0:
		description = "Unused time on " + name
	case proration:
		description = "Remaining time on " + name
	}
	return &Line{ID: newID("il_"), Object: "line_item", Amount: amount, Currency: p.Currency, Description: description, Period: linePeriod{start, end}, Price: p, Proration: proration, Quantity: 1}
}

func (c *request) newInvoice(v *Subscription, why string, at int64, lines []*Line) *Invoice {
	inv := &Invoice{
		ID: newID("in_"), Object: "invoice", BillingReason: why, CollectionMethod: v.CollectionMethod, Created: at, Currency: v.Currency, Customer: v.Customer,
		Lines: lineList{Object: "list", Data: lines}, Metadata: map[string]string{}, PeriodStart: v.CurrentPeriodStart, PeriodEnd: at, Status: "draft", Subscription: ref(v.ID), AutoAdvance: true,
	}
	inv.Lines.URL = "/v1/invoices/" + inv.ID + "/lines"
	for _, l := range lines {
		inv.Subtotal += l.Amount
	}
	inv.Total = inv.Subtotal
	inv.AmountDue, inv.AmountRemaining = max(0, inv.Total), max(0, inv.Total)
	c.s.Invoices[inv.ID] = inv
	c.s.made(inv.ID)
	v.LatestInvoice = ref(inv.ID)
	c.emit("invoice.created", inv, nil, at)
	return inv
}

// finalize makes a draft a bill: it gets a number, the customer's balance is
// taken into account, and a payment is made for what is due.
func (c *request) finalize(inv *Invoice, at int64) {
	cus := c.s.Customers[string(inv.Customer)]
	inv.Number = ref(fmt.Sprintf("%s-%04d", cus.InvoicePrefix, cus.NextInvoice))
	cus.NextInvoice++
	inv.StartingBalance = cus.Balance
	inv.AmountDue, inv.EndingBalance = inv.Total+cus.Balance, 0
	if inv.AmountDue < 0 {
		inv.AmountDue, inv.EndingBalance = 0, inv.AmountDue
	}
	inv.AmountRemaining = inv.AmountDue
	cus.Balance = inv.EndingBalance
	inv.Status, inv.FinalizeAt = "open", 0
	inv.StatusTransitions.FinalizedAt = moment(at)
	inv.HostedInvoiceURL = ref("https://invoice.stripe.com/i/standin/" + inv.ID)
	inv.InvoicePDF = inv.HostedInvoiceURL + "/pdf"
	if inv.AmountDue > 0 {
		pi := &PaymentIntent{
			ID: newID("pi_"), Object: "payment_intent", Created: at, Amount: inv.AmountDue, Currency: inv.Currency, Customer: inv.Customer,
			Invoice: ref(inv.ID), Metadata: map[string]string{}, Status: "requires_payment_method",
		}
		pi.ClientSecret = pi.ID + "_secret_" + newID("")
		c.s.Intents[pi.ID] = pi
		c.s.made(pi.ID)
		inv.PaymentIntent = ref(pi.ID)
		c.emit("payment_intent.created", pi, nil, at)
	}
	c.emit("invoice.finalized", inv, nil, at)
}

// pay tries to collect an invoice. present tells that its person is there, who
// could authenticate the payment.
func (c *request) pay(inv *Invoice, at int64, present bool) {
	inv.Attempted = true
	if inv.AmountDue == 0 {
		c.paid(inv, at)
		return
	}
	inv.AttemptCount++
	pi, sub, cus := c.s.Intents[string(inv.PaymentIntent)], c.s.Subscriptions[string(inv.Subscription)], c.s.Customers[string(inv.Customer)]
	id := sub.DefaultPaymentMethod
	if id == "" {
		id = cus.InvoiceSettings.DefaultPaymentMethod
	}
	m := c.s.Methods[string(id)]
	if m == nil {
		c.failed(inv, pi, refused("payment_intent_payment_attempt_failed", "", "There is no payment method to pay with."), at)
		return
	}
	pi.PaymentMethod = ref(m.ID)
	c.charge(inv, pi, m, at, present)
}

func (c *request) charge(inv *Invoice, pi *PaymentIntent, m *PaymentMethod, at int64, present bool) {
	card := m.card()
	switch {
	case card.behavior == authenticate, card.behavior == setup && !m.SetUp:
		pi.Status, pi.NextAction, pi.LastPaymentError = "requires_action", &nextAction{"use_stripe_sdk"}, nil
		if !present {
			pi.LastPaymentError = refused("authentication_required", "authentication_required", "This transaction requires authentication.")
		}
		c.emit("payment_intent.requires_action", pi, nil, at)
		c.emit("invoice.payment_action_required", inv, nil, at)
		c.unpaid(inv, at)
	case card.decline != nil:
		c.failed(inv, pi, card.decline, at)
	default:
		c.collect(inv, pi, at)
	}
}

// collect moves the money.
func (c *request) collect(inv *Invoice, pi *PaymentIntent, at int64) {
	pi.Status, pi.NextAction, pi.LastPaymentError, pi.AmountReceived, pi.LatestCharge = "succeeded", nil, nil, pi.Amount, ref(newID("ch_"))
	pi.Charges++
	c.emit("payment_intent.succeeded", pi, nil, at)
	c.paid(inv, at)
}

func (c *request) failed(inv *Invoice, pi *PaymentIntent, why *declined, at int64) {
	pi.Status, pi.NextAction, pi.LastPaymentError = "requires_payment_method", nil, why
	c.emit("payment_intent.payment_failed", pi, nil, at)
	c.unpaid(inv, at)
}

func (c *request) paid(inv *Invoice, at int64) {
	inv.Status, inv.Paid, inv.AmountPaid, inv.AmountRemaining = "paid", true, inv.AmountDue, 0
	inv.StatusTransitions.PaidAt, inv.NextPaymentAttempt = moment(at), 0
	c.emit("invoice.paid", inv, nil, at)
	c.emit("invoice.payment_succeeded", inv, nil, at)
	sub := c.s.Subscriptions[string(inv.Subscription)]
	if sub.ended() {
		return
	}
	before := snapshot(sub)
	if u := sub.PendingUpdate; u != nil && u.Invoice == inv.ID {
		sub.applyPending()
	}
	if sub.LatestInvoice == ref(inv.ID) {
		sub.Status = "active"
	}
	c.updated(sub, before, at)
}

// unpaid follows a payment that did not come.
func (c *request) unpaid(inv *Invoice, at int64) {
	sub := c.s.Subscriptions[string(inv.Subscription)]
	if inv.BillingReason == "subscription_cycle" && !sub.ended() {
		n := inv.AttemptCount - 1
		if n < int64(len(retries)) {
			inv.NextPaymentAttempt = moment(at + retries[n])
		} else {
			inv.NextPaymentAttempt = 0
		}
	}
	c.emit("invoice.payment_failed", inv, nil, at)
	if inv.BillingReason != "subscription_cycle" || sub.ended() {
		return
	}
	if inv.NextPaymentAttempt == 0 {
		c.end(sub, at, "canceled")
		return
	}
	before := snapshot(sub)
	sub.Status = "past_due"
	c.updated(sub, before, at)
}

// void takes a bill back, and with it the update that waits for it.
func (c *request) void(inv *Invoice, at int64) {
	if inv == nil || inv.Status != "open" && inv.Status != "draft" {
		return
	}
	cus := c.s.Customers[string(inv.Customer)]
	cus.Balance += inv.StartingBalance - inv.EndingBalance
	inv.Status, inv.AutoAdvance, inv.NextPaymentAttempt = "void", false, 0
	inv.StatusTransitions.VoidedAt = moment(at)
	if pi := c.s.Intents[string(inv.PaymentIntent)]; pi != nil {
		pi.Status, pi.NextAction = "canceled", nil
		c.emit("payment_intent.canceled", pi, nil, at)
	}
	c.emit("invoice.voided", inv, nil, at)
	if sub := c.s.Subscriptions[string(inv.Subscription)]; sub.PendingUpdate != nil && sub.PendingUpdate.Invoice == inv.ID {
		before := snapshot(sub)
		sub.PendingUpdate = nil
		c.updated(sub, before, at)
	}
}

func (c *request) invoice() (*Invoice, error) {
	if v := c.s.Invoices[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("invoice", c.r.PathValue("id"), "id")
}

func (c *request) getInvoice() (any, error) { return c.invoice() }

func (c *request) listInvoices() (any, error) {
	var all []*Invoice
	for _, v := range c.s.Invoices {
		if (!c.has("customer") || string(v.Customer) == c.text("customer")) && (!c.has("subscription") || string(v.Subscription) == c.text("subscription")) &&
			(!c.has("status") || v.Status == c.text("status")) {
			all = append(all, v)
		}
	}
	return list(c, func(v *Invoice) string { return v.ID }, all)
}

func (c *request) voidInvoice() (any, error) {
	v, err := c.invoice()
	if err != nil {
		return nil, err
	}
	if v.Status != "open" {
		return nil, invalid("", "You can only pass in open invoices. This invoice isn't open.")
	}
	c.void(v, c.at(string(v.Customer)))
	return v, nil
}

func (c *request) payInvoice() (any, error) {
	v, err := c.invoice()
	if err != nil {
		return nil, err
	}
	if v.Status != "open" {
		return nil, &apiError{status: http.StatusBadRequest, Type: invalidRequest, Code: "invoice_not_editable", Message: "Invoice is already " + v.Status + "."}
	}
	c.pay(v, c.at(string(v.Customer)), true)
	if pi := c.s.Intents[string(v.PaymentIntent)]; !v.Paid && pi != nil {
		if pi.LastPaymentError != nil {
			return nil, cardRefused(pi.LastPaymentError)
		}
		return nil, cardRefused(refused("invoice_payment_intent_requires_action", "", "This payment requires additional user action before it can be completed successfully."))
	}
	return v, nil
}
