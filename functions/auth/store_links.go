package auth

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
)

// insertLink makes the row of a link for the person of the transaction.
func insertLink(tx *db.Tx, kind string, t identity.Opaque, email string, life time.Duration) {
	db.Exec(tx, `
		insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at)
		values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))`, tx.User(), t.ID, kind, t.Hash(), email, life.Seconds())
}

// insertReset makes the row of a link to reset the password, if the person is
// there and may sign in.
func insertReset(tx *db.Tx, t identity.Opaque, email string, life time.Duration) {
	db.Exec(tx, `
		insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at)
		select u.user_id, $2::uuid, 'password_reset', $3::bytea, u.email, now() + make_interval(secs => $5)
		  from app.users u where u.user_id = $1 and u.email = $4 and u.is_active and u.deleted_at is null`,
		tx.User(), t.ID, t.Hash(), email, life.Seconds())
}

// open tells a link that may be used, t, of a person, u: for the address that
// they still have.
const open = `t.user_id = $1 and t.id = $2 and t.kind = $3 and t.secret_hash = $4
		   and t.used_at is null and t.voided_at is null and t.expires_at > now()
		   and u.user_id = $1 and u.email = t.email and u.is_active and u.deleted_at is null`

// readLink reads the address that an open link was sent to.
func readLink(tx *db.Tx, kind string, t identity.Opaque) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `select t.email from app.email_tokens t join app.users u on u.user_id = $1 where `+open,
		tx.User(), t.ID, kind, t.Hash())
}

// useLink uses an open link. Two at once meet at the row, and the second finds
// it used.
func useLink(tx *db.Tx, kind string, t identity.Opaque) *db.Row[string] {
	return db.One(tx, pgx.RowTo[string], `
		update app.email_tokens t set used_at = now() from app.users u where `+open+` returning t.email`,
		tx.User(), t.ID, kind, t.Hash())
}

// voidLinks ends the links of those kinds that are open.
func voidLinks(tx *db.Tx, kinds ...string) {
	db.Exec(tx, `
		update app.email_tokens set voided_at = now()
		 where user_id = $1 and kind = any($2) and used_at is null and voided_at is null`, tx.User(), kinds)
}

// verifyAddress notes that the person has shown their address to be theirs.
func verifyAddress(tx *db.Tx) {
	db.Exec(tx, `
		update app.users set email_verified_at = now(), version = version + 1, updated_at = now()
		 where user_id = $1 and email_verified_at is null`, tx.User())
}

// dropForeign takes away what ties an identity provider's account to one whose
// address was never verified: whoever tied it need not be whose the address is.
func dropForeign(tx *db.Tx) {
	db.Exec(tx, `
		delete from app.oauth_tokens
		 where user_id = $1 and exists (select 1 from app.users u where u.user_id = $1 and u.email_verified_at is null)`, tx.User())
}

// setPassword gives the person a password, whether or not they had one.
func setPassword(tx *db.Tx, hash string) {
	db.Exec(tx, `
		insert into app.credentials (user_id, password_hash, updated_at) values ($1, $2, now())
		on conflict (user_id) do update set password_hash = excluded.password_hash, updated_at = excluded.updated_at`, tx.User(), hash)
}
