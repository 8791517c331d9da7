package users

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// emailBroken is for what changed while a change of address was prepared.
var emailBroken = db.Constraints{
	"credentials_changed": errWrongPassword,
	"email_claims_pkey":   errEmailTaken,
}

// deleteBroken is for what keeps an account from being deleted.
var deleteBroken = db.Constraints{
	"last_owner": errLastOwner,
	"joined":     errJoined,
}

// credentials are what a person signs in with. The hash is nil for who only
// uses an identity provider.
type credentials struct {
	email string
	hash  *string
}

func readCredentials(tx *db.Tx) *db.Row[credentials] {
	return db.One(tx, func(cr pgx.CollectableRow) (c credentials, err error) {
		err = cr.Scan(&c.email, &c.hash)
		return c, err
	}, `select u.email, c.password_hash from app.users u left join app.credentials c on c.user_id = $1
		 where u.user_id = $1 and u.is_active and u.deleted_at is null`, tx.User())
}

// requirePassword refuses when the password changed since its hash was read.
func requirePassword(tx *db.Tx, hash string) {
	db.Guard(tx, `case when u.is_active and u.deleted_at is null and c.password_hash = $2 then '' else 'credentials_changed' end`,
		`app.users u left join app.credentials c on c.user_id = $1 where u.user_id = $1`, tx.User(), hash)
}

// stopDigests counts whether there was something to stop.
func stopDigests(tx *db.Tx) *db.Tag {
	return db.Exec(tx, `update app.profiles set digest_enabled = false, updated_at = now() where user_id = $1 and digest_enabled`, tx.User())
}

// voidLinks ends the links of those kinds that are open.
func voidLinks(tx *db.Tx, kinds ...string) {
	db.Exec(tx, `
		update app.email_tokens set voided_at = now()
		 where user_id = $1 and kind = any($2) and used_at is null and voided_at is null`, tx.User(), kinds)
}

// insertChange makes the row of the link that confirms a new address.
func insertChange(tx *db.Tx, t identity.Opaque, email string, life time.Duration) {
	db.Exec(tx, `
		insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at)
		values ($1, $2, 'change_email', $3, $4, now() + make_interval(secs => $5))`, tx.User(), t.ID, t.Hash(), email, life.Seconds())
}

// lockEmail reads the address as it is and keeps it so until the commit.
func lockEmail(tx *db.Tx) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `
		select email from app.users where user_id = $1 and is_active and deleted_at is null for no key update`, tx.User())
}

// useChange uses an open link and gives the address that it confirms.
func useChange(tx *db.Tx, t identity.Opaque) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `
		update app.email_tokens set used_at = now()
		 where user_id = $1 and id = $2 and kind = 'change_email' and secret_hash = $3
		   and used_at is null and voided_at is null and expires_at > now()
		returning email`, tx.User(), t.ID, t.Hash())
}

// moveEmail takes the new address and lets the old one go.
func moveEmail(tx *db.Tx, from, to string) {
	db.Claim(tx, to)
	db.Exec(tx, `insert into app.email_claims (email, user_id) values ($1, $2)`, to, tx.User())
	db.Claim(tx, from)
	db.Exec(tx, `delete from app.email_claims where email = $1 and user_id = $2`, from, tx.User())
	db.Exec(tx, `
		update app.users set email = $2, email_verified_at = now(), version = version + 1, updated_at = now()
		 where user_id = $1`, tx.User(), to)
}

// maxTenants bounds how many organizations somebody leaves at once.
const maxTenants = 1_000

// tenantsOf lists the organizations that the person is in, in the order in
// which they are locked.
func tenantsOf(tx *db.Tx) *db.Rows[ids.ID] {
	return db.Many(tx, pgx.RowTo[ids.ID], `
		select tenant_id from app.user_tenants where user_id = $1 and left_at is null order by tenant_id limit $2`, tx.User(), maxTenants)
}

// leaveTenant ends the person's membership in the tenant of the transaction. Of
// two owners who leave at once one waits for the other, and stays.
func leaveTenant(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.organizations where tenant_id = $1 for no key update`, tx.Tenant())
	db.Exec(tx, `
		select 1 from app.memberships where tenant_id = $1 and role = 'owner' and is_active and left_at is null
		 order by user_id for no key update`, tx.Tenant())
	const owners = `select 1 from app.memberships m where m.tenant_id = $1 and m.role = 'owner' and m.is_active and m.left_at is null and m.user_id`
	db.Guard(tx, `case when o.status <> 'deleted' and exists (`+owners+` = $2) and not exists (`+owners+` <> $2) then 'last_owner' else '' end`,
		`app.organizations o where o.tenant_id = $1`, tx.Tenant(), tx.User())
	db.Exec(tx, `
		update app.memberships set is_active = false, left_at = now(), version = version + 1, updated_at = now()
		 where tenant_id = $1 and user_id = $2 and left_at is null`, tx.Tenant(), tx.User())
	db.Exec(tx, `
		update app.user_tenants set left_at = now(), updated_at = now()
		 where user_id = $1 and tenant_id = $2 and left_at is null`, tx.User(), tx.Tenant())
}

// closeAccount marks the person for erasure, unless they are in an organization
// again.
func closeAccount(tx *db.Tx) {
	db.Guard(tx, `case when exists (select 1 from app.user_tenants t where t.user_id = $1 and t.left_at is null) then 'joined' else '' end`,
		`app.users u where u.user_id = $1`, tx.User())
	db.Exec(tx, `
		update app.users set is_active = false, deleted_at = now(), version = version + 1, updated_at = now()
		 where user_id = $1 and deleted_at is null`, tx.User())
	db.Exec(tx, `update app.profiles set next_digest_at = null where user_id = $1`, tx.User())
}

// endSessions ends every session of the person.
func endSessions(tx *db.Tx, reason string) *db.Rows[ids.ID] {
	return db.Many(tx, pgx.RowTo[ids.ID], `
		update app.sessions set revoked_at = now(), revoked_reason = $2
		 where user_id = $1 and revoked_at is null and expires_at > now() returning session_id`, tx.User(), reason)
}
