package users

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// inviteBroken says what keeps an invitation from being made. The keys are for
// two that are made at once, the foreign one for a role that is deleted then.
var inviteBroken = db.Constraints{
	"member_there":                  errAlreadyMember,
	"invitation_open":               errAlreadyInvited,
	"members_of_plan":               errMembersOfPlan,
	"invitations_open_email_key":    errAlreadyInvited,
	"memberships_pending_email_key": errAlreadyInvited,
	"memberships_custom_role_fkey":  errNoRole,
	"invitations_custom_role_fkey":  errNoRole,
}

// open is an invitation that nobody accepted and nobody withdrew, expired or
// not: there is one of an address at most.
const open = `i.accepted_at is null and i.revoked_at is null`

const invitationColumns = `
	i.id, i.email, i.first_name, i.last_name, coalesce(r.name, i.role), i.expires_at <= now(), i.expires_at, i.sent_at, i.created_at, i.updated_at, i.version,
	i.member_id, i.role, i.custom_role_id, r.permissions, m.user_id, m.email, m.first_name, m.last_name`

const invitationJoins = `
	left join app.roles r on r.tenant_id = $1 and r.id = i.custom_role_id
	left join app.memberships m on m.tenant_id = $1 and m.user_id = i.invited_by`

func scanInvitation(cr pgx.CollectableRow) (i invitationRow, err error) {
	var expired bool
	var builtin string
	var own, inviter *ids.ID
	var permissions []string
	var email, first, last *string
	err = cr.Scan(&i.ID, &i.Email, &i.FirstName, &i.LastName, &i.Role, &expired, &i.ExpiresAt, &i.SentAt, &i.CreatedAt, &i.updatedAt, &i.version,
		&i.member, &builtin, &own, &permissions, &inviter, &email, &first, &last)
	if err != nil {
		return i, err
	}
	i.grade = gradeOf(builtin, i.Role, own, permissions)
	i.Status = statusPending
	if expired {
		i.Status = statusExpired
	}
	i.ExpiresAt, i.CreatedAt = i.ExpiresAt.UTC(), i.CreatedAt.UTC()
	if i.SentAt != nil {
		i.SentAt = new(i.SentAt.UTC())
	}
	if inviter != nil {
		i.InvitedBy = &Inviter{ID: *inviter, Email: *email, FirstName: *first, LastName: *last}
	}
	return i, nil
}

func getInvitation(tx *db.Tx, id ids.ID) *db.Row[invitationRow] {
	return db.One(tx, scanInvitation, `select `+invitationColumns+` from app.invitations i `+invitationJoins+`
		where i.tenant_id = $1 and i.id = $2 and `+open, tx.Tenant(), id)
}

// lockInvitation reads an open invitation that is about to change.
func lockInvitation(tx *db.Tx, id ids.ID) *db.Row[invitationRow] {
	return db.One(tx, scanInvitation, `select `+invitationColumns+` from app.invitations i `+invitationJoins+`
		where i.tenant_id = $1 and i.id = $2 and `+open+` for update of i`, tx.Tenant(), id)
}

// listInvitations reads one page of the open ones. The page is cut before the
// joins.
func listInvitations(tx *db.Tx, status string, at page.Position) *db.Rows[invitationRow] {
	keyset, order, more := at.SQL(3, "i")
	args := append([]any{tx.Tenant(), at.Limit()}, more...)
	within := map[string]string{statusPending: ` and i.expires_at > now()`, statusExpired: ` and i.expires_at <= now()`}[status]
	return db.Many(tx, scanInvitation, `select `+invitationColumns+`
		  from (select i.* from app.invitations i where i.tenant_id = $1 and `+open+within+` and `+keyset+` order by `+order+` limit $2) i `+
		invitationJoins+` order by `+order, args...)
}

// lockPlaces lets one place of the plan be taken at a time. It is a statement
// of its own, as what counts must begin after the lock is held to see what its
// last holder added.
func lockPlaces(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.organizations where tenant_id = $1 for no key update`, tx.Tenant())
}

// requirePlace breaks the transaction unless the plan has room for one more
// member. A place is taken by who may act and by who may yet come: an
// invitation that can be accepted.
func requirePlace(tx *db.Tx) {
	db.Guard(tx, `case when p.max_members <= (select count(*) from app.memberships m where m.tenant_id = $1 and m.is_active and m.left_at is null)
	                                       + (select count(*) from app.invitations i where i.tenant_id = $1 and `+open+` and i.expires_at > now())
	                   then 'members_of_plan' else '' end`,
		`app.organizations o join app.plans p on p.id = o.plan where o.tenant_id = $1`, tx.Tenant())
}

// requireNoMember breaks the transaction if somebody with the address is in,
// deactivated or not. Who left may be invited again.
func requireNoMember(tx *db.Tx, email string) {
	db.Guard(tx, `case when exists (select from app.memberships m
	                                 where m.tenant_id = $1 and lower(m.email) = $2 and m.joined_at is not null and m.left_at is null)
	                   then 'member_there' else '' end`,
		`app.organizations o where o.tenant_id = $1`, tx.Tenant(), email)
}

// requireStranger is requireNoMember for an address that is not invited either.
func requireStranger(tx *db.Tx, email string) {
	requireNoMember(tx, email)
	db.Guard(tx, `case when exists (select from app.invitations i where i.tenant_id = $1 and lower(i.email) = $2 and `+open+`)
	                   then 'invitation_open' else '' end`,
		`app.organizations o where o.tenant_id = $1`, tx.Tenant(), email)
}

// withdrawExpired makes room for a new invitation of an address.
func withdrawExpired(tx *db.Tx, email string) {
	db.Exec(tx, `
		update app.memberships m set is_active = false, left_at = now(), version = m.version + 1, updated_at = now()
		  from app.invitations i
		 where m.tenant_id = $1 and i.tenant_id = $1 and lower(i.email) = $2 and `+open+` and i.expires_at <= now()
		   and m.user_id = i.member_id and m.joined_at is null and m.left_at is null`, tx.Tenant(), email)
	db.Exec(tx, `
		update app.invitations i set revoked_at = now(), version = i.version + 1, updated_at = now()
		 where i.tenant_id = $1 and lower(i.email) = $2 and `+open+` and i.expires_at <= now()`, tx.Tenant(), email)
}

// withdraw ends an invitation, and the membership that waits with it.
func withdraw(tx *db.Tx, i invitationRow) {
	db.Exec(tx, `
		update app.invitations set revoked_at = now(), version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2`, tx.Tenant(), i.ID)
	db.Exec(tx, `
		update app.memberships set left_at = now(), version = version + 1, updated_at = now()
		 where tenant_id = $1 and user_id = $2 and joined_at is null and left_at is null`, tx.Tenant(), i.member)
}

// insertWaiting makes the membership that waits for its person. It has the id
// that they get if they have no account when they come; who has one brings
// theirs.
func insertWaiting(tx *db.Tx, o offer) {
	db.Exec(tx, `
		insert into app.memberships (tenant_id, user_id, email, first_name, last_name, role, custom_role_id, is_active)
		values ($1, $2, $3, $4, $5, $6, $7, false)`,
		tx.Tenant(), o.member, o.email, o.firstName, o.lastName, o.grade.builtin, o.grade.custom)
}

func insertInvitation(tx *db.Tx, o offer, life time.Duration) {
	db.Exec(tx, `
		insert into app.invitations (tenant_id, id, email, first_name, last_name, role, custom_role_id, member_id, secret_hash, invited_by, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + make_interval(secs => $11))`,
		tx.Tenant(), o.token.ID, o.email, o.firstName, o.lastName, o.grade.builtin, o.grade.custom, o.member, o.token.Hash(), tx.User(), life.Seconds())
}

// rearmInvitation lets it be accepted for some time more. The secret is derived
// anew, as the key that made the one before may be gone by now.
func rearmInvitation(tx *db.Tx, t identity.Opaque, life time.Duration) {
	db.Exec(tx, `
		update app.invitations set secret_hash = $3, invited_by = $4, expires_at = now() + make_interval(secs => $5), version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2`, tx.Tenant(), t.ID, t.Hash(), tx.User(), life.Seconds())
}
