package projects_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

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
		{"create", http.MethodPost, "", map[string]any{"name": "A", "description": "d"}, "created",
			`{"name":{"old":null,"new":"A"},"description":{"old":null,"new":"d"},"status":{"old":null,"new":"active"}}`},
		{"same again", http.MethodPatch, "", map[string]any{"name": "A", "description": "d", "status": "active"}, "", ""},
		{"nothing", http.MethodPatch, "", map[string]any{}, "", ""},
		{"patch", http.MethodPatch, "", map[string]any{"name": "B", "description": "d"}, "updated", `{"name":{"old":"A","new":"B"}}`},
		{"put", http.MethodPut, "", map[string]any{"name": "B"}, "updated", `{"description":{"old":"d","new":""}}`},
		{"archive", http.MethodPatch, "", map[string]any{"status": "archived"}, "updated", `{"status":{"old":"active","new":"archived"}}`},
		{"refused", http.MethodPatch, "", map[string]any{"name": "C"}, "", ""},
		{"delete", http.MethodDelete, "", nil, "deleted", `{"status":{"old":"archived","new":"deleted"}}`},
		{"delete again", http.MethodDelete, "", nil, "", ""},
		{"restore", http.MethodPost, "restore/", nil, "restored", `{"status":{"old":"deleted","new":"archived"}}`},
		{"restore again", http.MethodPost, "restore/", nil, "", ""},
	} {
		request := "r-" + strings.ReplaceAll(step.name, " ", "-")
		path := at + step.suffix
		if at == "" {
			path = base
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
		if action != step.action || model != "Project" || !strings.Contains(at, object) || user != actor.UserID || tenant != actor.TenantID {
			t.Errorf("%s: %s %s %s by %s of %s", step.name, action, model, object, user, tenant)
		}
		var have, want any
		if json.Unmarshal([]byte(changes), &have) != nil || json.Unmarshal([]byte(step.changes), &want) != nil || !reflect.DeepEqual(have, want) {
			t.Errorf("%s: changes %s, want %s", step.name, changes, step.changes)
		}
	}
}

// TestIdempotency holds everything a key promises.
func TestIdempotency(t *testing.T) {
	f := setup(t)
	post := func(who functest.Person, path, key string, body any) functest.Response {
		return f.do(t, who, http.MethodPost, path, body, "Idempotency-Key", key)
	}
	body := map[string]any{"name": "Once"}
	first := post(f.owner, base, "k", body).Want(t, http.StatusCreated)
	again := post(f.owner, base, "k", body).Want(t, http.StatusCreated)
	if string(again.Body) != string(first.Body) || again.Header.Get("Location") != first.Header.Get("Location") || again.Header.Get("ETag") != first.Header.Get("ETag") {
		t.Errorf("the repeat is another answer: %s, %s", again.Body, first.Body)
	}
	if first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("Idempotent-Replayed does not tell the repeat from the first")
	}
	if without := post(f.owner, strings.TrimSuffix(base, "/"), "k", body).Want(t, http.StatusCreated); without.String(t, "id") != first.String(t, "id") {
		t.Error("the path without its slash is another path")
	}
	post(f.owner, base, "k", map[string]any{"name": "Twice"}).WantCode(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
	if n := f.count(t, `select count(*) from app.projects`); n != 1 {
		t.Errorf("%d projects", n)
	}

	colleague, stranger := f.Member(t, f.owner.TenantID, "member"), f.Tenant(t)
	for name, who := range map[string]functest.Person{"another person": colleague, "another tenant": stranger} {
		if post(who, base, "k", body).Want(t, http.StatusCreated).String(t, "id") == first.String(t, "id") {
			t.Errorf("%s got the first one's answer", name)
		}
	}

	// Another path: the same key restores.
	at := first.Header.Get("Location")
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	post(f.owner, at+"restore/", "k", nil).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	if got := post(f.owner, at+"restore/", "k", nil).Want(t, http.StatusOK); got.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("restoring was repeated in earnest")
	}

	// A final refusal is repeated though its reason has gone.
	post(f.owner, at+"restore/", "k2", nil).Want(t, http.StatusOK)
	refused := post(f.owner, at+"restore/", "k3", nil).WantCode(t, http.StatusConflict, "not_deleted")
	f.do(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	repeated := post(f.owner, at+"restore/", "k3", nil).WantCode(t, http.StatusConflict, "not_deleted")
	if repeated.Header.Get("Idempotent-Replayed") != "true" || repeated.Header.Get("Content-Type") != refused.Header.Get("Content-Type") {
		t.Error("the refusal was not the first one's")
	}

	// After a day the key is new.
	f.SQL(t, `update app.idempotency_keys set expires_at = now() - interval '1 second' where key = 'k'`)
	if post(f.owner, base, "k", map[string]any{"name": "A day later"}).Want(t, http.StatusCreated).Header.Get("Idempotent-Replayed") != "" {
		t.Error("a key outlived its day")
	}
	if got := post(f.owner, base, "k", map[string]any{"name": "A day later"}).Want(t, http.StatusCreated); got.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("the renewed key was not kept")
	}

	for name, key := range map[string]string{"empty": "", "too long": strings.Repeat("x", 256)} {
		if got := post(f.owner, base, key, body); got.Status != http.StatusBadRequest {
			t.Errorf("a key that is %s: %d", name, got.Status)
		}
	}
	for _, key := range []string{strings.Repeat("x", 255), strings.Repeat("é", 255), " ", "a b'\"%"} {
		post(f.owner, base, key, body).Want(t, http.StatusCreated)
		if got := post(f.owner, base, key, body).Want(t, http.StatusCreated); got.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("key %q was not kept", key)
		}
	}
}

// TestOneOfManyRepeatsActs sends one request many times at once.
func TestOneOfManyRepeatsActs(t *testing.T) {
	f := setup(t)
	var mu sync.Mutex
	var wait sync.WaitGroup
	seen := map[int]int{}
	made := map[string]bool{}
	for range 8 {
		wait.Go(func() {
			got := f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "Once"}, "Idempotency-Key", "k")
			mu.Lock()
			defer mu.Unlock()
			seen[got.Status]++
			if got.Status == http.StatusCreated {
				made[got.String(t, "id")] = true
			} else if got.String(t, "code") != "idempotency_in_progress" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
	}
	wait.Wait()
	if seen[201] < 1 || seen[201]+seen[409] != 8 || len(made) != 1 {
		t.Errorf("%v, %d made", seen, len(made))
	}
	if n := f.count(t, `select count(*) from app.projects`); n != 1 {
		t.Errorf("%d projects", n)
	}
	if n := f.count(t, `select count(*) from app.activity`); n != 1 {
		t.Errorf("%d rows of activity", n)
	}
}
