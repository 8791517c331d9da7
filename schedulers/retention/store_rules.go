package retention

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/schedule"
)

// rule erases the rows of one table by their age. condition speaks of a row as
// x and of the time before which it is due as $1.
type rule struct {
	name, table string
	// owner is the column that the table is distributed by, of the type kind;
	// key is the rest of its primary key; empty where an owner has one row.
	owner, kind, key string
	condition        string
	age              time.Duration
}

const (
	tenant = "tenant_id"
	user   = "user_id"
)

func (s *service) rules() []rule {
	// A message that any consumer processed is remembered for as long as its row
	// is there: one that was given up by another listener may be replayed.
	const forgotten = `x.processed_at < $1 and not exists (select 1 from app.`
	all := []rule{
		{"request keys", "idempotency_keys", tenant, "uuid", "user_id, method, path, key", `x.expires_at < $1`, 0},
		{"request keys", "user_idempotency_keys", user, "uuid", "method, path, key", `x.expires_at < $1`, 0},
		{"links", "email_tokens", user, "uuid", "id", `x.expires_at < $1`, s.cfg.Links},
		{"sessions", "sessions", user, "uuid", "session_id", `(x.expires_at < $1 or x.revoked_at < $1)`, s.cfg.Sessions},
		{"refresh tokens", "refresh_tokens", user, "uuid", "id", `x.expires_at < $1`, s.cfg.Sessions},
		{"messages", "outbox", tenant, "uuid", "id", `x.done_at < $1`, s.cfg.Messages},
		{"messages", "user_outbox", user, "uuid", "id", `x.done_at < $1`, s.cfg.Messages},
		{"dead messages", "outbox", tenant, "uuid", "id", `x.dead_at < $1`, s.cfg.DeadMessages},
		{"dead messages", "user_outbox", user, "uuid", "id", `x.dead_at < $1`, s.cfg.DeadMessages},
		{"processed", "processed_messages", tenant, "uuid", "consumer, message_id", forgotten + `outbox m where m.tenant_id = x.tenant_id and m.id = x.message_id)`, s.cfg.Processed},
		{"processed", "user_processed", user, "uuid", "consumer, message_id", forgotten + `user_outbox m where m.user_id = x.user_id and m.id = x.message_id)`, s.cfg.Processed},
		{"mail log", "mail_sends", "address_hash", "text", "message_id", `x.created_at < $1`, s.cfg.Processed},
		// An address that nothing may be sent to stays known.
		{"mail log", "mail_recipients", "address_hash", "text", "", `x.suppressed_at is null and x.updated_at < $1
			and not exists (select 1 from app.mail_sends m where m.address_hash = x.address_hash)`, s.cfg.Processed},
		// Its file goes first, when it expires.
		{"jobs", "jobs", tenant, "uuid", "id", `x.finished_at < $1 and x.expires_at is null`, s.cfg.Jobs},
		// One that expired can be sent again, and its member is still there.
		{"invitations", "invitations", tenant, "uuid", "id", `(x.accepted_at < $1 or x.revoked_at < $1)`, s.cfg.Invitations},
		// What Stripe and we do not agree about stays for a person.
		{"usage", "usage_reports", tenant, "uuid", "metric, day, seq", `x.state = 'matched' and x.day < ($1::timestamptz at time zone 'utc')::date`, s.cfg.Usage},
		{"usage", "usage_records", tenant, "uuid", "id", `x.metric = 'api_requests' and x.day < ($1::timestamptz at time zone 'utc')::date`, s.cfg.Usage},
		{"usage", "usage_warnings", tenant, "uuid", "metric, period, threshold", `x.period < ($1::timestamptz at time zone 'utc')::date`, s.cfg.Usage},
	}
	if s.cfg.Activity > 0 {
		all = append(all,
			rule{"activity", "activity", tenant, "uuid", "id", `x.created_at < $1`, s.cfg.Activity},
			rule{"activity", "user_events", user, "uuid", "id", `x.created_at < $1`, s.cfg.Activity})
	}
	return all
}

// apply erases what a rule finds, owner by owner.
func (s *service) apply(ctx context.Context, run *schedule.Run, r rule) error {
	before := run.Now.Add(-r.age)
	from := source{name: r.table, table: r.table, owner: r.owner, kind: r.kind, condition: r.condition, before: before}
	due := `x.` + r.owner + ` = $2::` + r.kind + ` and ` + r.condition
	sql, batch := `delete from app.`+r.table+` x where `+due, []any(nil)
	if r.key != "" {
		// The condition stands twice: a row that changed after it was chosen is
		// looked at again before it goes.
		sql += ` and (` + r.key + `) in (select ` + r.key + ` from app.` + r.table + ` x where ` + due + ` limit $3)`
		batch = []any{s.cfg.Batch}
	}
	return s.each(ctx, run, from, func(ctx context.Context, owner string) error {
		return s.drain(ctx, run, r.name, sql, append([]any{before, owner}, batch...)...)
	})
}

// eraseEvents erases what Stripe told that is done, and what nobody here was
// found for. Each event is spread by its own id and belongs to nobody before it
// is done, so that a batch is of all of them, the oldest first. One that is
// replayed meanwhile is looked at again before it goes.
func (s *service) eraseEvents(ctx context.Context, run *schedule.Run) error {
	const over = `(x.status in ('processed', 'ignored') or x.status = 'failed' and x.tenant_id is null) and x.received_at < $1`
	return s.drain(ctx, run, "events of Stripe", `delete from app.stripe_events x where `+over+` and x.event_id in (
		select x.event_id from app.stripe_events x where `+over+` order by x.received_at limit $2)`, run.Now.Add(-s.cfg.Events), s.cfg.Batch)
}

// freeHosts ends the holds on hosts that ran out. They are few, and spread by
// their own name.
func (s *service) freeHosts(ctx context.Context, run *schedule.Run) error {
	n, err := s.exec(ctx, "free hosts whose hold ran out", `delete from app.host_claims where held_until < $1`, run.Now)
	run.Count("hosts", n)
	return err
}
