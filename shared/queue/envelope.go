package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// Version is that of the envelope. A consumer refuses a newer one: it is
// deployed before the relay that sends it.
const Version = 1

// Envelope is a message on its way: what a row of the outbox says, as JSON in
// the body of a Cloud Tasks request, the data of a Pub/Sub message, or an SQS
// record.
type Envelope struct {
	Version int    `json:"version"`
	Kind    string `json:"kind"`
	// TenantID or UserID owns the message, never both.
	TenantID ids.ID `json:"tenant_id,omitzero"`
	UserID   ids.ID `json:"user_id,omitzero"`
	ID       ids.ID `json:"id"`
	// Key orders messages of one owner; empty for those that need no order.
	Key string `json:"key,omitempty"`
	// Trace is the W3C traceparent of the request that caused the message.
	Trace     string          `json:"trace,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	Payload   json.RawMessage `json:"payload"`
}

// ErrMalformed is a body that is no envelope. Nothing is gained by trying it
// again.
var ErrMalformed = errors.New("queue: not an envelope")

// Parse reads an envelope that a stranger may have sent.
func Parse(body []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case e.Version < 1 || e.Version > Version:
		return Envelope{}, fmt.Errorf("%w: version %d", ErrMalformed, e.Version)
	case e.Kind == "", e.ID == ids.Nil:
		return Envelope{}, fmt.Errorf("%w: no kind or no id", ErrMalformed)
	case (e.TenantID == ids.Nil) == (e.UserID == ids.Nil):
		return Envelope{}, fmt.Errorf("%w: one owner is needed", ErrMalformed)
	}
	if len(e.Payload) == 0 {
		e.Payload = json.RawMessage("{}")
	}
	return e, nil
}

// Owner is the tenant or the person the message belongs to.
func (e Envelope) Owner() ids.ID {
	if e.TenantID != ids.Nil {
		return e.TenantID
	}
	return e.UserID
}

// ForPerson reports whether the message belongs to a person, not to a tenant.
func (e Envelope) ForPerson() bool { return e.TenantID == ids.Nil }
