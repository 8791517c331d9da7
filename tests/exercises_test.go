// Package tests holds what crosses functions: exercises that run over every
// operation there is, isolation with each of its layers alone, and journeys
// through the router.
package tests

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

// TestEveryOperation takes every operation through what each must refuse, and
// through one success whose answer is checked against its schema (functions
// under test check every answer; one that the document does not describe is a
// 500).
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home, foreign := stage(t, p), stage(t, p)
	suspended, deleted := stage(t, p), stage(t, p)
	p.SQL(t, `update app.organizations set status = 'suspended', suspended_at = now() where tenant_id = $1`, suspended.owner.TenantID)
	p.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, deleted.owner.TenantID)
	spent := stage(t, p)
	p.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity) values ($1, $2, 'api_requests', (now() at time zone 'utc')::date, 100000)`, spent.owner.TenantID, ids.New())
	expired := expiredToken(t, p.Keys, home.owner)
	revoked := p.Member(t, home.owner.TenantID, identity.RoleOwner)
	p.SQL(t, `update app.sessions set revoked_at = now() where user_id = $1`, revoked.UserID)
	gone := p.Member(t, home.owner.TenantID, identity.RoleOwner)
	p.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, gone.UserID)

	for _, op := range public(t) {
		t.Run(named(op), func(t *testing.T) {
			home.signIn(t) // the operation before may have ended the session
			send := func(change func(*functest.Request)) functest.Response {
				in := home.request(t, op)
				change(&in)
				return p.Send(t, in)
			}
			as := func(token string) functest.Response {
				return send(func(in *functest.Request) { in.Token = token })
			}
			if !op.Public {
				r := as("").WantCode(t, http.StatusUnauthorized, "token_missing")
				if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("401 without a challenge: %v", r.Header)
				}
				as("nonsense").Want(t, http.StatusUnauthorized)
				as(expired).WantCode(t, http.StatusUnauthorized, "token_expired")
				as(revoked.Token).Want(t, http.StatusUnauthorized)
			}
			if tenantBound(op) {
				as(p.Person(t).Token).WantCode(t, http.StatusForbidden, "no_tenant")
				as(gone.Token).WantCode(t, http.StatusForbidden, "not_a_member")
				send(func(in *functest.Request) {
					in.Header = with(in.Header, "X-Tenant-ID", foreign.owner.TenantID.String())
				}).WantCode(t, http.StatusForbidden, "tenant_mismatch")
				in := deleted.request(t, op)
				p.Send(t, in).WantCode(t, http.StatusForbidden, "tenant_deleted")
				in = suspended.request(t, op)
				if r := p.Send(t, in); op.OpenWhenSuspended {
					if r.Status/100 != 2 {
						t.Errorf("in a suspended tenant: %d %s", r.Status, r.Body)
					}
				} else {
					r.WantCode(t, http.StatusForbidden, "tenant_suspended")
				}
			}
			if !op.Public {
				spent.exceed(t, op)
			}
			if !op.Public && strings.Contains(op.Path, "{id}") {
				for _, id := range []string{idIn(op, foreign.path(t, op)), ids.New().String(), "not-a-uuid", "0"} {
					send(func(in *functest.Request) {
						in.Path = strings.ReplaceAll(op.Path, "{id}", id)
						if strings.HasPrefix(op.Path, "/api/v1/auth/sessions/") && id != "0" && id != "not-a-uuid" {
							in.Path = strings.ReplaceAll(op.Path, "{id}", foreign.session.String())
						}
					}).WantCode(t, http.StatusNotFound, "not_found")
				}
			}
			if op.ID == "receive-stripe-event" { // its sender is known by the signature of the bytes
				send(func(in *functest.Request) { in.Body = `{"a":` }).Want(t, http.StatusBadRequest)
				for _, body := range []string{`{"a":1}`, `[]`, `""`} {
					send(func(in *functest.Request) { in.Body = body }).WantCode(t, http.StatusBadRequest, "invalid_signature")
				}
			} else if op.RequestExample != nil {
				send(func(in *functest.Request) { in.Body = `{"a":` }).Want(t, http.StatusBadRequest)
				send(func(in *functest.Request) { in.Body = `{"a":1,"a":2}` }).Want(t, http.StatusBadRequest)
				send(func(in *functest.Request) { in.Body = `{"no_such_member":1}` }).Want(t, http.StatusUnprocessableEntity)
				send(func(in *functest.Request) { in.Body = `[]` }).Want(t, http.StatusUnprocessableEntity)
				send(func(in *functest.Request) { in.Header = with(in.Header, "Content-Type", "text/plain") }).Want(t, http.StatusUnsupportedMediaType)
				send(func(in *functest.Request) { in.Body = `{"a":"` + strings.Repeat("x", int(op.MaxBody)) + `"}` }).Want(t, http.StatusRequestEntityTooLarge)
			}
			send(func(in *functest.Request) {
				sign := "?"
				if strings.Contains(in.Path, "?") {
					sign = "&"
				}
				in.Path += sign + "no_such_parameter=1"
			}).Want(t, http.StatusBadRequest)

			ok := send(func(*functest.Request) {})
			if ok.Status != op.Status {
				t.Fatalf("success is %d %s, want %d", ok.Status, ok.Body, op.Status)
			}
			if ok.Header.Get("X-Request-Id") == "" {
				t.Error("no request id")
			}
			for name := range ok.Header {
				if strings.HasPrefix(name, "X-Coditect") {
					t.Errorf("internal header %s reached the client", name)
				}
			}
			home.objects(t, home.owner) // what the success used up
			p.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, home.owner.TenantID)
		})
	}
}

// exceed sends an operation of an organization that has used up its month: what
// acts in it is refused, unless it is what nobody may be kept from.
func (s *scene) exceed(t *testing.T, op api.Operation) {
	t.Helper()
	s.objects(t, s.owner)
	s.signIn(t)
	in := s.request(t, op)
	if op.ID == "replace-current-tenant" { // the example's name is another scene's
		in.Body = map[string]any{"name": "Acme", "subdomain": "s" + strings.ReplaceAll(ids.New().String(), "-", "")}
	}
	s.SQL(t, `update app.organizations set plan = 'free' where tenant_id = $1`, s.owner.TenantID)
	r := s.Send(t, in)
	switch {
	case tenantBound(op) && !op.Essential:
		r.WantCode(t, http.StatusPaymentRequired, "quota_exceeded")
		if r.Header.Get("Retry-After") == "" {
			t.Error("402 without Retry-After")
		}
	case r.Status/100 != 2:
		t.Errorf("in a tenant whose month is used up: %d %s", r.Status, r.Body)
	}
}

// idIn is the id that a path of the operation names.
func idIn(op api.Operation, path string) string {
	return strings.Split(path, "/")[slices.Index(strings.Split(op.Path, "/"), "{id}")]
}

func with(h map[string]string, k, v string) map[string]string {
	out := map[string]string{k: v}
	for name, value := range h {
		if name != k {
			out[name] = value
		}
	}
	return out
}

// TestEveryRole runs every operation of a tenant as every role and compares
// the outcome with the table of permissions. The roles are those that every
// tenant begins with and, of its own, one for each permission that gives this
// one and nothing else: what an operation demands is then its permission and
// none that happens to come along.
func TestEveryRole(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home := stage(t, p)
	// There are more requests by now than a free plan lets one make in a minute.
	p.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, home.owner.TenantID)
	rights := map[string]identity.Set{}
	for _, role := range []string{identity.RoleViewer, identity.RoleMember, identity.RoleAdmin, identity.RoleOwner} {
		rights[role], _ = identity.Builtin(role)
	}
	maps.Copy(rights, identity.SeedRoles())
	for _, permission := range identity.All() {
		name := "only " + string(permission)
		rights[name] = identity.NewSet(permission)
		p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/roles/", Token: home.owner.Token, Body: map[string]any{
			"name": name, "permissions": rights[name].Strings(),
		}}).Want(t, http.StatusCreated)
	}
	people := map[string]functest.Person{}
	for role := range rights {
		people[role] = p.Member(t, home.owner.TenantID, role)
	}
	allowed, refused := 0, 0
	for _, op := range public(t) {
		if !tenantBound(op) {
			continue
		}
		t.Run(named(op), func(t *testing.T) {
			for _, role := range slices.Sorted(maps.Keys(people)) {
				may := op.Permission == identity.Member || rights[role].Has(op.Permission)
				if may {
					home.objects(t, people[role]) // their own, so that only the role decides
				}
				in := home.request(t, op)
				in.Token = people[role].Token
				r := p.Send(t, in)
				if may {
					home.reinstate(t, people[role]) // should it have ended what they are
				}
				switch {
				case may && op.ID == "transfer-tenant" && role != identity.RoleOwner:
					// Only an owner can give what an owner is.
					r.WantCode(t, http.StatusForbidden, "permission_denied")
				case may && r.Status/100 != 2:
					t.Errorf("%s: %d %s", role, r.Status, r.Body)
				case may:
					allowed++
				default:
					r.WantCode(t, http.StatusForbidden, "permission_denied")
					refused++
				}
			}
		})
	}
	if allowed < 100 || refused < 500 {
		t.Errorf("only %d requests were allowed and %d refused", allowed, refused)
	}
	t.Logf("%d roles: %d requests allowed, %d refused", len(people), allowed, refused)
}

// TestInternalOperationsAreNotThere asks the router for what only the router
// may ask.
func TestInternalOperationsAreNotThere(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	owner := p.Tenant(t)
	for _, path := range []string{
		"/internal/health/", "/internal/limits/" + owner.TenantID.String() + "/", "/internal/hosts/acme/",
		"/internal/sessions/" + owner.UserID.String() + "/" + owner.SessionID.String() + "/",
		"/api/../internal/health/", "//internal/health/", "/%69nternal/health/", "/api/v2/projects/", "/api/v1/nothing/",
	} {
		for _, token := range []string{"", owner.Token} {
			p.Send(t, functest.Request{Method: http.MethodGet, Path: path, Token: token, Header: map[string]string{
				"X-Coditect-Hop": "v1.1.a.b.c", "X-User-ID": owner.UserID.String(),
			}}).WantCode(t, http.StatusNotFound, "not_found")
		}
	}
}

// TestMethodsAreAllowed asks every path for a method that it does not have.
func TestMethodsAreAllowed(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	home := stage(t, p)
	methods := map[string][]string{}
	for _, op := range public(t) {
		methods[op.Path] = append(methods[op.Path], op.Method)
	}
	for _, op := range public(t) {
		path := home.path(t, op)
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "PROPFIND"} {
			if slices.Contains(methods[op.Path], m) {
				continue
			}
			r := p.Send(t, functest.Request{Method: m, Path: path, Token: home.owner.Token}).WantCode(t, http.StatusMethodNotAllowed, "method_not_allowed")
			for _, has := range methods[op.Path] {
				if !strings.Contains(r.Header.Get("Allow"), has) {
					t.Errorf("%s %s: Allow %q lacks %s", m, op.Path, r.Header.Get("Allow"), has)
				}
			}
		}
	}
}
