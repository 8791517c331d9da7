// Package access answers what a person may do in a tenant. Rights come from
// the membership, never from the token: a token outlives a change of role.
//
// It looks in the process (5 s), then in Redis (15 min, dropped on change),
// then in the database. A role change, a removal or a suspension is therefore
// seen everywhere within 5 s, and losing Redis re-admits nobody. What belongs
// to the member and what belongs to the tenant are cached apart, so that
// suspending a tenant drops one key and not one for each member.
//
// Whoever changes a membership, a role, a tenant's status or its plan calls
// [Resolver.DropMember] or [Resolver.DropTenant] after the commit.
package access

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// How long an answer may be stale: in a process, which nobody can tell to
// forget, and in Redis, where a change drops it.
const (
	LocalLife = 5 * time.Second
	RedisLife = 15 * time.Minute
)

// localSize bounds the process cache: about 200 bytes an entry.
const localSize = 20_000

// ErrNotMember is the answer to a person who is not, or no longer, an active
// member of the tenant their token names.
var ErrNotMember = errs.New(errs.Forbidden, "not_a_member", "You are not an active member of this organization.")

// Resolver resolves access. It is safe for use by many goroutines.
type Resolver struct {
	db    *db.DB
	cache *cache.Client
	local *cache.Local[key, identity.Access]
	log   *slog.Logger
}

type key struct{ tenant, user ids.ID }

// New makes a resolver over the truth in d and a cache before it.
func New(d *db.DB, c *cache.Client, log *slog.Logger) *Resolver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Resolver{db: d, cache: c, local: cache.NewLocal[key, identity.Access](cache.LocalConfig{Size: localSize}), log: log}
}

// member and tenant are what Redis keeps.
type member struct {
	// Role is a built-in one's name, or anything else with the RoleID of one of
	// the tenant's own.
	Role   string `json:"role"`
	RoleID ids.ID `json:"role_id,omitzero"`
}

type tenant struct {
	Status string             `json:"status"`
	Plan   string             `json:"plan"`
	Roles  map[string]ownRole `json:"roles,omitempty"` // by id
}

// ownRole is one of the tenant's own.
type ownRole struct {
	Name        string   `json:"name"`
	Permissions []string `json:"permissions"`
}

func memberKey(tenant, user ids.ID) string { return "acc:" + tenant.String() + ":" + user.String() }
func tenantKey(tenant ids.ID) string       { return "ten:" + tenant.String() }

// Resolve gives what by may do in the token's tenant. It fails with
// [ErrNotMember] when that is nothing.
func (r *Resolver) Resolve(ctx context.Context, by identity.Principal) (identity.Access, error) {
	if !by.HasTenant() {
		return identity.Access{}, db.ErrNoTenant
	}
	return r.local.Get(ctx, key{by.TenantID, by.UserID}, func(ctx context.Context) (identity.Access, time.Duration, error) {
		a, err := r.fill(ctx, by)
		return a, LocalLife, err
	})
}

func (r *Resolver) fill(ctx context.Context, by identity.Principal) (identity.Access, error) {
	mk, tk := memberKey(by.TenantID, by.UserID), tenantKey(by.TenantID)
	kept, err := r.cache.GetMany(ctx, mk, tk)
	if err == nil {
		if a, ok := join(kept[0], kept[1]); ok {
			return a, nil
		}
	}
	m, t, err := r.read(ctx, by)
	if err != nil {
		return identity.Access{}, err
	}
	mb, merr := json.Marshal(m)
	tb, terr := json.Marshal(t)
	if err := errors.Join(merr, terr); err != nil {
		return identity.Access{}, err
	}
	// A fill never overwrites: a change that was dropped meanwhile stays so.
	err = r.cache.Pipeline(ctx, func(p redis.Pipeliner) {
		p.SetNX(ctx, mk, mb, RedisLife)
		p.SetNX(ctx, tk, tb, RedisLife)
	})
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		r.log.WarnContext(ctx, "access was not cached", "error", err)
	}
	a, _ := combine(m, t)
	return a, nil
}

func join(mb, tb []byte) (identity.Access, bool) {
	var m member
	var t tenant
	if mb == nil || tb == nil || json.Unmarshal(mb, &m) != nil || json.Unmarshal(tb, &t) != nil {
		return identity.Access{}, false
	}
	return combine(m, t)
}

// combine is false, and the access without rights, when the two do not belong
// together: the member's role is younger than what is known of the tenant.
func combine(m member, t tenant) (identity.Access, bool) {
	a := identity.Access{Role: m.Role, Permissions: identity.Set{}, Plan: t.Plan, TenantStatus: t.Status}
	if set, builtin := identity.Builtin(m.Role); builtin {
		a.Permissions = set
		return a, true
	}
	own, known := t.Roles[m.RoleID.String()]
	if !known {
		return a, false
	}
	ps := make([]identity.Permission, len(own.Permissions))
	for i, p := range own.Permissions {
		ps[i] = identity.Permission(p)
	}
	a.Role, a.Permissions = own.Name, identity.NewSet(ps...)
	return a, true
}

type row struct {
	tenant
	role   *string
	active *bool
	custom *ids.ID
}

// read asks the truth, in one round trip.
func (r *Resolver) read(ctx context.Context, by identity.Principal) (member, tenant, error) {
	var found *db.Row[row]
	err := db.Read(ctx, r.db, by, func(tx *db.Tx) error {
		found = db.One(tx, func(cr pgx.CollectableRow) (x row, err error) {
			err = cr.Scan(&x.Status, &x.Plan, &x.role, &x.active, &x.custom, &x.Roles)
			return x, err
		}, `select o.status, o.plan, m.role, m.is_active and m.left_at is null, m.custom_role_id,
			       (select json_object_agg(r.id, json_build_object('name', r.name, 'permissions', r.permissions))
			          from app.roles r where r.tenant_id = $1)
			  from app.organizations o
			  left join app.memberships m on m.tenant_id = $1 and m.user_id = $2
			 where o.tenant_id = $1`, tx.Tenant(), tx.User())
		return nil
	})
	if err != nil {
		return member{}, tenant{}, err
	}
	x, ok := found.Found()
	if !ok || x.role == nil || x.active == nil || !*x.active {
		return member{}, tenant{}, ErrNotMember
	}
	m := member{Role: *x.role}
	if x.custom != nil {
		m.RoleID = *x.custom
	}
	return m, x.tenant, nil
}

// DropMember forgets what members of a tenant may do. Call it after the change
// committed. Other processes follow within [LocalLife]; when Redis cannot be told, so do
// they all within [RedisLife], which is logged as an error.
func (r *Resolver) DropMember(ctx context.Context, tenant ids.ID, users ...ids.ID) {
	keys := make([]string, len(users))
	for i, user := range users {
		r.local.Drop(key{tenant, user})
		keys[i] = memberKey(tenant, user)
	}
	r.drop(ctx, keys...)
}

// DropTenant forgets a tenant's status, its plan and what its own roles hold.
// Call it after the change committed.
func (r *Resolver) DropTenant(ctx context.Context, tenant ids.ID) {
	r.local.DropIf(func(k key) bool { return k.tenant == tenant })
	r.drop(ctx, tenantKey(tenant))
}

// ForgetMember is DropMember for whoever can try again: it fails, with kind
// errs.Unavailable, when Redis cannot be told.
func (r *Resolver) ForgetMember(ctx context.Context, tenant, user ids.ID) error {
	r.local.Drop(key{tenant, user})
	return r.forget(ctx, memberKey(tenant, user))
}

// ForgetTenant is DropTenant for whoever can try again.
func (r *Resolver) ForgetTenant(ctx context.Context, tenant ids.ID) error {
	r.local.DropIf(func(k key) bool { return k.tenant == tenant })
	return r.forget(ctx, tenantKey(tenant))
}

func (r *Resolver) forget(ctx context.Context, k string) error {
	if err := r.cache.Drop(ctx, k); err != nil {
		return errs.Wrap(err, errs.Unavailable, "unavailable", "The change cannot be announced now.")
	}
	return nil
}

func (r *Resolver) drop(ctx context.Context, keys ...string) {
	if err := r.cache.Drop(context.WithoutCancel(ctx), keys...); err != nil {
		r.log.ErrorContext(ctx, "a changed right may stay in Redis until it expires", "keys", keys, "within", RedisLife, "error", err)
	}
}
