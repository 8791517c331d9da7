package stripe

import "net/http"

// How a test card behaves.
const (
	pays         = "pays"
	authenticate = "authenticate" // on every payment
	setup        = "setup"        // unless it was set up for later payments
	failsLater   = "fails_later"  // takes to a customer, and no payment
)

type testCard struct {
	brand, last4, behavior string
	decline                *declined // when it is refused
}

func refused(code, reason, message string) *declined {
	return &declined{Type: cardError, Code: code, DeclineCode: reason, Message: message}
}

// testCards are Stripe's documented ones (docs.stripe.com/testing), by the
// names that stand for them.
var testCards = map[string]testCard{
	"pm_card_visa":                            {"visa", "4242", pays, nil},
	"pm_card_mastercard":                      {"mastercard", "4444", pays, nil},
	"pm_card_amex":                            {"amex", "8431", pays, nil},
	"pm_card_authenticationRequired":          {"visa", "3184", authenticate, nil},
	"pm_card_threeDSecure2Required":           {"visa", "3220", authenticate, nil},
	"pm_card_authenticationRequiredOnSetup":   {"visa", "3155", setup, nil},
	"pm_card_chargeCustomerFail":              {"visa", "0341", failsLater, refused("card_declined", "generic_decline", "Your card was declined.")},
	"pm_card_chargeDeclined":                  {"visa", "0002", "", refused("card_declined", "generic_decline", "Your card was declined.")},
	"pm_card_chargeDeclinedInsufficientFunds": {"visa", "9995", "", refused("card_declined", "insufficient_funds", "Your card has insufficient funds.")},
	"pm_card_chargeDeclinedExpiredCard":       {"visa", "0069", "", refused("expired_card", "", "Your card has expired.")},
	"pm_card_chargeDeclinedIncorrectCvc":      {"visa", "0127", "", refused("incorrect_cvc", "", "Your card's security code is incorrect.")},
	"pm_card_chargeDeclinedProcessingError":   {"visa", "0119", "", refused("processing_error", "", "An error occurred while processing your card. Try again in a little bit.")},
}

// method finds a payment method, and makes one of a test card's name.
func (c *request) method(id, param string) (*PaymentMethod, error) {
	if m := c.s.Methods[id]; m != nil {
		return m, nil
	}
	card, ok := testCards[id]
	if !ok {
		return nil, noSuch("PaymentMethod", id, param)
	}
	at := c.now()
	m := &PaymentMethod{
		ID: newID("pm_"), Object: "payment_method", Created: at.Unix(), Type: "card", Metadata: map[string]string{}, Behavior: id,
		Card: Card{Brand: card.brand, Last4: card.last4, ExpMonth: 12, ExpYear: int64(at.Year()) + 3, Country: "US", Funding: "credit", Fingerprint: "standin" + card.last4},
	}
	c.s.Methods[m.ID] = m
	c.s.made(m.ID)
	return m, nil
}

func (m *PaymentMethod) card() testCard { return testCards[m.Behavior] }

// cardRefused is the answer to a request that a card is refused for.
func cardRefused(d *declined) *apiError {
	return &apiError{status: http.StatusPaymentRequired, Type: cardError, Code: d.Code, DeclineCode: d.DeclineCode, Message: d.Message}
}

// belongs refuses a method of another customer.
func (m *PaymentMethod) belongs(customer, param string) error {
	if string(m.Customer) != customer {
		return invalid(param, "The customer does not have a payment method with the ID "+m.ID+". The payment method must be attached to the customer.")
	}
	return nil
}

func (c *request) attach(m *PaymentMethod, customer string) error {
	if m.Customer != "" && string(m.Customer) != customer {
		return invalid("customer", "The payment method you provided has already been attached to a customer.")
	}
	if d := m.card().decline; d != nil && m.card().behavior != failsLater {
		return cardRefused(d)
	}
	if m.Customer == "" {
		m.Customer = ref(customer)
		c.emit("payment_method.attached", m, nil, c.at(customer))
	}
	return nil
}

func (c *request) attachMethod() (any, error) {
	customer, err := c.customer("customer")
	if err != nil {
		return nil, err
	}
	m, err := c.method(c.r.PathValue("id"), "id")
	if err != nil {
		return nil, err
	}
	return m, c.attach(m, customer.ID)
}

func (c *request) detachMethod() (any, error) {
	m := c.s.Methods[c.r.PathValue("id")]
	if m == nil {
		return nil, noSuch("PaymentMethod", c.r.PathValue("id"), "id")
	}
	if m.Customer == "" {
		return nil, invalid("", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	before, at := snapshot(m), c.at(string(m.Customer))
	if cus := c.s.Customers[string(m.Customer)]; cus.InvoiceSettings.DefaultPaymentMethod == ref(m.ID) {
		was := snapshot(cus)
		cus.InvoiceSettings.DefaultPaymentMethod = ""
		c.emit("customer.updated", cus, was, at)
	}
	for _, sub := range c.s.Subscriptions {
		if sub.DefaultPaymentMethod == ref(m.ID) {
			was := snapshot(sub)
			sub.DefaultPaymentMethod = ""
			c.emit("customer.subscription.updated", sub, was, at)
		}
	}
	m.Customer = ""
	c.emit("payment_method.detached", m, before, at)
	return m, nil
}

func (c *request) getMethod() (any, error) {
	if m := c.s.Methods[c.r.PathValue("id")]; m != nil {
		return m, nil
	}
	return nil, noSuch("PaymentMethod", c.r.PathValue("id"), "id")
}

func (c *request) createMethod() (any, error) {
	if _, err := c.one("type", "card"); err != nil {
		return nil, err
	}
	token, err := c.need("card.token")
	if err != nil {
		return nil, err
	}
	// tok_visa and pm_card_visa stand for the same card.
	return c.method("pm_card_"+token[min(len(token), len("tok_")):], "card[token]")
}

func (c *request) listMethods() (any, error) {
	customer, err := c.customer("customer")
	if err != nil {
		return nil, err
	}
	var all []*PaymentMethod
	for _, m := range c.s.Methods {
		if string(m.Customer) == customer.ID {
			all = append(all, m)
		}
	}
	return list(c, func(m *PaymentMethod) string { return m.ID }, all)
}
