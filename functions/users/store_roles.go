package users

import (
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// roleBroken says what breaking each constraint means to a client. The foreign
// keys are for a role that somebody gets while it is being deleted.
var roleBroken = db.Constraints{
	"roles_name_key":               errRoleTaken,
	"roles_name_reserved":          errRoleReserved,
	"roles_count":                  errTooManyRoles,
	"memberships_custom_role_fkey": errRoleInUse,
	"invitations_custom_role_fkey": errRoleInUse,
}

const roleColumns = `r.id, r.name, r.permissions, r.version, r.created_at, r.updated_at`

func scanRole(cr pgx.CollectableRow) (r roleRow, err error) {
	err = cr.Scan(&r.ID, &r.Name, &r.Permissions, &r.version, &r.createdAt, &r.updatedAt)
	return r, err
}

// listRoles reads one page of the tenant's own roles.
func listRoles(tx *db.Tx, at page.Position) *db.Rows[roleRow] {
	keyset, order, more := at.SQL(2, "r")
	args := append(append([]any{tx.Tenant()}, more...), at.Limit())
	limit := map[int]string{2: "$2", 4: "$4"}[len(args)]
	return db.Many(tx, scanRole, `select `+roleColumns+` from app.roles r
		where r.tenant_id = $1 and `+keyset+` order by `+order+` limit `+limit, args...)
}

func getRole(tx *db.Tx, id ids.ID) *db.Row[roleRow] {
	return db.One(tx, scanRole, `select `+roleColumns+` from app.roles r where r.tenant_id = $1 and r.id = $2`, tx.Tenant(), id)
}

// lockRole reads a role that is about to change. Who gives it to somebody
// meanwhile is held up by a deletion only.
func lockRole(tx *db.Tx, id ids.ID) *db.Row[roleRow] {
	return db.One(tx, scanRole, `select `+roleColumns+` from app.roles r where r.tenant_id = $1 and r.id = $2 for no key update`, tx.Tenant(), id)
}

// insertRole refuses one too many, give or take those that come at the same
// moment.
func insertRole(tx *db.Tx, r Role) {
	db.Guard(tx, `case when count(*) >= $2::int then 'roles_count' else '' end`, `app.roles r where r.tenant_id = $1`, tx.Tenant(), maxRoles)
	db.Exec(tx, `insert into app.roles (tenant_id, id, name, permissions, created_by) values ($1, $2, $3, $4, $5)`,
		tx.Tenant(), r.ID, r.Name, r.Permissions, tx.User())
}

func updateRole(tx *db.Tx, r Role) *db.Row[int64] {
	return db.One(tx, pgx.RowTo[int64], `
		update app.roles set name = $3, permissions = $4, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2 returning version`, tx.Tenant(), r.ID, r.Name, r.Permissions)
}

// roleUsed tells whether a member has the role, or an invitation offers it.
func roleUsed(tx *db.Tx, id ids.ID) *db.Row[bool] {
	return db.One(tx, pgx.RowTo[bool], `
		select exists (select from app.memberships m where m.tenant_id = $1 and m.role = 'custom' and m.custom_role_id = $2 and m.left_at is null)
		    or exists (select from app.invitations i where i.tenant_id = $1 and i.custom_role_id = $2 and i.accepted_at is null and i.revoked_at is null)`,
		tx.Tenant(), id)
}

// deleteRole takes it from who left and from invitations of the past, which
// keep no right, and then deletes it.
func deleteRole(tx *db.Tx, id ids.ID) {
	db.Exec(tx, `
		update app.memberships set role = 'viewer', custom_role_id = null
		 where tenant_id = $1 and custom_role_id = $2 and left_at is not null`, tx.Tenant(), id)
	db.Exec(tx, `
		update app.invitations set role = 'viewer', custom_role_id = null
		 where tenant_id = $1 and custom_role_id = $2 and (accepted_at is not null or revoked_at is not null)`, tx.Tenant(), id)
	db.Exec(tx, `delete from app.roles where tenant_id = $1 and id = $2`, tx.Tenant(), id)
}

// getGrade reads the role of who acts as it is now.
func getGrade(tx *db.Tx) *db.Row[grade] {
	return db.One(tx, func(r pgx.CollectableRow) (grade, error) {
		var builtin, name string
		var id *ids.ID
		var permissions []string
		err := r.Scan(&builtin, &name, &id, &permissions)
		return gradeOf(builtin, name, id, permissions), err
	}, `select m.role, coalesce(r.name, m.role), m.custom_role_id, r.permissions from app.memberships m `+withRole+`
		 where m.tenant_id = $1 and m.user_id = $2 and m.is_active and m.left_at is null`, tx.Tenant(), tx.User())
}
