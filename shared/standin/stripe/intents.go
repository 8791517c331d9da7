package stripe

func (c *request) getIntent() (any, error) {
	if v := c.s.Intents[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("payment_intent", c.r.PathValue("id"), "id")
}

// confirmIntent pays, perhaps with another method, as a page does with the
// client's secret.
func (c *request) confirmIntent() (any, error) {
	pi := c.s.Intents[c.r.PathValue("id")]
	if pi == nil {
		return nil, noSuch("payment_intent", c.r.PathValue("id"), "id")
	}
	if pi.Status == "succeeded" || pi.Status == "canceled" {
		return nil, invalid("", "This PaymentIntent's status is "+pi.Status+"; it cannot be confirmed.")
	}
	id := c.text("payment_method")
	if id == "" {
		id = string(pi.PaymentMethod)
	}
	m, err := c.method(id, "payment_method")
	if err != nil {
		return nil, err
	}
	at := c.at(string(pi.Customer))
	pi.PaymentMethod = ref(m.ID)
	c.charge(c.s.Invoices[string(pi.Invoice)], pi, m, at, true)
	if pi.LastPaymentError != nil {
		return nil, cardRefused(pi.LastPaymentError)
	}
	return pi, nil
}

func (c *request) getSetup() (any, error) {
	if v := c.s.Setups[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("setup_intent", c.r.PathValue("id"), "id")
}

func (c *request) createSetup() (any, error) {
	customer, err := c.customer("customer")
	if err != nil {
		return nil, err
	}
	if _, err := c.one("payment_method_types.0", "card"); err != nil {
		return nil, err
	}
	if _, err := c.one("usage", "off_session"); err != nil {
		return nil, err
	}
	if now, err := c.flag("confirm"); err != nil || !now {
		return nil, invalid("confirm", "This stand-in confirms at once.")
	}
	id, err := c.need("payment_method")
	if err != nil {
		return nil, err
	}
	m, err := c.method(id, "payment_method")
	if err != nil {
		return nil, err
	}
	if m.Customer != "" {
		if err := m.belongs(customer.ID, "payment_method"); err != nil {
			return nil, err
		}
	}
	at := c.at(customer.ID)
	v := &SetupIntent{ID: newID("seti_"), Object: "setup_intent", Created: at, Customer: ref(customer.ID), Metadata: c.merge(nil), PaymentMethod: ref(m.ID), Usage: "off_session"}
	v.ClientSecret = v.ID + "_secret_" + newID("")
	switch card := m.card(); {
	case card.decline != nil && card.behavior != failsLater:
		return nil, cardRefused(card.decline)
	case card.behavior == authenticate, card.behavior == setup:
		v.Status, v.NextAction = "requires_action", &nextAction{"use_stripe_sdk"}
	}
	c.s.Setups[v.ID] = v
	c.s.made(v.ID)
	c.emit("setup_intent.created", v, nil, at)
	if v.Status != "requires_action" {
		return v, c.setUp(v, at)
	}
	c.emit("setup_intent.requires_action", v, nil, at)
	return v, nil
}

func (c *request) setUp(v *SetupIntent, at int64) error {
	m := c.s.Methods[string(v.PaymentMethod)]
	m.SetUp = true
	if err := c.attach(m, string(v.Customer)); err != nil {
		return err
	}
	v.Status, v.NextAction = "succeeded", nil
	c.emit("setup_intent.succeeded", v, nil, at)
	return nil
}

// Authenticate is a person who answers the question of their bank: of a payment
// or of a setup, by its id or client secret. It reports whether one waited.
func (s *Server) Authenticate(id string, yes bool) bool {
	s.mu.Lock()
	c := &request{Server: s}
	c.settle("", s.now())
	mark := len(s.s.Events)
	done := false
	for _, pi := range s.s.Intents {
		if (pi.ID == id || pi.ClientSecret == id) && pi.Status == "requires_action" {
			inv, at := s.s.Invoices[string(pi.Invoice)], c.at(string(pi.Customer))
			done = true
			if yes {
				c.collect(inv, pi, at)
			} else {
				c.failed(inv, pi, refused("payment_intent_authentication_failure", "", "The provided PaymentMethod has failed authentication."), at)
			}
			break
		}
	}
	for _, v := range s.s.Setups {
		if (v.ID == id || v.ClientSecret == id) && v.Status == "requires_action" {
			done = true
			if yes {
				done = c.setUp(v, c.at(string(v.Customer))) == nil
			} else {
				v.Status, v.NextAction = "requires_payment_method", nil
				v.LastSetupError = refused("setup_intent_authentication_failure", "", "The latest attempt to set up the payment method has failed because authentication failed.")
				c.emit("setup_intent.setup_failed", v, nil, c.at(string(v.Customer)))
			}
			break
		}
	}
	s.keep()
	events := s.s.Events[mark:]
	s.mu.Unlock()
	s.hooks.announce(events)
	return done
}
