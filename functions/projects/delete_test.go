package projects_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

// holding makes what a project holds: three tasks, each with a comment and an
// attachment, one of each gone before the project is.
func (f *fixture) holding(t *testing.T, project string) {
	t.Helper()
	who := f.owner
	for _, title := range []string{"kept", "gone before", "with parts gone before"} {
		task, earlier := ids.New(), ids.New()
		f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, status) values ($1, $2, $3, $4, $5, 'done')`, who.TenantID, task, project, title, who.UserID)
		f.SQL(t, `insert into app.comments (tenant_id, id, task_id, author_id, content) values ($1, $2, $3, $4, $5)`, who.TenantID, ids.New(), task, who.UserID, title)
		f.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key) values ($1, $2, $3, $4, $5, 1, 'text/plain', 'k')`,
			who.TenantID, ids.New(), task, who.UserID, title)
		if title == "gone before" {
			f.SQL(t, `update app.tasks set deleted_at = now(), deletion_id = $2 where id = $1`, task, earlier)
		}
		if title != "kept" {
			f.SQL(t, `update app.comments set deleted_at = now(), deletion_id = $2 where task_id = $1`, task, earlier)
			f.SQL(t, `update app.attachments set deleted_at = now(), deletion_id = $2 where task_id = $1`, task, earlier)
		}
	}
}

// state is what is alive in a project, and what each row's version is.
func (f *fixture) state(t *testing.T, project string) string {
	t.Helper()
	var s []string
	f.Scan(t, `select array_agg(k || ':' || name || case when gone then '-' else '+' end order by k, name) from (
			select 'task' as k, title as name, deleted_at is not null as gone from app.tasks where project_id = $1
			union all select 'comment', c.content, c.deleted_at is not null from app.comments c join app.tasks t on t.tenant_id = c.tenant_id and t.id = c.task_id where t.project_id = $1
			union all select 'file', a.filename, a.deleted_at is not null from app.attachments a join app.tasks t on t.tenant_id = a.tenant_id and t.id = a.task_id where t.project_id = $1) x`, []any{project}, &s)
	return strings.Join(s, " ")
}

// TestRestoreBringsBackWhatTheDeletionTook and nothing that was gone before.
func TestRestoreBringsBackWhatTheDeletionTook(t *testing.T) {
	f := setup(t)
	made, neighbour := f.create(t, f.owner, "Apollo"), f.create(t, f.owner, "Neighbour").String(t, "id")
	project, at := made.String(t, "id"), made.Header.Get("Location")
	f.holding(t, project)
	f.holding(t, neighbour)
	before, beside := f.state(t, project), f.state(t, neighbour)

	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	if s := f.state(t, project); strings.Contains(s, "+") {
		t.Errorf("left alive: %s", s)
	}
	if s := f.state(t, neighbour); s != beside {
		t.Errorf("the neighbour lost something: %s", s)
	}
	var deletions, versions int
	f.Scan(t, `select count(distinct deletion_id), max(version) from (
			select deletion_id, version from app.projects where id = $1 union all
			select deletion_id, version from app.tasks where project_id = $1 and title <> 'gone before') x`, []any{project}, &deletions, &versions)
	if deletions != 1 || versions != 2 {
		t.Errorf("%d deletions and version %d, want one deletion that raised each version once", deletions, versions)
	}

	back := f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
	if s := f.state(t, project); s != before {
		t.Errorf("restored as %s, was %s", s, before)
	}
	if back.Get(t, "task_counts.done") != 2.0 {
		t.Errorf("counts of the restored project: %s", back.Body)
	}
	if got := f.do(t, f.owner, http.MethodGet, at, nil); got.Header.Get("ETag") != back.Header.Get("ETag") {
		t.Error("reading gives another ETag than restoring")
	}
	// A second deletion is another one.
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK)
	if s := f.state(t, project); s != before {
		t.Errorf("restored again as %s", s)
	}
}

func TestArchived(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "Apollo").Header.Get("Location")
	archive := map[string]any{"status": "archived"}
	got := f.do(t, f.owner, http.MethodPatch, at, archive).Want(t, http.StatusOK)
	if got.String(t, "status") != "archived" {
		t.Fatalf("status %s", got.Body)
	}
	if again := f.do(t, f.owner, http.MethodPatch, at, archive).Want(t, http.StatusOK); again.Header.Get("ETag") != got.Header.Get("ETag") {
		t.Error("archiving twice made a new version")
	}
	for _, body := range []map[string]any{{"name": "x"}, {"description": "x"}, {"name": "x", "status": "archived"}} {
		f.do(t, f.owner, http.MethodPatch, at, body).WantCode(t, http.StatusConflict, "project_archived")
	}
	f.do(t, f.owner, http.MethodPut, at, map[string]any{"name": "x", "status": "archived"}).WantCode(t, http.StatusConflict, "project_archived")
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"name": "x"}, "If-Match", `"1.x"`).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")

	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	if got := f.do(t, f.owner, http.MethodPost, at+"restore/", nil).Want(t, http.StatusOK); got.String(t, "status") != "archived" {
		t.Errorf("an archived project is restored as %s", got.Body)
	}
	if got := f.do(t, f.owner, http.MethodPut, at, map[string]any{"name": "Gemini"}).Want(t, http.StatusOK); got.String(t, "status") != "active" {
		t.Errorf("PUT without a status gave %s", got.Body)
	}
	f.do(t, f.owner, http.MethodPatch, at, archive).Want(t, http.StatusOK)
	if got := f.do(t, f.owner, http.MethodPatch, at, map[string]any{"status": "active", "name": "Back"}).Want(t, http.StatusOK); got.String(t, "name") != "Back" {
		t.Errorf("activated and renamed at once: %s", got.Body)
	}
}

// TestRacingDeletions holds that of several deletions, or restores, one wins
// and the others are told.
func TestRacingDeletions(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "Apollo").Header.Get("Location")
	for _, op := range []struct {
		method, path string
		won, lost    int
	}{{http.MethodDelete, at, 204, 404}, {http.MethodPost, at + "restore/", 200, 409}} {
		var mu sync.Mutex
		var wait sync.WaitGroup
		seen := map[int]int{}
		for range 5 {
			wait.Go(func() {
				s := f.do(t, f.owner, op.method, op.path, nil).Status
				mu.Lock()
				seen[s]++
				mu.Unlock()
			})
		}
		wait.Wait()
		if seen[op.won] != 1 || seen[op.lost] != 4 {
			t.Errorf("%s: %v", op.method, seen)
		}
	}
}

// TestCounts holds that counts follow tasks, without deleted ones.
func TestCounts(t *testing.T) {
	f := setup(t)
	made := f.create(t, f.owner, "Apollo")
	for _, status := range []string{"todo", "todo", "todo", "in_progress", "in_progress", "done"} {
		f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, status) values ($1, $2, $3, 'x', $4, $5)`,
			f.owner.TenantID, ids.New(), made.String(t, "id"), f.owner.UserID, status)
	}
	f.SQL(t, `update app.tasks set deleted_at = now(), deletion_id = id where id in (select id from app.tasks where status = 'todo' limit 1)`)
	f.SQL(t, `call app.recount_tasks()`) // these were written past the functions
	f.create(t, f.owner, "Empty")
	got := f.do(t, f.owner, http.MethodGet, made.Header.Get("Location"), nil)
	if got.Get(t, "task_counts.todo") != 2.0 || got.Get(t, "task_counts.in_progress") != 2.0 || got.Get(t, "task_counts.done") != 1.0 {
		t.Errorf("counts %s", got.Body)
	}
	if got.Header.Get("ETag") == made.Header.Get("ETag") {
		t.Error("other counts have the same ETag")
	}
	list := f.do(t, f.owner, http.MethodGet, base+"?ordering=created_at", nil)
	if list.Get(t, "results.0.task_counts.todo") != 2.0 || list.Get(t, "results.1.task_counts.todo") != 0.0 {
		t.Errorf("counts in the list: %s", list.Body)
	}
	// A write answers what a read would.
	changed := f.do(t, f.owner, http.MethodPatch, made.Header.Get("Location"), map[string]any{"name": "Gemini"}).Want(t, http.StatusOK)
	if read := f.do(t, f.owner, http.MethodGet, made.Header.Get("Location"), nil); string(read.Body) != string(changed.Body) {
		t.Errorf("PATCH answered %s, GET %s", changed.Body, read.Body)
	}
}

// Files that go and come back with their project are counted so; those that
// were gone before, or of another project, are not.
func TestStorageFollowsTheProject(t *testing.T) {
	f := setup(t)
	made, neighbour := f.create(t, f.owner, "Apollo"), f.create(t, f.owner, "Neighbour").String(t, "id")
	f.holding(t, made.String(t, "id"))
	f.holding(t, neighbour)
	f.SQL(t, `update app.attachments set status = 'ready', ready_at = now(), size = 7`)
	alive := f.count(t, `select count(*) from app.attachments a join app.tasks t on t.tenant_id = a.tenant_id and t.id = a.task_id
		where t.project_id = $1 and a.deleted_at is null`, made.String(t, "id"))
	used := func() int { return f.count(t, `select coalesce(sum(quantity), 0) from app.usage_records`) }
	f.do(t, f.owner, http.MethodDelete, made.Header.Get("Location"), nil).Want(t, http.StatusNoContent)
	if n := used(); alive == 0 || n != -7*alive {
		t.Errorf("%d bytes after the deletion of %d files", n, alive)
	}
	f.do(t, f.owner, http.MethodPost, made.Header.Get("Location")+"restore/", nil).Want(t, http.StatusOK)
	if n := used(); n != 0 {
		t.Errorf("%d bytes after the restoration", n)
	}
}
