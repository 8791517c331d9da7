package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// Cast are the people who make requests: the owners of the tenants, signed in.
type Cast struct {
	Access  []string // access tokens, one a tenant
	Refresh []string // refresh tokens, each of a session of its own
}

// life is how long a run's tokens and sessions hold.
const life = 6 * time.Hour

// changed are the tables that a run fills beside the tasks.
const changed = `app.sessions, app.refresh_tokens, app.activity, app.user_events, app.outbox, app.user_outbox, app.idempotency_keys, app.user_idempotency_keys, app.user_state`

// Reset takes away what earlier runs added, raises the limits of the plan to
// what no run reaches, and brings the planner's statistics up to date.
func Reset(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		`truncate ` + changed,
		`update app.plans set requests_per_minute = 1000000, api_requests_per_month = null where id = 'enterprise'`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, `delete from app.tasks where created_at >= $1`, after); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if _, err := conn.Exec(ctx, `vacuum analyze`); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return nil
}

// SignIn gives every owner a session and an access token that keys has signed,
// and as many refresh tokens. It stands in for a sign-in, which is measured by
// itself.
func SignIn(ctx context.Context, url string, size Size, signer *identity.Signer, refresh int) (*Cast, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := &Cast{}
	ends := time.Now().Add(life)
	batch := &pgx.Batch{}
	session := func(tenant, member int) ids.ID {
		s := ids.New()
		batch.Queue(`insert into app.sessions (user_id, session_id, tenant_id, expires_at) values ($1, $2, $3, $4)`, User(tenant, member), s, Tenant(tenant), ends)
		return s
	}
	for t := range size.Tenants {
		p := identity.Principal{
			UserID: User(t, 0), SessionID: session(t, 0), Email: Email(t, 0), Name: names[0][0] + " " + names[0][1],
			TenantID: Tenant(t), Roles: []string{identity.RoleOwner},
		}
		token, _, err := signer.Access(ctx, p, life)
		if err != nil {
			return nil, err
		}
		c.Access = append(c.Access, token)
	}
	for i := range refresh {
		t, m := i%size.Tenants, i/size.Tenants%members
		token := identity.NewOpaque(identity.RefreshToken, User(t, m), session(t, m))
		batch.Queue(`insert into app.refresh_tokens (user_id, session_id, id, secret_hash, expires_at) values ($1, $2, $3, $4, $5)`, User(t, m), token.ID, ids.New(), token.Hash(), ends)
		c.Refresh = append(c.Refresh, token.Reveal())
	}
	return c, errors.Join(conn.SendBatch(ctx, batch).Close())
}

// Key is one task with what leads to it.
type Key struct{ Tenant, Project, Task int }

// Keys spreads n keys over all tenants, projects and tasks, the same in each run.
func (s Size) Keys(n int) []Key {
	out := make([]Key, n)
	const stride = 618_031 // the golden section of a million: neighbours fall far apart
	for i := range out {
		at := i * stride % s.Total()
		out[i] = Key{Tenant: i % s.Tenants, Project: at / s.Tasks % s.Projects, Task: at % s.Tasks}
	}
	return out
}
