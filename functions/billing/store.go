package billing

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/page"
)

// organization is what billing needs to know of one.
type organization struct{ name, plan string }

func getOrganization(tx *db.Tx) *db.Row[organization] {
	return db.One(tx, func(r pgx.CollectableRow) (o organization, err error) {
		err = r.Scan(&o.name, &o.plan)
		return o, err
	}, `select o.name, o.plan from app.organizations o where o.tenant_id = $1`, tx.Tenant())
}

func insertCustomer(tx *db.Tx, customer string) *db.Tag {
	return db.Exec(tx, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status) values ($1, $2, 'free', 'active')
		on conflict (tenant_id) do nothing`, tx.Tenant(), customer)
}

// claimCustomer lets events of the customer find the tenant.
func claimCustomer(tx *db.Tx, customer string) {
	db.Claim(tx, customer)
	db.Exec(tx, `insert into app.stripe_customer_claims (customer_id, tenant_id) values ($1, $2) on conflict (customer_id) do nothing`, customer, tx.Tenant())
}

func takeBusy(tx *db.Tx, key string, life time.Duration) *db.Tag {
	return db.Exec(tx, `update app.subscriptions set busy_key = $2, busy_until = now() + $3::interval
		where tenant_id = $1 and (busy_until is null or busy_until <= now())`, tx.Tenant(), key, life)
}

// busyWith is the key of the change that is under way.
func busyWith(tx *db.Tx) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `select coalesce(busy_key, '') from app.subscriptions where tenant_id = $1`, tx.Tenant())
}

func releaseBusy(tx *db.Tx, key string) {
	db.Exec(tx, `update app.subscriptions set busy_key = null, busy_until = null where tenant_id = $1 and busy_key = $2`, tx.Tenant(), key)
}

func listMethods(tx *db.Tx) *db.Rows[Method] {
	return db.Many(tx, func(r pgx.CollectableRow) (m Method, err error) {
		err = r.Scan(&m.ID, &m.Brand, &m.Last4, &m.ExpMonth, &m.ExpYear, &m.IsDefault)
		return m, err
	}, `select id, brand, last4, exp_month, exp_year, is_default from app.payment_methods
		 where tenant_id = $1 order by is_default desc, created_at desc, id limit 100`, tx.Tenant())
}

// listInvoices reads one page. What is a draft may still change.
func listInvoices(tx *db.Tx, at page.Position) *db.Rows[invoiceRow] {
	keyset, order, more := at.SQL(2, "i")
	args := append([]any{tx.Tenant()}, more...)
	args = append(args, at.Limit())
	limit := map[int]string{2: "$2", 4: "$4"}[len(args)]
	return db.Many(tx, func(r pgx.CollectableRow) (v invoiceRow, err error) {
		err = r.Scan(&v.ID, &v.Number, &v.Status, &v.Currency, &v.AmountDue, &v.AmountPaid, &v.HostedURL, &v.PDFURL, &v.PeriodStart, &v.PeriodEnd,
			&v.IssuedAt, &v.PaidAt, &v.CreatedAt, &v.updatedAt)
		v.CreatedAt = v.CreatedAt.UTC()
		for _, t := range []*time.Time{v.PeriodStart, v.PeriodEnd, v.IssuedAt, v.PaidAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
		return v, err
	}, `select i.id, i.number, i.status, i.currency, i.amount_due, i.amount_paid, i.hosted_url, i.pdf_url, i.period_start, i.period_end,
		       i.issued_at, i.paid_at, i.created_at, i.updated_at
		  from app.invoices i where i.tenant_id = $1 and i.status <> 'draft' and `+keyset+` order by `+order+` limit `+limit, args...)
}

// requested is what was counted of a day: under the epochs of its present
// counters, and under earlier ones.
type requested struct {
	day          time.Time
	here, before int64
}

// listRequests reads what was moved of the days from the first on.
func listRequests(tx *db.Tx, from time.Time, epochs []string) *db.Rows[requested] {
	return db.Many(tx, func(r pgx.CollectableRow) (v requested, err error) {
		err = r.Scan(&v.day, &v.here, &v.before)
		return v, err
	}, `select u.day, coalesce(sum(u.quantity) filter (where u.id = any($3::uuid[])), 0)::bigint, coalesce(sum(u.quantity) filter (where u.id <> all($3::uuid[])), 0)::bigint
		  from app.usage_records u
		 where u.tenant_id = $1 and u.metric = 'api_requests' and u.day >= $2::date group by u.day order by u.day limit 100`,
		tx.Tenant(), from.Format(time.DateOnly), epochs)
}

// movedBytes is by how many bytes the storage changed on a day.
type movedBytes struct {
	day   time.Time
	bytes int64
}

func listChanges(tx *db.Tx, from time.Time) *db.Rows[movedBytes] {
	return db.Many(tx, func(r pgx.CollectableRow) (v movedBytes, err error) {
		err = r.Scan(&v.day, &v.bytes)
		return v, err
	}, `select u.day, sum(u.quantity)::bigint from app.usage_records u
		 where u.tenant_id = $1 and u.metric = 'storage_bytes' and u.day >= $2::date group by u.day order by u.day limit 100`,
		tx.Tenant(), from.Format(time.DateOnly))
}

// storedBytes is what lies in the storage now.
func storedBytes(tx *db.Tx) *db.Row[int64] {
	return db.One(tx, pgx.RowTo[int64], `select coalesce(sum(a.size), 0)::bigint from app.attachments a
		where a.tenant_id = $1 and a.status = 'ready' and a.deleted_at is null`, tx.Tenant())
}
