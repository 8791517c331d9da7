package tasks_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

// TestValidation holds every rule of every body, at its border and one beyond.
func TestValidation(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "Land")
	long := func(n int) string { return strings.Repeat("é", n) }
	with := func(name string, value any) map[string]any { return map[string]any{"title": "x", name: value} }
	type rule struct {
		name  string
		body  any
		fault string // the location that the answer names; "" where all is well
		patch bool   // PATCH takes it all the same
	}
	rules := []rule{
		{name: "shortest title", body: with("title", "x")},
		{name: "longest title, in characters", body: with("title", long(255))},
		{name: "title too long", body: with("title", long(256)), fault: "body.title"},
		{name: "empty title", body: with("title", ""), fault: "body.title"},
		{name: "no title", body: map[string]any{"status": "done"}, fault: "body.title", patch: true},
		{name: "null title", body: with("title", nil), fault: "body.title"},
		{name: "title of another type", body: with("title", true), fault: "body.title"},
		{name: "longest description", body: with("description", long(50_000))},
		{name: "description too long", body: with("description", long(50_001)), fault: "body.description"},
		{name: "null description", body: with("description", nil), fault: "body.description"},
		{name: "description of another type", body: with("description", 1), fault: "body.description"},
		{name: "unknown status", body: with("status", "blocked"), fault: "body.status"},
		{name: "empty status", body: with("status", ""), fault: "body.status"},
		{name: "status in capitals", body: with("status", "TODO"), fault: "body.status"},
		{name: "null status", body: with("status", nil), fault: "body.status"},
		{name: "unknown priority", body: with("priority", "urgent"), fault: "body.priority"},
		{name: "empty priority", body: with("priority", ""), fault: "body.priority"},
		{name: "null priority", body: with("priority", nil), fault: "body.priority"},
		{name: "null due date", body: with("due_date", nil)},
		{name: "the first day", body: with("due_date", "0001-01-01")},
		{name: "the last day", body: with("due_date", "9999-12-31")},
		{name: "a leap day", body: with("due_date", "2028-02-29")},
		{name: "the year 0", body: with("due_date", "0000-01-01"), fault: "body.due_date"},
		{name: "February 30", body: with("due_date", "2026-02-30"), fault: "body.due_date"},
		{name: "no leap day", body: with("due_date", "2026-02-29"), fault: "body.due_date"},
		{name: "month 13", body: with("due_date", "2026-13-01"), fault: "body.due_date"},
		{name: "the year 10000", body: with("due_date", "10000-01-01"), fault: "body.due_date"},
		{name: "a time", body: with("due_date", "2026-12-24T00:00:00Z"), fault: "body.due_date"},
		{name: "an empty day", body: with("due_date", ""), fault: "body.due_date"},
		{name: "a word for a day", body: with("due_date", "infinity"), fault: "body.due_date"},
		{name: "another form of a day", body: with("due_date", "24.12.2026"), fault: "body.due_date"},
		{name: "a number for a day", body: with("due_date", 20261224), fault: "body.due_date"},
		{name: "assignee", body: with("assignee_id", f.owner.UserID)},
		{name: "null assignee", body: with("assignee_id", nil)},
		{name: "assignee without a form", body: with("assignee_id", "me"), fault: "body.assignee_id"},
		{name: "empty assignee", body: with("assignee_id", ""), fault: "body.assignee_id"},
		{name: "assignee of another type", body: with("assignee_id", 7), fault: "body.assignee_id"},
		{name: "nobody's id", body: with("assignee_id", ids.Nil), fault: "body.assignee_id"},
		{name: "unknown member", body: with("colour", "red"), fault: "body.colour"},
		{name: "the project is in the path", body: with("project_id", ids.New()), fault: "body.project_id"},
		{name: "the creator is not the client's to set", body: with("created_by", ids.New()), fault: "body.created_by"},
		{name: "an array", body: `[]`, fault: "body"},
		{name: "null", body: `null`, fault: "body"},
	}
	for _, s := range []string{"todo", "in_progress", "done"} {
		rules = append(rules, rule{name: "status " + s, body: with("status", s)})
	}
	for _, p := range []string{"low", "medium", "high"} {
		rules = append(rules, rule{name: "priority " + p, body: with("priority", p)})
	}
	for _, r := range rules {
		for method, well := range map[string]int{http.MethodPost: 201, http.MethodPut: 200, http.MethodPatch: 200} {
			t.Run(method+" "+r.name, func(t *testing.T) {
				t.Parallel()
				path, want := at, well
				if method == http.MethodPost {
					path = f.project
				}
				if r.fault != "" && !(r.patch && method == http.MethodPatch) {
					want = http.StatusUnprocessableEntity
				}
				got := f.do(t, f.owner, method, path, r.body).Want(t, want)
				if want == http.StatusUnprocessableEntity && !strings.Contains(string(got.Body), `"location":"`+r.fault) {
					t.Errorf("the answer does not name %s: %s", r.fault, got.Body)
				}
			})
		}
	}
	for name, body := range map[string]string{"not JSON": `{`, "trailing": `{"title":"x"}]`, "twice": `{"title":"x","title":"y"}`, "NUL": `{"title":"\u0000"}`, "no body": ``} {
		for method, path := range map[string]string{http.MethodPost: f.project, http.MethodPut: at, http.MethodPatch: at} {
			if got := f.do(t, f.owner, method, path, body); got.Status != http.StatusBadRequest {
				t.Errorf("%s %s: %d %s", method, name, got.Status, got.Body)
			}
		}
	}
}

// TestQueryFaults holds every parameter of both lists: a fault is 400.
func TestQueryFaults(t *testing.T) {
	f := setup(t)
	for _, query := range []string{
		"status=open", "status=", "status=todo&status=done", "priority=urgent", "priority=",
		"assignee=", "assignee=you", "assignee=7", "assignee={" + f.owner.UserID.String()[2:], "assignee=" + strings.Repeat("x", 37), "assignee=" + strings.Repeat("x", 36),
		"due_before=", "due_before=2026-02-30", "due_before=tomorrow", "due_before=0000-01-01", "due_before=2026-01-01T00:00:00Z",
		"due_after=", "due_after=2026-02-30", "due_after=0000-12-31", "due_after=-infinity", "search=0&due_after=0000-12-31",
		"search=" + strings.Repeat("x", 201), "search=%00",
		"page_size=0", "page_size=201", "page_size=x", "ordering=title", "ordering=due_date", "cursor=x", "owner=" + f.owner.UserID.String(), "colour=red", "include_deleted=true",
	} {
		for _, path := range []string{base, f.project} {
			if got := f.do(t, f.owner, http.MethodGet, path+"?"+query, nil); got.Status != http.StatusBadRequest {
				t.Errorf("%s?%s: %d %s", path, query, got.Status, got.Body)
			}
		}
	}
	for _, query := range []string{"", "?page_size=1", "?page_size=200", "?assignee=me", "?assignee=none", "?due_before=9999-12-31", "?due_after=0001-01-01", "?search="} {
		f.do(t, f.owner, http.MethodGet, base+query, nil).Want(t, http.StatusOK)
		f.do(t, f.owner, http.MethodGet, f.project+query, nil).Want(t, http.StatusOK)
	}
}

// TestAbsent holds that what is not there, what is another tenant's and what is
// no id look alike, for every operation.
func TestAbsent(t *testing.T) {
	f := setup(t)
	other := f.Tenant(t)
	theirs := f.newProject(t, other)
	foreign := f.do(t, other, http.MethodPost, theirs, map[string]any{"title": "Theirs"}).Want(t, http.StatusCreated).String(t, "id")
	body := map[string]any{"title": "x"}
	type op struct {
		method, path string
		body         any
	}
	var ops []op
	for _, id := range []string{foreign, ids.New().String(), ids.Nil.String(), "7", "%00", foreign[1:]} {
		at := base + id + "/"
		ops = append(ops, op{http.MethodGet, at, nil}, op{http.MethodPut, at, body}, op{http.MethodPatch, at, body}, op{http.MethodDelete, at, nil}, op{http.MethodPost, at + "restore/", nil})
	}
	gone := f.newProject(t, f.owner)
	f.SQL(t, `update app.projects set deleted_at = now(), deletion_id = id where id = $1`, projectID(gone))
	for _, path := range []string{theirs, gone, "/api/v1/projects/" + ids.New().String() + "/tasks/", "/api/v1/projects/x/tasks/"} {
		ops = append(ops, op{http.MethodGet, path, nil}, op{http.MethodGet, path + "?search=x", nil}, op{http.MethodPost, path, body})
	}
	for _, o := range ops {
		if got := f.do(t, f.owner, o.method, o.path, o.body); got.Status != http.StatusNotFound || got.String(t, "code") != "not_found" {
			t.Errorf("%s %s: %d %s", o.method, o.path, got.Status, got.Body)
		}
	}
	if n := f.count(t, `select count(*) from app.tasks`); n != 1 {
		t.Errorf("%d tasks", n)
	}
	if n := f.count(t, `select count(*) from app.tasks where version = 1 and title = 'Theirs' and deleted_at is null`); n != 1 {
		t.Error("another tenant's task was changed")
	}
}

func TestConditions(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "Land")
	tag := f.do(t, f.owner, http.MethodGet, at, nil).Header.Get("ETag")
	same := map[string]any{"title": "Land"}
	for name, tc := range map[string]struct {
		header string
		status int
	}{
		"the tag": {tag, 200}, "any": {"*", 200}, "weak": {"W/" + tag, 412}, "stale": {`"0.x"`, 412}, "foreign": {`"abc"`, 412}, "unreadable": {`x`, 400},
	} {
		for _, method := range []string{http.MethodPatch, http.MethodPut} {
			if got := f.do(t, f.owner, method, at, same, "If-Match", tc.header); got.Status != tc.status {
				t.Errorf("%s with If-Match %s: %d, want %d", method, name, got.Status, tc.status)
			}
		}
	}
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"title": "Landed"}, "If-Match", tag).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPatch, at, map[string]any{"title": "Late"}, "If-Match", tag).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	f.do(t, f.owner, http.MethodDelete, at, nil, "If-Match", tag).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	f.do(t, f.owner, http.MethodDelete, at, nil, "If-Match", `"2.x"`).Want(t, http.StatusNoContent)
}
