package stripewebhook

import (
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// errKnown is that the event came before. Nothing of a second one stays.
var errKnown = errs.New(errs.Conflict, "event_known", "The event was taken before.")

var broken = db.Constraints{"stripe_events_pkey": errKnown}

// claimant is whose a customer is.
func claimant(tx *db.Tx, customer string) *db.Row[ids.ID] {
	db.Claim(tx, customer)
	return db.One(tx, pgx.RowTo[ids.ID], `select c.tenant_id from app.stripe_customer_claims c where c.customer_id = $1`, customer)
}

// insertEvent keeps an event, which belongs to its own id: its tenant is noted
// where it is known.
func insertEvent(tx *db.Tx, e event, customer string, tenant ids.ID, status string, body []byte) {
	var of any
	if tenant != ids.Nil {
		of = tenant
	}
	db.Exec(tx, `insert into app.stripe_events (event_id, type, customer_id, tenant_id, status, payload, created_at, processed_at)
		values ($1, $2, nullif($3, ''), $4, $5, $6, $7, case when $5 = 'ignored' then $7::timestamptz end)`,
		e.ID, e.Type, customer, of, status, string(body), e.createdAt())
}
