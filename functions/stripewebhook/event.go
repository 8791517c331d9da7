package stripewebhook

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// event is what is read of one. Stripe's versions differ in much; in this they
// agree.
type event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Created int64  `json:"created"`
	Data    struct {
		Object   object `json:"object"`
		Previous object `json:"previous_attributes"`
	} `json:"data"`
}

type object struct {
	ID       string          `json:"id"`
	Object   string          `json:"object"`
	Customer json.RawMessage `json:"customer"` // an id, an object, or null
}

const maxName = 255 // of ids and types, as the table has it

// parse reads a body that is Stripe's. false is for what we cannot keep.
func parse(body []byte) (e event, ok bool) {
	if json.Unmarshal(body, &e) != nil {
		return e, false
	}
	for _, name := range []string{e.ID, e.Type} {
		if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsRune(name, 0) {
			return e, false
		}
	}
	// What PostgreSQL's jsonb cannot hold.
	return e, utf8.Valid(body) && !strings.Contains(string(body), `\u0000`)
}

func (e event) createdAt() time.Time { return time.Unix(e.Created, 0).UTC() }

// customer is whom the event is about; empty when nobody. A card that was
// detached names its customer only in what it was before.
func (e event) customer() string {
	if e.Data.Object.Object == "customer" {
		return e.Data.Object.ID
	}
	for _, o := range []object{e.Data.Object, e.Data.Previous} {
		if id := o.customer(); id != "" && len(id) <= maxName {
			return id
		}
	}
	return ""
}

func (o object) customer() string {
	var id string
	if json.Unmarshal(o.Customer, &id) == nil {
		return id
	}
	var whole struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(o.Customer, &whole) == nil {
		return whole.ID
	}
	return ""
}

// handled are the kinds of events after which something may be otherwise here.
var handled = map[string]bool{
	"invoice.payment_succeeded": true, "invoice.payment_failed": true,
	"customer.subscription.created": true, "customer.subscription.updated": true, "customer.subscription.deleted": true,
	"payment_intent.succeeded": true, "payment_intent.payment_failed": true,
	"payment_method.attached": true, "payment_method.detached": true,
}
