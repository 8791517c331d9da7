// Package outbox describes messages that commit with the change that causes
// them. shared/db writes the rows; the relay (a schedule, nudged after each
// commit that left something) hands them to Cloud Tasks or Pub/Sub.
//
// A message carries ids, never personal data and never a secret: its consumer
// reads what it needs under the tenant's or the person's own policy, and skips
// what is no longer true.
package outbox

import "github.com/coditect/platform/shared/ids"

// Message is something to be done after, and only if, the transaction commits.
type Message struct {
	ID ids.ID
	// Kind names the consumer's job, such as "mail.verification".
	Kind string
	// Key orders: messages of one tenant with the same key stay in order.
	Key string
	// Payload is what the consumer needs, encoded as JSON. Ids only.
	Payload any
}

// New makes a message with a fresh id, ordered by key among its like.
func New(kind, key string, payload any) Message {
	return Message{ID: ids.New(), Kind: kind, Key: key, Payload: payload}
}
