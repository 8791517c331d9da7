package tests

import (
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	maillink "github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/tests/platform"
)

// invitationOf gives the token that was mailed to an address, as the mailer
// derives it.
func (s *scene) invitationOf(t testing.TB, email string) string {
	t.Helper()
	var tenant, id ids.ID
	var hash []byte
	s.Scan(t, `select tenant_id, id, secret_hash from app.invitations where email = $1 and accepted_at is null and revoked_at is null`, []any{email}, &tenant, &id, &hash)
	token, ok := maillink.Recover(s.ring(t), identity.InvitationToken, tenant, id, hash)
	if !ok {
		t.Fatal("the link cannot be made again")
	}
	return token.Reveal()
}

// TestInvitedPeopleWork is the flow of an organization that grows: somebody is
// invited, comes, and works on projects as far as the role goes; somebody else
// had an account; one leaves and comes back to what was theirs.
func TestInvitedPeopleWork(t *testing.T) {
	t.Parallel()
	s := &scene{Platform: platform.Start(t, nil)}
	send := func(method, path, token string, body any) functest.Response {
		t.Helper()
		return s.Send(t, functest.Request{Method: method, Path: path, Token: token, Body: body})
	}
	owner := send(http.MethodPost, "/api/v1/auth/register/", "", registration("ada@example.com")).Want(t, http.StatusCreated).String(t, "access_token")
	apollo := send(http.MethodPost, "/api/v1/projects/", owner, map[string]any{"name": "Apollo"}).Want(t, http.StatusCreated).Header.Get("Location")
	accept := func(email string, body map[string]any, bearer string) functest.Response {
		t.Helper()
		body["token"] = s.invitationOf(t, email)
		return send(http.MethodPost, "/api/v1/users/invitations/accept/", bearer, body)
	}

	// A new person, by name.
	send(http.MethodPost, "/api/v1/users/", owner, map[string]any{"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper", "role": "developer"}).Want(t, http.StatusCreated)
	came := accept("grace@example.com", map[string]any{"password": password}, "").Want(t, http.StatusOK)
	grace, graceID := came.String(t, "access_token"), came.String(t, "user.id")
	gemini := send(http.MethodPost, "/api/v1/projects/", grace, map[string]any{"name": "Gemini"}).Want(t, http.StatusCreated)
	task := send(http.MethodPost, apollo+"tasks/", grace, map[string]any{"title": "Land", "assignee_id": graceID}).Want(t, http.StatusCreated)
	send(http.MethodPatch, apollo, grace, map[string]any{"name": "Mine"}).WantCode(t, http.StatusForbidden, "not_your_own")
	send(http.MethodPost, "/api/v1/users/invite/", grace, map[string]any{"email": "eve@example.com", "role": "viewer"}).WantCode(t, http.StatusForbidden, "permission_denied")
	if got := send(http.MethodGet, task.Header.Get("Location"), owner, nil).Want(t, http.StatusOK); got.String(t, "assignee.first_name") != "Grace" {
		t.Errorf("the task is %s", got.Body)
	}

	// Somebody with an account and an organization of their own.
	bob := send(http.MethodPost, "/api/v1/auth/register/", "", registration("bob@example.com")).Want(t, http.StatusCreated)
	s.SQL(t, `update app.users set email_verified_at = now() where email = 'bob@example.com'`)
	send(http.MethodPost, "/api/v1/users/invite/", owner, map[string]any{"email": "bob@example.com", "role": "viewer"}).Want(t, http.StatusCreated)
	accept("bob@example.com", map[string]any{}, "").WantCode(t, http.StatusUnauthorized, "sign_in_required")
	accept("bob@example.com", map[string]any{}, grace).WantCode(t, http.StatusForbidden, "wrong_account")
	guest := accept("bob@example.com", map[string]any{}, bob.String(t, "access_token")).Want(t, http.StatusOK).String(t, "access_token")
	send(http.MethodGet, apollo, guest, nil).Want(t, http.StatusOK)
	send(http.MethodPost, "/api/v1/projects/", guest, map[string]any{"name": "x"}).WantCode(t, http.StatusForbidden, "permission_denied")
	send(http.MethodGet, apollo, bob.String(t, "access_token"), nil).Want(t, http.StatusNotFound) // which acts in his own

	// Who is removed is out, and comes back to what was theirs.
	send(http.MethodDelete, "/api/v1/users/"+graceID+"/", owner, nil).Want(t, http.StatusNoContent)
	send(http.MethodPost, "/api/v1/auth/login/", "", map[string]any{"email": "grace@example.com", "password": password, "tenant": came.String(t, "tenant.id")}).WantCode(t, http.StatusForbidden, "not_a_member")
	send(http.MethodPost, "/api/v1/users/invite/", owner, map[string]any{"email": "grace@example.com", "role": "member"}).Want(t, http.StatusCreated)
	grace = accept("grace@example.com", map[string]any{"password": password}, "").Want(t, http.StatusOK).String(t, "access_token")
	back := send(http.MethodGet, gemini.Header.Get("Location"), grace, nil).Want(t, http.StatusOK)
	if back.String(t, "owner.id") != graceID {
		t.Errorf("the project is %s", back.Body)
	}
	send(http.MethodPatch, gemini.Header.Get("Location"), grace, map[string]any{"name": "Gemini 2"}).Want(t, http.StatusOK)
	members := send(http.MethodGet, "/api/v1/users/?is_active=true", owner, nil).Want(t, http.StatusOK)
	if all, _ := members.Get(t, "results").([]any); len(all) != 3 {
		t.Errorf("the members are %s", members.Body)
	}
	story := send(http.MethodGet, "/api/v1/activity/?model=Membership&action=joined&ordering=created_at", owner, nil).Want(t, http.StatusOK)
	if story.String(t, "results.0.user.email") != "grace@example.com" || story.String(t, "results.1.user.email") != "bob@example.com" || story.String(t, "results.2.changes.role.new") != "member" {
		t.Errorf("the story is %s", story.Body)
	}
}
