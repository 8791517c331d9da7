package tasks_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

func TestAssign(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "a")
	ann, viewer := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "viewer")
	given := f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{"user_id": f.owner.UserID}, "X-Request-Id", "give").Want(t, http.StatusOK)
	if given.String(t, "assignee.email") != f.owner.Email || given.String(t, "assignee.first_name") != "Test" {
		t.Errorf("assigned: %s", given.Body)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'give' and changes->'assignee_id'->>'new' = $1`, f.owner.UserID.String()); n != 1 {
		t.Error("no activity")
	}
	mails := func() int {
		return f.count(t, `select count(*) from app.outbox where kind = 'mail.task_assigned' and payload->>'task_id' = $1`, strings.Split(at, "/")[4])
	}
	if n := mails(); n != 1 {
		t.Errorf("%d mails to the assignee", n)
	}
	// The same again changes nothing; what one gives oneself is no news.
	f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{"user_id": f.owner.UserID}, "If-Match", given.Header.Get("ETag")).Want(t, http.StatusOK)
	f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{"user_id": ann.UserID}).Want(t, http.StatusOK)
	if n := mails(); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
	if got := f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{"user_id": nil}).Want(t, http.StatusOK); got.Get(t, "assignee") != nil {
		t.Errorf("given to nobody: %s", got.Body)
	}
	gone := f.Member(t, f.owner.TenantID, "member")
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, gone.UserID)
	for _, id := range []ids.ID{viewer.UserID, gone.UserID, ids.New(), f.Tenant(t).UserID} {
		if r := f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{"user_id": id}).WantCode(t, http.StatusUnprocessableEntity, "not_assignable"); r.String(t, "errors.0.location") != "body.user_id" {
			t.Errorf("fault at %s", r.Body)
		}
	}
	f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{}).Want(t, http.StatusUnprocessableEntity)
	f.do(t, ann, http.MethodPost, at+"assign/", map[string]any{"user_id": ann.UserID}, "If-Match", given.Header.Get("ETag")).Want(t, http.StatusPreconditionFailed)
	f.do(t, viewer, http.MethodPost, at+"assign/", map[string]any{"user_id": nil}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, f.Tenant(t), http.MethodPost, at+"assign/", map[string]any{"user_id": nil}).Want(t, http.StatusNotFound)
}

func TestBulk(t *testing.T) {
	f := setup(t)
	ann := f.Member(t, f.owner.TenantID, "member")
	path := f.project + "bulk/"
	many := make([]map[string]any, 500)
	for i := range many {
		many[i] = map[string]any{"title": fmt.Sprint("t", i), "status": []string{"todo", "in_progress", "done"}[i%3]}
		if i%100 == 0 {
			many[i]["assignee_id"] = ann.UserID
			many[i]["due_date"] = "2027-01-31"
		}
	}
	made := f.do(t, f.owner, http.MethodPost, path, map[string]any{"tasks": many}, "Idempotency-Key", "k", "X-Request-Id", "bulk").Want(t, http.StatusCreated)
	var list struct {
		Results []struct {
			ID, Title, Status string
			DueDate           *string `json:"due_date"`
			Assignee          *struct{ Email string }
		}
	}
	made.Into(t, &list)
	if len(list.Results) != 500 {
		t.Fatalf("%d tasks", len(list.Results))
	}
	for i, r := range list.Results {
		if r.Title != many[i]["title"] || r.Status != many[i]["status"] || (r.Assignee != nil) != (i%100 == 0) || r.Assignee != nil && (r.Assignee.Email != ann.Email || *r.DueDate != "2027-01-31") {
			t.Fatalf("task %d is %+v", i, r)
		}
	}
	one := f.do(t, f.owner, http.MethodGet, base+list.Results[100].ID+"/", nil).Want(t, http.StatusOK)
	if one.String(t, "title") != "t100" || one.String(t, "created_at") != made.String(t, "results.100.created_at") {
		t.Errorf("read: %s", one.Body)
	}
	counted := func() string {
		var todo, doing, done int
		f.Scan(t, `select coalesce(sum(todo), 0), coalesce(sum(in_progress), 0), coalesce(sum(done), 0) from app.project_task_counts where project_id = $1`,
			[]any{projectID(f.project)}, &todo, &doing, &done)
		return fmt.Sprint(todo, doing, done)
	}
	if got := counted(); got != "167 167 166" {
		t.Errorf("counted as %s", got)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'bulk' and model = 'Task' and action = 'created'`); n != 500 {
		t.Errorf("%d rows of activity", n)
	}
	if n := f.count(t, `select count(*) from app.outbox where kind = 'mail.task_assigned'`); n != 5 {
		t.Errorf("%d mails", n)
	}
	f.do(t, f.owner, http.MethodPost, path, map[string]any{"tasks": many}, "Idempotency-Key", "k").Want(t, http.StatusCreated)
	// All or nothing.
	viewer := f.Member(t, f.owner.TenantID, "viewer")
	for name, c := range map[string]struct {
		tasks    []map[string]any
		location string
	}{
		"a viewer":    {[]map[string]any{{"title": "a"}, {"title": "b", "assignee_id": viewer.UserID}}, "body.tasks"},
		"a stranger":  {[]map[string]any{{"title": "a", "assignee_id": ann.UserID}, {"title": "b", "assignee_id": ids.New()}}, "body.tasks"},
		"no title":    {[]map[string]any{{"title": "a"}, {"title": ""}}, "body.tasks[1].title"},
		"no such day": {[]map[string]any{{"title": "a"}, {"title": "b", "due_date": "0000-01-01"}}, "body.tasks[1].due_date"},
		"none":        {[]map[string]any{}, "body.tasks"},
		"too many":    {slices.Concat(many, many[:1]), "body.tasks"},
	} {
		r := f.do(t, f.owner, http.MethodPost, path, map[string]any{"tasks": c.tasks})
		if r.Status != http.StatusUnprocessableEntity || r.String(t, "errors.0.location") != c.location {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	if n := f.count(t, `select count(*) from app.tasks`); n != 500 || counted() != "167 167 166" {
		t.Errorf("%d tasks, counted as %s, after refusals", n, counted())
	}
	f.do(t, viewer, http.MethodPost, path, map[string]any{"tasks": many[:1]}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, f.Tenant(t), http.MethodPost, path, map[string]any{"tasks": []map[string]any{{"title": "x"}}}).Want(t, http.StatusNotFound)
	f.SQL(t, `update app.projects set status = 'archived' where id = $1`, projectID(f.project))
	f.do(t, f.owner, http.MethodPost, path, map[string]any{"tasks": []map[string]any{{"title": "x"}}}).WantCode(t, http.StatusConflict, "project_archived")
}
