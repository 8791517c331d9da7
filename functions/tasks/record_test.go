package tasks_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// TestActivity holds what each operation leaves behind: who, what, from what to
// what, under which request; and nothing where nothing changed.
func TestActivity(t *testing.T) {
	f := setup(t)
	actor := f.Member(t, f.owner.TenantID, "admin")
	var at string
	for _, step := range []struct {
		name, method, suffix string
		body                 any
		action, changes      string
	}{
		{"create", http.MethodPost, "", map[string]any{"title": "A", "description": "d", "due_date": "2026-12-24", "assignee_id": actor.UserID}, "created",
			`{"title":{"old":null,"new":"A"},"description":{"old":null,"new":"d"},"status":{"old":null,"new":"todo"},"priority":{"old":null,"new":"medium"},
			  "due_date":{"old":null,"new":"2026-12-24"},"assignee_id":{"old":null,"new":"` + actor.UserID.String() + `"}}`},
		{"same again", http.MethodPatch, "", map[string]any{"title": "A", "due_date": "2026-12-24", "assignee_id": actor.UserID}, "", ""},
		{"nothing", http.MethodPatch, "", map[string]any{}, "", ""},
		{"patch", http.MethodPatch, "", map[string]any{"status": "done", "priority": "high"}, "updated", `{"status":{"old":"todo","new":"done"},"priority":{"old":"medium","new":"high"}}`},
		{"clear", http.MethodPatch, "", map[string]any{"due_date": nil, "assignee_id": nil}, "updated",
			`{"due_date":{"old":"2026-12-24","new":null},"assignee_id":{"old":"` + actor.UserID.String() + `","new":null}}`},
		{"put", http.MethodPut, "", map[string]any{"title": "B", "status": "done", "priority": "high"}, "updated", `{"title":{"old":"A","new":"B"},"description":{"old":"d","new":""}}`},
		{"refused", http.MethodPatch, "", map[string]any{"assignee_id": ids.New()}, "", ""},
		{"delete", http.MethodDelete, "", nil, "deleted", `{"deleted":{"old":false,"new":true}}`},
		{"delete again", http.MethodDelete, "", nil, "", ""},
		{"restore", http.MethodPost, "restore/", nil, "restored", `{"deleted":{"old":true,"new":false}}`},
		{"restore again", http.MethodPost, "restore/", nil, "", ""},
	} {
		request := "r-" + strings.ReplaceAll(step.name, " ", "-")
		path := at + step.suffix
		if at == "" {
			path = f.project
		}
		got := f.do(t, actor, step.method, path, step.body, "X-Request-Id", request)
		if at == "" {
			at = got.Header.Get("Location")
		}
		if got.Header.Get("X-Request-Id") != request {
			t.Errorf("%s: the request id came back as %q", step.name, got.Header.Get("X-Request-Id"))
		}
		if n := f.count(t, `select count(*) from app.activity where request_id = $1`, request); step.action == "" {
			if n != 0 {
				t.Errorf("%s left %d rows", step.name, n)
			}
			continue
		} else if n != 1 {
			t.Fatalf("%s left %d rows (%s)", step.name, n, got.Body)
		}
		var action, model, object, changes string
		var user, tenant ids.ID
		f.Scan(t, `select action, model, object_id::text, user_id, tenant_id, changes::text from app.activity where request_id = $1`, []any{request}, &action, &model, &object, &user, &tenant, &changes)
		if action != step.action || model != "Task" || !strings.Contains(at, object) || user != actor.UserID || tenant != actor.TenantID {
			t.Errorf("%s: %s %s %s by %s of %s", step.name, action, model, object, user, tenant)
		}
		var have, want any
		if json.Unmarshal([]byte(changes), &have) != nil || json.Unmarshal([]byte(step.changes), &want) != nil || !reflect.DeepEqual(have, want) {
			t.Errorf("%s: changes %s, want %s", step.name, changes, step.changes)
		}
	}
}

// TestIdempotency holds that a task is made once for a key, with its activity
// and its message, and that a refusal is kept.
func TestIdempotency(t *testing.T) {
	f := setup(t)
	post := func(path, key string, body any) functest.Response {
		return f.do(t, f.owner, http.MethodPost, path, body, "Idempotency-Key", key)
	}
	body := map[string]any{"title": "Once", "assignee_id": f.Member(t, f.owner.TenantID, "member").UserID}
	first := post(f.project, "k", body).Want(t, http.StatusCreated)
	again := post(f.project, "k", body).Want(t, http.StatusCreated)
	if string(again.Body) != string(first.Body) || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the repeat is another answer: %s, %s", again.Body, first.Body)
	}
	if first.Header.Get("X-Coditect-Outbox") != "1" || again.Header.Get("X-Coditect-Outbox") != "" {
		t.Errorf("outbox %q, of the repeat %q", first.Header.Get("X-Coditect-Outbox"), again.Header.Get("X-Coditect-Outbox"))
	}
	for table, want := range map[string]int{"tasks": 1, "activity": 1, "outbox": 1} {
		if n := f.count(t, `select count(*) from app.`+table); n != want {
			t.Errorf("%d rows of %s", n, table)
		}
	}
	post(f.project, "k", map[string]any{"title": "Twice"}).WantCode(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
	second := f.newProject(t, f.owner)
	if post(second, "k", body).Want(t, http.StatusCreated).String(t, "id") == first.String(t, "id") {
		t.Error("another project's path gave the first one's answer")
	}

	// A refusal stays, though its reason goes: by constraint, by rule, by absence.
	who := f.Member(t, f.owner.TenantID, "viewer")
	held := map[string]any{"title": "x", "assignee_id": who.UserID}
	post(f.project, "k2", held).WantCode(t, http.StatusUnprocessableEntity, "not_assignable")
	f.SQL(t, `update app.memberships set role = 'member' where user_id = $1`, who.UserID)
	if got := post(f.project, "k2", held).WantCode(t, http.StatusUnprocessableEntity, "not_assignable"); got.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("the refusal is not the first one's")
	}
	post(f.project, "k3", held).Want(t, http.StatusCreated)
	f.SQL(t, `update app.projects set status = 'archived' where id = $1`, projectID(second))
	post(second, "k4", body).WantCode(t, http.StatusConflict, "project_archived")
	f.SQL(t, `update app.projects set status = 'active' where id = $1`, projectID(second))
	post(second, "k4", body).WantCode(t, http.StatusConflict, "project_archived")
	if n := f.count(t, `select count(*) from app.tasks`); n != 3 {
		t.Errorf("%d tasks", n)
	}
}

// TestKeyInFlight holds that a key is busy while its first request is.
func TestKeyInFlight(t *testing.T) {
	f := setup(t)
	lock := f.Database.Owner(t)
	ctx := t.Context()
	if _, err := lock.Exec(ctx, `begin; select 1 from app.projects where tenant_id = '`+f.owner.TenantID.String()+`' for update`); err != nil {
		t.Fatal(err)
	}
	first := make(chan functest.Response, 1)
	go func() {
		first <- f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "x"}, "Idempotency-Key", "k")
	}()
	for deadline := time.Now().Add(10 * time.Second); f.count(t, `select count(*) from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.objsubid = 1 and a.datname = current_database()`) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the first request never had the key")
		}
	}
	f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "x"}, "Idempotency-Key", "k").WantCode(t, http.StatusConflict, "idempotency_in_progress")
	f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "other"}, "Idempotency-Key", "k").WantCode(t, http.StatusConflict, "idempotency_in_progress")
	if _, err := lock.Exec(ctx, `rollback`); err != nil {
		t.Fatal(err)
	}
	made := (<-first).Want(t, http.StatusCreated)
	if again := f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": "x"}, "Idempotency-Key", "k").Want(t, http.StatusCreated); again.String(t, "id") != made.String(t, "id") {
		t.Error("the busy answer was kept in place of the first one's")
	}
}
