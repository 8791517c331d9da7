package stripe

import (
	"time"
)

func (c *request) createClock() (any, error) {
	if _, err := c.need("frozen_time"); err != nil {
		return nil, err
	}
	at, err := c.int("frozen_time")
	if err != nil {
		return nil, err
	}
	v := &Clock{ID: newID("clock_"), Object: "test_helpers.test_clock", Created: c.now().Unix(), FrozenTime: at, Name: ref(c.text("name")), Status: "ready"}
	c.s.Clocks[v.ID] = v
	c.s.made(v.ID)
	return v, nil
}

func (c *request) clock() (*Clock, error) {
	if v := c.s.Clocks[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("test clock", c.r.PathValue("id"), "id")
}

func (c *request) getClock() (any, error) { return c.clock() }

// advanceClock goes to a later time, at most two periods of the shortest
// subscription further, through everything that falls due on the way.
func (c *request) advanceClock() (any, error) {
	v, err := c.clock()
	if err != nil {
		return nil, err
	}
	to, err := c.int("frozen_time")
	if err != nil {
		return nil, err
	}
	if to <= v.FrozenTime {
		return nil, invalid("frozen_time", "Test clock may only be advanced to a future frozen time.")
	}
	for _, sub := range c.s.Subscriptions {
		if string(sub.TestClock) == v.ID && !sub.ended() && to > boundary(v.FrozenTime, sub.interval(), 2) {
			return nil, invalid("frozen_time", "Test clock can only be advanced up to two intervals of its shortest subscription.")
		}
	}
	c.settle(v.ID, time.Unix(to, 0))
	v.FrozenTime = to
	answer := *v
	answer.Status = "advancing" // the next look finds it ready
	return &answer, nil
}

// settle does, in the order of their times, all that falls due until then for
// the customers of a test clock or, with "", of none.
func (c *request) settle(clock string, until time.Time) {
	for {
		at, act := c.due(clock)
		if act == nil || at > until.Unix() {
			return
		}
		if v := c.s.Clocks[clock]; v != nil {
			v.FrozenTime = max(v.FrozenTime, at)
		}
		act()
	}
}

// due finds what is to happen next. Of things at one time the oldest object
// comes first, and a period ends before its invoice's payment is tried.
func (c *request) due(clock string) (first int64, act func()) {
	var order int64
	consider := func(id string, at int64, do func()) {
		if at <= 0 {
			return
		}
		if act == nil || at < first || at == first && c.s.Order[id] < order {
			first, act, order = at, do, c.s.Order[id]
		}
	}
	for _, v := range c.s.Subscriptions {
		if string(v.TestClock) != clock || v.ended() {
			continue
		}
		switch v.Status {
		case "incomplete":
			consider(v.ID, v.Created+incompleteFor, func() { c.end(v, v.Created+incompleteFor, "incomplete_expired") })
		default:
			consider(v.ID, v.CurrentPeriodEnd, func() { c.renew(v, v.CurrentPeriodEnd) })
		}
		if u := v.PendingUpdate; u != nil && u.ExpiresAt < v.CurrentPeriodEnd {
			consider(v.ID, u.ExpiresAt, func() { c.void(c.s.Invoices[u.Invoice], u.ExpiresAt) })
		}
	}
	for _, inv := range c.s.Invoices {
		if cus := c.s.Customers[string(inv.Customer)]; string(cus.TestClock) != clock {
			continue
		}
		switch {
		case inv.Status == "draft" && inv.FinalizeAt != 0:
			consider(inv.ID, inv.FinalizeAt, func() {
				at := inv.FinalizeAt
				c.finalize(inv, at)
				c.pay(inv, at, false)
			})
		case inv.Status == "open" && inv.NextPaymentAttempt != 0:
			at := int64(inv.NextPaymentAttempt)
			consider(inv.ID, at, func() { c.pay(inv, at, false) })
		}
	}
	return first, act
}
