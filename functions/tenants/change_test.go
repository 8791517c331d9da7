package tenants_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

const me = base + "me/"

// subdomain is the one that the fixture's organization has.
func (f *fixture) subdomain(t *testing.T, who functest.Person) string {
	t.Helper()
	return f.do(t, who, http.MethodGet, me, nil).Want(t, http.StatusOK).String(t, "subdomain")
}

func TestChange(t *testing.T) {
	f := setup(t)
	admin, old := f.Member(t, f.owner.TenantID, "admin"), f.subdomain(t, f.owner)
	first := f.do(t, f.owner, http.MethodGet, me, nil).Want(t, http.StatusOK)
	put := f.do(t, admin, http.MethodPut, me, map[string]any{"name": "Apollo", "subdomain": "apollo-one"}, "If-Match", first.Header.Get("ETag"), "X-Request-Id", "put").Want(t, http.StatusOK)
	if put.String(t, "name") != "Apollo" || put.String(t, "subdomain") != "apollo-one" || put.Header.Get("ETag") == first.Header.Get("ETag") {
		t.Errorf("replaced: %s", put.Body)
	}
	f.do(t, admin, http.MethodPatch, me, map[string]any{"name": "x"}, "If-Match", first.Header.Get("ETag")).Want(t, http.StatusPreconditionFailed)
	if got := f.do(t, admin, http.MethodPatch, me, map[string]any{"name": "Gemini"}).Want(t, http.StatusOK); got.String(t, "subdomain") != "apollo-one" {
		t.Errorf("patched: %s", got.Body)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'put' and model = 'Organization' and action = 'updated'
		and changes->'subdomain'->>'old' = $1 and changes->'subdomain'->>'new' = 'apollo-one' and changes->'name'->>'new' = 'Apollo'`, old); n != 1 {
		t.Errorf("%d rows of activity", n)
	}
	// Nothing changed: no version, no activity.
	before := f.count(t, `select count(*) from app.activity`)
	f.do(t, admin, http.MethodPatch, me, map[string]any{"name": "Gemini"}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.activity`); n != before {
		t.Errorf("%d rows of activity for no change", n-before)
	}
	// The old name is kept from others, and is there for its tenant.
	other := f.Tenant(t)
	f.do(t, other, http.MethodPatch, me, map[string]any{"subdomain": old}).WantCode(t, http.StatusConflict, "subdomain_taken")
	f.do(t, other, http.MethodPatch, me, map[string]any{"subdomain": "apollo-one"}).WantCode(t, http.StatusConflict, "subdomain_taken")
	f.do(t, admin, http.MethodPatch, me, map[string]any{"subdomain": old}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.host_claims where tenant_id = $1 and held_until is null and host = $2`, f.owner.TenantID, old); n != 1 {
		t.Error("the tenant did not get its own name back")
	}
	f.SQL(t, `update app.host_claims set held_until = now() - interval '1 second' where host = 'apollo-one'`)
	f.do(t, other, http.MethodPatch, me, map[string]any{"subdomain": "apollo-one"}).Want(t, http.StatusOK)

	for _, body := range []string{
		`{"subdomain": "www"}`, `{"subdomain": "a"}`, `{"subdomain": "UPPER"}`, `{"name": ""}`, `{"name": null}`, `{"plan": "enterprise"}`, `{"status": "active"}`,
	} {
		f.do(t, admin, http.MethodPatch, me, body).Want(t, http.StatusUnprocessableEntity)
	}
	f.do(t, admin, http.MethodPut, me, map[string]any{"name": "x"}).Want(t, http.StatusUnprocessableEntity)
	f.do(t, f.Member(t, f.owner.TenantID, "manager"), http.MethodPatch, me, map[string]any{"name": "x"}).WantCode(t, http.StatusForbidden, "permission_denied")
}

func TestTransfer(t *testing.T) {
	f := setup(t)
	to := f.Member(t, f.owner.TenantID, "viewer")
	path := me + "transfer/"
	for _, who := range []ids.ID{f.owner.UserID, ids.New(), f.Tenant(t).UserID} {
		f.do(t, f.owner, http.MethodPost, path, map[string]any{"user_id": who}).Want(t, http.StatusUnprocessableEntity)
	}
	f.do(t, f.Member(t, f.owner.TenantID, "admin"), http.MethodPost, path, map[string]any{"user_id": to.UserID}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, f.owner, http.MethodPost, path, map[string]any{"user_id": to.UserID}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.memberships where tenant_id = $1 and (user_id = $2 and role = 'owner' or user_id = $3 and role = 'admin')`,
		f.owner.TenantID, to.UserID, f.owner.UserID); n != 2 {
		t.Errorf("%d of the two roles are right", n)
	}
	// At once: the new owner may, the old one may not.
	f.do(t, f.owner, http.MethodPost, path, map[string]any{"user_id": to.UserID}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, to, http.MethodPost, path, map[string]any{"user_id": f.owner.UserID}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.outbox where kind = 'access.changed'`); n != 4 {
		t.Errorf("%d messages of changed rights", n)
	}
	if n := f.count(t, `select count(*) from app.activity where model = 'Membership' and changes->'role'->>'new' = 'owner' and action = 'updated'`); n != 2 {
		t.Errorf("%d rows of activity", n)
	}
}

func TestLeave(t *testing.T) {
	f := setup(t)
	path := me + "leave/"
	f.do(t, f.owner, http.MethodPost, path, nil).WantCode(t, http.StatusConflict, "last_owner")
	who := f.Member(t, f.owner.TenantID, "viewer")
	f.do(t, who, http.MethodPost, path, nil).Want(t, http.StatusNoContent)
	f.do(t, who, http.MethodGet, me, nil).WantCode(t, http.StatusForbidden, "not_a_member")
	if n := f.count(t, `select count(*) from app.memberships m join app.user_tenants u using (tenant_id, user_id)
		where m.user_id = $1 and not m.is_active and m.left_at is not null and u.left_at is not null`, who.UserID); n != 1 {
		t.Error("the membership did not end on both sides")
	}
	if n := f.count(t, `select count(*) from app.activity where model = 'Membership' and action = 'left' and object_id = $1`, who.UserID); n != 1 {
		t.Error("no activity")
	}
	// Of two owners who leave at the same moment, one stays.
	for range 5 {
		f.SQL(t, `update app.memberships set is_active = true, left_at = null where tenant_id = $1 and role = 'owner'`, f.owner.TenantID)
		second := f.Member(t, f.owner.TenantID, "owner")
		var all sync.WaitGroup
		for _, p := range []functest.Person{f.owner, second} {
			all.Go(func() { f.do(t, p, http.MethodPost, path, nil) })
		}
		all.Wait()
		if n := f.count(t, `select count(*) from app.memberships where tenant_id = $1 and role = 'owner' and is_active`, f.owner.TenantID); n != 1 {
			t.Fatalf("%d owners are left", n)
		}
		f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, second.UserID)
		f.Redis.FlushAll()
	}
}

func TestDelete(t *testing.T) {
	f := setup(t)
	path, name := me+"delete/", f.subdomain(t, f.owner)
	member := f.Member(t, f.owner.TenantID, "admin")
	f.do(t, f.owner, http.MethodPost, path, map[string]any{"confirm": "something"}).Want(t, http.StatusUnprocessableEntity)
	f.do(t, member, http.MethodPost, path, map[string]any{"confirm": name}).WantCode(t, http.StatusForbidden, "permission_denied")
	got := f.do(t, f.owner, http.MethodPost, path, map[string]any{"confirm": name}).Want(t, http.StatusAccepted)
	if got.String(t, "status") != "deleted" {
		t.Errorf("answered %s", got.Body)
	}
	for _, who := range []functest.Person{f.owner, member} {
		f.do(t, who, http.MethodGet, me, nil).WantCode(t, http.StatusForbidden, "tenant_deleted")
	}
	if n := f.count(t, `select count(*) from app.organizations where tenant_id = $1 and status = 'deleted' and deleted_by = $2
		and erase_after between now() + interval '29 days' and now() + interval '31 days'`, f.owner.TenantID, f.owner.UserID); n != 1 {
		t.Error("not marked for erasure")
	}
	f.do(t, f.Tenant(t), http.MethodPatch, me, map[string]any{"subdomain": name}).WantCode(t, http.StatusConflict, "subdomain_taken")
	if n := f.count(t, `select count(*) from app.activity where tenant_id = $1 and model = 'Organization' and action = 'deleted'`, f.owner.TenantID); n != 1 {
		t.Error("no activity")
	}
	if strings.Contains(string(f.do(t, f.owner, http.MethodGet, base, nil).Want(t, http.StatusOK).Body), name) {
		t.Error("a deleted organization is still listed")
	}
}
