package tenants

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// domainsBroken says what breaking each constraint means to a client.
var domainsBroken = db.Constraints{
	"host_claims_pkey":        errDomainTaken,
	"tenant_hosts_domain_key": errDomainExists,
	"domains_of_tenant":       errManyDomains,
}

const hostColumns = `h.id, h.domain, h.is_primary, h.verification_token, h.verified_at, h.version, h.created_at, h.updated_at`

func scanHost(r pgx.CollectableRow) (h host, err error) {
	err = r.Scan(&h.ID, &h.Domain.Domain, &h.IsPrimary, &h.token, &h.VerifiedAt, &h.version, &h.CreatedAt, &h.UpdatedAt)
	h.CreatedAt, h.UpdatedAt = h.CreatedAt.UTC(), h.UpdatedAt.UTC()
	if h.VerifiedAt != nil {
		h.Verified, h.VerifiedAt = true, new(h.VerifiedAt.UTC())
	}
	h.Verification.Type = "TXT"
	h.Verification.Name, h.Verification.Value = domain.Record(h.Domain.Domain, h.token)
	return h, err
}

// lockTenant lets one change of a kind that counts or compares the tenant's rows
// go at a time. It is a statement of its own: the one that looks must begin
// after the lock is held to see what its last holder did.
func lockTenant(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.organizations where tenant_id = $1 for no key update`, tx.Tenant())
}

// requireFewHosts breaks the transaction when there are as many domains as there
// may be.
func requireFewHosts(tx *db.Tx) {
	db.Guard(tx, `case when (select count(*) from app.tenant_hosts h where h.tenant_id = $1) >= $2::int then 'domains_of_tenant' else '' end`,
		`app.organizations o where o.tenant_id = $1`, tx.Tenant(), maxDomains)
}

func insertHost(tx *db.Tx, id ids.ID, name, token string) *db.Row[host] {
	return db.One(tx, scanHost, `insert into app.tenant_hosts as h (tenant_id, id, domain, verification_token, created_by)
		values ($1, $2, $3, $4, $5) returning `+hostColumns, tx.Tenant(), id, name, token, tx.User())
}

func getHost(tx *db.Tx, id ids.ID) *db.Row[host] {
	return db.One(tx, scanHost, `select `+hostColumns+` from app.tenant_hosts h where h.tenant_id = $1 and h.id = $2`, tx.Tenant(), id)
}

func lockHost(tx *db.Tx, id ids.ID) *db.Row[host] {
	return db.One(tx, scanHost, `select `+hostColumns+` from app.tenant_hosts h where h.tenant_id = $1 and h.id = $2 for update`, tx.Tenant(), id)
}

// listHosts reads one page.
func listHosts(tx *db.Tx, at page.Position) *db.Rows[host] {
	keyset, order, more := at.SQL(2, "h")
	args := append([]any{tx.Tenant()}, more...)
	args = append(args, at.Limit())
	return db.Many(tx, scanHost, `select `+hostColumns+` from app.tenant_hosts h where h.tenant_id = $1 and `+keyset+`
		order by `+order+fmt.Sprintf(` limit $%d`, len(args)), args...)
}

// primaryHost is the domain that is the primary one.
func primaryHost(tx *db.Tx) *db.Row[ids.ID] {
	return db.One(tx, pgx.RowTo[ids.ID], `select h.id from app.tenant_hosts h where h.tenant_id = $1 and h.is_primary for update`, tx.Tenant())
}

func setPrimary(tx *db.Tx, id ids.ID, primary bool) *db.Row[host] {
	return db.One(tx, scanHost, `update app.tenant_hosts as h set is_primary = $3, version = h.version + 1, updated_at = now()
		where h.tenant_id = $1 and h.id = $2 returning `+hostColumns, tx.Tenant(), id, primary)
}

// claimHost makes the domain lead to the tenant. What the tenant itself holds is
// free for it, and a hold of anybody's that ran out gives way; any other claim is
// the key's to refuse.
func claimHost(tx *db.Tx, name string) {
	db.Claim(tx, name)
	db.Exec(tx, `delete from app.host_claims where host = $1 and held_until is not null and (held_until < now() or tenant_id = $2)`, name, tx.Tenant())
	db.Exec(tx, `insert into app.host_claims (host, kind, tenant_id) values ($1, 'domain', $2)`, name, tx.Tenant())
}

// holdHost ends the routing and keeps the name from others for a while.
func holdHost(tx *db.Tx, name string, hold time.Duration) {
	db.Claim(tx, name)
	db.Exec(tx, `update app.host_claims set held_until = now() + $3::interval where host = $1 and tenant_id = $2 and kind = 'domain'`, name, tx.Tenant(), hold)
}

func verifyHost(tx *db.Tx, id ids.ID) *db.Row[host] {
	return db.One(tx, scanHost, `update app.tenant_hosts as h set verified_at = now(), checked_at = now(), failing_since = null, failures = 0,
		       version = h.version + 1, updated_at = now()
		where h.tenant_id = $1 and h.id = $2 and h.verified_at is null returning `+hostColumns, tx.Tenant(), id)
}

func deleteHost(tx *db.Tx, id ids.ID) {
	db.Exec(tx, `delete from app.tenant_hosts where tenant_id = $1 and id = $2`, tx.Tenant(), id)
}
