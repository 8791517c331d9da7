package stripe

import "strings"

// customer finds the one that a parameter (or, for id, the path) names.
func (c *request) customer(param string) (*Customer, error) {
	id := c.text(param)
	if param == "id" {
		id = c.r.PathValue("id")
	}
	if id == "" {
		return nil, missing(param)
	}
	if v := c.s.Customers[id]; v != nil {
		return v, nil
	}
	return nil, noSuch("customer", id, param)
}

// at is the time that a customer lives in.
func (c *request) at(customer string) int64 {
	if v := c.s.Customers[customer]; v != nil && v.TestClock != "" {
		return c.s.Clocks[string(v.TestClock)].FrozenTime
	}
	return c.now().Unix()
}

func (c *request) createCustomer() (any, error) {
	id := newID("cus_")
	v := &Customer{
		ID: id, Object: "customer", Name: ref(c.text("name")), Email: ref(c.text("email")), Metadata: c.merge(nil),
		TestClock: ref(c.text("test_clock")), InvoicePrefix: strings.ToUpper(id[4:12]), NextInvoice: 1,
	}
	if v.TestClock != "" && c.s.Clocks[string(v.TestClock)] == nil {
		return nil, noSuch("test clock", string(v.TestClock), "test_clock")
	}
	c.s.Customers[id] = v
	c.s.made(id)
	v.Created = c.at(id)
	c.emit("customer.created", v, nil, v.Created)
	return v, nil
}

func (c *request) getCustomer() (any, error) { return c.customer("id") }

func (c *request) updateCustomer() (any, error) {
	v, err := c.customer("id")
	if err != nil {
		return nil, err
	}
	before := snapshot(v)
	if c.has("name") {
		v.Name = ref(c.text("name"))
	}
	if c.has("email") {
		v.Email = ref(c.text("email"))
	}
	if at := "invoice_settings.default_payment_method"; c.has(at) {
		m := c.s.Methods[c.text(at)]
		if m == nil {
			return nil, noSuch("PaymentMethod", c.text(at), "invoice_settings[default_payment_method]")
		}
		if err := m.belongs(v.ID, "invoice_settings[default_payment_method]"); err != nil {
			return nil, err
		}
		v.InvoiceSettings.DefaultPaymentMethod = ref(m.ID)
	}
	v.Metadata = c.merge(v.Metadata)
	c.emit("customer.updated", v, before, c.at(v.ID))
	return v, nil
}

func (c *request) listCustomers() (any, error) {
	var all []*Customer
	for _, v := range c.s.Customers {
		if (!c.has("email") || string(v.Email) == c.text("email")) && (!c.has("test_clock") && v.TestClock == "" || c.has("test_clock") && string(v.TestClock) == c.text("test_clock")) {
			all = append(all, v)
		}
	}
	return list(c, func(v *Customer) string { return v.ID }, all)
}
