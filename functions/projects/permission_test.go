package projects_test

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// TestPermissions holds the table of the contract: every operation, every role,
// on one's own project and on another's.
func TestPermissions(t *testing.T) {
	f := setup(t)
	for _, tc := range []struct {
		role                                    string
		create, read, change, changeAny, delAny int
	}{
		{"viewer", 403, 200, 403, 403, 403},
		{"member", 201, 200, 200, 403, 403},
		{"developer", 201, 200, 200, 403, 403},
		{"manager", 201, 200, 200, 200, 403},
		{"admin", 201, 200, 200, 200, 204},
		{"owner", 201, 200, 200, 200, 204},
	} {
		t.Run(tc.role, func(t *testing.T) {
			t.Parallel()
			who := f.Member(t, f.owner.TenantID, tc.role)
			made := f.do(t, who, http.MethodPost, base, map[string]any{"name": "Mine"}).Want(t, tc.create)
			f.do(t, who, http.MethodGet, base, nil).Want(t, tc.read)
			other := f.create(t, f.owner, "Another's").Header.Get("Location")
			f.do(t, who, http.MethodGet, other, nil).Want(t, tc.read)
			f.do(t, who, http.MethodPatch, other, map[string]any{"name": "Changed"}).Want(t, tc.changeAny)
			f.do(t, who, http.MethodPut, other, map[string]any{"name": "Replaced"}).Want(t, tc.changeAny)
			f.do(t, who, http.MethodDelete, other, nil).Want(t, tc.delAny)
			if tc.delAny == http.StatusNoContent {
				f.do(t, who, http.MethodPost, other+"restore/", nil).Want(t, http.StatusOK)
			} else {
				f.do(t, f.owner, http.MethodDelete, other, nil).Want(t, http.StatusNoContent)
				f.do(t, who, http.MethodPost, other+"restore/", nil).Want(t, http.StatusForbidden)
			}
			seesDeleted := http.StatusForbidden
			if tc.delAny == http.StatusNoContent {
				seesDeleted = http.StatusOK
			}
			f.do(t, who, http.MethodGet, base+"?include_deleted=true", nil).Want(t, seesDeleted)
			f.do(t, who, http.MethodGet, base+"?status=deleted", nil).Want(t, seesDeleted)
			f.do(t, who, http.MethodGet, base+"?include_deleted=false", nil).Want(t, http.StatusOK)
			if tc.create != http.StatusCreated {
				return
			}
			own := made.Header.Get("Location")
			f.do(t, who, http.MethodPatch, own, map[string]any{"name": "Mine still"}).Want(t, tc.change)
			f.do(t, who, http.MethodPut, own, map[string]any{"name": "Mine anew"}).Want(t, tc.change)
			f.do(t, who, http.MethodDelete, own, nil).Want(t, http.StatusNoContent)
			f.do(t, who, http.MethodPost, own+"restore/", nil).Want(t, http.StatusOK)
		})
	}
}

// TestOwn holds that both who created a project and who owns it now may change
// it, and that the refusal of others comes before that of a stale version.
func TestOwn(t *testing.T) {
	f := setup(t)
	creator, owner, third := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member")
	at := f.create(t, creator, "Handed over").Header.Get("Location")
	f.SQL(t, `update app.projects set owner_id = $2 where tenant_id = $1`, f.owner.TenantID, owner.UserID)
	if got := f.do(t, owner, http.MethodGet, at, nil).String(t, "owner.id"); got != owner.UserID.String() {
		t.Errorf("owner %s", got)
	}
	f.do(t, creator, http.MethodPatch, at, map[string]any{"name": "By its creator"}).Want(t, http.StatusOK)
	f.do(t, owner, http.MethodPatch, at, map[string]any{"name": "By its owner"}).Want(t, http.StatusOK)
	f.do(t, third, http.MethodPatch, at, map[string]any{"name": "By neither"}, "If-Match", `"99.x"`).WantCode(t, http.StatusForbidden, "not_your_own")
	f.do(t, third, http.MethodDelete, at, nil, "If-Match", `"99.x"`).WantCode(t, http.StatusForbidden, "not_your_own")
}

// TestIdentity holds the answers to who may not be in here at all.
func TestIdentity(t *testing.T) {
	f := setup(t)
	homeless := f.Person(t)
	stranger := f.Person(t)
	stranger.TenantID = f.owner.TenantID
	stranger.Token = f.Token(t, stranger.Principal)
	left := f.Member(t, f.owner.TenantID, "admin")
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, left.UserID)
	inactive := f.Member(t, f.owner.TenantID, "admin")
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, inactive.UserID)
	suspended, deleted := f.Tenant(t), f.Tenant(t)
	f.SQL(t, `update app.organizations set status = 'suspended' where tenant_id = $1`, suspended.TenantID)
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, deleted.TenantID)
	powerless := f.Tenant(t)
	f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, 'nothing', '{}')`, powerless.TenantID, ids.New())
	nothing := f.Member(t, powerless.TenantID, "nothing")
	for name, tc := range map[string]struct {
		who    functest.Person
		status int
		code   string
	}{
		"nobody":              {functest.Person{}, 401, "token_missing"},
		"garbage":             {functest.Person{Token: "x.y.z"}, 401, ""},
		"no organization":     {homeless, 403, "no_tenant"},
		"not a member":        {stranger, 403, "not_a_member"},
		"left":                {left, 403, "not_a_member"},
		"inactive":            {inactive, 403, "not_a_member"},
		"suspended tenant":    {suspended, 403, "tenant_suspended"},
		"deleted tenant":      {deleted, 403, "tenant_deleted"},
		"a role of no rights": {nothing, 403, "permission_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, op := range []struct{ method, path string }{
				{http.MethodGet, base}, {http.MethodPost, base}, {http.MethodGet, base + ids.New().String() + "/"},
				{http.MethodPut, base + ids.New().String() + "/"}, {http.MethodPatch, base + ids.New().String() + "/"},
				{http.MethodDelete, base + ids.New().String() + "/"}, {http.MethodPost, base + ids.New().String() + "/restore/"},
			} {
				got := f.do(t, tc.who, op.method, op.path, nil).Want(t, tc.status)
				if code := got.String(t, "code"); tc.code != "" && code != tc.code {
					t.Errorf("%s %s: code %s, want %s", op.method, op.path, code, tc.code)
				}
				if tc.status == http.StatusUnauthorized && got.Header.Get("WWW-Authenticate") == "" {
					t.Error("401 without WWW-Authenticate")
				}
			}
		})
	}
	forged := f.Member(t, f.owner.TenantID, "viewer")
	forged.Roles = []string{identity.RoleOwner}
	forged.Token = f.Token(t, forged.Principal)
	f.do(t, forged, http.MethodPost, base, map[string]any{"name": "x"}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, f.owner, http.MethodGet, base, nil, "X-Tenant-ID", suspended.TenantID.String()).WantCode(t, http.StatusForbidden, "tenant_mismatch")
	f.do(t, f.owner, http.MethodGet, base, nil, "X-Tenant-ID", f.owner.TenantID.String()).Want(t, http.StatusOK)
}
