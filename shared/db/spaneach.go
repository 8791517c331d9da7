package db

import (
	"context"
	"fmt"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// SpanEach changes what a person has in several tenants, and then the person,
// all or nothing: each runs in every tenant in turn, and last over what belongs
// to the person alone. What each records and enqueues is its tenant's own. The
// person's rows are in sight throughout, one tenant's at a time.
//
// Tenants come in the order of their ids, so that two such transactions wait
// for each other and do not lock each other out.
func SpanEach(ctx context.Context, d *DB, what Spanning, by identity.Principal, tenants []ids.ID, each, last func(*Tx) error) error {
	if by.UserID == ids.Nil {
		return errNoUser
	}
	err := d.run(ctx, &Tx{db: d, pool: d.app, by: by.InTenant(ids.Nil), scope: userScope, write: true}, func(tx *Tx) error {
		person := tx.by
		for _, tenant := range tenants {
			tx.by = person.InTenant(tenant)
			tx.queue = append(tx.queue, exec(`select app.set_tenant($1)`, tenant))
			if err := each(tx); err != nil {
				return err
			}
			if len(tx.entries) == 0 {
				return errUnlogged
			}
			if err := tx.leave(ctx); err != nil {
				return err
			}
			tx.left += len(tx.messages) + len(tx.mail)
			tx.entries, tx.events, tx.messages, tx.mail = nil, nil, nil, nil
		}
		tx.by = person
		return last(tx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
