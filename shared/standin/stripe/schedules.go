package stripe

func (c *request) schedule() (*Schedule, error) {
	if v := c.s.Schedules[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("subscription_schedule", c.r.PathValue("id"), "id")
}

func (c *request) createSchedule() (any, error) {
	id, err := c.need("from_subscription")
	if err != nil {
		return nil, err
	}
	sub := c.s.Subscriptions[id]
	switch {
	case sub == nil || sub.ended():
		return nil, noSuch("subscription", id, "from_subscription")
	case sub.Schedule != "":
		return nil, invalid("from_subscription", "You cannot migrate a subscription that is already attached to a schedule: "+string(sub.Schedule))
	case sub.CancelAtPeriodEnd:
		return nil, invalid("from_subscription", "You cannot migrate a subscription that is set to cancel at the period's end.")
	}
	at := c.at(string(sub.Customer))
	v := &Schedule{
		ID: newID("sub_sched_"), Object: "subscription_schedule", Created: at, Customer: sub.Customer, EndBehavior: "release", Metadata: map[string]string{},
		Status: "active", Subscription: ref(sub.ID), CurrentPhase: &phaseDates{sub.CurrentPeriodStart, sub.CurrentPeriodEnd},
		Phases: []*phase{{StartDate: sub.CurrentPeriodStart, EndDate: sub.CurrentPeriodEnd, ProrationBehavior: "create_prorations",
			Items: []*phaseItem{{ref(sub.Items.Data[0].Price.ID), 1}}}},
	}
	c.s.Schedules[v.ID] = v
	c.s.made(v.ID)
	before := snapshot(sub)
	sub.Schedule = ref(v.ID)
	c.emit("subscription_schedule.created", v, nil, at)
	c.updated(sub, before, at)
	return v, nil
}

func (c *request) getSchedule() (any, error) { return c.schedule() }

// updateSchedule sets two phases: what is now, and one period of what follows.
func (c *request) updateSchedule() (any, error) {
	v, err := c.schedule()
	if err != nil {
		return nil, err
	}
	if v.Status != "active" {
		return nil, invalid("", "You cannot update a subscription schedule that is currently in the `"+v.Status+"` status.")
	}
	if _, err := c.one("end_behavior", "release"); err != nil {
		return nil, err
	}
	if _, err := c.one("proration_behavior", "none"); err != nil || !c.has("proration_behavior") {
		return nil, invalid("proration_behavior", "This stand-in does none: a phase begins where a period ends.")
	}
	if c.rows("phases") != 2 {
		return nil, invalid("phases", "This stand-in takes the present phase and one more.")
	}
	sub := c.s.Subscriptions[string(v.Subscription)]
	start, err := c.int("phases.0.start_date")
	if err != nil {
		return nil, err
	}
	end, err := c.int("phases.0.end_date")
	if err != nil {
		return nil, err
	}
	if start != v.Phases[0].StartDate || c.text("phases.0.items.0.price") != sub.Items.Data[0].Price.ID {
		return nil, invalid("phases[0]", "You can not modify the start date or the items of the current phase.")
	}
	if end != sub.CurrentPeriodEnd {
		return nil, invalid("phases[0][end_date]", "This stand-in changes phases where a period ends.")
	}
	if n, err := c.int("phases.1.iterations"); err != nil || n != 1 {
		return nil, invalid("phases[1][iterations]", "This stand-in takes one iteration.")
	}
	next, err := c.activePrice("phases.1.items.0.price")
	if err != nil {
		return nil, err
	}
	before, was := snapshot(v), snapshot(sub)
	v.Phases = []*phase{
		{StartDate: start, EndDate: end, ProrationBehavior: "none", Items: []*phaseItem{{ref(sub.Items.Data[0].Price.ID), 1}}},
		{StartDate: end, EndDate: boundary(end, next.Recurring.Interval, 1), ProrationBehavior: "none", Items: []*phaseItem{{ref(next.ID), 1}}},
	}
	v.Metadata = c.merge(v.Metadata)
	at := c.at(string(sub.Customer))
	c.emit("subscription_schedule.updated", v, before, at)
	c.updated(sub, was, at)
	return v, nil
}

func (c *request) releaseSchedule() (any, error) {
	v, err := c.schedule()
	if err != nil {
		return nil, err
	}
	if v.Status != "active" {
		return nil, invalid("", "You cannot release a subscription schedule that is currently in the `"+v.Status+"` status.")
	}
	sub := c.s.Subscriptions[string(v.Subscription)]
	before, at := snapshot(sub), c.at(string(sub.Customer))
	c.release(v, sub, at)
	c.updated(sub, before, at)
	return v, nil
}

func (c *request) release(v *Schedule, sub *Subscription, at int64) {
	before := snapshot(v)
	v.Status, v.ReleasedAt, v.Released, v.Subscription, v.CurrentPhase = "released", moment(at), ref(sub.ID), "", nil
	sub.Schedule = ""
	c.emit("subscription_schedule.released", v, before, at)
}

// nextPhase moves a subscription on by its schedule, when a period has ended.
func (c *request) nextPhase(sub *Subscription, at int64) {
	v := c.s.Schedules[string(sub.Schedule)]
	if v == nil {
		return
	}
	for _, p := range v.Phases {
		if p.StartDate != at {
			continue
		}
		next := c.s.Prices[string(p.Items[0].Price)]
		if next.Recurring.Interval != sub.interval() {
			sub.BillingCycleAnchor = at
		}
		sub.Items.Data[0].Price = next
		v.CurrentPhase = &phaseDates{p.StartDate, p.EndDate}
		return
	}
	if last := v.Phases[len(v.Phases)-1]; last.EndDate <= at {
		c.release(v, sub, at)
	}
}
