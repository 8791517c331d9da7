package auth

import (
	"net/netip"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

// passwordBroken is for a password that changed while its change was prepared.
var passwordBroken = db.Constraints{"credentials_changed": errWrongPassword}

// signedInFrom lists the addresses that the person proved to be at, lately, by
// signing in or by a mailed link.
func signedInFrom(tx *db.Tx) *db.Rows[string] {
	return db.Many(tx, pgx.RowTo[string], `
		select ip from app.user_events
		 where user_id = $1 and action in ('registered', 'signed_in', 'password_reset') and ip <> '' and created_at > now() - interval '90 days'
		 order by created_at desc, id desc limit 100`, tx.User())
}

// sameNetwork tells whether a stored address is of the network of ip.
func sameNetwork(stored string, ip netip.Addr) bool {
	addr, err := netip.ParseAddr(stored)
	return err == nil && ratelimit.AddressKey(addr) == ratelimit.AddressKey(ip)
}

// moveSession makes a session that lives act in another organization.
func moveSession(tx *db.Tx, id, tenant ids.ID) *db.Row[movedSession] {
	return db.One(tx, func(cr pgx.CollectableRow) (m movedSession, err error) {
		err = cr.Scan(&m.expires)
		return m, err
	}, `update app.sessions set tenant_id = $3, last_seen_at = now()
		 where user_id = $1 and session_id = $2 and revoked_at is null and expires_at > now() returning expires_at`, tx.User(), id, tenant)
}

// replaceTokens makes next the only refresh token that its session goes on
// with. The one in the client's hands is not known here, so that it cannot be
// the parent: it goes, and with it those that would still be forgiven and bring
// another successor. Twice, as a refresh that the first waited for has left a
// token that it did not see.
func replaceTokens(tx *db.Tx, next identity.Opaque) {
	for range 2 {
		db.Exec(tx, `
			delete from app.refresh_tokens
			 where user_id = $1 and session_id = $2 and (spent_at is null or spent_at > now() - `+grace+`)`, tx.User(), next.ID)
	}
	db.Exec(tx, `
		insert into app.refresh_tokens (user_id, session_id, id, secret_hash, expires_at)
		select s.user_id, s.session_id, $3::uuid, $4::bytea, s.expires_at from app.sessions s where s.user_id = $1 and s.session_id = $2`,
		tx.User(), next.ID, ids.New(), next.Hash())
}

// noteTenant keeps which organization the next sign-in takes.
func noteTenant(tx *db.Tx, tenant ids.ID) {
	db.Exec(tx, `
		insert into app.user_state (user_id, last_tenant_id) values ($1, $2)
		on conflict (user_id) do update set last_tenant_id = excluded.last_tenant_id`, tx.User(), tenant)
}
