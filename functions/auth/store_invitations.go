package auth

import (
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// acceptBroken is for what changed between the decision and its transaction,
// and for what only the transaction can tell.
var acceptBroken = db.Constraints{
	"invitation_closed":      errLink,
	"member_there":           errAlreadyMember,
	"members_of_plan":        errMembersOfPlan,
	"account_changed":        errAccountChanged,
	"credentials_changed":    errCredentials,
	"session_ended":          errSignInRequired,
	"email_claims_pkey":      errAccountChanged, // somebody registered with the address just now
	"users_pkey":             errAccountChanged,
	"sessions_user_fkey":     errAccountChanged,
	"user_tenants_user_fkey": errAccountChanged,
}

// openInvitation tells an invitation, i, that can be accepted.
const openInvitation = `i.accepted_at is null and i.revoked_at is null and i.expires_at > now()`

// readInvitation reads an invitation, open or not, with what its role gives and
// what who sent it may give.
func readInvitation(tx *db.Tx, id ids.ID) *db.Row[invitation] {
	return db.One(tx, func(cr pgx.CollectableRow) (i invitation, err error) {
		var role string
		var given, mine []string
		var inviter *ids.ID
		var senderRole *string
		var sends *bool
		err = cr.Scan(&i.hash, &i.email, &i.firstName, &i.lastName, &i.role, &i.open, &i.acceptedBy, &i.member, &i.tenantStatus,
			&role, &given, &inviter, &senderRole, &mine, &sends)
		i.held = inviter == nil // the operator's
		if senderRole != nil && sends != nil && *sends {
			sender := rights(*senderRole, mine)
			i.held = sender.Has(identity.MembersWrite) && sender.Covers(rights(role, given))
		}
		return i, err
	}, `select i.secret_hash, i.email, i.first_name, i.last_name, coalesce(r.name, i.role), `+openInvitation+`, i.accepted_by, i.member_id, o.status,
		       i.role, r.permissions, i.invited_by, m.role, s.permissions, m.is_active and m.left_at is null
		  from app.invitations i
		  join app.organizations o on o.tenant_id = $1
		  left join app.roles r on r.tenant_id = $1 and r.id = i.custom_role_id
		  left join app.memberships m on m.tenant_id = $1 and m.user_id = i.invited_by
		  left join app.roles s on s.tenant_id = $1 and s.id = m.custom_role_id
		 where i.tenant_id = $1 and i.id = $2`, tx.Tenant(), id)
}

// rights are what a role gives: a built-in one, or one of the tenant's own with
// these permissions.
func rights(role string, own []string) identity.Set {
	if set, builtin := identity.Builtin(role); builtin {
		return set
	}
	ps := make([]identity.Permission, len(own))
	for i, p := range own {
		ps[i] = identity.Permission(p)
	}
	return identity.NewSet(ps...)
}

// lockPlaces lets one place of the plan be taken at a time, and one invitation
// be accepted. It is a statement of its own, as what looks must begin after the
// lock is held to see what its last holder did.
func lockPlaces(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.organizations where tenant_id = $1 for no key update`, tx.Tenant())
}

// requireOpen breaks the transaction unless the invitation can still be
// accepted, by somebody who is not in.
func requireOpen(tx *db.Tx, t identity.Opaque) {
	db.Guard(tx, `case when o.status <> 'active' or not exists (select from app.invitations i
	                                 where i.tenant_id = $1 and i.id = $2 and i.secret_hash = $3 and `+openInvitation+`)
	                   then 'invitation_closed'
	                   when exists (select from app.memberships m
	                                 where m.tenant_id = $1 and m.user_id = $4 and m.joined_at is not null and m.left_at is null)
	                   then 'member_there' else '' end`,
		`app.organizations o where o.tenant_id = $1`, tx.Tenant(), t.ID, t.Hash(), tx.User())
}

// requirePlace breaks the transaction unless the plan has room for one more who
// may act. Invitations took their places when they were made; this is for a
// plan that became smaller since.
func requirePlace(tx *db.Tx) {
	db.Guard(tx, `case when p.max_members <= (select count(*) from app.memberships m where m.tenant_id = $1 and m.is_active and m.left_at is null)
	                   then 'members_of_plan' else '' end`,
		`app.organizations o join app.plans p on p.id = o.plan where o.tenant_id = $1`, tx.Tenant())
}

// useInvitation makes the person a member on the tenant's side. The membership
// that waited becomes theirs or gives way to one that they had before, which
// comes back with all that refers to it.
func useInvitation(tx *db.Tx, a arrival) {
	db.Exec(tx, `
		update app.invitations set accepted_at = now(), accepted_by = $3, version = version + 1, updated_at = now()
		 where tenant_id = $1 and id = $2`, tx.Tenant(), a.token.ID, tx.User())
	if waiting := a.invitation.member; waiting != nil && *waiting != tx.User() {
		db.Exec(tx, `delete from app.memberships where tenant_id = $1 and user_id = $2 and joined_at is null`, tx.Tenant(), *waiting)
	}
	db.Exec(tx, `
		insert into app.memberships as m (tenant_id, user_id, email, first_name, last_name, role, custom_role_id, is_active, joined_at)
		select i.tenant_id, $3::uuid, i.email, $4::text, $5::text, i.role, i.custom_role_id, true, now()
		  from app.invitations i where i.tenant_id = $1 and i.id = $2
		on conflict (tenant_id, user_id) do update
		   set email = excluded.email, first_name = excluded.first_name, last_name = excluded.last_name, role = excluded.role,
		       custom_role_id = excluded.custom_role_id, is_active = true, joined_at = excluded.joined_at, left_at = null,
		       version = m.version + 1, updated_at = excluded.updated_at`,
		tx.Tenant(), a.token.ID, tx.User(), a.firstName, a.lastName)
}

// joinTenant is the person's side of it.
func joinTenant(tx *db.Tx) {
	db.Exec(tx, `
		insert into app.user_tenants as t (user_id, tenant_id) values ($1, $2)
		on conflict (user_id, tenant_id) do update set joined_at = excluded.joined_at, left_at = null, updated_at = excluded.updated_at`, tx.User(), tx.Tenant())
}

// requireUnverified breaks the transaction when the account is not any more
// what it was taken for: one that nobody has shown to be theirs.
func requireUnverified(tx *db.Tx, email string) {
	db.Guard(tx, `case when u.is_active and u.deleted_at is null and u.email = $2 and u.email_verified_at is null then '' else 'account_changed' end`,
		`app.users u where u.user_id = $1`, tx.User(), email)
}

// requireAccount breaks the transaction when the account was closed, or has
// another address by now.
func requireAccount(tx *db.Tx, email string) {
	db.Guard(tx, `case when u.is_active and u.deleted_at is null and u.email = $2 then '' else 'account_changed' end`,
		`app.users u where u.user_id = $1`, tx.User(), email)
}

// requireSession breaks the transaction when the session has ended.
func requireSession(tx *db.Tx, id ids.ID) {
	db.Guard(tx, `case when exists (select from app.sessions s
	                                 where s.user_id = $1 and s.session_id = $2 and s.revoked_at is null and s.expires_at > now())
	                   then '' else 'session_ended' end`,
		`app.users u where u.user_id = $1`, tx.User(), id)
}

// replacePassword gives the person this password, or none.
func replacePassword(tx *db.Tx, hash string) {
	if hash == "" {
		db.Exec(tx, `delete from app.credentials where user_id = $1`, tx.User())
		return
	}
	setPassword(tx, hash)
}

func rename(tx *db.Tx, first, last string) {
	db.Exec(tx, `
		update app.profiles set first_name = $2, last_name = $3, version = version + 1, updated_at = now()
		 where user_id = $1`, tx.User(), first, last)
}
