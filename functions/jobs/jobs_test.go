package jobs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/jobs"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/standin/objects"
)

const (
	base    = "/api/v1/jobs/"
	exports = "/api/v1/exports/"
)

type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Open(t, jobs.Open), e.Tenant(t)}
}

func (f *fixture) do(t *testing.T, who functest.Person, method, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: path, Token: who.Token, Body: body, Header: h})
}

// job puts a job into the table as its worker would leave it.
func (f *fixture) job(t *testing.T, who functest.Person, kind, status string) ids.ID {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.jobs (tenant_id, id, kind, status, params, created_by, finished_at, started_at, progress, attempts)
		values ($1, $2, $3, $4, '{"format":"csv"}', $5, case when $4 in ('succeeded', 'failed', 'canceled') then now() end, now(), 40, 1)`,
		who.TenantID, id, kind, status, who.UserID)
	return id
}

// file gives a job its result.
func (f *fixture) file(t *testing.T, tenant, id ids.ID, content string, keep time.Duration) {
	t.Helper()
	cfg, err := config.Load[blob.Config](config.Map(f.Vars))
	if err != nil {
		t.Fatal(err)
	}
	store, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	key := blob.Key(tenant, "jobs", id.String(), "1", "report.csv")
	w, err := store.Create(t.Context(), key, "text/csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	f.SQL(t, `update app.jobs set status = 'succeeded', finished_at = now(), progress = 100, expires_at = now() + $3::interval,
		result = json_build_object('object_key', $4::text, 'filename', 'Apollo.csv', 'content_type', 'text/csv', 'bytes', $5::int, 'rows', 2) where tenant_id = $1 and id = $2`,
		tenant, id, keep, key, len(content))
}

func TestExport(t *testing.T) {
	f := setup(t)
	made := f.do(t, f.owner, http.MethodPost, exports, map[string]any{"format": "json"}, "Idempotency-Key", "k").Want(t, http.StatusAccepted)
	id := made.String(t, "id")
	if got := made.Header.Get("Location"); got != base+id+"/" {
		t.Errorf("Location %q", got)
	}
	if made.Header.Get("X-Coditect-Outbox") != "1" {
		t.Error("the relay is not told")
	}
	for path, want := range map[string]any{
		"kind": "export", "status": "queued", "progress": 0.0, "attempts": 0.0, "error": nil, "result": nil, "params.format": "json",
		"started_at": nil, "finished_at": nil, "created_by.id": f.owner.UserID.String(),
	} {
		if got := made.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if got := f.do(t, f.owner, http.MethodGet, base+id+"/", nil).Want(t, http.StatusOK); got.String(t, "status") != "queued" || got.Header.Get("ETag") == "" {
		t.Errorf("reading gives %s", got.Body)
	}
	waiting := f.Pending(t, "export.tenant")
	if len(waiting) != 1 || string(waiting[0].Payload) == "" || !strings.Contains(string(waiting[0].Payload), id) || waiting[0].TenantID != f.owner.TenantID {
		t.Errorf("messages %+v", waiting)
	}
	var noted int
	f.Scan(t, `select count(*) from app.activity where tenant_id = $1 and model = 'Job' and action = 'created' and object_id = $2 and user_id = $3
		and changes->'format'->>'new' = 'json'`, []any{f.owner.TenantID, id, f.owner.UserID}, &noted)
	if noted != 1 {
		t.Errorf("%d rows of activity", noted)
	}

	again := f.do(t, f.owner, http.MethodPost, exports, map[string]any{"format": "json"}, "Idempotency-Key", "k").Want(t, http.StatusAccepted)
	if again.String(t, "id") != id || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a repeat made %s", again.Body)
	}
	f.do(t, f.owner, http.MethodPost, exports, map[string]any{"format": "csv"}).WantCode(t, http.StatusConflict, "export_running")
	other := f.Tenant(t)
	f.do(t, other, http.MethodPost, exports, map[string]any{"format": "csv"}).Want(t, http.StatusAccepted)
	f.do(t, f.owner, http.MethodPost, base+id+"/cancel/", nil).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPost, exports, map[string]any{"format": "csv"}).Want(t, http.StatusAccepted)
	if n := len(f.Pending(t, "export.tenant")); n != 3 {
		t.Errorf("%d messages of 3 exports", n)
	}
}

func TestExportIsRefused(t *testing.T) {
	f := setup(t)
	for _, role := range []string{"viewer", "member", "developer", "manager"} {
		f.do(t, f.Member(t, f.owner.TenantID, role), http.MethodPost, exports, map[string]any{"format": "json"}).WantCode(t, http.StatusForbidden, "permission_denied")
	}
	f.do(t, f.Member(t, f.owner.TenantID, "admin"), http.MethodPost, exports, map[string]any{"format": "xml"}).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
	f.do(t, f.owner, http.MethodPost, exports, map[string]any{}).Want(t, http.StatusUnprocessableEntity)
	f.do(t, f.owner, http.MethodPost, exports, map[string]any{"format": "json", "more": 1}).Want(t, http.StatusUnprocessableEntity)
	for range 10 {
		f.job(t, f.owner, "report", "queued")
	}
	f.do(t, f.owner, http.MethodPost, exports, map[string]any{"format": "json"}).WantCode(t, http.StatusConflict, "too_many_jobs")
	if n := len(f.Pending(t, "export.tenant")); n != 0 {
		t.Errorf("%d messages of refused exports", n)
	}
}

// TestWhoSees holds that a job is there for its person and for who may export,
// and for nobody else.
func TestWhoSees(t *testing.T) {
	f := setup(t)
	member, admin, stranger := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "admin"), f.Tenant(t)
	mine, theirs := f.job(t, member, "report", "running"), f.job(t, f.owner, "report", "running")
	for name, c := range map[string]struct {
		who  functest.Person
		id   ids.ID
		want int
	}{
		"its person":          {member, mine, http.StatusOK},
		"an admin":            {admin, mine, http.StatusOK},
		"another member":      {member, theirs, http.StatusNotFound},
		"another viewer":      {f.Member(t, f.owner.TenantID, "viewer"), mine, http.StatusNotFound},
		"another tenant":      {stranger, mine, http.StatusNotFound},
		"a job that is not":   {f.owner, ids.New(), http.StatusNotFound},
		"its person, renamed": {member, mine, http.StatusOK},
	} {
		got := f.do(t, c.who, http.MethodGet, base+c.id.String()+"/", nil).Want(t, c.want)
		if c.want == http.StatusNotFound {
			got.WantCode(t, c.want, "not_found")
			f.do(t, c.who, http.MethodPost, base+c.id.String()+"/cancel/", nil).WantCode(t, c.want, "not_found")
		}
		_ = name
	}
	for who, want := range map[*functest.Person]int{&member: 1, &admin: 2, &f.owner: 2, &stranger: 0} {
		got := f.do(t, *who, http.MethodGet, base, nil).Want(t, http.StatusOK)
		if n := len(got.Get(t, "results").([]any)); n != want {
			t.Errorf("%s lists %d jobs, want %d", who.Roles, n, want)
		}
	}
	f.do(t, member, http.MethodGet, base+"x/", nil).WantCode(t, http.StatusNotFound, "not_found")
}

func TestCancel(t *testing.T) {
	f := setup(t)
	member := f.Member(t, f.owner.TenantID, "member")
	for _, status := range []string{"queued", "running"} {
		id := f.job(t, member, "report", status)
		got := f.do(t, member, http.MethodPost, base+id.String()+"/cancel/", nil).Want(t, http.StatusOK)
		if got.String(t, "status") != "canceled" || got.Get(t, "finished_at") == nil || got.Get(t, "result") != nil {
			t.Errorf("canceled %s", got.Body)
		}
		f.do(t, member, http.MethodPost, base+id.String()+"/cancel/", nil).WantCode(t, http.StatusConflict, "job_finished")
		var old string
		f.Scan(t, `select changes->'status'->>'old' from app.activity where object_id = $1 and model = 'Job' and action = 'updated'`, []any{id}, &old)
		if old != status {
			t.Errorf("activity says it was %s, not %s", old, status)
		}
	}
	for _, status := range []string{"succeeded", "failed"} {
		id := f.job(t, member, "report", status)
		f.do(t, f.owner, http.MethodPost, base+id.String()+"/cancel/", nil).WantCode(t, http.StatusConflict, "job_finished")
	}
	f.do(t, f.owner, http.MethodPost, base+f.job(t, member, "report", "running").String()+"/cancel/", nil).Want(t, http.StatusOK)
}

// TestDownload follows the link of a result.
func TestDownload(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	server := httptest.NewUnstartedServer(nil)
	e.Vars["OBJECTS_PUBLIC_URL"] = "http://" + server.Listener.Addr().String() + "/_local/objects/"
	cfg, err := config.Load[blob.Config](config.Map(e.Vars))
	if err != nil {
		t.Fatal(err)
	}
	if server.Config.Handler, err = objects.New(cfg); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	f := &fixture{e, e.Open(t, jobs.Open), e.Tenant(t)}
	id := f.job(t, f.owner, "report", "running")
	f.file(t, f.owner.TenantID, id, "a,b\r\n", time.Hour)

	for _, got := range []functest.Response{
		f.do(t, f.owner, http.MethodGet, base+id.String()+"/", nil).Want(t, http.StatusOK),
		f.do(t, f.owner, http.MethodGet, base, nil).Want(t, http.StatusOK),
	} {
		at := "result."
		if got.Header.Get("ETag") == "" {
			at = "results.0.result."
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("a link is kept: %s", got.Header.Get("Cache-Control"))
		}
		if got.Get(t, at+"bytes") != 5.0 || got.Get(t, at+"rows") != 2.0 || got.String(t, at+"filename") != "Apollo.csv" {
			t.Errorf("result %s", got.Body)
		}
		expires, err := time.Parse(time.RFC3339, got.String(t, at+"expires_at"))
		if left := time.Until(expires); err != nil || left < 14*time.Minute || left > 15*time.Minute {
			t.Errorf("the link holds for %v", left)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, got.String(t, at+"download_url"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(w.Body)
		_ = w.Body.Close()
		if w.StatusCode != http.StatusOK || string(body) != "a,b\r\n" || w.Header.Get("Content-Disposition") != "attachment; filename=Apollo.csv" || w.Header.Get("Content-Type") != "text/csv" {
			t.Errorf("download: %d %v %q", w.StatusCode, w.Header, body)
		}
	}
	for keep, within := range map[time.Duration]time.Duration{time.Minute: time.Minute, -time.Minute: 0} {
		f.file(t, f.owner.TenantID, id, "a", keep)
		got := f.do(t, f.owner, http.MethodGet, base+id.String()+"/", nil).Want(t, http.StatusOK)
		if within == 0 {
			if got.Get(t, "result") != nil {
				t.Errorf("a file that is gone has a link: %s", got.Body)
			}
			continue
		}
		if expires, err := time.Parse(time.RFC3339, got.String(t, "result.expires_at")); err != nil || time.Until(expires) > within {
			t.Errorf("the link outlives the file: %s", got.Body)
		}
	}
}

func TestList(t *testing.T) {
	f := setup(t)
	var want []string
	for i := range 5 {
		id := f.job(t, f.owner, "report", []string{"running", "failed"}[i%2])
		f.SQL(t, `update app.jobs set created_at = now() - $2::int * interval '1 minute', updated_at = now() + $2::int * interval '1 minute' where id = $1`, id, i)
		want = append(want, id.String())
	}
	f.job(t, f.owner, "export", "failed")
	walk := func(query string) (out []string) {
		path := base + "?page_size=2&kind=report&" + query
		for path != "" {
			var list struct {
				Results []struct{ ID string }
				Next    *string
			}
			f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
			for _, r := range list.Results {
				out = append(out, r.ID)
			}
			path = ""
			if list.Next != nil {
				path = *list.Next
			}
		}
		return out
	}
	if got := walk(""); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("newest first: %v, want %v", got, want)
	}
	if got := walk("ordering=updated_at"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("least recently changed first: %v, want %v", got, want)
	}
	if got := walk("status=failed"); fmt.Sprint(got) != fmt.Sprint([]string{want[1], want[3]}) {
		t.Errorf("failed ones: %v", got)
	}
	for _, q := range []string{"status=done", "kind=x", "owner=me", "ordering=name"} {
		f.do(t, f.owner, http.MethodGet, base+"?"+q, nil).Want(t, http.StatusBadRequest)
	}
}

// TestObjectsAreDown holds that a job whose file cannot be linked to is a
// matter of trying again.
func TestObjectsAreDown(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	f := &fixture{e, nil, e.Tenant(t)}
	id := f.job(t, f.owner, "report", "running")
	f.file(t, f.owner.TenantID, id, "a", time.Hour)
	e.Vars["OBJECTS_URL"] = "file:///dev/null/objects"
	f.handler = e.Open(t, jobs.Open)
	f.do(t, f.owner, http.MethodGet, base+id.String()+"/", nil).WantCode(t, http.StatusServiceUnavailable, "unavailable")
	f.do(t, f.owner, http.MethodGet, base, nil).WantCode(t, http.StatusServiceUnavailable, "unavailable")
}

func TestOpenNeedsItsEnvironment(t *testing.T) {
	t.Parallel()
	if _, err := jobs.Open(t.Context(), config.Map(nil)); err == nil {
		t.Error("opened without an environment")
	}
	if _, err := jobs.Open(t.Context(), config.Map(map[string]string{
		"OBJECTS_URL": "file:///tmp", "OBJECTS_PUBLIC_URL": "http://localhost/", "OBJECTS_SIGNING_KEY": strings.Repeat("x", 32),
	})); err == nil {
		t.Error("opened without a database")
	}
}
