package payment

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

// Row is what is known here of a tenant's subscription.
type Row struct {
	Customer, Subscription       string
	Plan, Status, Interval       string
	PendingPlan, PendingInterval string
	PeriodStart, PeriodEnd       *time.Time
	NextInvoiceAt, TrialEnd      *time.Time
	CancelAtPeriodEnd            bool
	CanceledAt, PastDueSince     *time.Time
	Revision, Version            int64
	CreatedAt, UpdatedAt         time.Time
}

const columns = `s.stripe_customer_id, coalesce(s.stripe_subscription_id, ''), s.plan, s.status, s.interval, coalesce(s.pending_plan, ''),
	coalesce(s.pending_interval, ''), s.current_period_start, s.current_period_end, s.next_invoice_at, s.trial_end, s.cancel_at_period_end,
	s.canceled_at, s.past_due_since, s.revision, s.version, s.created_at, s.updated_at`

func scan(r pgx.CollectableRow) (v Row, err error) {
	err = r.Scan(&v.Customer, &v.Subscription, &v.Plan, &v.Status, &v.Interval, &v.PendingPlan, &v.PendingInterval, &v.PeriodStart, &v.PeriodEnd,
		&v.NextInvoiceAt, &v.TrialEnd, &v.CancelAtPeriodEnd, &v.CanceledAt, &v.PastDueSince, &v.Revision, &v.Version, &v.CreatedAt, &v.UpdatedAt)
	for _, t := range []*time.Time{v.PeriodStart, v.PeriodEnd, v.NextInvoiceAt, v.TrialEnd, v.CanceledAt, v.PastDueSince} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return v, err
}

// Get reads the tenant's subscription; absent when it never needed Stripe.
func Get(tx *db.Tx) *db.Row[Row] {
	return db.One(tx, scan, `select `+columns+` from app.subscriptions s where s.tenant_id = $1`, tx.Tenant())
}

func lock(tx *db.Tx) *db.Row[Row] {
	return db.One(tx, scan, `select `+columns+` from app.subscriptions s where s.tenant_id = $1 for update`, tx.Tenant())
}

// touch tells that a state was taken over.
func touch(tx *db.Tx) {
	db.Exec(tx, `update app.subscriptions set revision = revision + 1, synced_at = now() where tenant_id = $1`, tx.Tenant())
}

func update(tx *db.Tx, v Row) {
	db.Exec(tx, `
		update app.subscriptions set stripe_subscription_id = nullif($2, ''), plan = $3, status = $4, interval = $5, pending_plan = nullif($6, ''),
		       pending_interval = nullif($7, ''), current_period_start = $8, current_period_end = $9, next_invoice_at = $10, trial_end = $11,
		       cancel_at_period_end = $12, canceled_at = $13, past_due_since = $14, version = version + 1, updated_at = now()
		 where tenant_id = $1`,
		tx.Tenant(), v.Subscription, v.Plan, v.Status, v.Interval, v.PendingPlan, v.PendingInterval, v.PeriodStart, v.PeriodEnd, v.NextInvoiceAt, v.TrialEnd,
		v.CancelAtPeriodEnd, v.CanceledAt, v.PastDueSince)
}

func setPlan(tx *db.Tx, plan string) {
	db.Exec(tx, `update app.organizations set plan = $2, version = version + 1, updated_at = now() where tenant_id = $1`, tx.Tenant(), plan)
}

func organizationPlan(tx *db.Tx) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `select plan from app.organizations where tenant_id = $1 for update`, tx.Tenant())
}

// stored is an invoice as it is here.
type stored struct {
	id                     ids.ID
	stripeID, status       string
	attempts               int64
	due, paid              int64
	number, hosted, pdfURL string
}

func storedInvoices(tx *db.Tx, stripeIDs []string) *db.Rows[stored] {
	return db.Many(tx, func(r pgx.CollectableRow) (v stored, err error) {
		err = r.Scan(&v.id, &v.stripeID, &v.status, &v.attempts, &v.due, &v.paid, &v.number, &v.hosted, &v.pdfURL)
		return v, err
	}, `select id, stripe_invoice_id, status, attempt_count, amount_due, amount_paid, coalesce(number, ''), coalesce(hosted_url, ''), coalesce(pdf_url, '')
		  from app.invoices where tenant_id = $1 and stripe_invoice_id = any($2::text[]) limit 200`, tx.Tenant(), stripeIDs)
}

func upsertInvoice(tx *db.Tx, id ids.ID, v Invoice) {
	db.Exec(tx, `
		insert into app.invoices (tenant_id, id, stripe_invoice_id, number, status, currency, amount_due, amount_paid, hosted_url, pdf_url, period_start, period_end,
		                          issued_at, paid_at, attempt_count, created_at)
		values ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, nullif($9, ''), nullif($10, ''), $11, $12, $13, $14, $15, $16)
		on conflict (tenant_id, stripe_invoice_id) do update set number = excluded.number, status = excluded.status, amount_due = excluded.amount_due,
		       amount_paid = excluded.amount_paid, hosted_url = excluded.hosted_url, pdf_url = excluded.pdf_url, issued_at = excluded.issued_at,
		       paid_at = excluded.paid_at, attempt_count = excluded.attempt_count, version = app.invoices.version + 1, updated_at = excluded.updated_at`,
		tx.Tenant(), id, v.ID, v.Number, v.Status, v.Currency, v.Due, v.Paid, v.HostedURL, v.PDF, v.PeriodStart, v.PeriodEnd, v.IssuedAt, v.PaidAt, v.Attempts, v.Created)
}

// replaceMethods makes the cards equal to what Stripe has.
func replaceMethods(tx *db.Tx, all []Method) {
	keep := make([]string, 0, len(all))
	for _, m := range all {
		keep = append(keep, m.ID)
		db.Exec(tx, `
			insert into app.payment_methods (tenant_id, id, brand, last4, exp_month, exp_year, is_default, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
			on conflict (tenant_id, id) do update set brand = excluded.brand, last4 = excluded.last4, exp_month = excluded.exp_month,
			       exp_year = excluded.exp_year, is_default = excluded.is_default`,
			tx.Tenant(), m.ID, m.Brand, m.Last4, m.ExpMonth, m.ExpYear, m.Default, m.Created)
	}
	db.Exec(tx, `delete from app.payment_methods where tenant_id = $1 and id <> all($2::text[])`, tx.Tenant(), keep)
}

// now is the database's time: graces are measured by one clock.
func now(tx *db.Tx) *db.Row[time.Time] { return db.One(tx, pgx.RowTo[time.Time], `select now()`) }
