package usagesync

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/usage"
)

// raise brings the records of an epoch up to its counters, and gives the
// organizations whose record changed. A record that is ahead stays: Redis went
// back.
func (s *service) raise(ctx context.Context, day usage.Day, epoch ids.ID, counts []usage.Count) ([]ids.ID, error) {
	tenants, numbers := make([]string, len(counts)), make([]int64, len(counts))
	for i, c := range counts {
		tenants[i], numbers[i] = c.Tenant.String(), c.N
	}
	var raised *db.Rows[ids.ID]
	err := db.System(ctx, s.db, "move what the edge counted", func(tx *db.Tx) error {
		raised = db.Many(tx, pgx.RowTo[ids.ID], `
			insert into app.usage_records as u (tenant_id, id, metric, day, quantity)
			select c.tenant_id, $1::uuid, 'api_requests', $2::date, c.quantity from unnest($3::uuid[], $4::bigint[]) as c(tenant_id, quantity)
			on conflict (tenant_id, id) do update set quantity = excluded.quantity where u.quantity < excluded.quantity
			returning u.tenant_id`, epoch, day.String(), tenants, numbers)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return raised.Value()
}

// metric is what is limited: what its records are called, which days of them
// count, and where the plan has the limit.
type metric struct{ name, records, since, limit string }

var (
	requests = metric{"api_requests", "api_requests", ` and u.day >= $2::date`, "api_requests_per_month"}
	storage  = metric{"storage_gb", "storage_bytes", "", "max_storage_bytes"}
)

// changed finds organizations whose storage changed since a moment, in the order
// of their ids.
func (s *service) changed(ctx context.Context, since time.Time, after ids.ID) ([]ids.ID, error) {
	var found *db.Rows[ids.ID]
	err := db.System(ctx, s.db, "find whose storage changed", func(tx *db.Tx) error {
		found = db.Many(tx, pgx.RowTo[ids.ID], `select distinct u.tenant_id from app.usage_records u
			where u.metric = 'storage_bytes' and u.reported_at is null and u.created_at >= $1 and u.tenant_id > $2 order by u.tenant_id limit $3`, since, after, changedAtOnce)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

// nearing is an organization that came to a threshold it was not told of.
type nearing struct {
	tenant            ids.ID
	plan              string
	allowed, quantity int64
}

// near finds those among some organizations.
func (s *service) near(ctx context.Context, m metric, period time.Time, tenants []ids.ID) ([]nearing, error) {
	texts := make([]string, len(tenants))
	for i, id := range tenants {
		texts[i] = id.String()
	}
	var found *db.Rows[nearing]
	err := db.System(ctx, s.db, "find who comes near to a limit", func(tx *db.Tx) error {
		found = db.Many(tx, func(r pgx.CollectableRow) (n nearing, err error) {
			err = r.Scan(&n.tenant, &n.plan, &n.allowed, &n.quantity)
			return n, err
		}, `select o.tenant_id, o.plan, p.`+m.limit+`, sum(u.quantity)::bigint
			  from app.organizations o
			  join app.plans p on p.id = o.plan
			  join app.usage_records u on u.tenant_id = o.tenant_id and u.metric = '`+m.records+`'`+m.since+`
			  left join (select w.tenant_id, max(w.threshold) as threshold from app.usage_warnings w
			              where w.tenant_id = any($1::uuid[]) and w.metric = $3 and w.period = $2::date group by w.tenant_id) t on t.tenant_id = o.tenant_id
			 where o.tenant_id = any($1::uuid[]) and o.status = 'active' and p.`+m.limit+` > 0
			 group by o.tenant_id, o.plan, p.`+m.limit+`, t.threshold
			having sum(u.quantity) * 100 >= p.`+m.limit+`::numeric * case coalesce(t.threshold, 0) when 0 then 50 when 50 then 80 when 80 then 100 end
			 limit 1000`, texts, period.Format(time.DateOnly), m.name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

// tell notes every threshold that was come to, and leaves one mail, of the
// highest. Who noted that one first leaves it. A row is a statement: on Citus, an
// insert from a select told both of two runs at once that it had inserted.
func (s *service) tell(ctx context.Context, m metric, period time.Time, n nearing) (told bool, err error) {
	levels := reached(n.quantity, n.allowed)
	if len(levels) == 0 {
		return false, nil
	}
	day := period.Format(time.DateOnly)
	err = db.Background(ctx, s.db, n.tenant, func(tx *db.Tx) error {
		var highest *db.Tag
		for _, level := range levels {
			highest = db.Exec(tx, `
				insert into app.usage_warnings (tenant_id, metric, period, threshold, plan, quantity, allowed) values ($1, $2, $3::date, $4, $5, $6, $7)
				on conflict (tenant_id, metric, period, threshold) do nothing`, tx.Tenant(), m.name, day, level, n.plan, n.quantity, n.allowed)
		}
		noted, err := highest.Await(ctx)
		if told = noted > 0; err != nil || !told {
			return err
		}
		tx.Enqueue(queue.MailUsageWarning.Message("", queue.UsageWarning{Metric: m.name, Period: day, Threshold: levels[len(levels)-1]}))
		return nil
	})
	return told && err == nil, err
}
