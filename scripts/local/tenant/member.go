package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/identity"
)

// plan gives the organization another plan, as a contract outside the shop
// does. The one it has already is no change.
func plan(ctx context.Context, tx pgx.Tx, org organization, want string) (Outcome, error) {
	done := Outcome{TenantID: org.id, Name: org.name, Before: org.plan, After: want}
	rows, err := tx.Query(ctx, `select id from app.plans order by position`)
	if err != nil {
		return Outcome{}, fmt.Errorf("read the plans: %w", err)
	}
	plans, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return Outcome{}, fmt.Errorf("read the plans: %w", err)
	}
	if !slices.Contains(plans, want) {
		return Outcome{}, fmt.Errorf("there is no plan %q: the plans are %v", want, plans)
	}
	if org.status == "deleted" {
		return Outcome{}, errors.New("the organization is deleted: restore it first")
	}
	if org.plan == want {
		return done, nil
	}
	_, err = tx.Exec(ctx, `update app.organizations set plan = $2, version = version + 1, updated_at = now() where tenant_id = $1`, org.id, want)
	if err != nil {
		return Outcome{}, fmt.Errorf("change the plan: %w", err)
	}
	if err := announce(ctx, tx, org.id, uuid.Nil); err != nil {
		return Outcome{}, err
	}
	return done, record(ctx, tx, org.id, "updated", "Organization", org.id, map[string]map[string]any{"plan": {"old": org.plan, "new": want}})
}

// add makes somebody with an account a member. Who is one already stays as
// they are: a role is changed by an admin of the organization, not from here.
func add(ctx context.Context, tx pgx.Tx, org organization, email, role string) (Outcome, error) {
	if org.status != "active" {
		return Outcome{}, fmt.Errorf("the organization is %s: nobody can join it", org.status)
	}
	var who struct {
		id          uuid.UUID
		first, last string
	}
	err := tx.QueryRow(ctx, `select user_id from app.email_claims where email = $1`, email).Scan(&who.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Outcome{}, fmt.Errorf("nobody is registered as %s", email)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("look for %s: %w", email, err)
	}
	err = tx.QueryRow(ctx, `
select coalesce(p.first_name, ''), coalesce(p.last_name, '')
  from app.users u left join app.profiles p on p.user_id = $1
 where u.user_id = $1 and u.is_active and u.deleted_at is null`, who.id).Scan(&who.first, &who.last)
	if errors.Is(err, pgx.ErrNoRows) {
		return Outcome{}, fmt.Errorf("the account of %s is closed", email)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("read the account of %s: %w", email, err)
	}
	stored, custom, err := roleOf(ctx, tx, org.id, role)
	if err != nil {
		return Outcome{}, err
	}
	done := Outcome{TenantID: org.id, Name: org.name, UserID: who.id, After: role}
	var active bool
	err = tx.QueryRow(ctx, `
select m.is_active, coalesce(r.name, m.role)
  from app.memberships m left join app.roles r on r.tenant_id = $1 and r.id = m.custom_role_id
 where m.tenant_id = $1 and m.user_id = $2 for update of m`, org.id, who.id).Scan(&active, &done.Before)
	switch {
	case err == nil && active:
		done.After = done.Before
		return done, nil
	case err == nil:
		return Outcome{}, fmt.Errorf("%s was a member before: an admin of the organization lets them in again", email)
	case !errors.Is(err, pgx.ErrNoRows):
		return Outcome{}, fmt.Errorf("read the membership: %w", err)
	}
	return done, join(ctx, tx, org.id, who.id, email, who.first, who.last, stored, custom, role)
}

// join writes both sides of the membership.
func join(ctx context.Context, tx pgx.Tx, org, user uuid.UUID, email, first, last, stored string, custom *uuid.UUID, role string) error {
	_, err := tx.Exec(ctx, `
insert into app.memberships (tenant_id, user_id, email, first_name, last_name, role, custom_role_id, is_active, joined_at)
values ($1, $2, $3, $4, $5, $6, $7, true, now())`, org, user, email, first, last, stored, custom)
	if err != nil {
		return fmt.Errorf("make the membership: %w", err)
	}
	_, err = tx.Exec(ctx, `
insert into app.user_tenants (user_id, tenant_id) values ($1, $2)
on conflict (user_id, tenant_id) do update set joined_at = excluded.joined_at, left_at = null, updated_at = excluded.updated_at`, user, org)
	if err != nil {
		return fmt.Errorf("make the person's side of the membership: %w", err)
	}
	if err := announce(ctx, tx, org, user); err != nil {
		return err
	}
	return record(ctx, tx, org, "created", "Membership", user, map[string]map[string]any{"role": {"old": nil, "new": role}})
}

// roleOf finds a role by its name: built in, or the organization's own.
func roleOf(ctx context.Context, tx pgx.Tx, org uuid.UUID, name string) (stored string, custom *uuid.UUID, err error) {
	if name == identity.RoleOwner {
		return "", nil, errors.New("an organization has one owner, who alone hands it over")
	}
	if _, ok := identity.Builtin(name); ok {
		return name, nil, nil
	}
	var id uuid.UUID
	err = tx.QueryRow(ctx, `select id from app.roles where tenant_id = $1 and name = $2`, org, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil, fmt.Errorf("there is no role %q", name)
	}
	if err != nil {
		return "", nil, fmt.Errorf("look for the role %s: %w", name, err)
	}
	return "custom", &id, nil
}
