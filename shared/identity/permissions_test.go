package identity

import (
	"slices"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

// The table of the HTTP contract, cell by cell: the lowest role that holds each
// permission, of viewer, member, developer, manager, admin, owner.
func TestMatrix(t *testing.T) {
	t.Parallel()
	ladder := []string{"viewer", "member", "developer", "manager", "admin", "owner"}
	lowest := map[Permission]string{
		"projects:read": "viewer", "tasks:read": "viewer", "members:read": "viewer", "activity:read": "viewer", "reports:create": "viewer",
		"tasks:write": "member", "comments:write": "member", "projects:write": "member",
		"tasks:delete": "manager", "projects:manage": "manager",
		"projects:delete": "admin", "members:write": "admin", "roles:write": "admin", "tenant:write": "admin", "exports:create": "admin", "billing:read": "admin",
		"billing:write": "owner", "tenant:own": "owner",
	}
	if len(lowest) != len(All()) {
		t.Errorf("the contract has %d permissions, the code %d", len(lowest), len(All()))
	}
	for rung, role := range ladder {
		set, known := Builtin(role)
		if !known {
			set, known = SeedRoles()[role]
		}
		if !known {
			t.Fatalf("no role %s", role)
		}
		for p, from := range lowest {
			if want := rung >= slices.Index(ladder, from); set.Has(p) != want {
				t.Errorf("%s holds %s: %v", role, p, !want)
			}
		}
		if !slices.IsSorted(set) || !All().Covers(set) {
			t.Errorf("%s: %v", role, set)
		}
	}
	if len(SeedRoles()) != 2 {
		t.Error("another role is seeded")
	}
	if _, known := Builtin("manager"); known {
		t.Error("manager is the tenant's own to edit")
	}
}

func TestSets(t *testing.T) {
	t.Parallel()
	s := NewSet(TasksWrite, TasksRead, TasksWrite)
	if len(s) != 2 || !s.Has(TasksRead) || s.Has(BillingRead) || s.Strings()[0] != "tasks:read" {
		t.Errorf("%v", s)
	}
	if !s.Covers(NewSet(TasksRead)) || s.Covers(NewSet(TasksRead, TenantOwn)) || !s.Covers(nil) || Set(nil).Covers(s) {
		t.Error("covers")
	}
	all := All()
	all[0] = "x"
	if All()[0] == "x" {
		t.Error("All gives away its own")
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	for p, want := range map[Permission]bool{SignedIn: true, Member: true, Internal: true, TasksRead: true, "": false, "tasks": false, "tasks:fly": false, "owner": false} {
		if p.Valid() != want {
			t.Errorf("%q: %v", p, !want)
		}
	}
	if Known(SignedIn) || Known(Internal) || !Known(TenantOwn) {
		t.Error("known")
	}
}

// TestTrapT10: "own" is the caller's own object and no other's.
func TestTrapT10Own(t *testing.T) {
	t.Parallel()
	me, other := ids.New(), ids.New()
	caller := func(ps ...Permission) Caller {
		return Caller{Principal: Principal{UserID: me}, Access: Access{Permissions: NewSet(ps...)}}
	}
	for _, c := range []struct {
		caller Caller
		owners []ids.ID
		want   bool
	}{
		{caller(ProjectsManage), []ids.ID{other}, true},
		{caller(ProjectsWrite), []ids.ID{other, me}, true},
		{caller(ProjectsWrite), []ids.ID{other}, false},
		{caller(ProjectsWrite), nil, false},
		{caller(ProjectsRead), []ids.ID{me}, false},
		{Caller{Access: Access{Permissions: NewSet(ProjectsWrite)}}, []ids.ID{ids.Nil}, false}, // nobody owns what nobody made
	} {
		if got := c.caller.MayOn(ProjectsManage, ProjectsWrite, c.owners...); got != c.want {
			t.Errorf("%v on %v: %v", c.caller.Permissions, c.owners, got)
		}
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	p := Principal{UserID: ids.New()}
	if p.HasTenant() {
		t.Error("a tenant from nowhere")
	}
	if q := p.InTenant(ids.New()); !q.HasTenant() || q.UserID != p.UserID || p.HasTenant() {
		t.Errorf("%+v", q)
	}
}
