package db

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
)

// values writes "($1, $2), ($3, $4)" for rows of n columns, and the arguments
// in their order. One statement for all rows keeps a change of 500 objects in
// the same exchange as a change of one.
type values struct {
	sql  strings.Builder
	args []any
}

func (v *values) row(args ...any) {
	if v.sql.Len() > 0 {
		v.sql.WriteString(", ")
	}
	for i, a := range args {
		if i == 0 {
			v.sql.WriteByte('(')
		} else {
			v.sql.WriteString(", ")
		}
		v.args = append(v.args, a)
		v.sql.WriteByte('$')
		v.sql.WriteString(strconv.Itoa(len(v.args)))
	}
	v.sql.WriteByte(')')
}

// optional turns the ID that names nothing into null.
func optional(id ids.ID) any {
	if id == ids.Nil {
		return nil
	}
	return id
}

func insertActivity(by identity.Principal, entries []activity.Entry) (statement, error) {
	var v values
	for _, e := range entries {
		changes, err := e.Changes.JSON()
		if err != nil {
			return statement{}, fmt.Errorf("db: activity of %s: %w", e.Model, err)
		}
		v.row(by.TenantID, ids.New(), e.Action, e.Model, e.ObjectID, optional(by.UserID), changes, by.RequestID)
	}
	return exec(`insert into app.activity (tenant_id, id, action, model, object_id, user_id, changes, request_id) values `+v.sql.String(), v.args...), nil
}

func insertEvents(by identity.Principal, events []event) (statement, error) {
	var v values
	for _, e := range events {
		data, err := e.data.JSON()
		if err != nil {
			return statement{}, fmt.Errorf("db: event %s: %w", e.kind, err)
		}
		v.row(by.UserID, ids.New(), e.kind, by.UserID, data, by.RequestID, by.ClientIP)
	}
	return exec(`insert into app.user_events (user_id, id, action, object_id, changes, request_id, ip) values `+v.sql.String(), v.args...), nil
}

// insertMessages writes to one of the two outboxes; table and column are ours.
func insertMessages(table, column string, owner ids.ID, trace string, messages []outbox.Message) (statement, error) {
	var v values
	for _, m := range messages {
		payload := []byte("{}") // a message that its kind and key say all about
		if m.Payload != nil {
			var err error
			if payload, err = json.Marshal(m.Payload); err != nil {
				return statement{}, fmt.Errorf("db: message %s: %w", m.Kind, err)
			}
		}
		v.row(owner, m.ID, m.Kind, m.Key, string(payload), trace)
	}
	return exec(`insert into `+table+` (`+column+`, id, kind, key, payload, trace) values `+v.sql.String(), v.args...), nil
}

// Claim lets the transaction see and make the claim of one key: an email, a
// host, a customer. Claims are unique over all tenants and belong to none.
func Claim(tx *Tx, key string) { tx.queue = append(tx.queue, exec(`select app.set_claim($1)`, key)) }

// Guard queues a statement that breaks the transaction unless it gives the empty text for
// every row: any other text is the name of a constraint for [Tx.Explain]. It
// is how a statement of a batch depends on what an earlier one found without a
// round trip between them. expression is an SQL expression over the rows of
// from, which names its tenant.
func Guard(tx *Tx, expression, from string, args ...any) {
	tx.queue = append(tx.queue, exec(`select app.guard(`+expression+`) from `+from, args...))
}

// Flush sends what is queued without waiting for the closure's end. It costs a
// round trip.
func Flush(ctx context.Context, tx *Tx) error { return tx.flush(ctx, "") }
