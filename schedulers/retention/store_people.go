package retention

import (
	"context"
	"fmt"

	"github.com/coditect/platform/shared/schedule"
)

// ofPerson are the tables of a person that their own row does not take with it.
// user_events stay: they tell what was done, and expire by their age.
var ofPerson = []table{
	{"user_outbox", "id"}, {"user_processed", "consumer, message_id"}, {"user_idempotency_keys", "method, path, key"}, {"refresh_tokens", "id"}, {"sessions", "session_id"},
}

// withPerson are those that go with their row.
var withPerson = []string{"credentials", "profiles", "user_tenants", "email_tokens", "oauth_tokens", "user_state"}

// erasePeople erases accounts that were closed long enough ago, and lets their
// addresses go.
func (s *service) erasePeople(ctx context.Context, run *schedule.Run) error {
	before := run.Now.Add(-s.cfg.Deleted)
	from := source{name: "accounts", table: "users", owner: user, kind: "uuid", condition: `x.deleted_at < $1`, before: before}
	const closed = `exists (select 1 from app.users u where u.user_id = $1 and u.deleted_at < $2)`
	return s.each(ctx, run, from, func(ctx context.Context, owner string) error {
		for _, t := range ofPerson {
			sql := `delete from app.` + t.name + ` where user_id = $1 and ` + closed + ` and (` + t.key + `) in (select ` + t.key + ` from app.` + t.name + ` where user_id = $1 limit $3)`
			if err := s.drain(ctx, run, "rows of accounts", sql, owner, before, s.cfg.Batch); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if _, err := s.exec(ctx, "free the address of a closed account", `delete from app.email_claims where user_id = $1`, owner); err != nil {
			return err
		}
		n, err := s.exec(ctx, "erase a closed account", `delete from app.users where user_id = $1 and deleted_at < $2`, owner, before)
		run.Count("accounts", n)
		return err
	})
}
