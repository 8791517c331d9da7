package identity

import (
	"slices"
	"strings"
)

// Permission is a right inside a tenant, as "thing:act".
type Permission string

// The permissions of the HTTP contract. The reference table app.permissions
// holds the same names; a test compares them.
const (
	ProjectsRead   Permission = "projects:read"
	ProjectsWrite  Permission = "projects:write"
	ProjectsManage Permission = "projects:manage"
	ProjectsDelete Permission = "projects:delete"
	TasksRead      Permission = "tasks:read"
	TasksWrite     Permission = "tasks:write"
	TasksDelete    Permission = "tasks:delete"
	CommentsWrite  Permission = "comments:write"
	MembersRead    Permission = "members:read"
	MembersWrite   Permission = "members:write"
	RolesWrite     Permission = "roles:write"
	ActivityRead   Permission = "activity:read"
	ReportsCreate  Permission = "reports:create"
	ExportsCreate  Permission = "exports:create"
	TenantWrite    Permission = "tenant:write"
	TenantOwn      Permission = "tenant:own"
	BillingRead    Permission = "billing:read"
	BillingWrite   Permission = "billing:write"
)

// What an operation demands when it is not a right inside a tenant.
const (
	// SignedIn lets any person with a token in, tenant or none.
	SignedIn Permission = "user"
	// Member lets any active member of the token's tenant in.
	Member Permission = "member"
	// Internal lets other parts of the platform in, by a signed hop.
	Internal Permission = "internal"
)

// The built-in roles. "manager" and "developer" are rows that every tenant
// starts with and may edit, not built-ins.
const (
	RoleViewer = "viewer"
	RoleMember = "member"
	RoleAdmin  = "admin"
	RoleOwner  = "owner"
)

// Set is a set of permissions, sorted and without repeats.
type Set []Permission

// NewSet sorts ps and drops repeats.
func NewSet(ps ...Permission) Set {
	s := slices.Clone(ps)
	slices.Sort(s)
	return Set(slices.Compact(s))
}

// Has reports whether p is in the set.
func (s Set) Has(p Permission) bool {
	_, ok := slices.BinarySearch(s, p)
	return ok
}

// Covers reports whether every permission of other is in s: nobody grants what
// they do not hold.
func (s Set) Covers(other Set) bool {
	for _, p := range other {
		if !s.Has(p) {
			return false
		}
	}
	return true
}

// Strings gives the names, sorted.
func (s Set) Strings() []string {
	out := make([]string, len(s))
	for i, p := range s {
		out[i] = string(p)
	}
	return out
}

var (
	viewer    = []Permission{ProjectsRead, TasksRead, MembersRead, ActivityRead, ReportsCreate}
	member    = slices.Concat(viewer, []Permission{TasksWrite, CommentsWrite, ProjectsWrite})
	developer = member
	manager   = slices.Concat(developer, []Permission{TasksDelete, ProjectsManage})
	admin     = slices.Concat(manager, []Permission{ProjectsDelete, MembersWrite, RolesWrite, TenantWrite, ExportsCreate, BillingRead})
	owner     = slices.Concat(admin, []Permission{BillingWrite, TenantOwn})

	builtin = map[string]Set{
		RoleViewer: NewSet(viewer...),
		RoleMember: NewSet(member...),
		RoleAdmin:  NewSet(admin...),
		RoleOwner:  NewSet(owner...),
	}
)

// Builtin gives the permissions of a built-in role, and whether there is one
// of that name.
func Builtin(role string) (Set, bool) {
	s, ok := builtin[role]
	return s, ok
}

// SeedRoles are the editable roles that every new tenant starts with.
func SeedRoles() map[string]Set {
	return map[string]Set{"developer": NewSet(developer...), "manager": NewSet(manager...)}
}

// All lists every permission inside a tenant, sorted: the owner's.
func All() Set { return slices.Clone(builtin[RoleOwner]) }

// Known reports whether p is a permission inside a tenant.
func Known(p Permission) bool { return builtin[RoleOwner].Has(p) }

// Valid reports whether p may guard an operation.
func (p Permission) Valid() bool {
	return p == SignedIn || p == Member || p == Internal || Known(p) && strings.Contains(string(p), ":")
}
