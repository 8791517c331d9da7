package tasks_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

func TestComments(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "a") + "comments/"
	ann, admin := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "admin")
	manager, viewer := f.Member(t, f.owner.TenantID, "manager"), f.Member(t, f.owner.TenantID, "viewer")
	made := f.do(t, ann, http.MethodPost, at, map[string]any{"content": "Ünïcode <b>"}, "X-Request-Id", "say").Want(t, http.StatusCreated)
	if made.String(t, "content") != "Ünïcode <b>" || made.String(t, "user.email") != ann.Email || made.String(t, "task_id") != strings.Split(at, "/")[4] {
		t.Errorf("made: %s", made.Body)
	}
	path := made.Header.Get("Location")
	if path != "/api/v1/comments/"+made.String(t, "id")+"/" || made.Header.Get("ETag") == "" {
		t.Errorf("Location %q", path)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'say' and model = 'Comment' and action = 'created' and object_id = $1`, made.String(t, "id")); n != 1 {
		t.Error("no activity")
	}
	list := f.do(t, viewer, http.MethodGet, at, nil).Want(t, http.StatusOK)
	if list.String(t, "results.0.id") != made.String(t, "id") || list.String(t, "results.0.user.first_name") != "Test" {
		t.Errorf("listed: %s", list.Body)
	}

	// Who may change it: its author and administrators.
	for _, c := range []struct {
		who    functest.Person
		status int
	}{{manager, 403}, {viewer, 403}, {f.Tenant(t), 404}, {ann, 200}, {admin, 200}, {f.owner, 200}} {
		if r := f.do(t, c.who, http.MethodPatch, path, map[string]any{"content": "by " + c.who.Email}); r.Status != c.status {
			t.Errorf("%d, want %d: %s", r.Status, c.status, r.Body)
		}
	}
	f.do(t, ann, http.MethodPatch, path, map[string]any{"content": "x"}, "If-Match", made.Header.Get("ETag")).Want(t, http.StatusPreconditionFailed)
	before := f.count(t, `select count(*) from app.activity`)
	f.do(t, f.owner, http.MethodPatch, path, map[string]any{"content": "by " + f.owner.Email}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.activity`); n != before {
		t.Error("no change left activity")
	}
	f.do(t, manager, http.MethodDelete, path, nil).WantCode(t, http.StatusForbidden, "not_your_own")
	f.do(t, ann, http.MethodDelete, path, nil).Want(t, http.StatusNoContent)
	f.do(t, ann, http.MethodDelete, path, nil).Want(t, http.StatusNotFound)
	f.do(t, ann, http.MethodPatch, path, map[string]any{"content": "x"}).Want(t, http.StatusNotFound)
	if got := f.do(t, viewer, http.MethodGet, at, nil).Want(t, http.StatusOK); !strings.Contains(string(got.Body), `"results":[]`) {
		t.Errorf("a deleted comment is listed: %s", got.Body)
	}

	for _, body := range []string{`{"content": ""}`, `{}`, `{"content": null}`, `{"content": "` + strings.Repeat("x", 10001) + `"}`, `{"content": "x", "user": "y"}`} {
		f.do(t, ann, http.MethodPost, at, []byte(body)).Want(t, http.StatusUnprocessableEntity)
	}
	f.do(t, viewer, http.MethodPost, at, map[string]any{"content": "x"}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, ann, http.MethodPost, base+ids.New().String()+"/comments/", map[string]any{"content": "x"}).Want(t, http.StatusNotFound)
	f.do(t, f.Tenant(t), http.MethodGet, at, nil).Want(t, http.StatusNotFound)
}

// Comments go with their task, or with its project, and come back with it; an
// archived project takes none.
func TestCommentsFollowTheirTask(t *testing.T) {
	f := setup(t)
	task := f.create(t, f.owner, "a")
	say := func(text string) string {
		return f.do(t, f.owner, http.MethodPost, task+"comments/", map[string]any{"content": text}).Want(t, http.StatusCreated).Header.Get("Location")
	}
	kept, gone := say("kept"), say("gone before")
	f.do(t, f.owner, http.MethodDelete, gone, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodDelete, task, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodGet, task+"comments/", nil).Want(t, http.StatusNotFound)
	f.do(t, f.owner, http.MethodPost, task+"comments/", map[string]any{"content": "x"}).Want(t, http.StatusNotFound)
	f.do(t, f.owner, http.MethodPatch, kept, map[string]any{"content": "x"}).Want(t, http.StatusNotFound)
	f.do(t, f.owner, http.MethodPost, task+"restore/", nil).Want(t, http.StatusOK)
	if got := f.said(t, task+"comments/"); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("restored: %v", got)
	}
	f.SQL(t, `update app.projects set status = 'archived' where id = $1`, projectID(f.project))
	f.do(t, f.owner, http.MethodPost, task+"comments/", map[string]any{"content": "x"}).WantCode(t, http.StatusConflict, "project_archived")
	f.do(t, f.owner, http.MethodPatch, kept, map[string]any{"content": "x"}).WantCode(t, http.StatusConflict, "project_archived")
	f.do(t, f.owner, http.MethodDelete, kept, nil).WantCode(t, http.StatusConflict, "project_archived")
}

// said reads a list, page after page.
func (f *fixture) said(t *testing.T, path string) []string {
	t.Helper()
	var out []string
	for pages := 0; path != "" && pages < 50; pages++ {
		var list struct {
			Results []struct{ Content string }
			Next    *string
		}
		f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
		for _, r := range list.Results {
			out = append(out, r.Content)
		}
		path = ""
		if list.Next != nil {
			path = *list.Next
		}
	}
	return out
}

func TestCommentPages(t *testing.T) {
	f := setup(t)
	path := f.create(t, f.owner, "a") + "comments/"
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprint("c", i))
		f.do(t, f.owner, http.MethodPost, path, map[string]any{"content": want[i]}).Want(t, http.StatusCreated)
	}
	for _, size := range []int{1, 3, 7, 200} {
		if got := f.said(t, fmt.Sprintf("%s?page_size=%d&ordering=created_at", path, size)); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	slices.Reverse(want)
	if got := f.said(t, path); !slices.Equal(got, want) {
		t.Errorf("newest first: %v", got)
	}
	f.do(t, f.owner, http.MethodGet, path+"?status=todo", nil).Want(t, http.StatusBadRequest)
}
