package membersync

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// maxTenants bounds how many organizations of one person are refreshed. Nobody
// is in nearly as many.
const maxTenants = 10_000

// tenants lists the organizations that a person is or was in: tasks and
// comments show those who left, too.
func (s *service) tenants(ctx context.Context, user ids.ID) ([]ids.ID, error) {
	var found *db.Rows[ids.ID]
	err := db.ReadUser(ctx, s.db, identity.Principal{UserID: user}, func(tx *db.Tx) error {
		found = db.Many(tx, pgx.RowTo[ids.ID], `select tenant_id from app.user_tenants where user_id = $1 order by tenant_id limit $2`, tx.User(), maxTenants)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

type profile struct{ email, first, last string }

// refresh makes one membership equal to its person. Until it commits the person
// cannot change: a later change is carried by a later message, and this one
// cannot overwrite what that one wrote.
func (s *service) refresh(ctx context.Context, by identity.Principal) error {
	return db.Span(ctx, s.db, db.SpanProfile, by, func(tx *db.Tx) error {
		p, err := db.One(tx, func(r pgx.CollectableRow) (p profile, err error) {
			err = r.Scan(&p.email, &p.first, &p.last)
			return p, err
		}, `select u.email, p.first_name, p.last_name from app.users u join app.profiles p on p.user_id = $1
			where u.user_id = $1 and u.deleted_at is null for share`, tx.User()).Await(ctx)
		if err != nil {
			return err
		}
		db.Exec(tx, `update app.memberships set email = $3, first_name = $4, last_name = $5, version = version + 1, updated_at = now()
			where tenant_id = $1 and user_id = $2 and (email, first_name, last_name) is distinct from ($3::text, $4::text, $5::text)`,
			tx.Tenant(), tx.User(), p.email, p.first, p.last)
		return nil
	})
}
