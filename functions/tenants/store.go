package tenants

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// broken says what breaking each constraint means to a client.
var broken = db.Constraints{
	"host_claims_pkey": errSubdomainTaken,
}

const columns = `o.tenant_id, o.name, o.subdomain, o.status, o.plan, o.created_at, o.updated_at, o.version`

func scan(r pgx.CollectableRow) (o row, err error) {
	err = r.Scan(&o.ID, &o.Name, &o.Subdomain, &o.Status, &o.Plan, &o.CreatedAt, &o.UpdatedAt, &o.version)
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	return o, err
}

func getOrganization(tx *db.Tx) *db.Row[row] {
	return db.One(tx, scan, `select `+columns+` from app.organizations o where o.tenant_id = $1`, tx.Tenant())
}

// lockOrganization reads it for a change. One that was deleted meanwhile is not
// there any more.
func lockOrganization(tx *db.Tx) *db.Row[row] {
	return db.One(tx, scan, `select `+columns+` from app.organizations o where o.tenant_id = $1 and o.status <> 'deleted' for update`, tx.Tenant())
}

func updateOrganization(tx *db.Tx, o Organization) *db.Row[row] {
	return db.One(tx, scan, `update app.organizations o set name = $2, subdomain = $3, version = o.version + 1, updated_at = now()
		where o.tenant_id = $1 returning `+columns, tx.Tenant(), o.Name, o.Subdomain)
}

// deleteOrganization closes it. The retention schedule erases it when
// erase_after is over; its claim of the subdomain stays until then.
func deleteOrganization(tx *db.Tx) *db.Row[row] {
	return db.One(tx, scan, `update app.organizations o set status = 'deleted', deleted_at = now(), deleted_by = $2,
		       erase_after = now() + interval '30 days', version = o.version + 1, updated_at = now()
		where o.tenant_id = $1 returning `+columns, tx.Tenant(), tx.User())
}

// moveSubdomain claims the new name and holds the old one for the tenant, so
// that nobody gets the links and cookies of its people. A name that the tenant
// itself holds is free for it.
func moveSubdomain(tx *db.Tx, from, to string) {
	db.Claim(tx, to)
	db.Exec(tx, `delete from app.host_claims where host = $1 and held_until is not null and (held_until < now() or tenant_id = $2)`, to, tx.Tenant())
	db.Exec(tx, `insert into app.host_claims (host, kind, tenant_id) values ($1, 'subdomain', $2)`, to, tx.Tenant())
	db.Claim(tx, from)
	db.Exec(tx, `update app.host_claims set held_until = now() + interval '30 days' where host = $1 and tenant_id = $2`, from, tx.Tenant())
}

// member is who somebody is in the tenant.
type member struct {
	user ids.ID
	role string
}

// lockMembers reads active members for a change, in the order of their ids, so
// that two changes wait for one another and not both.
func lockMembers(tx *db.Tx, users ...ids.ID) *db.Rows[member] {
	texts := make([]string, len(users))
	for i, u := range users {
		texts[i] = u.String()
	}
	return db.Many(tx, func(r pgx.CollectableRow) (m member, err error) {
		err = r.Scan(&m.user, &m.role)
		return m, err
	}, `select m.user_id, m.role from app.memberships m
		 where m.tenant_id = $1 and m.user_id = any($2::uuid[]) and m.is_active and m.left_at is null
		 order by m.user_id for update`, tx.Tenant(), texts)
}

func lockOwners(tx *db.Tx) *db.Rows[ids.ID] {
	return db.Many(tx, pgx.RowTo[ids.ID], `select m.user_id from app.memberships m
		where m.tenant_id = $1 and m.role = 'owner' and m.is_active and m.left_at is null order by m.user_id for update`, tx.Tenant())
}

func setRole(tx *db.Tx, user ids.ID, role string) {
	db.Exec(tx, `update app.memberships set role = $3, custom_role_id = null, version = version + 1, updated_at = now()
		where tenant_id = $1 and user_id = $2`, tx.Tenant(), user, role)
}

// endMembership ends it on the tenant's side and on the person's.
func endMembership(tx *db.Tx) {
	db.Exec(tx, `update app.memberships set is_active = false, left_at = now(), version = version + 1, updated_at = now()
		where tenant_id = $1 and user_id = $2`, tx.Tenant(), tx.User())
	db.Exec(tx, `update app.user_tenants set left_at = now(), updated_at = now() where user_id = $1 and tenant_id = $2`, tx.User(), tx.Tenant())
}

// getMine reads the tenant for one of its active members.
func getMine(tx *db.Tx) *db.Row[row] {
	return db.One(tx, func(r pgx.CollectableRow) (o row, err error) {
		err = r.Scan(&o.ID, &o.Name, &o.Subdomain, &o.Status, &o.Plan, &o.CreatedAt, &o.UpdatedAt, &o.version, &o.role)
		o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
		return o, err
	}, `select `+columns+`, coalesce(r.name, m.role)
		  from app.organizations o
		  join app.memberships m on m.tenant_id = $1 and m.user_id = $2 and m.is_active and m.left_at is null
		  left join app.roles r on r.tenant_id = $1 and r.id = m.custom_role_id
		 where o.tenant_id = $1 and o.status <> 'deleted'`, tx.Tenant(), tx.User())
}

// insertOrganization makes the tenant with what every tenant starts with. A
// hold on the name that ran out gives way.
func insertOrganization(tx *db.Tx, name, subdomain string) {
	db.Claim(tx, subdomain)
	db.Exec(tx, `delete from app.host_claims where host = $1 and held_until < now()`, subdomain)
	db.Exec(tx, `insert into app.host_claims (host, kind, tenant_id) values ($1, 'subdomain', $2)`, subdomain, tx.Tenant())
	db.Exec(tx, `insert into app.organizations (tenant_id, name, subdomain, created_by) values ($1, $2, $3, $4)`, tx.Tenant(), name, subdomain, tx.User())
	db.Exec(tx, `insert into app.tenant_settings (tenant_id) values ($1)`, tx.Tenant())
	for role, permissions := range identity.SeedRoles() {
		db.Exec(tx, `insert into app.roles (tenant_id, id, name, permissions, created_by) values ($1, $2, $3, $4, $5)`,
			tx.Tenant(), ids.New(), role, permissions.Strings(), tx.User())
	}
}

// person is what a membership repeats of its person.
type person struct{ email, firstName, lastName string }

func getPerson(tx *db.Tx) *db.Row[person] {
	return db.One(tx, func(r pgx.CollectableRow) (p person, err error) {
		err = r.Scan(&p.email, &p.firstName, &p.lastName)
		return p, err
	}, `select u.email, p.first_name, p.last_name from app.users u join app.profiles p on p.user_id = u.user_id
		 where u.user_id = $1 and p.user_id = $1`, tx.User())
}

// insertOwner makes the person a member, on the tenant's side and on theirs.
func insertOwner(tx *db.Tx, p person) {
	db.Exec(tx, `insert into app.memberships (tenant_id, user_id, email, first_name, last_name, role, is_active, joined_at)
		values ($1, $2, $3, $4, $5, 'owner', true, now())`, tx.Tenant(), tx.User(), p.email, p.firstName, p.lastName)
	db.Exec(tx, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, tx.User(), tx.Tenant())
}

// joining is the person's side of a membership.
type joining struct {
	tenant              ids.ID
	joinedAt, updatedAt time.Time
}

// listJoined reads one page of the organizations a person is in. The names of
// its columns are those that lists are sorted by.
func listJoined(tx *db.Tx, at page.Position) *db.Rows[joining] {
	keyset, order, more := at.SQL(2, "j")
	args := append([]any{tx.User()}, more...)
	args = append(args, at.Limit())
	limit := map[int]string{2: "$2", 4: "$4"}[len(args)]
	return db.Many(tx, func(r pgx.CollectableRow) (j joining, err error) {
		err = r.Scan(&j.tenant, &j.joinedAt, &j.updatedAt)
		return j, err
	}, `select j.id, j.created_at, j.updated_at
		  from (select t.tenant_id as id, t.joined_at as created_at, t.updated_at
		          from app.user_tenants t where t.user_id = $1 and t.left_at is null) j
		 where `+keyset+` order by `+order+` limit `+limit, args...)
}

// hostTenant reads whose a host is, unless the name is only being held.
func hostTenant(tx *db.Tx, host string) *db.Row[ids.ID] {
	db.Claim(tx, host)
	return db.One(tx, pgx.RowTo[ids.ID], `select c.tenant_id from app.host_claims c where c.host = $1 and c.held_until is null`, host)
}

// limited is what a plan allows, and whether the requests of a month are used up.
type limited struct {
	Limits
	usedUp bool
}

// getLimits reads them. The records are what usagesync moved, so that the plan
// and its limit are the present ones whenever requests were counted; they are
// added up only where it matters. A suspended organization is told that it is.
func getLimits(tx *db.Tx, start, end time.Time) *db.Row[limited] {
	return db.One(tx, func(r pgx.CollectableRow) (l limited, err error) {
		err = r.Scan(&l.Plan, &l.Status, &l.RequestsPerMinute, &l.APIRequestsPerMonth, &l.usedUp)
		return l, err
	}, `select o.plan, o.status, coalesce(p.requests_per_minute, 0), coalesce(p.api_requests_per_month, 0),
		       case when p.metered or p.api_requests_per_month is null or o.status <> 'active' then false
		            else (select coalesce(sum(u.quantity), 0) from app.usage_records u
		                   where u.tenant_id = $1 and u.metric = 'api_requests' and u.day >= $2::date and u.day < $3::date) >= p.api_requests_per_month end
		  from app.organizations o join app.plans p on p.id = o.plan where o.tenant_id = $1`, tx.Tenant(), start.Format(time.DateOnly), end.Format(time.DateOnly))
}
