package billingsync

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

// event is one that waits. tenant is whose its customer is by now.
type event struct {
	id, kind, customer string
	tenant             ids.ID
	receivedAt         time.Time
}

// takeEvents reads the events that wait, and keeps them from the next runs for
// a time that grows with each.
func takeEvents(tx *db.Tx, now time.Time) *db.Rows[event] {
	rows := db.Many(tx, func(r pgx.CollectableRow) (e event, err error) {
		var tenant *ids.ID
		err = r.Scan(&e.id, &e.kind, &e.customer, &e.receivedAt, &tenant)
		if tenant != nil {
			e.tenant = *tenant
		}
		return e, err
	}, `select e.event_id, e.type, coalesce(e.customer_id, ''), e.received_at, c.tenant_id
		  from (select event_id, type, customer_id, received_at from app.stripe_events
		         where status = 'received' and received_at < $1 and (lease_until is null or lease_until <= $2)
		         order by received_at limit $3) e
		  left join app.stripe_customer_claims c on c.customer_id = e.customer_id`, now.Add(-patience), now, batch)
	db.Exec(tx, `update app.stripe_events set attempts = attempts + 1, lease_until = $2::timestamptz + least(attempts + 1, 12) * interval '5 minutes'
		where event_id in (select event_id from app.stripe_events
		                    where status = 'received' and received_at < $1 and (lease_until is null or lease_until <= $2)
		                    order by received_at limit $3)`, now.Add(-patience), now, batch)
	return rows
}

func giveEventUp(tx *db.Tx, id string) {
	db.Exec(tx, `update app.stripe_events set status = 'failed', last_error = 'nobody claimed the customer', processed_at = now() where event_id = $1`, id)
}

type customer struct {
	tenant   ids.ID
	customer string
}

// dueCustomers are those of live subscriptions that were looked at a day ago,
// whose period has ended since, or who owe a payment, and for whom no message
// waits.
func dueCustomers(tx *db.Tx, now time.Time) *db.Rows[customer] {
	return db.Many(tx, func(r pgx.CollectableRow) (c customer, err error) {
		err = r.Scan(&c.tenant, &c.customer)
		return c, err
	}, `select s.tenant_id, s.stripe_customer_id from app.subscriptions s
		 where s.stripe_subscription_id is not null and s.status <> 'canceled'
		   and (s.synced_at < $1::timestamptz - interval '1 day'
		        or s.current_period_end < $1::timestamptz and s.synced_at < s.current_period_end
		        or s.status in ('past_due', 'incomplete') and s.synced_at < $1::timestamptz - interval '1 hour')
		   and not exists (select 1 from app.outbox o where o.tenant_id = s.tenant_id and o.kind = 'billing.sync' and o.done_at is null and o.dead_at is null)
		 order by s.synced_at limit $2`, now, batch)
}
