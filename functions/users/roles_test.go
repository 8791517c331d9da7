package users_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

type role struct {
	ID, Name    string
	Permissions []string
	BuiltIn     bool `json:"built_in"`
}

func rolesOf(t *testing.T, r functest.Response) (out []role) {
	t.Helper()
	var list struct{ Results []role }
	r.Want(t, http.StatusOK).Into(t, &list)
	return list.Results
}

func names(list []role) (out []string) {
	for _, r := range list {
		out = append(out, r.Name)
	}
	return out
}

// role gives where a role of the organization is.
func (f *fixture) role(t *testing.T, name string) (path string) {
	t.Helper()
	for _, r := range rolesOf(t, f.ask(t, f.owner, http.MethodGet, roles, nil)) {
		if r.Name == name {
			return roles + r.ID + "/"
		}
	}
	t.Fatalf("no role %s", name)
	return ""
}

func TestListRoles(t *testing.T) {
	f := setup(t)
	viewer := f.Member(t, f.owner.TenantID, "viewer")
	f.ask(t, f.owner, http.MethodPost, roles, body{"name": "auditor", "permissions": []string{"activity:read"}}).Want(t, http.StatusCreated)
	f.ask(t, f.Tenant(t), http.MethodPost, roles, body{"name": "theirs", "permissions": []string{}}).Want(t, http.StatusCreated)
	whole := rolesOf(t, f.ask(t, viewer, http.MethodGet, roles+"?ordering=created_at", nil))
	found := names(whole)
	if !slices.Equal(found[:4], []string{"owner", "admin", "member", "viewer"}) || found[6] != "auditor" || len(found) != 7 || !slices.Contains(found, "manager") || !slices.Contains(found, "developer") {
		t.Errorf("roles %v", found)
	}
	for _, r := range whole {
		set, builtin := identity.Builtin(r.Name)
		if seed, ok := identity.SeedRoles()[r.Name]; ok {
			set = seed
		}
		if r.BuiltIn != builtin || r.Name != "auditor" && !slices.Equal(r.Permissions, set.Strings()) {
			t.Errorf("%+v", r)
		}
		got := f.ask(t, viewer, http.MethodGet, roles+r.ID+"/", nil).Want(t, http.StatusOK)
		if got.String(t, "name") != r.Name {
			t.Errorf("%s", got.Body)
		}
		f.ask(t, viewer, http.MethodGet, roles+r.ID+"/", nil, "If-None-Match", got.Header.Get("ETag")).Want(t, http.StatusNotModified)
	}
	for _, ordering := range []string{"created_at", "-created_at", "updated_at", "-updated_at"} {
		for _, size := range []int{1, 2, 3, 7} {
			whole := names(rolesOf(t, f.ask(t, viewer, http.MethodGet, roles+"?ordering="+ordering, nil)))
			var walked, back []string
			next, last := any(fmt.Sprintf("%s?page_size=%d&ordering=%s", roles, size, ordering)), ""
			for next != nil {
				last = next.(string)
				page := f.ask(t, viewer, http.MethodGet, last, nil)
				walked = append(walked, names(rolesOf(t, page))...)
				next = page.Get(t, "next")
			}
			for previous := any(last); previous != nil; {
				page := f.ask(t, viewer, http.MethodGet, previous.(string), nil)
				back = append(names(rolesOf(t, page)), back...)
				previous = page.Get(t, "previous")
			}
			if !slices.Equal(walked, whole) || !slices.Equal(back, whole) || len(whole) != 7 {
				t.Errorf("%s by %d: %v, back %v, of %v", ordering, size, walked, back, whole)
			}
		}
	}
	f.ask(t, viewer, http.MethodGet, roles+ids.New().String()+"/", nil).WantCode(t, http.StatusNotFound, "not_found")
}

func TestCreateRole(t *testing.T) {
	f := setup(t)
	admin := f.Member(t, f.owner.TenantID, "admin")
	made := f.ask(t, admin, http.MethodPost, roles, body{"name": "auditor", "permissions": []string{"tasks:read", "activity:read", "tasks:read"}}, "X-Request-Id", "made").Want(t, http.StatusCreated)
	at := made.Header.Get("Location")
	if got := f.ask(t, admin, http.MethodGet, at, nil).Want(t, http.StatusOK); string(got.Body) != string(made.Body) || got.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("POST answered %s, GET %s", made.Body, got.Body)
	}
	if !strings.Contains(string(made.Body), `"permissions":["activity:read","tasks:read"]`) {
		t.Errorf("%s", made.Body)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'made' and model = 'Role' and action = 'created' and changes->'permissions'->'new' = '["activity:read","tasks:read"]'`); n != 1 {
		t.Errorf("%d activities", n)
	}
	for _, taken := range []string{"auditor", "AUDITOR", "Manager"} {
		f.ask(t, admin, http.MethodPost, roles, body{"name": taken, "permissions": []string{}}).WantCode(t, http.StatusConflict, "role_name_taken")
	}
	for _, wrong := range []body{
		{"name": "owner", "permissions": []string{}}, {"name": "Viewer", "permissions": []string{}}, {"name": " x", "permissions": []string{}}, {"name": "x\n", "permissions": []string{}},
		{"name": "", "permissions": []string{}}, {"name": strings.Repeat("x", 101), "permissions": []string{}}, {"name": "x"}, {"permissions": []string{}}, {"name": "x", "permissions": nil},
		{"name": "x", "permissions": []string{"tasks:fly"}}, {"name": "x", "permissions": []string{"member"}}, {"name": "x", "permissions": "tasks:read"}, {"name": "x", "permissions": []string{}, "id": ids.New()},
	} {
		f.ask(t, admin, http.MethodPost, roles, wrong).Want(t, http.StatusUnprocessableEntity)
	}
	for _, more := range []string{"billing:write", "tenant:own"} {
		f.ask(t, admin, http.MethodPost, roles, body{"name": "x", "permissions": []string{"tasks:read", more}}).WantCode(t, http.StatusForbidden, "permission_not_held")
	}
	f.ask(t, f.owner, http.MethodPost, roles, body{"name": "second", "permissions": identity.All().Strings()}).Want(t, http.StatusCreated)
	f.ask(t, f.Member(t, f.owner.TenantID, "manager"), http.MethodPost, roles, body{"name": "x", "permissions": []string{}}).WantCode(t, http.StatusForbidden, "permission_denied")
	// As many as there may be.
	f.SQL(t, `insert into app.roles (tenant_id, id, name) select $1, gen_random_uuid(), 'role ' || i from generate_series(1, 95) i`, f.owner.TenantID)
	f.ask(t, admin, http.MethodPost, roles, body{"name": "the hundredth", "permissions": []string{}}).Want(t, http.StatusCreated)
	f.ask(t, admin, http.MethodPost, roles, body{"name": "one more", "permissions": []string{}}).WantCode(t, http.StatusConflict, "too_many_roles")
}

// Fifty repeats of one request at the same moment make one role.
func TestFiftyRepeatsCreateOneRole(t *testing.T) {
	f := setup(t)
	var mu sync.Mutex
	made, refused := map[string]bool{}, 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			r := f.ask(t, f.owner, http.MethodPost, roles, body{"name": "auditor", "permissions": []string{"tasks:read"}}, "Idempotency-Key", "one")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.Status == http.StatusCreated:
				made[r.String(t, "id")] = true
			case r.Status == http.StatusConflict && r.String(t, "code") != "role_name_taken":
				refused++ // the first is still at work
			default:
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	all.Wait()
	rows := f.count(t, `select count(*) from app.roles where name = 'auditor'`)
	told := f.count(t, `select count(*) from app.activity where model = 'Role'`)
	if len(made) != 1 || rows != 1 || told != 1 {
		t.Errorf("%d roles in answers, %d in the table, %d activities, %d refused", len(made), rows, told, refused)
	}
}

// A role that changes takes effect at once, in every process, for everybody who
// has it.
func TestReplaceRole(t *testing.T) {
	f := setup(t)
	admin, who := f.Member(t, f.owner.TenantID, "admin"), f.Member(t, f.owner.TenantID, "developer")
	other := f.another(t)
	path := f.role(t, "developer")
	first := f.ask(t, admin, http.MethodGet, path, nil)
	for _, process := range []*fixture{f, other} {
		process.ask(t, who, http.MethodGet, members, nil).Want(t, http.StatusOK)
	}
	put := f.ask(t, admin, http.MethodPut, path, body{"name": "engineer", "permissions": []string{"tasks:read"}}, "If-Match", first.Header.Get("ETag"), "X-Request-Id", "put").Want(t, http.StatusOK)
	if put.String(t, "name") != "engineer" || put.Header.Get("X-Coditect-Outbox") != "1" || f.changed(t, ids.Nil) != 1 {
		t.Errorf("%s, %d messages", put.Body, f.changed(t, ids.Nil))
	}
	if got := f.ask(t, admin, http.MethodGet, path, nil); string(got.Body) != string(put.Body) || got.Header.Get("ETag") != put.Header.Get("ETag") {
		t.Errorf("PUT answered %s, GET %s", put.Body, got.Body)
	}
	for _, process := range []*fixture{f, f.another(t)} {
		process.ask(t, who, http.MethodGet, members, nil).WantCode(t, http.StatusForbidden, "permission_denied")
		if p := process.do(t, who, http.MethodGet, nil); p.String(t, "role") != "engineer" || !strings.Contains(string(p.Body), `"permissions":["tasks:read"]`) {
			t.Errorf("%s", p.Body)
		}
	}
	if got := f.ask(t, admin, http.MethodGet, at(who), nil); got.String(t, "role") != "engineer" {
		t.Errorf("%s", got.Body)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'put' and model = 'Role' and action = 'updated' and changes->'name'->>'old' = 'developer'
		and changes->'name'->>'new' = 'engineer' and changes->'permissions'->'new' = '["tasks:read"]' and jsonb_array_length(changes->'permissions'->'old') = 8`); n != 1 {
		t.Errorf("%d activities", n)
	}
	f.ask(t, admin, http.MethodPut, path, body{"name": "x", "permissions": []string{}}, "If-Match", first.Header.Get("ETag")).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	if again := f.ask(t, admin, http.MethodPut, path, body{"name": "engineer", "permissions": []string{"tasks:read"}}).Want(t, http.StatusOK); again.Header.Get("ETag") != put.Header.Get("ETag") || f.changed(t, ids.Nil) != 1 {
		t.Error("a change of nothing made something")
	}
	f.ask(t, admin, http.MethodPut, path, body{"name": "MANAGER", "permissions": []string{}}).WantCode(t, http.StatusConflict, "role_name_taken")
	f.ask(t, admin, http.MethodPut, path, body{"name": "Admin", "permissions": []string{}}).Want(t, http.StatusUnprocessableEntity)
	f.ask(t, admin, http.MethodPut, path, body{"name": "x"}).Want(t, http.StatusUnprocessableEntity)
	f.ask(t, admin, http.MethodPut, path, body{"name": "x", "permissions": []string{"tenant:own"}}).WantCode(t, http.StatusForbidden, "permission_not_held")
	f.ask(t, f.owner, http.MethodPut, path, body{"name": "treasurer", "permissions": []string{"billing:write"}}).Want(t, http.StatusOK)
	f.ask(t, admin, http.MethodPut, path, body{"name": "treasurer", "permissions": []string{}}).WantCode(t, http.StatusForbidden, "permission_not_held")
	f.ask(t, admin, http.MethodDelete, path, nil).WantCode(t, http.StatusForbidden, "permission_not_held")
	f.ask(t, f.Tenant(t), http.MethodPut, path, body{"name": "x", "permissions": []string{}}).WantCode(t, http.StatusNotFound, "not_found")
	for _, name := range []string{"owner", "admin", "member", "viewer"} {
		f.ask(t, f.owner, http.MethodPut, f.role(t, name), body{"name": "x", "permissions": []string{}}).WantCode(t, http.StatusConflict, "role_built_in")
		f.ask(t, f.owner, http.MethodDelete, f.role(t, name), nil).WantCode(t, http.StatusConflict, "role_built_in")
	}
	// Rights that were taken while the request was under way change nothing.
	other.ask(t, admin, http.MethodGet, members, nil).Want(t, http.StatusOK)
	f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, admin.UserID)
	other.ask(t, admin, http.MethodPut, f.role(t, "manager"), body{"name": "x", "permissions": []string{}}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, admin.UserID)
	other.ask(t, admin, http.MethodDelete, f.role(t, "manager"), nil).WantCode(t, http.StatusForbidden, "not_a_member")
}

func TestDeleteRole(t *testing.T) {
	f := setup(t)
	admin, who := f.Member(t, f.owner.TenantID, "admin"), f.Member(t, f.owner.TenantID, "manager")
	path := f.role(t, "manager")
	f.ask(t, admin, http.MethodDelete, path, nil).WantCode(t, http.StatusConflict, "role_in_use")
	f.ask(t, admin, http.MethodPatch, at(who), body{"is_active": false}).Want(t, http.StatusOK)
	f.ask(t, admin, http.MethodDelete, path, nil).WantCode(t, http.StatusConflict, "role_in_use")
	f.ask(t, admin, http.MethodDelete, at(who), nil).Want(t, http.StatusNoContent) // who left does not keep it
	var id ids.ID
	f.Scan(t, `select id from app.roles where tenant_id = $1 and name = 'manager'`, []any{f.owner.TenantID}, &id)
	f.SQL(t, `insert into app.invitations (tenant_id, id, email, role, custom_role_id, secret_hash, expires_at) values ($1, $2, 'x@example.com', 'custom', $3, '\x00', now())`, f.owner.TenantID, ids.New(), id)
	f.ask(t, admin, http.MethodDelete, path, nil).WantCode(t, http.StatusConflict, "role_in_use")
	f.SQL(t, `update app.invitations set revoked_at = now()`)
	etag := f.ask(t, admin, http.MethodGet, path, nil).Header.Get("ETag")
	f.SQL(t, `update app.roles set version = version + 1 where id = $1`, id)
	f.ask(t, admin, http.MethodDelete, path, nil, "If-Match", etag).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	f.ask(t, admin, http.MethodDelete, path, nil, "X-Request-Id", "deleted").Want(t, http.StatusNoContent)
	f.ask(t, admin, http.MethodDelete, path, nil).WantCode(t, http.StatusNotFound, "not_found")
	f.ask(t, admin, http.MethodGet, path, nil).WantCode(t, http.StatusNotFound, "not_found")
	if n := f.count(t, `select count(*) from app.activity where request_id = 'deleted' and model = 'Role' and action = 'deleted' and changes->'name'->>'old' = 'manager'`); n != 1 {
		t.Errorf("%d activities", n)
	}
	f.ask(t, admin, http.MethodPatch, at(f.Member(t, f.owner.TenantID, "viewer")), body{"role": "manager"}).Want(t, http.StatusUnprocessableEntity)
}

// A role that is given to somebody while it is deleted is either given or
// deleted, never both.
func TestRoleIsGivenWhileItIsDeleted(t *testing.T) {
	f := setup(t)
	for i := range 8 {
		name := fmt.Sprintf("role %d", i)
		path := f.ask(t, f.owner, http.MethodPost, roles, body{"name": name, "permissions": []string{}}).Want(t, http.StatusCreated).Header.Get("Location")
		who := f.Member(t, f.owner.TenantID, "viewer")
		var given, deleted functest.Response
		var both sync.WaitGroup
		both.Go(func() { given = f.ask(t, f.owner, http.MethodPatch, at(who), body{"role": name}) })
		both.Go(func() { deleted = f.ask(t, f.owner, http.MethodDelete, path, nil) })
		both.Wait()
		switch {
		case given.Status == http.StatusOK && deleted.Status == http.StatusConflict && deleted.String(t, "code") == "role_in_use":
		case given.Status == http.StatusUnprocessableEntity && deleted.Status == http.StatusNoContent:
		default:
			t.Errorf("given %d %s, deleted %d %s", given.Status, given.Body, deleted.Status, deleted.Body)
		}
	}
}
