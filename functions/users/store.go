package users

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
)

func scan(r pgx.CollectableRow) (p row, err error) {
	var verified *time.Time
	err = r.Scan(&p.ID, &p.Email, &verified, &p.FirstName, &p.LastName, &p.AvatarURL, &p.Bio, &p.Timezone, &p.DateJoined, &p.LastLogin, &p.version)
	p.EmailVerified = verified != nil
	p.DateJoined = p.DateJoined.UTC()
	if p.LastLogin != nil {
		p.LastLogin = new(p.LastLogin.UTC())
	}
	return p, err
}

// getProfile reads the person; lock is empty, or the clause that keeps the
// profile as it is until the commit. The version is the profile's and the
// address's together, as both are shown.
func getProfile(tx *db.Tx, lock string) *db.Row[row] {
	return db.One(tx, scan, `
		select u.user_id, u.email, u.email_verified_at, p.first_name, p.last_name, p.avatar_url, p.bio, p.timezone,
		       u.created_at, s.last_login_at, p.version + u.version
		  from app.users u
		  join app.profiles p on p.user_id = $1
		  left join app.user_state s on s.user_id = $1
		 where u.user_id = $1 and u.deleted_at is null `+lock, tx.User())
}

func updateProfile(tx *db.Tx, p Profile) *db.Row[int64] {
	return db.One(tx, pgx.RowTo[int64], `
		update app.profiles p set first_name = $2, last_name = $3, avatar_url = $4, bio = $5, timezone = $6,
		       version = p.version + 1, updated_at = now()
		  from app.users u
		 where p.user_id = $1 and u.user_id = $1
		returning p.version + u.version`, tx.User(), p.FirstName, p.LastName, p.AvatarURL, p.Bio, p.Timezone)
}

// moveDigest sets when the daily summary is due next, in another zone. One that
// is due already is not taken from the person by their moving.
func moveDigest(tx *db.Tx, next time.Time) {
	db.Exec(tx, `update app.profiles set next_digest_at = $2
		where user_id = $1 and digest_enabled and (next_digest_at is null or next_digest_at > now())`, tx.User(), next)
}
