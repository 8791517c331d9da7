package platform

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// At is a platform that runs elsewhere: only what goes over the network works.
func At(url string) *Platform { return &Platform{URL: url} }

// traveller is somebody with a token, at the router.
type traveller struct {
	*Platform
	token string
}

func (c traveller) do(t testing.TB, method, path string, body any, status int) functest.Response {
	t.Helper()
	in := functest.Request{Method: method, Path: path, Token: c.token, Body: body}
	return c.Send(t, in).Want(t, status)
}

// Journey is the README's: somebody registers, signs in, works on a project and
// a task, and finds every step in the activity. Somebody else, of another
// organization, finds nothing. It holds wherever the platform is hosted.
func (p *Platform) Journey(t testing.TB) {
	t.Helper()
	const password = "correct horse battery"
	anon := traveller{Platform: p}
	email := "ada-" + ids.New().String() + "@example.com"
	registered := anon.do(t, http.MethodPost, "/api/v1/auth/register/", map[string]any{
		"email": email, "password": password, "first_name": "Ada", "last_name": "Lovelace", "organization_name": "Analytical Engines",
	}, http.StatusCreated)
	if registered.String(t, "tenant.name") != "Analytical Engines" || registered.String(t, "user.email") != email {
		t.Fatalf("registered as %s", registered.Body)
	}
	login := anon.do(t, http.MethodPost, "/api/v1/auth/login/", map[string]any{"email": strings.ToUpper(email), "password": password}, http.StatusOK)
	ada := traveller{p, login.String(t, "access_token")}

	project := ada.do(t, http.MethodPost, "/api/v1/projects/", map[string]any{"name": "Apollo"}, http.StatusCreated)
	at := project.Header.Get("Location")
	task := ada.do(t, http.MethodPost, at+"tasks/", map[string]any{"title": "Land", "priority": "high", "due_date": "2026-12-24"}, http.StatusCreated)
	taskAt := task.Header.Get("Location")
	list := ada.do(t, http.MethodGet, "/api/v1/tasks/?status=todo&search=lan", nil, http.StatusOK)
	if list.String(t, "results.0.id") != task.String(t, "id") {
		t.Errorf("the list is %s", list.Body)
	}
	changed := ada.do(t, http.MethodPatch, taskAt, map[string]any{"status": "done"}, http.StatusOK)
	if changed.String(t, "status") != "done" {
		t.Errorf("changed to %s", changed.Body)
	}
	if n := ada.do(t, http.MethodGet, at, nil, http.StatusOK).Get(t, "task_counts.done"); n != 1.0 {
		t.Errorf("%v tasks done", n)
	}

	bob := traveller{p, anon.do(t, http.MethodPost, "/api/v1/auth/register/", map[string]any{
		"email": "bob-" + ids.New().String() + "@example.com", "password": password, "first_name": "Bob", "last_name": "Noyce",
		"subdomain": "r" + strings.ReplaceAll(ids.New().String(), "-", ""),
	}, http.StatusCreated).String(t, "access_token")}
	for _, path := range []string{at, at + "tasks/", taskAt} {
		bob.do(t, http.MethodGet, path, nil, http.StatusNotFound)
	}
	bob.do(t, http.MethodPatch, taskAt, map[string]any{"title": "Mine"}, http.StatusNotFound)
	bob.do(t, http.MethodDelete, at, nil, http.StatusNotFound)
	p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: bob.token, Header: map[string]string{
		"X-Tenant-ID": registered.String(t, "tenant.id"),
	}}).WantCode(t, http.StatusForbidden, "tenant_mismatch")

	ada.do(t, http.MethodDelete, at, nil, http.StatusNoContent)
	ada.do(t, http.MethodGet, taskAt, nil, http.StatusNotFound)
	ada.do(t, http.MethodPost, at+"restore/", nil, http.StatusOK)
	ada.do(t, http.MethodGet, taskAt, nil, http.StatusOK)

	story := ada.do(t, http.MethodGet, "/api/v1/activity/?ordering=created_at&object_id="+project.String(t, "id"), nil, http.StatusOK)
	for i, want := range []string{"created", "deleted", "restored"} {
		at := "results." + string(rune('0'+i)) + "."
		if story.String(t, at+"action") != want || story.String(t, at+"user.email") != email {
			t.Errorf("step %d is %s", i, story.Body)
		}
	}
	steps := ada.do(t, http.MethodGet, "/api/v1/activity/?model=Task&action=updated", nil, http.StatusOK)
	if steps.String(t, "results.0.changes.status.old") != "todo" || steps.String(t, "results.0.changes.status.new") != "done" {
		t.Errorf("the change is recorded as %s", steps.Body)
	}

	ada.do(t, http.MethodPost, "/api/v1/auth/logout/", map[string]any{}, http.StatusNoContent)
	ada.do(t, http.MethodGet, at, nil, http.StatusUnauthorized)
	anon.do(t, http.MethodPost, "/api/v1/auth/refresh/", map[string]any{"refresh_token": login.String(t, "refresh_token")}, http.StatusUnauthorized)
}
