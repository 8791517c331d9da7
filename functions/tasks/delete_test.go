package tasks_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

// parts gives a task two comments and two attachments, one of each gone.
func (f *fixture) parts(t *testing.T, at string) {
	t.Helper()
	task := strings.Split(at, "/")[4]
	for _, gone := range []bool{false, true} {
		deletion := "null, null"
		if gone {
			deletion = "now(), '" + ids.New().String() + "'"
		}
		f.SQL(t, `insert into app.comments (tenant_id, id, task_id, author_id, content, deleted_at, deletion_id) values ($1, $2, $3, $4, 'c', `+deletion+`)`,
			f.owner.TenantID, ids.New(), task, f.owner.UserID)
		f.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, deleted_at, deletion_id) values ($1, $2, $3, $4, 'f', 1, 'text/plain', 'k', `+deletion+`)`,
			f.owner.TenantID, ids.New(), task, f.owner.UserID)
	}
}

// alive counts what is left of a task's parts.
func (f *fixture) alive(t *testing.T, at string) int {
	t.Helper()
	return f.count(t, `select (select count(*) from app.comments where task_id = $1 and deleted_at is null)
		+ (select count(*) from app.attachments where task_id = $1 and deleted_at is null)`, strings.Split(at, "/")[4])
}

func TestRestoreBringsBackWhatTheDeletionTook(t *testing.T) {
	f := setup(t)
	at, neighbour := f.create(t, f.owner, "Land"), f.create(t, f.owner, "Neighbour")
	f.parts(t, at)
	f.parts(t, neighbour)
	for range 2 {
		f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
		if n := f.alive(t, at); n != 0 {
			t.Errorf("%d parts outlived their task", n)
		}
		if n := f.alive(t, neighbour); n != 2 {
			t.Errorf("the neighbour has %d parts left", n)
		}
		f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
		if n := f.alive(t, at); n != 2 {
			t.Errorf("%d parts came back, want 2", n)
		}
	}
}

// TestProjectState holds what a task may do while its project is archived or
// deleted.
func TestProjectState(t *testing.T) {
	f := setup(t)
	at, gone := f.create(t, f.owner, "Land"), f.create(t, f.owner, "Gone")
	f.do(t, f.owner, http.MethodDelete, gone, nil).Want(t, http.StatusNoContent)
	project := projectID(f.project)

	f.SQL(t, `update app.projects set status = 'archived' where id = $1`, project)
	f.do(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodGet, f.project, nil).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"title": "Land"}).Want(t, http.StatusOK) // changes nothing
	for _, op := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, f.project, map[string]any{"title": "x"}},
		{http.MethodPatch, at, map[string]any{"status": "done"}},
		{http.MethodPut, at, map[string]any{"title": "x"}},
		{http.MethodDelete, at, nil},
		{http.MethodPost, gone + "restore/", nil},
		{http.MethodPost, at + "restore/", nil},
	} {
		f.do(t, f.owner, op.method, op.path, op.body).WantCode(t, http.StatusConflict, "project_archived")
	}
	viewer := f.Member(t, f.owner.TenantID, "member")
	f.do(t, viewer, http.MethodDelete, at, nil).WantCode(t, http.StatusForbidden, "not_your_own")
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"title": "x"}, "If-Match", `"9.x"`).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")

	// The project's deletion takes the task; the task alone cannot come back.
	f.SQL(t, `update app.projects set deleted_at = now(), deletion_id = id, status = 'active' where id = $1`, project)
	f.SQL(t, `update app.tasks set deleted_at = now(), deletion_id = project_id where project_id = $1 and deleted_at is null`, project)
	f.do(t, f.owner, http.MethodPost, at+"restore/", nil).WantCode(t, http.StatusConflict, "project_deleted")
	f.do(t, f.owner, http.MethodPost, gone+"restore/", nil).WantCode(t, http.StatusConflict, "project_deleted")
	f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "x"}).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodGet, f.project, nil).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusNotFound)
	f.do(t, viewer, http.MethodPost, at+"restore/", nil).WantCode(t, http.StatusForbidden, "not_your_own")
}

// TestWritesRaceWithArchiving lets tasks be written while their project is
// archived again and again: no answer but those two, and no task after the fact.
func TestWritesRaceWithArchiving(t *testing.T) {
	f := setup(t)
	project := projectID(f.project)
	done := make(chan map[int]int)
	for range 3 {
		go func() {
			seen := map[int]int{}
			for range 15 {
				seen[f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "x"}).Status]++
			}
			done <- seen
		}()
	}
	for i := range 20 {
		status := []string{"archived", "active"}[i%2]
		f.SQL(t, `with p as (update app.projects set status = $2 where id = $1 returning id)
			insert into app.activity (tenant_id, id, action, model, object_id, changes) select $3, gen_random_uuid(), 'race', 'Project', id, '{}' from p`, project, status, f.owner.TenantID)
	}
	f.SQL(t, `update app.projects set status = 'archived' where id = $1`, project)
	n := f.count(t, `select count(*) from app.tasks`)
	for range 3 {
		for status := range <-done {
			if status != http.StatusCreated && status != http.StatusConflict {
				t.Errorf("status %d", status)
			}
		}
	}
	if after := f.count(t, `select count(*) from app.tasks`); after != n {
		t.Errorf("%d tasks were made in an archived project", after-n)
	}
}

// Files that go and come back with their task are counted so.
func TestStorageFollowsTheTask(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "a")
	id := strings.Split(at, "/")[4]
	f.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, status, ready_at)
		select $1, gen_random_uuid(), $2, $3, 'f', s, 'text/plain', 'k' || s, case when s < 100 then 'ready' else 'pending' end, case when s < 100 then now() end
		  from unnest(array[10, 20, 100]) s`, f.owner.TenantID, id, f.owner.UserID)
	used := func() int {
		return f.count(t, `select coalesce(sum(quantity), 0) from app.usage_records where metric = 'storage_bytes'`)
	}
	for range 2 {
		f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
		if n := used(); n != -30 {
			t.Errorf("%d bytes after the deletion", n)
		}
		f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
		if n := used(); n != 0 {
			t.Errorf("%d bytes after the restoration", n)
		}
	}
}
