package domaincheck

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// host is a domain of an organization.
type host struct {
	tenant, id  ids.ID
	name, token string
	verified    bool
	primary     bool
	failures    int
	since       *time.Time
	due         time.Time
}

// place is how far a run has come.
type place struct {
	due        time.Time
	tenant, id ids.ID
}

// due reads the next domains after a place: verified ones whose last look is
// old enough, and others that waited too long.
func (s *service) due(ctx context.Context, now time.Time, after place) ([]host, error) {
	var found *db.Rows[host]
	err := db.System(ctx, s.db, "find domains to look at", func(tx *db.Tx) error {
		found = db.Many(tx, func(r pgx.CollectableRow) (h host, err error) {
			err = r.Scan(&h.tenant, &h.id, &h.name, &h.token, &h.verified, &h.primary, &h.failures, &h.since, &h.due)
			return h, err
		}, `select h.tenant_id, h.id, h.domain, h.verification_token, h.verified_at is not null, h.is_primary, h.failures, h.failing_since, coalesce(h.checked_at, h.created_at)
			  from app.tenant_hosts h join app.organizations o on o.tenant_id = h.tenant_id and o.status <> 'deleted'
			 where coalesce(h.checked_at, h.created_at) <= $1 and (h.verified_at is not null or h.updated_at <= $2)
			   and coalesce(h.checked_at, h.created_at) >= $3 and (coalesce(h.checked_at, h.created_at), h.tenant_id, h.id) > ($3, $4, $5)
			 order by coalesce(h.checked_at, h.created_at), h.tenant_id, h.id limit $6`,
			now.Add(-often), now.Add(-waiting), after.due, after.tenant, after.id, s.batch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

// note writes down what a look found. It is no change that anybody made: the
// version stays.
func (s *service) note(ctx context.Context, h host, failures int, since *time.Time, now time.Time) error {
	return db.Background(ctx, s.db, h.tenant, func(tx *db.Tx) error {
		db.Exec(tx, `update app.tenant_hosts set checked_at = $3, failures = $4, failing_since = $5
			where tenant_id = $1 and id = $2 and verification_token = $6`, h.tenant, h.id, now, failures, since, h.token)
		return nil
	})
}

// lose takes the verification back and ends the routing, in one transaction with
// its activity. The name is held for the organization.
func (s *service) lose(ctx context.Context, h host, held time.Time) error {
	return db.Write(ctx, s.db, identity.Principal{TenantID: h.tenant}, func(tx *db.Tx) error {
		n, err := db.Exec(tx, `update app.tenant_hosts set verified_at = null, is_primary = false, checked_at = null, version = version + 1, updated_at = now()
			where tenant_id = $1 and id = $2 and verified_at is not null and verification_token = $3 and failures = $4`, h.tenant, h.id, h.token, h.failures).Await(ctx)
		if err != nil || n == 0 { // somebody was here before
			tx.Unchanged()
			return err
		}
		db.Claim(tx, h.name)
		db.Exec(tx, `update app.host_claims set held_until = $3 where host = $1 and tenant_id = $2 and kind = 'domain'`, h.name, h.tenant, held)
		changes := activity.Changes{"verified": {Old: true, New: false}}
		if h.primary {
			changes["is_primary"] = activity.Change{Old: true, New: false}
		}
		tx.Record(activity.Updated("Domain", h.id, changes))
		return nil
	})
}

// drop removes a domain that waited too long for its verification, and lets its
// name go.
func (s *service) drop(ctx context.Context, h host) error {
	return db.Write(ctx, s.db, identity.Principal{TenantID: h.tenant}, func(tx *db.Tx) error {
		n, err := db.Exec(tx, `delete from app.tenant_hosts where tenant_id = $1 and id = $2 and verified_at is null and verification_token = $3`, h.tenant, h.id, h.token).Await(ctx)
		if err != nil || n == 0 {
			tx.Unchanged()
			return err
		}
		db.Claim(tx, h.name)
		db.Exec(tx, `delete from app.host_claims where host = $1 and tenant_id = $2 and kind = 'domain'`, h.name, h.tenant)
		tx.Record(activity.Deleted("Domain", h.id, activity.Changes{"domain": {Old: h.name, New: nil}}))
		return nil
	})
}
