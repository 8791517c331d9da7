// Package tenant is the operator's command over an organization: suspend,
// resume, restore. Each is one transaction that leaves a row of activity, as
// every change of a tenant does; the actor is nobody's account.
package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrUsage says that the command is not one of ours.
var ErrUsage = errors.New("usage: tenant suspend|resume|restore SUBDOMAIN [REASON]")

// Outcome is what became of the organization.
type Outcome struct {
	TenantID uuid.UUID
	Name     string
	Before   string // status
	After    string
}

type organization struct {
	id         uuid.UUID
	name       string
	status     string
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
// that crosses tenants. The words are the command's, the subdomain and, for
// suspend, a reason.
func Do(ctx context.Context, url string, words []string) (Outcome, error) {
	if len(words) < 2 || len(words) > 3 || len(words) == 3 && words[0] != "suspend" {
		return Outcome{}, ErrUsage
	}
	what, ok := acts[words[0]]
	if !ok {
		return Outcome{}, ErrUsage
	}
	reason := ""
	if len(words) == 3 {
		reason = words[2]
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
		done, err = within(ctx, tx, words[1], what, reason)
		return err
	})
	return done, err
}

func within(ctx context.Context, tx pgx.Tx, subdomain string, what act, reason string) (Outcome, error) {
	org, err := find(ctx, tx, subdomain)
	if err != nil {
		return Outcome{}, err
	}
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
	text, err := json.Marshal(changes)
	if err != nil {
		return Outcome{}, fmt.Errorf("encode the changes: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome{}, fmt.Errorf("make an id: %w", err)
	}
	_, err = tx.Exec(ctx, `insert into app.activity (tenant_id, id, action, model, object_id, changes) values ($1, $2, $3, 'Organization', $1, $4::jsonb)`,
		org.id, id, what.action, string(text))
	if err != nil {
		return Outcome{}, fmt.Errorf("record the change: %w", err)
	}
	return Outcome{TenantID: org.id, Name: org.name, Before: org.status, After: what.to}, nil
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
	err = tx.QueryRow(ctx, `select name, status, suspended_reason, erase_after from app.organizations where tenant_id = $1 for update`, org.id).
		Scan(&org.name, &org.status, &org.reason, &org.eraseAfter)
	if err != nil {
		return org, fmt.Errorf("lock %s: %w", subdomain, err)
	}
	return org, nil
}
