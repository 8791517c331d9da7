package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/digest"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/subdomain"
)

// registerBroken says what breaking a constraint means to who registers.
var registerBroken = db.Constraints{
	"email_claims_pkey": errEmailTaken,
	"host_claims_pkey":  errSubdomainTaken,
}

// loginBroken is for an account that changed between the password's check and
// the session's row.
var loginBroken = db.Constraints{
	"credentials_changed": errCredentials,
	"sessions_user_fkey":  errCredentials,
}

// grace is how long after its use a refresh token may be sent again.
const grace = `interval '10 seconds'`

// claimEmail takes the address for the new person.
func claimEmail(tx *db.Tx, email string) {
	db.Claim(tx, email)
	db.Exec(tx, `insert into app.email_claims (email, user_id) values ($1, $2)`, email, tx.User())
}

// claimedBy reads whose an address is.
func claimedBy(tx *db.Tx, email string) *db.Row[ids.ID] {
	db.Claim(tx, email)
	return db.One(tx, scanID, `select user_id from app.email_claims where email = $1`, email)
}

// hostOf reads which organization a subdomain leads to.
func hostOf(tx *db.Tx, label string) *db.Row[ids.ID] {
	db.Claim(tx, label)
	return db.One(tx, scanID, `select tenant_id from app.host_claims where host = $1 and held_until is null`, label)
}

// attempts is how many subdomains are tried when the choice is ours. The second
// is random, so more than two mean that something else is wrong.
const attempts = 5

// claimHost takes the subdomain for the new organization: the one asked for, or
// one like the one derived. Each that we choose costs a round trip, as a name
// that is taken must not end the transaction.
func claimHost(ctx context.Context, tx *db.Tx, want string, derived bool) (string, error) {
	take := func(label, conflict string) *db.Row[string] {
		db.Claim(tx, label)
		// Kept for whom it belonged to until the hold ran out.
		db.Exec(tx, `delete from app.host_claims where host = $1 and held_until < now()`, label)
		return db.One(tx, pgx.RowTo[string], `
			insert into app.host_claims (host, kind, tenant_id) values ($1, 'subdomain', $2) `+conflict+` returning host`, label, tx.Tenant())
	}
	if !derived {
		take(want, "")
		return want, nil
	}
	label := want
	for range attempts {
		_, err := take(label, `on conflict (host) do nothing`).Await(ctx)
		if err == nil || !errors.Is(err, errs.ErrNotFound) {
			return label, err
		}
		label = subdomain.WithSuffix(want)
	}
	return "", errSubdomainTaken
}

// insertUser makes the person, their password, their profile and their side of
// the membership.
func insertUser(tx *db.Tx, r registration) *db.Row[User] {
	db.Exec(tx, `insert into app.users (user_id, email) values ($1, $2)`, tx.User(), r.email)
	db.Exec(tx, `insert into app.credentials (user_id, password_hash) values ($1, $2)`, tx.User(), r.passwordHash)
	db.Exec(tx, `insert into app.profiles (user_id, first_name, last_name, next_digest_at) values ($1, $2, $3, $4)`,
		tx.User(), r.firstName, r.lastName, digest.Next(time.Now(), "UTC"))
	db.Exec(tx, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, tx.User(), tx.Tenant())
	return db.One(tx, func(cr pgx.CollectableRow) (User, error) {
		a, err := scanAccount(cr)
		return a.User, err
	}, selectAccount, tx.User())
}

func insertOrganization(tx *db.Tx, name, host string) *db.Row[Tenant] {
	made := db.One(tx, scanTenant, `
		insert into app.organizations (tenant_id, name, subdomain, created_by) values ($1, $2, $3, $4)
		returning tenant_id, name, subdomain, status, plan, $5::text, created_at, updated_at`,
		tx.Tenant(), name, host, tx.User(), identity.RoleOwner)
	db.Exec(tx, `insert into app.tenant_settings (tenant_id) values ($1)`, tx.Tenant())
	return made
}

// insertOwner makes the person the owner, and the roles that every organization
// starts with.
func insertOwner(tx *db.Tx, r registration) {
	db.Exec(tx, `
		insert into app.memberships (tenant_id, user_id, email, first_name, last_name, role, is_active, joined_at)
		values ($1, $2, $3, $4, $5, $6, true, now())`,
		tx.Tenant(), tx.User(), r.email, r.firstName, r.lastName, identity.RoleOwner)
	seeds := identity.SeedRoles()
	names := make([]string, 0, len(seeds))
	for name := range seeds {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		db.Exec(tx, `insert into app.roles (tenant_id, id, name, permissions, created_by) values ($1, $2, $3, $4, $5)`,
			tx.Tenant(), ids.New(), name, seeds[name].Strings(), tx.User())
	}
}

// insertSession makes a session and the first of its refresh tokens.
func insertSession(tx *db.Tx, n newSession) {
	db.Exec(tx, `
		insert into app.sessions (user_id, session_id, tenant_id, device, ip, user_agent, remember, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		tx.User(), n.id, optional(n.tenant), device(n.userAgent), n.ip, n.userAgent, n.remember, n.expires)
	db.Exec(tx, `
		insert into app.refresh_tokens (user_id, session_id, id, secret_hash, expires_at)
		values ($1, $2, $3, $4, $5)`, tx.User(), n.id, ids.New(), n.refresh.Hash(), n.expires)
}

// optional turns the ID that names nothing into null.
func optional(id ids.ID) any {
	if id == ids.Nil {
		return nil
	}
	return id
}

// noteSignIn keeps when the person signed in last, and where.
func noteSignIn(tx *db.Tx, tenant ids.ID) *db.Row[time.Time] {
	return db.One(tx, func(cr pgx.CollectableRow) (at time.Time, err error) {
		err = cr.Scan(&at)
		return at.UTC(), err
	}, `
		insert into app.user_state (user_id, last_login_at, last_tenant_id) values ($1, now(), $2)
		on conflict (user_id) do update
		   set last_login_at = excluded.last_login_at, last_tenant_id = coalesce(excluded.last_tenant_id, app.user_state.last_tenant_id)
		returning last_login_at`, tx.User(), optional(tenant))
}

const selectAccount = `
	select u.user_id, u.email, u.email_verified_at is not null, u.is_active and u.deleted_at is null, u.created_at, c.password_hash,
	       coalesce(p.first_name, ''), coalesce(p.last_name, ''), coalesce(p.avatar_url, ''), coalesce(p.bio, ''), coalesce(p.timezone, 'UTC'),
	       s.last_login_at, s.last_tenant_id
	  from app.users u
	  left join app.credentials c on c.user_id = $1
	  left join app.profiles p on p.user_id = $1
	  left join app.user_state s on s.user_id = $1
	 where u.user_id = $1`

func scanAccount(cr pgx.CollectableRow) (a account, err error) {
	err = cr.Scan(&a.ID, &a.Email, &a.EmailVerified, &a.active, &a.DateJoined, &a.passwordHash,
		&a.FirstName, &a.LastName, &a.AvatarURL, &a.Bio, &a.Timezone, &a.LastLogin, &a.lastTenant)
	a.DateJoined = a.DateJoined.UTC()
	return a, err
}

func readAccount(tx *db.Tx) *db.Row[account] {
	return db.One(tx, scanAccount, selectAccount, tx.User())
}

// tenantsOf lists the organizations of the person, those they joined first
// first.
func tenantsOf(tx *db.Tx, most int) *db.Rows[ids.ID] {
	return db.Many(tx, scanID, `
		select tenant_id from app.user_tenants where user_id = $1 and left_at is null order by joined_at, tenant_id limit $2`, tx.User(), most)
}

// membership reads the organization of the transaction, if the person is an
// active member of it and it is not deleted.
func membership(tx *db.Tx) *db.Row[Tenant] {
	return db.One(tx, scanTenant, `
		select o.tenant_id, o.name, o.subdomain, o.status, o.plan, coalesce(r.name, m.role), o.created_at, o.updated_at
		  from app.memberships m
		  join app.organizations o on o.tenant_id = $1
		  left join app.roles r on r.tenant_id = $1 and r.id = m.custom_role_id
		 where m.tenant_id = $1 and m.user_id = $2 and m.is_active and m.left_at is null and o.status <> 'deleted'`, tx.Tenant(), tx.User())
}

func scanTenant(cr pgx.CollectableRow) (t Tenant, err error) {
	err = cr.Scan(&t.ID, &t.Name, &t.Subdomain, &t.Status, &t.Plan, &t.Role, &t.CreatedAt, &t.UpdatedAt)
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, err
}

func scanID(cr pgx.CollectableRow) (id ids.ID, err error) {
	err = cr.Scan(&id)
	return id, err
}

// requirePassword refuses the sign-in when the account was closed or its
// password changed since the hash was read: whoever changed it ended all
// sessions, and this one must not come after.
func requirePassword(tx *db.Tx, hash string) {
	db.Guard(tx, `case when u.is_active and u.deleted_at is null and c.password_hash = $2 then '' else 'credentials_changed' end`,
		`app.users u left join app.credentials c on c.user_id = $1 where u.user_id = $1`, tx.User(), hash)
}

func updatePassword(tx *db.Tx, hash string) {
	db.Exec(tx, `update app.credentials set password_hash = $2, updated_at = now() where user_id = $1`, tx.User(), hash)
}

// spendToken marks the token as used, if it was not and its session lives. Two
// at once meet at the row, and the second finds it spent.
func spendToken(tx *db.Tx, t identity.Opaque) {
	db.Exec(tx, `
		update app.refresh_tokens t set spent_at = now()
		 where t.user_id = $1 and t.session_id = $2 and t.secret_hash = $3 and t.spent_at is null
		   and exists (select 1 from app.sessions s join app.users u on u.user_id = $1
		                where s.user_id = $1 and s.session_id = $2 and s.revoked_at is null and s.expires_at > now()
		                  and u.is_active and u.deleted_at is null)`, tx.User(), t.ID, t.Hash())
}

// insertSuccessor leaves the token that t is traded for. A parent has one at
// most, so everybody who is forgiven gets the same.
func insertSuccessor(tx *db.Tx, t, next identity.Opaque) {
	// Held against replaceTokens: it finds the successor, or we find no parent.
	db.Exec(tx, `select 1 from app.refresh_tokens t where t.user_id = $1 and t.session_id = $2 and t.secret_hash = $3 for key share`,
		tx.User(), t.ID, t.Hash())
	db.Exec(tx, `
		insert into app.refresh_tokens (user_id, session_id, id, secret_hash, parent_id, expires_at)
		select t.user_id, t.session_id, $4::uuid, $5::bytea, t.id, t.expires_at
		  from app.refresh_tokens t
		 where t.user_id = $1 and t.session_id = $2 and t.secret_hash = $3 and t.spent_at > now() - `+grace+`
		on conflict (user_id, parent_id) do nothing`, tx.User(), t.ID, t.Hash(), ids.New(), next.Hash())
}

// touchSession notes that the session is in use, at most once a minute.
func touchSession(tx *db.Tx, id ids.ID) {
	db.Exec(tx, `
		update app.sessions set last_seen_at = now()
		 where user_id = $1 and session_id = $2 and revoked_at is null and last_seen_at < now() - interval '1 minute'`, tx.User(), id)
}

// readSpent reads what became of the token.
func readSpent(tx *db.Tx, t identity.Opaque) *db.Row[spent] {
	return db.One(tx, func(cr pgx.CollectableRow) (s spent, err error) {
		err = cr.Scan(&s.late, &s.live, &s.expires, &s.tenant, &s.successor, &s.user.Email, &s.user.FirstName, &s.user.LastName)
		return s, err
	}, `
		select t.spent_at is not null and t.spent_at <= now() - `+grace+`,
		       s.revoked_at is null and s.expires_at > now() and u.is_active and u.deleted_at is null,
		       s.expires_at, s.tenant_id, n.secret_hash, u.email, coalesce(p.first_name, ''), coalesce(p.last_name, '')
		  from app.refresh_tokens t
		  join app.sessions s on s.user_id = $1 and s.session_id = $2
		  join app.users u on u.user_id = $1
		  left join app.profiles p on p.user_id = $1
		  left join app.refresh_tokens n on n.user_id = $1 and n.parent_id = t.id
		 where t.user_id = $1 and t.session_id = $2 and t.secret_hash = $3`, tx.User(), t.ID, t.Hash())
}

const endLive = `update app.sessions set revoked_at = now(), revoked_reason = $2 where user_id = $1 and revoked_at is null and expires_at > now()`

// endSession ends one session of the person; absent when it does not live.
func endSession(tx *db.Tx, id ids.ID, reason string) *db.Row[ids.ID] {
	return db.One(tx, scanID, endLive+` and session_id = $3 returning session_id`, tx.User(), reason, id)
}

// endSessionOf ends the session that a refresh token belongs to, if the token
// is one.
func endSessionOf(tx *db.Tx, t identity.Opaque, reason string) *db.Row[ids.ID] {
	return db.One(tx, scanID, endLive+` and session_id = $3
		   and exists (select 1 from app.refresh_tokens t where t.user_id = $1 and t.session_id = $3 and t.secret_hash = $4)
		returning session_id`, tx.User(), reason, t.ID, t.Hash())
}

// endAllSessions ends every session of the person.
func endAllSessions(tx *db.Tx, reason string) *db.Rows[ids.ID] {
	return db.Many(tx, scanID, endLive+` returning session_id`, tx.User(), reason)
}

// endOtherSessions ends every session of the person but one.
func endOtherSessions(tx *db.Tx, but ids.ID, reason string) *db.Rows[ids.ID] {
	return db.Many(tx, scanID, endLive+` and session_id <> $3 returning session_id`, tx.User(), reason, but)
}

// sessionTruth reads whether a session lives.
func sessionTruth(tx *db.Tx, id ids.ID) *db.Row[truth] {
	return db.One(tx, func(cr pgx.CollectableRow) (t truth, err error) {
		err = cr.Scan(&t.live, &t.expires)
		t.expires = t.expires.UTC()
		return t, err
	}, `
		select s.revoked_at is null and s.expires_at > now() and u.is_active and u.deleted_at is null, s.expires_at
		  from app.sessions s join app.users u on u.user_id = $1
		 where s.user_id = $1 and s.session_id = $2`, tx.User(), id)
}

// liveSessions reads a page of the person's sessions. The names inside are
// those that pages are cut by.
func liveSessions(tx *db.Tx, at page.Position) *db.Rows[Session] {
	where, order, args := at.SQL(3, "x")
	return db.Many(tx, func(cr pgx.CollectableRow) (s Session, err error) {
		err = cr.Scan(&s.ID, &s.Device, &s.IP, &s.UserAgent, &s.CreatedAt, &s.LastSeenAt)
		s.CreatedAt, s.LastSeenAt = s.CreatedAt.UTC(), s.LastSeenAt.UTC()
		return s, err
	}, `
		select x.id, x.device, x.ip, x.user_agent, x.created_at, x.updated_at
		  from (select session_id as id, device, ip, user_agent, created_at, last_seen_at as updated_at
		          from app.sessions where user_id = $1 and revoked_at is null and expires_at > now()) x
		 where `+where+` order by `+order+` limit $2`, append([]any{tx.User(), at.Limit()}, args...)...)
}
