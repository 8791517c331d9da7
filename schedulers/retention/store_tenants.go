package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/blob/key"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/schedule"
)

// table is one whose rows belong to an organization or a person, and the rest of
// its primary key.
type table struct{ name, key string }

// ofTenant are the tables of an organization, those that point to others first;
// its own row comes last of all and is not among them.
var ofTenant = []table{
	{"activity", "id"}, {"outbox", "id"}, {"processed_messages", "consumer, message_id"}, {"idempotency_keys", "user_id, method, path, key"},
	{"usage_records", "id"}, {"usage_reports", "metric, day, seq"}, {"usage_warnings", "metric, period, threshold"}, {"invoices", "id"}, {"payment_methods", "id"}, {"subscriptions", ""}, {"jobs", "id"},
	{"comments", "id"}, {"attachments", "id"}, {"tasks", "id"}, {"project_task_counts", "project_id, slot"}, {"projects", "id"},
	{"sso_identities", "connection_id, subject"}, {"sso_connections", "id"}, {"tenant_hosts", "id"},
	{"invitations", "id"}, {"memberships", "user_id"}, {"roles", "id"}, {"tenant_settings", ""},
}

// elsewhere is what speaks of the organization $1 in other tables. Who its
// people are is asked of user_tenants, which therefore comes last.
var elsewhere = []struct{ column, sql string }{
	{"user_state.last_tenant_id", `update app.user_state set last_tenant_id = null where last_tenant_id = $1 and user_id in (` + people + `)`},
	{"sessions.tenant_id", `update app.sessions set tenant_id = null where tenant_id = $1 and user_id in (` + people + `)`},
	{"oauth_tokens.tenant_id", `delete from app.oauth_tokens where tenant_id = $1 and user_id in (` + people + `)`},
	{"host_claims.tenant_id", `delete from app.host_claims where tenant_id = $1`},
	{"stripe_customer_claims.tenant_id", `delete from app.stripe_customer_claims where tenant_id = $1`},
	{"stripe_events.tenant_id", `delete from app.stripe_events where tenant_id = $1`},
	{"user_tenants.tenant_id", `delete from app.user_tenants where tenant_id = $1`},
}

const people = `select t.user_id from app.user_tenants t where t.tenant_id = $1`

// margin is between the moment until which an operator can restore an
// organization and the one from which it is erased: clocks differ.
const margin = time.Hour

// still guards every statement: the organization is deleted and due.
const still = `exists (select 1 from app.organizations o where o.tenant_id = $1 and o.status = 'deleted' and o.erase_after <= $2)`

// eraseTenants erases the organizations whose time is over.
func (s *service) eraseTenants(ctx context.Context, run *schedule.Run) error {
	// One that was deleted without a date would be kept for ever. It has its
	// time from when it is found, as somebody may count on restoring it.
	undated := source{name: "organizations", table: "organizations", owner: tenant, kind: "uuid",
		condition: `x.status = 'deleted' and x.erase_after is null and x.deleted_at <= $1`, before: run.Now}
	err := s.each(ctx, run, undated, func(ctx context.Context, owner string) error {
		_, err := s.exec(ctx, "date the erasure of an organization", `update app.organizations set erase_after = $2
			where tenant_id = $1 and status = 'deleted' and erase_after is null`, owner, run.Now.Add(s.cfg.Deleted))
		return err
	})
	if err != nil {
		return err
	}
	from := source{name: "organizations", table: "organizations", owner: tenant, kind: "uuid",
		condition: `x.status = 'deleted' and x.erase_after <= $1`, before: run.Now.Add(-margin)}
	return s.each(ctx, run, from, func(ctx context.Context, owner string) error { return s.eraseTenant(ctx, run, owner, from.before) })
}

func (s *service) eraseTenant(ctx context.Context, run *schedule.Run, owner string, before time.Time) error {
	id, err := ids.Parse(owner)
	if err != nil {
		return err
	}
	if due, err := s.due(ctx, owner, before); err != nil || !due {
		return err
	}
	// First, as the rows say whose objects they were; their keys all begin with
	// the organization's own id.
	n, err := s.objects.DeletePrefix(ctx, key.Prefix(id))
	run.Count("objects", n)
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	for _, t := range ofTenant {
		sql := `delete from app.` + t.name + ` where tenant_id = $1 and ` + still
		args := []any{owner, before}
		if t.key != "" {
			sql += ` and (` + t.key + `) in (select ` + t.key + ` from app.` + t.name + ` where tenant_id = $1 limit $3)`
			args = append(args, s.cfg.Batch)
		}
		if err := s.drain(ctx, run, "rows of organizations", sql, args...); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, e := range elsewhere {
		if _, err := s.exec(ctx, "erase an organization from "+e.column, e.sql, owner); err != nil {
			return fmt.Errorf("%s: %w", e.column, err)
		}
	}
	n, err = s.exec(ctx, "erase an organization", `delete from app.organizations o where o.tenant_id = $1 and o.status = 'deleted' and o.erase_after <= $2`, owner, before)
	run.Count("organizations", n)
	return err
}

// due asks again, as the list may be hours old.
func (s *service) due(ctx context.Context, owner string, before time.Time) (bool, error) {
	var found *db.Row[bool]
	err := db.System(ctx, s.db, "look whether an organization is still to be erased", func(tx *db.Tx) error {
		found = db.One(tx, pgx.RowTo[bool], `select true from app.organizations o where o.tenant_id = $1 and o.status = 'deleted' and o.erase_after <= $2`, owner, before)
		return nil
	})
	if err != nil {
		return false, err
	}
	_, ok := found.Found()
	return ok, nil
}
