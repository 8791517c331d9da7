package stripe

import (
	"encoding/json"
	"slices"
)

const (
	incompleteFor = 23 * 60 * 60 // until a first payment that does not come ends it all
	itemID        = "items.0.id"
	itemPrice     = "items.0.price"
)

func (c *request) subscription() (*Subscription, error) {
	if v := c.s.Subscriptions[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("subscription", c.r.PathValue("id"), "id")
}

func (c *request) activePrice(param string) (*Price, error) {
	id, err := c.need(param)
	if err != nil {
		return nil, err
	}
	p := c.s.Prices[id]
	if p == nil {
		return nil, noSuch("price", id, "items[0][price]")
	}
	if !p.Active {
		return nil, invalid("items[0][price]", "The price specified is inactive. This field only accepts active prices.")
	}
	return p, nil
}

func newItem(sub string, p *Price, at int64) *Item {
	return &Item{ID: newID("si_"), Object: "subscription_item", Created: at, Price: p, Quantity: 1, Subscription: ref(sub)}
}

func (c *request) createSubscription() (any, error) {
	customer, err := c.customer("customer")
	if err != nil {
		return nil, err
	}
	p, err := c.activePrice(itemPrice)
	if err != nil {
		return nil, err
	}
	if _, err := c.one("payment_behavior", "allow_incomplete"); err != nil {
		return nil, err
	}
	method, err := c.ownMethod(customer)
	if err != nil {
		return nil, err
	}
	at := c.at(customer.ID)
	v := &Subscription{
		ID: newID("sub_"), Object: "subscription", BillingCycleAnchor: at, CollectionMethod: "charge_automatically", Created: at, Currency: p.Currency,
		CurrentPeriodStart: at, CurrentPeriodEnd: boundary(at, p.Recurring.Interval, 1), Customer: ref(customer.ID), DefaultPaymentMethod: ref(method),
		Metadata: c.merge(nil), StartDate: at, Status: "incomplete", TestClock: customer.TestClock,
	}
	v.Items = itemList{Object: "list", Data: []*Item{newItem(v.ID, p, at)}, URL: "/v1/subscription_items?subscription=" + v.ID}
	if method == "" && customer.InvoiceSettings.DefaultPaymentMethod == "" && p.UnitAmount > 0 {
		return nil, invalid("", "This customer has no attached payment source or default payment method. Please consider adding a default payment method.")
	}
	customer.Currency = ref(p.Currency)
	c.s.Subscriptions[v.ID] = v
	c.s.made(v.ID)
	inv := c.newInvoice(v, "subscription_create", at, []*Line{c.line(p, p.UnitAmount, v.CurrentPeriodStart, v.CurrentPeriodEnd, false)})
	c.emit("customer.subscription.created", v, nil, at)
	c.finalize(inv, at)
	c.pay(inv, at, true)
	return v, nil
}

// ownMethod is the default_payment_method of a request, attached to the
// customer.
func (c *request) ownMethod(customer *Customer) (string, error) {
	id := c.text("default_payment_method")
	if id == "" {
		return "", nil
	}
	m := c.s.Methods[id]
	if m == nil {
		return "", noSuch("PaymentMethod", id, "default_payment_method")
	}
	return m.ID, m.belongs(customer.ID, "default_payment_method")
}

func (c *request) getSubscription() (any, error) { return c.subscription() }

func (c *request) listSubscriptions() (any, error) {
	status := c.text("status")
	var all []*Subscription
	for _, v := range c.s.Subscriptions {
		switch {
		case c.has("customer") && string(v.Customer) != c.text("customer"):
		case status == "" && (v.Status == "canceled" || v.Status == "incomplete_expired"):
		case status != "" && status != "all" && v.Status != status:
		default:
			all = append(all, v)
		}
	}
	return list(c, func(v *Subscription) string { return v.ID }, all)
}

func (v *Subscription) ended() bool {
	return v.Status == "canceled" || v.Status == "incomplete_expired"
}

func (c *request) updateSubscription() (any, error) {
	v, err := c.subscription()
	if err != nil {
		return nil, err
	}
	if v.ended() {
		return nil, invalid("", "A canceled subscription can only update its cancellation_details and metadata.")
	}
	if v.Schedule != "" && (c.has("cancel_at_period_end") || c.rows("items") > 0) {
		return nil, invalid("", "The subscription is managed by the subscription schedule `"+string(v.Schedule)+"`, and updating any cancelation behavior or item directly is not allowed. Please update the schedule instead.")
	}
	before, at := snapshot(v), c.at(string(v.Customer))
	if c.rows("items") > 0 {
		if err := c.change(v, at); err != nil {
			return nil, err
		}
	}
	method, err := c.ownMethod(c.s.Customers[string(v.Customer)])
	if err != nil {
		return nil, err
	}
	if method != "" {
		v.DefaultPaymentMethod = ref(method)
	}
	if c.has("cancel_at_period_end") {
		stop, err := c.flag("cancel_at_period_end")
		if err != nil {
			return nil, err
		}
		v.CancelAtPeriodEnd, v.CanceledAt, v.CancelAt = stop, 0, 0
		if stop {
			v.CanceledAt, v.CancelAt = moment(at), moment(v.CurrentPeriodEnd)
		}
	}
	v.Metadata = c.merge(v.Metadata)
	c.updated(v, before, at)
	return v, nil
}

// change moves a subscription to another price, at once and paid for at once.
// Until it is paid for, it is an update that pends.
func (c *request) change(v *Subscription, at int64) error {
	if c.rows("items") != 1 || c.text(itemID) != v.Items.Data[0].ID {
		return invalid("items[0][id]", "This stand-in changes the one item that a subscription has.")
	}
	if _, err := c.one("proration_behavior", "always_invoice"); err != nil || !c.has("proration_behavior") {
		return invalid("proration_behavior", "This stand-in does always_invoice.")
	}
	if _, err := c.one("payment_behavior", "pending_if_incomplete"); err != nil || !c.has("payment_behavior") {
		return invalid("payment_behavior", "This stand-in does pending_if_incomplete.")
	}
	for _, other := range []string{"cancel_at_period_end", "default_payment_method", "metadata"} {
		if c.has(other) || slices.ContainsFunc(slices.Collect(keysOf(c.params)), func(k string) bool { return len(k) > len(other) && k[:len(other)+1] == other+"." }) {
			return invalid(other, "You cannot set `"+other+"` when payment_behavior is pending_if_incomplete.")
		}
	}
	if v.Status != "active" && v.Status != "trialing" {
		return invalid("payment_behavior", "pending_if_incomplete needs an active subscription.")
	}
	p, err := c.activePrice(itemPrice)
	if err != nil {
		return err
	}
	if v.PendingUpdate != nil {
		c.void(c.s.Invoices[v.PendingUpdate.Invoice], at)
	}
	old := v.Items.Data[0].Price
	if p.ID == old.ID {
		return nil
	}
	start, end := v.CurrentPeriodStart, v.CurrentPeriodEnd
	lines := []*Line{c.line(old, -prorate(old.UnitAmount, start, end, at), at, end, true)}
	anchor := moment(0)
	if p.Recurring.Interval == old.Recurring.Interval {
		lines = append(lines, c.line(p, prorate(p.UnitAmount, start, end, at), at, end, true))
	} else { // another interval begins a new period
		anchor = moment(at)
		lines = append(lines, c.line(p, p.UnitAmount, at, boundary(at, p.Recurring.Interval, 1), false))
	}
	inv := c.newInvoice(v, "subscription_update", at, lines)
	v.PendingUpdate = &pendingUpdate{BillingCycleAnchor: anchor, ExpiresAt: min(at+incompleteFor, end), Invoice: inv.ID, SubscriptionItems: []*Item{{
		ID: v.Items.Data[0].ID, Object: "subscription_item", Created: v.Items.Data[0].Created, Price: p, Quantity: 1, Subscription: ref(v.ID),
	}}}
	c.finalize(inv, at)
	c.pay(inv, at, true)
	return nil
}

func keysOf(p params) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range p {
			if !yield(k) {
				return
			}
		}
	}
}

// applyPending makes what was paid for real.
func (v *Subscription) applyPending() {
	u := v.PendingUpdate
	v.Items.Data = u.SubscriptionItems
	if u.BillingCycleAnchor != 0 {
		v.BillingCycleAnchor = int64(u.BillingCycleAnchor)
		v.CurrentPeriodStart = v.BillingCycleAnchor
		v.CurrentPeriodEnd = boundary(v.BillingCycleAnchor, v.interval(), 1)
	}
	v.PendingUpdate = nil
}

func (v *Subscription) interval() string { return v.Items.Data[0].Price.Recurring.Interval }

func (c *request) updated(v *Subscription, before json.RawMessage, at int64) {
	c.emit("customer.subscription.updated", v, before, at)
}

func (c *request) cancelSubscription() (any, error) {
	v, err := c.subscription()
	if err != nil {
		return nil, err
	}
	if v.ended() {
		return nil, noSuch("subscription", v.ID, "id")
	}
	for _, name := range []string{"prorate", "invoice_now"} {
		if on, err := c.flag(name); err != nil || on {
			return nil, invalid(name, "This stand-in cancels without it.")
		}
	}
	c.end(v, c.at(string(v.Customer)), "canceled")
	return v, nil
}

// end ends a subscription for good.
func (c *request) end(v *Subscription, at int64, status string) {
	first := v.Status == "incomplete"
	v.Status, v.EndedAt = status, moment(at)
	if v.CanceledAt == 0 {
		v.CanceledAt = moment(at)
	}
	if v.PendingUpdate != nil {
		c.void(c.s.Invoices[v.PendingUpdate.Invoice], at)
		v.PendingUpdate = nil
	}
	if s := c.s.Schedules[string(v.Schedule)]; s != nil {
		s.Status, s.CurrentPhase = "canceled", nil
		v.Schedule = ""
	}
	for _, inv := range c.invoicesOf(v) {
		switch {
		case first && inv.Status == "open":
			c.void(inv, at)
		case inv.Status == "draft" || inv.Status == "open":
			inv.AutoAdvance, inv.NextPaymentAttempt, inv.FinalizeAt = false, 0, 0
		}
	}
	if status == "canceled" {
		c.emit("customer.subscription.deleted", v, nil, at)
	} else {
		c.emit("customer.subscription.updated", v, snapshot(map[string]any{"status": "incomplete"}), at)
	}
}

func (c *request) invoicesOf(v *Subscription) []*Invoice {
	var out []*Invoice
	for _, inv := range c.s.Invoices {
		if string(inv.Subscription) == v.ID {
			out = append(out, inv)
		}
	}
	slices.SortFunc(out, func(a, b *Invoice) int { return int(c.s.Order[a.ID] - c.s.Order[b.ID]) })
	return out
}

// renew begins the next period of a subscription, or ends it.
func (c *request) renew(v *Subscription, at int64) {
	if v.CancelAtPeriodEnd {
		c.end(v, at, "canceled")
		return
	}
	before := snapshot(v)
	if v.PendingUpdate != nil {
		c.void(c.s.Invoices[v.PendingUpdate.Invoice], at)
		v.PendingUpdate = nil
	}
	c.nextPhase(v, at)
	v.CurrentPeriodStart, v.CurrentPeriodEnd = at, after(v.BillingCycleAnchor, v.interval(), at)
	p := v.Items.Data[0].Price
	inv := c.newInvoice(v, "subscription_cycle", at, []*Line{c.line(p, p.UnitAmount, v.CurrentPeriodStart, v.CurrentPeriodEnd, false)})
	inv.AutoAdvance, inv.FinalizeAt = true, at+60*60
	inv.NextPaymentAttempt = moment(inv.FinalizeAt)
	c.updated(v, before, at)
}
