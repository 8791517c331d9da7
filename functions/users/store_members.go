package users

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// memberBroken is for a role that was deleted while it was given, and for a
// place that there is none of.
var memberBroken = db.Constraints{
	"members_of_plan":              errMembersOfPlan,
	"memberships_custom_role_fkey": errNoRole,
	"invitations_custom_role_fkey": errNoRole,
}

const memberColumns = `m.user_id, m.email, m.first_name, m.last_name, coalesce(r.name, m.role), m.is_active, m.joined_at, m.version, m.created_at, m.updated_at`

// withRole joins the name and the rights of a role that is the tenant's own.
const withRole = ` left join app.roles r on r.tenant_id = $1 and r.id = m.custom_role_id `

func (m *memberRow) fields() []any {
	return []any{&m.ID, &m.Email, &m.FirstName, &m.LastName, &m.Role, &m.IsActive, &m.JoinedAt, &m.version, &m.createdAt, &m.updatedAt}
}

func (m *memberRow) utc() {
	if m.JoinedAt != nil {
		m.JoinedAt = new(m.JoinedAt.UTC())
	}
}

func scanMember(r pgx.CollectableRow) (m memberRow, err error) {
	err = r.Scan(m.fields()...)
	m.utc()
	return m, err
}

func getMember(tx *db.Tx, id ids.ID) *db.Row[memberRow] {
	return db.One(tx, scanMember, `select `+memberColumns+` from app.memberships m `+withRole+`
		where m.tenant_id = $1 and m.user_id = $2 and m.left_at is null`, tx.Tenant(), id)
}

// memberFilter is what the list may be narrowed by.
type memberFilter struct {
	role, search string
	active       *bool
}

// maxWords bounds how many words of a search count.
const maxWords = 16

// listMembers reads one page. A search reads the tenant's members in the list's
// order, as no index of words can be used under row policies: there are some
// thousands of them, not millions.
func listMembers(tx *db.Tx, f memberFilter, at page.Position) *db.Rows[memberRow] {
	args := []any{tx.Tenant()}
	arg := func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)) }
	where := []string{`x.tenant_id = $1`, `x.left_at is null`}
	if _, builtin := identity.Builtin(f.role); builtin {
		where = append(where, `x.role = `+arg(f.role))
	} else if f.role != "" {
		where = append(where, `x.custom_role_id = (select r.id from app.roles r where r.tenant_id = $1 and lower(r.name) = lower(`+arg(f.role)+`))`)
	}
	if f.active != nil {
		where = append(where, `x.is_active = `+arg(*f.active))
	}
	words := strings.Fields(f.search)
	for _, word := range words[:min(len(words), maxWords)] {
		where = append(where, `x.email || E'\n' || x.first_name || ' ' || x.last_name ilike `+arg("%"+literally.Replace(word)+"%"))
	}
	keyset, order, more := at.SQL(len(args)+1, "m")
	args = append(args, more...)
	sql := `select ` + memberColumns + ` from (
		  select m.* from (select x.*, x.user_id as id from app.memberships x where ` + strings.Join(where, " and ") + `) m
		   where ` + keyset + ` order by ` + order + ` limit ` + arg(at.Limit()) + `) m ` + withRole + ` order by ` + order
	return db.Many(tx, scanMember, sql, args...)
}

// literally takes the meaning from what a pattern has.
var literally = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// grade is a role with what it gives.
type grade struct {
	name, builtin string // builtin is "custom" for one of the tenant's own
	custom        *ids.ID
	set           identity.Set
}

// standing is a member with what their role gives.
type standing struct {
	memberRow
	role grade
}

const custom = "custom"

func gradeOf(builtin, name string, id *ids.ID, permissions []string) grade {
	g := grade{name: name, builtin: builtin, custom: id}
	if set, known := identity.Builtin(builtin); known {
		g.set = set
		return g
	}
	g.set = setOf(permissions)
	return g
}

func setOf(permissions []string) identity.Set {
	ps := make([]identity.Permission, len(permissions))
	for i, p := range permissions {
		ps[i] = identity.Permission(p)
	}
	return identity.NewSet(ps...)
}

// lockMembers reads members for a change, in the order of their ids, so that
// two changes wait for one another and not both. Who works meanwhile on what
// refers to them is not held up.
func lockMembers(tx *db.Tx, users ...ids.ID) *db.Rows[standing] {
	texts := make([]string, len(users))
	for i, u := range users {
		texts[i] = u.String()
	}
	return db.Many(tx, func(r pgx.CollectableRow) (m standing, err error) {
		var builtin string
		var id *ids.ID
		var permissions []string
		err = r.Scan(append(m.fields(), &builtin, &id, &permissions)...)
		m.utc()
		m.role = gradeOf(builtin, m.Role, id, permissions)
		return m, err
	}, `select `+memberColumns+`, m.role, m.custom_role_id, r.permissions from app.memberships m `+withRole+`
		 where m.tenant_id = $1 and m.user_id = any($2::uuid[]) and m.left_at is null
		 order by m.user_id for no key update of m`, tx.Tenant(), texts)
}

func lockOwners(tx *db.Tx) *db.Rows[ids.ID] {
	return db.Many(tx, pgx.RowTo[ids.ID], `select m.user_id from app.memberships m
		where m.tenant_id = $1 and m.role = 'owner' and m.is_active and m.left_at is null order by m.user_id for no key update`, tx.Tenant())
}

// chosen is the role that a request names, once the statement was sent.
type chosen struct {
	builtin *grade
	row     *db.Row[grade]
}

// findRole looks for a role by its name, if one is named.
func findRole(tx *db.Tx, name api.Optional[string]) chosen {
	if !name.Set {
		return chosen{}
	}
	if set, builtin := identity.Builtin(name.V); builtin {
		return chosen{builtin: &grade{name: name.V, builtin: name.V, set: set}}
	}
	return chosen{row: db.One(tx, func(r pgx.CollectableRow) (grade, error) {
		var id ids.ID
		var name string
		var permissions []string
		err := r.Scan(&id, &name, &permissions)
		return gradeOf(custom, name, &id, permissions), err
	}, `select r.id, r.name, r.permissions from app.roles r where r.tenant_id = $1 and lower(r.name) = lower($2)`, tx.Tenant(), name.V)}
}

func (c chosen) value() (grade, error) {
	if c.builtin != nil {
		return *c.builtin, nil
	}
	g, err := c.row.Value()
	if errs.KindOf(err) == errs.NotFound {
		return g, errNoRole
	}
	return g, err
}

func updateMember(tx *db.Tx, id ids.ID, role grade, active bool) *db.Row[int64] {
	return db.One(tx, pgx.RowTo[int64], `
		update app.memberships set role = $3, custom_role_id = $4, is_active = $5, version = version + 1, updated_at = now()
		 where tenant_id = $1 and user_id = $2 and left_at is null
		returning version`, tx.Tenant(), id, role.builtin, role.custom, active)
}

// offerRole makes the open invitation of who has not come yet one to this role.
func offerRole(tx *db.Tx, member ids.ID, role grade) {
	db.Exec(tx, `
		update app.invitations set role = $3, custom_role_id = $4, version = version + 1, updated_at = now()
		 where tenant_id = $1 and member_id = $2 and accepted_at is null and revoked_at is null`, tx.Tenant(), member, role.builtin, role.custom)
}

func withdrawInvitation(tx *db.Tx, member ids.ID) {
	db.Exec(tx, `
		update app.invitations set revoked_at = now(), version = version + 1, updated_at = now()
		 where tenant_id = $1 and member_id = $2 and accepted_at is null and revoked_at is null`, tx.Tenant(), member)
}

// endMembership ends it on the tenant's side.
func endMembership(tx *db.Tx, user ids.ID) {
	db.Exec(tx, `
		update app.memberships set is_active = false, left_at = now(), version = version + 1, updated_at = now()
		 where tenant_id = $1 and user_id = $2 and left_at is null`, tx.Tenant(), user)
}

// leaveOnTheirSide ends it on the person's.
func leaveOnTheirSide(tx *db.Tx) {
	db.Exec(tx, `
		update app.user_tenants set left_at = now(), updated_at = now()
		 where user_id = $1 and tenant_id = $2 and left_at is null`, tx.Person(), tx.Tenant())
}

// endSessionsHere ends the sessions in which the person acts in the tenant.
func endSessionsHere(tx *db.Tx, reason string) *db.Rows[ids.ID] {
	return db.Many(tx, pgx.RowTo[ids.ID], `
		update app.sessions set revoked_at = now(), revoked_reason = $3
		 where user_id = $1 and tenant_id = $2 and revoked_at is null and expires_at > now()
		returning session_id`, tx.Person(), tx.Tenant(), reason)
}
