package projects_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

// TestValidation holds every rule of every body, at its border and one beyond.
func TestValidation(t *testing.T) {
	f := setup(t)
	at := f.create(t, f.owner, "Apollo").Header.Get("Location")
	type rule struct {
		name   string
		body   any
		status int    // of POST
		where  string // the location that the answer names
		write  int    // of PUT, when it differs
		patch  int    // of PATCH, when it differs
	}
	long := func(n int) string { return strings.Repeat("é", n) }
	for _, r := range []rule{
		{name: "shortest name", body: map[string]any{"name": "x"}, status: 201},
		{name: "longest name, in characters", body: map[string]any{"name": long(255)}, status: 201},
		{name: "name too long", body: map[string]any{"name": long(256)}, status: 422, where: "body.name"},
		{name: "empty name", body: map[string]any{"name": ""}, status: 422, where: "body.name"},
		{name: "no name", body: map[string]any{"description": "x"}, status: 422, where: "body.name", patch: 200},
		{name: "null name", body: map[string]any{"name": nil}, status: 422, where: "body.name"},
		{name: "name of another type", body: map[string]any{"name": 7}, status: 422, where: "body.name"},
		{name: "longest description", body: map[string]any{"name": "x", "description": long(50_000)}, status: 201},
		{name: "description too long", body: map[string]any{"name": "x", "description": long(50_001)}, status: 422, where: "body.description"},
		{name: "null description", body: map[string]any{"name": "x", "description": nil}, status: 422, where: "body.description"},
		{name: "description of another type", body: map[string]any{"name": "x", "description": []string{"y"}}, status: 422, where: "body.description"},
		{name: "unknown member", body: map[string]any{"name": "x", "colour": "red"}, status: 422, where: "body.colour"},
		{name: "the owner is not the client's to set", body: map[string]any{"name": "x", "owner_id": ids.New()}, status: 422, where: "body.owner_id"},
		{name: "known status", body: map[string]any{"name": "x", "status": "active"}, status: 422, where: "body.status", write: 200, patch: 200},
		{name: "status deleted", body: map[string]any{"name": "x", "status": "deleted"}, status: 422, where: "body.status"},
		{name: "unknown status", body: map[string]any{"name": "x", "status": "open"}, status: 422, where: "body.status"},
		{name: "empty status", body: map[string]any{"name": "x", "status": ""}, status: 422, where: "body.status"},
		{name: "null status", body: map[string]any{"name": "x", "status": nil}, status: 422, where: "body.status"},
		{name: "an array", body: `[]`, status: 422, where: "body"},
		{name: "a text", body: `"x"`, status: 422, where: "body"},
		{name: "null", body: `null`, status: 422, where: "body"},
		{name: "not JSON", body: `{"name":`, status: 400},
		{name: "trailing garbage", body: `{"name":"x"} x`, status: 400},
		{name: "a name twice", body: `{"name":"x","name":"y"}`, status: 400},
		{name: "NUL", body: `{"name":"a\u0000b"}`, status: 400},
		{name: "not UTF-8", body: "{\"name\":\"\xff\"}", status: 400},
		{name: "no body", body: ``, status: 400},
	} {
		for method, want := range map[string]int{
			http.MethodPost:  r.status,
			http.MethodPut:   or(r.write, ok(r.status)),
			http.MethodPatch: or(r.patch, ok(r.status)),
		} {
			t.Run(method+" "+r.name, func(t *testing.T) {
				t.Parallel()
				path := at
				if method == http.MethodPost {
					path = base
				}
				got := f.do(t, f.owner, method, path, r.body).Want(t, want)
				if want == http.StatusUnprocessableEntity && !strings.Contains(string(got.Body), `"location":"`+r.where) {
					t.Errorf("the answer does not name %s: %s", r.where, got.Body)
				}
			})
		}
	}
	var half int
	f.Scan(t, `select count(*) from app.projects p where not exists (
		select 1 from app.activity a where a.tenant_id = p.tenant_id and a.object_id = p.id and a.action = 'created')`, nil, &half)
	if half != 0 {
		t.Errorf("%d projects without activity", half)
	}
}

func or(n, other int) int {
	if n != 0 {
		return n
	}
	return other
}

// ok is what a change answers where creating answers status.
func ok(status int) int {
	if status == http.StatusCreated {
		return http.StatusOK
	}
	return status
}

// TestQueryFaults holds every parameter of the list: a fault is 400 and named.
func TestQueryFaults(t *testing.T) {
	f := setup(t)
	for query, code := range map[string]string{
		"status=open": "", "status=": "", "status=active&status=archived": "",
		"owner=me": "", "owner=7": "", "owner=": "", "owner={" + f.owner.UserID.String() + "}": "",
		"include_deleted=maybe": "", "include_deleted=": "",
		"search=" + strings.Repeat("x", 201): "",
		"page_size=0":                        "", "page_size=201": "", "page_size=-1": "", "page_size=x": "", "page_size=1.5": "", "page_size=99999999999999999999": "",
		"ordering=name": "invalid_ordering", "ordering=created_at,updated_at": "invalid_ordering", "ordering=--created_at": "invalid_ordering",
		"cursor=x": "invalid_cursor", "cursor=" + strings.Repeat("A", 128): "invalid_cursor", "cursor=" + strings.Repeat("A", 129): "",
		"colour=red": "", "assignee=me": "", "tenant_id=" + f.owner.TenantID.String(): "", "limit=1": "", "a%zz=1": "malformed_query", "search=%ff": "", "search=%00": "",
	} {
		t.Run(query[:min(len(query), 40)], func(t *testing.T) {
			t.Parallel()
			got := f.do(t, f.owner, http.MethodGet, base+"?"+query, nil).Want(t, http.StatusBadRequest)
			if code != "" {
				got.WantCode(t, http.StatusBadRequest, code)
			}
		})
	}
	for _, query := range []string{"", "?page_size=1", "?page_size=200", "?search=" + strings.Repeat("x", 200), "?include_deleted=false", "?search=%20", "?search="} {
		f.do(t, f.owner, http.MethodGet, base+query, nil).Want(t, http.StatusOK)
	}
}

// TestAbsent holds that what is not there, what is another tenant's and what is
// no id look alike, for every operation.
func TestAbsent(t *testing.T) {
	f := setup(t)
	other := f.Tenant(t)
	foreign := f.create(t, other, "Theirs").String(t, "id")
	deleted := f.create(t, f.owner, "Gone").String(t, "id")
	f.do(t, f.owner, http.MethodDelete, base+deleted+"/", nil).Want(t, http.StatusNoContent)
	var answers []string
	for _, id := range []string{foreign, ids.New().String(), ids.Nil.String(), "7", "x", "..%2f", "%00", foreign + "x", foreign[1:], deleted} {
		for _, op := range []struct {
			method, suffix string
			body           any
		}{
			{http.MethodGet, "", nil},
			{http.MethodPut, "", map[string]any{"name": "x"}},
			{http.MethodPatch, "", map[string]any{"name": "x"}},
			{http.MethodDelete, "", nil},
			{http.MethodPost, "restore/", nil},
		} {
			if id == deleted && op.suffix != "" {
				continue
			}
			got := f.do(t, f.owner, op.method, base+id+"/"+op.suffix, op.body)
			if got.Status != http.StatusNotFound {
				t.Errorf("%s of %s: %d %s", op.method, id, got.Status, got.Body)
				continue
			}
			answers = append(answers, got.String(t, "code")+got.String(t, "detail"))
		}
	}
	for _, a := range answers {
		if a != answers[0] && !strings.HasPrefix(a, "not_found") {
			t.Errorf("one absence differs from another: %q, %q", a, answers[0])
		}
	}
	if n := f.count(t, `select count(*) from app.projects where tenant_id = $1 and name = 'Theirs' and deleted_at is null`, other.TenantID); n != 1 {
		t.Error("another tenant's project was changed")
	}
}

// TestConditions holds If-Match and If-None-Match in every form.
func TestConditions(t *testing.T) {
	f := setup(t)
	made := f.create(t, f.owner, "Apollo")
	at, tag := made.Header.Get("Location"), made.Header.Get("ETag")
	for name, tc := range map[string]struct {
		header string
		status int
	}{
		"the tag": {tag, 304}, "any": {"*", 304}, "weak": {"W/" + tag, 304}, "in a list": {`"x", ` + tag, 304},
		"another": {`"1.x"`, 200}, "unreadable": {`x`, 200},
	} {
		if got := f.do(t, f.owner, http.MethodGet, at, nil, "If-None-Match", tc.header); got.Status != tc.status {
			t.Errorf("If-None-Match %s: %d, want %d", name, got.Status, tc.status)
		}
	}
	same := map[string]any{"name": "Apollo"}
	for name, tc := range map[string]struct {
		header string
		status int
	}{
		"the tag": {tag, 200}, "any": {"*", 200}, "the version under another hash": {`"1.x"`, 200}, "in a list": {`"9.x", ` + tag, 200},
		"weak": {"W/" + tag, 412}, "stale": {`"0.x"`, 412}, "later": {`"2.x"`, 412}, "foreign": {`"abc"`, 412}, "unreadable": {`x`, 400},
	} {
		for method, body := range map[string]any{http.MethodPatch: same, http.MethodPut: same} {
			if got := f.do(t, f.owner, method, at, body, "If-Match", tc.header); got.Status != tc.status {
				t.Errorf("%s with If-Match %s: %d, want %d: %s", method, name, got.Status, tc.status, got.Body)
			}
		}
	}
	f.do(t, f.owner, http.MethodDelete, at, nil, "If-Match", `"7.x"`).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	f.do(t, f.owner, http.MethodDelete, at, nil, "If-Match", `x`).WantCode(t, http.StatusBadRequest, "invalid_if_match")
	f.do(t, f.owner, http.MethodDelete, at, nil, "If-Match", tag).Want(t, http.StatusNoContent)
}

// TestRacingWritesLoseNothing lets many write on the version they saw: exactly
// one wins each round.
func TestTrapT45RacingWritesLoseNothing(t *testing.T) {
	f := setup(t)
	made := f.create(t, f.owner, "Apollo")
	at, tag := made.Header.Get("Location"), made.Header.Get("ETag")
	const writers = 6
	statuses := make(chan int, writers)
	for i := range writers {
		go func() {
			statuses <- f.do(t, f.owner, http.MethodPatch, at, map[string]any{"description": strings.Repeat("x", i+1)}, "If-Match", tag).Status
		}()
	}
	won := 0
	for range writers {
		switch s := <-statuses; s {
		case http.StatusOK:
			won++
		case http.StatusPreconditionFailed:
		default:
			t.Errorf("status %d", s)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won on one version", won)
	}
}
