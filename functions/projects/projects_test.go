package projects_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/functions/projects"
	"github.com/coditect/platform/shared/functest"
)

const base = "/api/v1/projects/"

type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Open(t, projects.Open), e.Tenant(t)}
}

func (f *fixture) do(t *testing.T, who functest.Person, method, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: path, Token: who.Token, Body: body, Header: h})
}

func (f *fixture) create(t *testing.T, who functest.Person, name string) functest.Response {
	t.Helper()
	return f.do(t, who, http.MethodPost, base, map[string]any{"name": name}).Want(t, http.StatusCreated)
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

func TestLife(t *testing.T) {
	f := setup(t)
	made := f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "Apollo", "description": "Land."}).Want(t, http.StatusCreated)
	at := made.Header.Get("Location")
	if at != base+made.String(t, "id")+"/" {
		t.Errorf("Location %q", at)
	}
	if got := made.String(t, "owner.email"); got != f.owner.Email {
		t.Errorf("owner %q", got)
	}
	if made.String(t, "status") != "active" || made.Get(t, "task_counts.todo") != 0.0 || made.Get(t, "deleted_at") != nil {
		t.Errorf("a new project is %s", made.Body)
	}

	got := f.do(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK)
	if got.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("reading gives ETag %s, creating gave %s", got.Header.Get("ETag"), made.Header.Get("ETag"))
	}
	f.do(t, f.owner, http.MethodGet, at, nil, "If-None-Match", got.Header.Get("ETag")).Want(t, http.StatusNotModified)

	changed := f.do(t, f.owner, http.MethodPatch, at, map[string]any{"name": "Apollo 11"}).Want(t, http.StatusOK)
	if changed.String(t, "name") != "Apollo 11" || changed.String(t, "description") != "Land." {
		t.Errorf("a patch gave %s", changed.Body)
	}
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"name": "Late"}, "If-Match", got.Header.Get("ETag")).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	same := f.do(t, f.owner, http.MethodPatch, at, map[string]any{"name": "Apollo 11"}, "If-Match", changed.Header.Get("ETag")).Want(t, http.StatusOK)
	if same.Header.Get("ETag") != changed.Header.Get("ETag") {
		t.Error("a patch that changes nothing made a new version")
	}
	replaced := f.do(t, f.owner, http.MethodPut, at, map[string]any{"name": "Gemini"}).Want(t, http.StatusOK)
	if replaced.String(t, "description") != "" {
		t.Errorf("PUT kept what was left out: %s", replaced.Body)
	}

	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodGet, at, nil).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNotFound)
	back := f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
	if back.String(t, "name") != "Gemini" || back.Get(t, "deleted_at") != nil || back.String(t, "status") != "active" {
		t.Errorf("restored as %s", back.Body)
	}
	f.do(t, f.owner, http.MethodPost, at+"restore/", nil).WantCode(t, http.StatusConflict, "not_deleted")

	var actions []string
	var count int
	f.Scan(t, `select count(*), array_agg(action order by created_at) from app.activity where object_id = $1`, []any{made.String(t, "id")}, &count, &actions)
	if got := strings.Join(actions, " "); got != "created updated updated deleted restored" {
		t.Errorf("activity: %s", got)
	}
}
