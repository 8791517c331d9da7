package tasks_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/functions/tasks"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

const base = "/api/v1/tasks/"

// fixture is a tenant with a project, and the function.
type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
	project string // its tasks' path
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	f := &fixture{Env: e, handler: e.Open(t, tasks.Open), owner: e.Tenant(t)}
	f.project = f.newProject(t, f.owner)
	return f
}

// newProject makes a project behind the product's back and gives the path of
// its tasks.
func (f *fixture) newProject(t *testing.T, who functest.Person) string {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Apollo', $3, $3)`, who.TenantID, id, who.UserID)
	return "/api/v1/projects/" + id.String() + "/tasks/"
}

// projectID is the id in a path that newProject gave.
func projectID(path string) string { return strings.Split(path, "/")[4] }

func (f *fixture) do(t *testing.T, who functest.Person, method, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: path, Token: who.Token, Body: body, Header: h})
}

// create makes a task and gives its path.
func (f *fixture) create(t *testing.T, who functest.Person, title string) string {
	t.Helper()
	return f.do(t, who, http.MethodPost, f.project, map[string]any{"title": title}).Want(t, http.StatusCreated).Header.Get("Location")
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

func TestLife(t *testing.T) {
	f := setup(t)
	made := f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "Land"}).Want(t, http.StatusCreated)
	at := made.Header.Get("Location")
	if at != base+made.String(t, "id")+"/" {
		t.Errorf("Location %q", at)
	}
	for field, want := range map[string]any{
		"title": "Land", "description": "", "status": "todo", "priority": "medium", "assignee": nil, "due_date": nil, "deleted_at": nil,
		"created_by": f.owner.UserID.String(), "project_id": projectID(f.project),
	} {
		if got := made.Get(t, field); got != want {
			t.Errorf("%s of a new task is %v, want %v", field, got, want)
		}
	}
	got := f.do(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK)
	if string(got.Body) != string(made.Body) || got.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("reading gives %s %s, creating gave %s %s", got.Body, got.Header.Get("ETag"), made.Body, made.Header.Get("ETag"))
	}
	f.do(t, f.owner, http.MethodGet, at, nil, "If-None-Match", got.Header.Get("ETag")).Want(t, http.StatusNotModified)

	full := map[string]any{"title": "Land softly", "description": "Slow.", "status": "in_progress", "priority": "high", "due_date": "2026-12-24", "assignee_id": f.owner.UserID}
	put := f.do(t, f.owner, http.MethodPut, at, full).Want(t, http.StatusOK)
	if read := f.do(t, f.owner, http.MethodGet, at, nil); string(read.Body) != string(put.Body) {
		t.Errorf("PUT answered %s, GET %s", put.Body, read.Body)
	}
	if put.String(t, "assignee.email") != f.owner.Email || put.String(t, "due_date") != "2026-12-24" {
		t.Errorf("PUT gave %s", put.Body)
	}
	patched := f.do(t, f.owner, http.MethodPatch, at, map[string]any{"status": "done"}).Want(t, http.StatusOK)
	if patched.String(t, "status") != "done" || patched.String(t, "title") != "Land softly" || patched.String(t, "assignee.id") != f.owner.UserID.String() {
		t.Errorf("PATCH gave %s", patched.Body)
	}
	cleared := f.do(t, f.owner, http.MethodPatch, at, map[string]any{"assignee_id": nil, "due_date": nil}).Want(t, http.StatusOK)
	if cleared.Get(t, "assignee") != nil || cleared.Get(t, "due_date") != nil {
		t.Errorf("null did not clear: %s", cleared.Body)
	}
	f.do(t, f.owner, http.MethodPut, at, full).Want(t, http.StatusOK)
	bare := f.do(t, f.owner, http.MethodPut, at, map[string]any{"title": "Bare"}).Want(t, http.StatusOK)
	for field, want := range map[string]any{"description": "", "status": "todo", "priority": "medium", "assignee": nil, "due_date": nil} {
		if got := bare.Get(t, field); got != want {
			t.Errorf("PUT kept %s as %v", field, got)
		}
	}
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodGet, at, nil).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"title": "x"}).Want(t, http.StatusNotFound)
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNotFound)
	back := f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
	if back.String(t, "title") != "Bare" || back.Get(t, "deleted_at") != nil {
		t.Errorf("restored as %s", back.Body)
	}
	f.do(t, f.owner, http.MethodPost, at+"restore/", nil).WantCode(t, http.StatusConflict, "not_deleted")
}
