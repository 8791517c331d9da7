package tests

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/tests/platform"
)

// TestDomainsRoute follows a domain through the router: it leads to its
// organization while it is verified, at once after each change, and to nobody
// else's people.
func TestDomainsRoute(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	owner, other := p.Tenant(t), p.Tenant(t)
	const path, host = "/api/v1/tenants/me/domains/", "work.acme.example"
	at := func(who functest.Person) functest.Response {
		t.Helper()
		return p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/tenants/me/", Token: who.Token, Header: map[string]string{"Host": host}})
	}
	send := func(who functest.Person, method, path string, body any) functest.Response {
		t.Helper()
		return p.Send(t, functest.Request{Method: method, Path: path, Token: who.Token, Body: body})
	}
	at(owner).WantCode(t, http.StatusNotFound, "unknown_host")
	made := send(owner, http.MethodPost, path, map[string]any{"domain": host}).Want(t, http.StatusCreated)
	own := path + made.String(t, "id") + "/"
	at(owner).WantCode(t, http.StatusNotFound, "unknown_host")
	send(owner, http.MethodPost, own+"verify/", nil).WantCode(t, http.StatusConflict, "domain_not_verified")
	p.DNS.SetTXT(made.String(t, "verification.name"), made.String(t, "verification.value"))
	send(owner, http.MethodPost, own+"verify/", nil).Want(t, http.StatusOK)
	if got := at(owner).Want(t, http.StatusOK).String(t, "id"); got != owner.TenantID.String() {
		t.Errorf("leads to %s", got)
	}
	at(other).WantCode(t, http.StatusForbidden, "tenant_mismatch")
	send(owner, http.MethodPatch, own, map[string]any{"is_primary": true}).Want(t, http.StatusOK)
	at(owner).Want(t, http.StatusOK)
	send(owner, http.MethodDelete, own, nil).Want(t, http.StatusNoContent)
	at(owner).WantCode(t, http.StatusNotFound, "unknown_host")
}
