package stripeevents

import (
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

// Events belong to their own ids: the transaction sees the one it claimed.

func getEvent(tx *db.Tx, id string) *db.Row[event] {
	return db.One(tx, func(r pgx.CollectableRow) (e event, err error) {
		err = r.Scan(&e.kind, &e.customer, &e.status, &e.payload)
		return e, err
	}, `select e.type, coalesce(e.customer_id, ''), e.status, e.payload::text from app.stripe_events e where e.event_id = $1`, id)
}

func settleEvent(tx *db.Tx, id string, of ids.ID, status, why string) {
	db.Exec(tx, `update app.stripe_events set status = $2, last_error = nullif(left($3, 2000), ''), attempts = attempts + 1, processed_at = now(), lease_until = null,
		       tenant_id = coalesce(tenant_id, nullif($4::uuid, '00000000-0000-0000-0000-000000000000'))
		where event_id = $1`, id, status, why, of)
}

func organizationStatus(tx *db.Tx) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `select o.status from app.organizations o where o.tenant_id = $1`, tx.Tenant())
}
