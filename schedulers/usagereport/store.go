package usagereport

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
)

// group is what Stripe sums up: a customer's metric on a day.
type group struct {
	tenant   ids.ID
	metric   string
	day      time.Time
	customer string
}

// report is one that is not known to have arrived. before is what was reported of
// its group.
type report struct {
	group
	seq        int
	identifier string
	quantity   int64
	before     int64
	attempted  *time.Time
}

// counted is, for each metric, the sum of a day $1 by tenant. Storage is what lay
// there at the day's end, in GiB, each that was begun.
var counted = map[string]string{
	"api_requests": `select u.tenant_id, sum(u.quantity)::bigint as quantity from app.usage_records u
		where u.metric = 'api_requests' and u.day = $1::date group by u.tenant_id`,
	"storage_gb": `select u.tenant_id, ceil(greatest(sum(u.quantity), 0) / 1073741824.0)::bigint as quantity from app.usage_records u
		where u.metric = 'storage_bytes' and u.day <= $1::date group by u.tenant_id`,
}

// write leaves a report for each metered organization whose day came to something
// else than what was said of it. all is false for days that were seen: of those
// only organizations that were reported by then have a report. Two runs that find
// the same write the same row.
func (s *service) write(ctx context.Context, day time.Time, all bool) (int, error) {
	var tags []*db.Tag
	err := db.System(ctx, s.db, "write down what to report to Stripe", func(tx *db.Tx) error {
		tags = tags[:0]
		for _, metric := range []string{"api_requests", "storage_gb"} {
			tags = append(tags, db.Exec(tx, `
				insert into app.usage_reports (tenant_id, metric, day, seq, identifier, customer_id, quantity)
				select s.tenant_id, $2, $1::date, coalesce(r.n, 0)::int, s.tenant_id::text || ':' || $2 || ':' || $3::text || ':' || coalesce(r.n, 0)::text,
				       s.stripe_customer_id, c.quantity - coalesce(r.quantity, 0)
				  from app.subscriptions s
				  join app.organizations o on o.tenant_id = s.tenant_id and o.status <> 'deleted'
				  join app.plans p on p.id = o.plan and p.metered
				  join (`+counted[metric]+`) c on c.tenant_id = s.tenant_id
				  left join (select b.tenant_id, count(*) as n, sum(b.quantity)::bigint as quantity from app.usage_reports b
				              where b.metric = $2 and b.day = $1::date group by b.tenant_id) r on r.tenant_id = s.tenant_id
				 where s.stripe_subscription_id is not null and c.quantity <> coalesce(r.quantity, 0)
				   and ($4::boolean or exists (select 1 from app.usage_reports e where e.tenant_id = s.tenant_id and e.metric = $2 and e.day <= $1::date))
				on conflict (tenant_id, metric, day, seq) do nothing`,
				day.Format(time.DateOnly), metric, day.Format(time.DateOnly), all))
		}
		return nil
	})
	n := 0
	for _, t := range tags {
		if err == nil {
			n += int(t.Affected())
		}
	}
	return n, err
}

// pending reads the next reports that are not known to have arrived, the oldest
// day first.
func (s *service) pending(ctx context.Context) ([]report, error) {
	var found *db.Rows[report]
	err := db.System(ctx, s.db, "find what was not reported to Stripe yet", func(tx *db.Tx) error {
		found = db.Many(tx, func(r pgx.CollectableRow) (v report, err error) {
			err = r.Scan(&v.tenant, &v.metric, &v.day, &v.customer, &v.seq, &v.identifier, &v.quantity, &v.attempted, &v.before)
			v.day = v.day.UTC()
			return v, err
		}, `select r.tenant_id, r.metric, r.day, r.customer_id, r.seq, r.identifier, r.quantity, r.attempted_at,
			       (select coalesce(sum(b.quantity), 0)::bigint from app.usage_reports b
			         where b.tenant_id = r.tenant_id and b.metric = r.metric and b.day = r.day and b.customer_id = r.customer_id and b.reported_at is not null)
			  from app.usage_reports r
			 where r.state = 'pending' order by r.day, r.tenant_id, r.metric, r.seq limit $1`, batch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

// keys are the owners and identifiers of reports.
func keys(all []report) (tenants, identifiers []string) {
	for _, r := range all {
		tenants, identifiers = append(tenants, r.tenant.String()), append(identifiers, r.identifier)
	}
	return tenants, identifiers
}

// attempt notes that reports are about to be sent. The first time counts.
func (s *service) attempt(ctx context.Context, all []report, now time.Time) error {
	tenants, identifiers := keys(all)
	return db.System(ctx, s.db, "note what is about to be sent to Stripe", func(tx *db.Tx) error {
		db.Exec(tx, `update app.usage_reports set attempted_at = $3
			where tenant_id = any($1::uuid[]) and identifier = any($2::text[]) and attempted_at is null`, tenants, identifiers, now)
		return nil
	})
}

// arrived notes that Stripe has reports.
func (s *service) arrived(ctx context.Context, all []report, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	tenants, identifiers := keys(all)
	return db.System(ctx, s.db, "note what Stripe took", func(tx *db.Tx) error {
		db.Exec(tx, `update app.usage_reports set state = 'reported', reported_at = $3
			where tenant_id = any($1::uuid[]) and identifier = any($2::text[]) and state = 'pending'`, tenants, identifiers, now)
		return nil
	})
}

// fail notes that a report cannot be sent, and why.
func (s *service) fail(ctx context.Context, r report, reason string) error {
	return db.Background(ctx, s.db, r.tenant, func(tx *db.Tx) error {
		db.Exec(tx, `update app.usage_reports set state = 'failed', error = left($5, 2000)
			where tenant_id = $1 and metric = $2 and day = $3::date and seq = $4 and state = 'pending'`, tx.Tenant(), r.metric, r.date(), r.seq, reason)
		return nil
	})
}

// total is what was reported of a group.
type total struct {
	group
	ours int64
}

// unmatched reads groups whose sum is to be compared: all that was written of
// them was reported before a moment, and something of it never agreed.
func (s *service) unmatched(ctx context.Context, before, since time.Time, after group) ([]total, error) {
	var found *db.Rows[total]
	err := db.System(ctx, s.db, "find what to compare with Stripe", func(tx *db.Tx) error {
		found = db.Many(tx, func(r pgx.CollectableRow) (v total, err error) {
			err = r.Scan(&v.tenant, &v.metric, &v.day, &v.customer, &v.ours)
			v.day = v.day.UTC()
			return v, err
		}, `select r.tenant_id, r.metric, r.day, r.customer_id, sum(r.quantity)::bigint
			  from app.usage_reports r
			  join (select o.tenant_id, o.metric, o.day from app.usage_reports o
			         where o.state in ('pending', 'reported', 'differs') and o.day >= $2::date
			         group by o.tenant_id, o.metric, o.day
			        having bool_and(o.state <> 'pending' and o.reported_at <= $1)) c
			    on c.tenant_id = r.tenant_id and c.metric = r.metric and c.day = r.day
			 where r.reported_at is not null and (r.tenant_id, r.metric, r.day, r.customer_id) > ($3, $4, $5::date, $6)
			 group by r.tenant_id, r.metric, r.day, r.customer_id
			 order by r.tenant_id, r.metric, r.day, r.customer_id limit $7`,
			before, since.Format(time.DateOnly), after.tenant, after.metric, after.day.Format(time.DateOnly), after.customer, batch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

// compared notes what Stripe's sum of a group was.
func (s *service) compared(ctx context.Context, g total, state string, there int64, now time.Time) error {
	return db.Background(ctx, s.db, g.tenant, func(tx *db.Tx) error {
		db.Exec(tx, `update app.usage_reports set state = $5, stripe_quantity = $6, checked_at = $7
			where tenant_id = $1 and metric = $2 and day = $3::date and customer_id = $4 and reported_at is not null`,
			tx.Tenant(), g.metric, g.date(), g.customer, state, there, now)
		return nil
	})
}
