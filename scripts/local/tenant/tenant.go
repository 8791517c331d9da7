// Package tenant is the operator's command over an organization: suspend,
// resume, restore, set its plan, add a member. Each is one transaction that
// leaves a row of activity, as every change of a tenant does; the actor is
// nobody's account.
package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/queue"
)

// ErrUsage says that the command is not one of ours.
var ErrUsage = errors.New("usage: tenant suspend|resume|restore SUBDOMAIN [REASON] | plan SUBDOMAIN PLAN | add SUBDOMAIN EMAIL ROLE")

// Outcome is what became of the organization.
type Outcome struct {
	TenantID uuid.UUID
	Name     string
	// Before and After are the status, the plan or the role, as the command has
	// it. They are the same where there was nothing to do.
	Before, After string
	// UserID is the member that the command added, if it did.
	UserID uuid.UUID
}

type organization struct {
	id         uuid.UUID
	name       string
	status     string
	plan       string
	reason     string
	eraseAfter *time.Time
}

// act is what a command does: from which states, to which, by which statement.
type act struct {
	from, to string
	action   string // of the activity row
	sql      string
}

var acts = map[string]act{
	"suspend": {
		from: "active", to: "suspended", action: "suspended",
		sql: `update app.organizations set status = 'suspended', suspended_at = now(), suspended_reason = $2,
		             version = version + 1, updated_at = now() where tenant_id = $1`,
	},
	"resume": {
		from: "suspended", to: "active", action: "resumed",
		sql: `update app.organizations set status = 'active', suspended_at = null, suspended_reason = $2,
		             version = version + 1, updated_at = now() where tenant_id = $1`,
	},
	"restore": {
		from: "deleted", to: "active", action: "restored",
		sql: `update app.organizations set status = 'active', suspended_at = null, suspended_reason = $2,
		             deleted_at = null, deleted_by = null, erase_after = null,
		             version = version + 1, updated_at = now() where tenant_id = $1`,
	},
}

// Do carries a command out on the database at url, which connects as the role
// that crosses tenants. The words are the command's and the subdomain, then a
// reason (if one likes, for suspend), a plan, or an address and a role.
func Do(ctx context.Context, url string, words []string) (Outcome, error) {
	command, err := parse(words)
	if err != nil {
		return Outcome{}, err
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return Outcome{}, errors.New("SYSTEM_DATABASE_URL is no PostgreSQL address") // The parser's error quotes the password.
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return Outcome{}, fmt.Errorf("connect as the system role: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var done Outcome
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		org, err := find(ctx, tx, words[1])
		if err != nil {
			return err
		}
		done, err = command(ctx, tx, org)
		return err
	})
	return done, err
}

// command is what is to be done to an organization whose row is locked.
type command func(ctx context.Context, tx pgx.Tx, org organization) (Outcome, error)

func parse(words []string) (command, error) {
	if len(words) < 2 {
		return nil, ErrUsage
	}
	args := words[2:]
	what, ok := acts[words[0]]
	switch {
	case ok && len(args) == 0, ok && words[0] == "suspend" && len(args) == 1:
		reason := strings.Join(args, "")
		return func(ctx context.Context, tx pgx.Tx, org organization) (Outcome, error) {
			return status(ctx, tx, org, words[1], what, reason)
		}, nil
	case words[0] == "plan" && len(args) == 1:
		return func(ctx context.Context, tx pgx.Tx, org organization) (Outcome, error) {
			return plan(ctx, tx, org, args[0])
		}, nil
	case words[0] == "add" && len(args) == 2:
		return func(ctx context.Context, tx pgx.Tx, org organization) (Outcome, error) {
			return add(ctx, tx, org, strings.ToLower(args[0]), args[1])
		}, nil
	}
	return nil, ErrUsage
}

func status(ctx context.Context, tx pgx.Tx, org organization, subdomain string, what act, reason string) (Outcome, error) {
	if org.status != what.from {
		return Outcome{}, fmt.Errorf("%s is %s, and only what is %s can be %s", subdomain, org.status, what.from, what.action)
	}
	if what.from == "deleted" && org.eraseAfter != nil && org.eraseAfter.Before(time.Now()) {
		return Outcome{}, fmt.Errorf("the data of %s may be erased already: its time ended on %s", subdomain, org.eraseAfter.Format(time.DateOnly))
	}
	if _, err := tx.Exec(ctx, what.sql, org.id, reason); err != nil {
		return Outcome{}, fmt.Errorf("change the status of %s: %w", subdomain, err)
	}
	changes := map[string]map[string]any{"status": {"old": org.status, "new": what.to}}
	if org.reason != reason {
		changes["suspended_reason"] = map[string]any{"old": org.reason, "new": reason}
	}
	if err := record(ctx, tx, org.id, what.action, "Organization", org.id, changes); err != nil {
		return Outcome{}, err
	}
	if err := announce(ctx, tx, org.id, uuid.Nil); err != nil {
		return Outcome{}, err
	}
	return Outcome{TenantID: org.id, Name: org.name, Before: org.status, After: what.to}, nil
}

// announce has what the functions remember of the organization, or of one
// member, dropped once more by message: what [Forget] could not tell Redis.
func announce(ctx context.Context, tx pgx.Tx, tenant, user uuid.UUID) error {
	m := queue.AccessChanged.Message("", queue.Access{UserID: user})
	payload, err := json.Marshal(m.Payload)
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	_, err = tx.Exec(ctx, `insert into app.outbox (tenant_id, id, kind, payload) values ($1, $2, $3, $4::jsonb)`, tenant, m.ID, m.Kind, string(payload))
	if err != nil {
		return fmt.Errorf("leave the message: %w", err)
	}
	return nil
}

// record leaves a row of activity that is nobody's.
func record(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, action, model string, object uuid.UUID, changes map[string]map[string]any) error {
	text, err := json.Marshal(changes)
	if err != nil {
		return fmt.Errorf("encode the changes: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an id: %w", err)
	}
	_, err = tx.Exec(ctx, `insert into app.activity (tenant_id, id, action, model, object_id, changes) values ($1, $2, $3, $4, $5, $6::jsonb)`,
		tenant, id, action, model, object, string(text))
	if err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	return nil
}

// find reads the organization by its subdomain, which spans the shards, and
// then locks its row by its key.
func find(ctx context.Context, tx pgx.Tx, subdomain string) (organization, error) {
	var org organization
	err := tx.QueryRow(ctx, `select tenant_id from app.organizations where subdomain = $1`, subdomain).Scan(&org.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return org, fmt.Errorf("there is no organization with the subdomain %q", subdomain)
	}
	if err != nil {
		return org, fmt.Errorf("look for %s: %w", subdomain, err)
	}
	err = tx.QueryRow(ctx, `select name, status, plan, suspended_reason, erase_after from app.organizations where tenant_id = $1 for update`, org.id).
		Scan(&org.name, &org.status, &org.plan, &org.reason, &org.eraseAfter)
	if err != nil {
		return org, fmt.Errorf("lock %s: %w", subdomain, err)
	}
	return org, nil
}
