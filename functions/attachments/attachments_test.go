package attachments_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/functions/attachments"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/standin/objects"
)

const base = "/api/v1/attachments/"

type fixture struct {
	*functest.Env
	handler       http.Handler
	store         *blob.Store
	owner         functest.Person
	project, task ids.ID
	path          string // the task's attachments
}

// setup serves the function beside an object storage that takes its links.
func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	server := httptest.NewUnstartedServer(nil)
	e.Vars["OBJECTS_PUBLIC_URL"] = "http://" + server.Listener.Addr().String() + "/_local/objects/"
	e.Vars["ATTACHMENTS_MAX_BYTES"] = "2000000000"
	cfg, err := config.Load[blob.Config](config.Map(e.Vars))
	if err != nil {
		t.Fatal(err)
	}
	if server.Config.Handler, err = objects.New(cfg); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	store, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	f := &fixture{Env: e, handler: e.Open(t, attachments.Open), store: store, owner: e.Tenant(t)}
	f.project, f.task = f.work(t, f.owner)
	f.path = "/api/v1/tasks/" + f.task.String() + "/attachments/"
	return f
}

// work makes a project with a task.
func (f *fixture) work(t *testing.T, of functest.Person) (project, task ids.ID) {
	t.Helper()
	project, task = ids.New(), ids.New()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Apollo', $3, $3)`, of.TenantID, project, of.UserID)
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by) values ($1, $2, $3, 'Check', $4)`, of.TenantID, task, project, of.UserID)
	return project, task
}

func (f *fixture) do(t *testing.T, who functest.Person, method, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: path, Token: who.Token, Body: body, Header: h})
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int64) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

// used is the tenant's storage by its usage records.
func (f *fixture) used(t *testing.T) int64 {
	t.Helper()
	return f.count(t, `select coalesce(sum(quantity), 0)::bigint from app.usage_records where tenant_id = $1 and metric = 'storage_bytes'`, f.owner.TenantID)
}

func file(name string, size int, kind string) map[string]any {
	return map[string]any{"filename": name, "size": size, "content_type": kind}
}

func (f *fixture) begin(t *testing.T, who functest.Person, name, content, kind string) functest.Response {
	t.Helper()
	return f.do(t, who, http.MethodPost, f.path, file(name, len(content), kind)).Want(t, http.StatusCreated)
}

// upload writes a file as a client does.
func upload(t *testing.T, made functest.Response, content string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), made.String(t, "upload.method"), made.String(t, "upload.url"), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range made.Get(t, "upload.headers").(map[string]any) {
		r.Header.Set(name, value.(string))
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close()
	return w.StatusCode
}

// put writes an object behind the links' back.
func (f *fixture) put(t *testing.T, id, content, kind string) {
	t.Helper()
	w, err := f.store.Create(t.Context(), f.key(id), kind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) key(id string) string { return blob.Key(f.owner.TenantID, "attachments", id) }

// ready attaches a file.
func (f *fixture) ready(t *testing.T, who functest.Person, name, content, kind string) (path string, etag string) {
	t.Helper()
	made := f.begin(t, who, name, content, kind)
	if status := upload(t, made, content); status != http.StatusOK {
		t.Fatalf("upload: %d", status)
	}
	path = made.Header.Get("Location")
	done := f.do(t, who, http.MethodPost, path+"complete/", nil).Want(t, http.StatusOK)
	return path, done.Header.Get("ETag")
}

func TestAttach(t *testing.T) {
	f := setup(t)
	ann, viewer := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "viewer")
	const name, content, kind = `Prüfung "1".html`, "<script>alert(1)</script>", "text/html; charset=utf-8"
	made := f.do(t, ann, http.MethodPost, f.path, file(`C:\docs\../`+name, len(content), "Text/HTML;charset=utf-8"), "Idempotency-Key", "k", "X-Request-Id", "begin").Want(t, http.StatusCreated)
	id := made.String(t, "id")
	for path, want := range map[string]any{
		"task_id": f.task.String(), "filename": name, "size": float64(len(content)), "content_type": kind, "status": "pending",
		"uploaded_by.email": ann.Email, "ready_at": nil, "upload.method": "PUT", "upload.headers.Content-Type": kind,
	} {
		if got := made.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	path := made.Header.Get("Location")
	if path != base+id+"/" || made.Header.Get("ETag") == "" || made.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", made.Header)
	}
	if expires, err := time.Parse(time.RFC3339, made.String(t, "upload.expires_at")); err != nil || time.Until(expires) > time.Hour || time.Until(expires) < 59*time.Minute {
		t.Errorf("the link holds until %v", expires)
	}
	again := f.do(t, ann, http.MethodPost, f.path, file(`C:\docs\../`+name, len(content), "Text/HTML;charset=utf-8"), "Idempotency-Key", "k").Want(t, http.StatusCreated)
	if again.String(t, "id") != id || again.Header.Get("Idempotent-Replayed") != "true" || again.String(t, "upload.url") != made.String(t, "upload.url") {
		t.Errorf("a repeat made %s", again.Body)
	}
	for _, table := range []string{"idempotency_keys", "user_idempotency_keys"} {
		if n := f.count(t, `select count(*) from app.`+table+` where position(convert_to('signature', 'UTF8') in body) > 0`); n != 0 {
			t.Errorf("the link lies in app.%s in clear", table)
		}
	}

	if got := f.do(t, viewer, http.MethodGet, path, nil).Want(t, http.StatusOK); got.Get(t, "download_url") != nil || got.Get(t, "download_expires_at") != nil {
		t.Errorf("a pending file has a link: %s", got.Body)
	}
	f.do(t, ann, http.MethodPost, path+"complete/", nil).WantCode(t, http.StatusConflict, "not_uploaded")
	if status := upload(t, made, content+"x"); status == http.StatusOK {
		t.Error("a file of another size was taken")
	}
	if status := upload(t, made, content); status != http.StatusOK {
		t.Fatalf("upload: %d", status)
	}
	done := f.do(t, ann, http.MethodPost, path+"complete/", nil, "X-Request-Id", "complete").Want(t, http.StatusOK)
	if done.String(t, "status") != "ready" || done.Get(t, "ready_at") == nil || done.Header.Get("ETag") == made.Header.Get("ETag") {
		t.Errorf("completed %s", done.Body)
	}
	twice := f.do(t, ann, http.MethodPost, path+"complete/", nil, "Idempotency-Key", "other").Want(t, http.StatusOK)
	if !bytes.Equal(twice.Body, done.Body) || f.used(t) != int64(len(content)) {
		t.Errorf("completing again: %s, %d bytes used", twice.Body, f.used(t))
	}
	for request, want := range map[string]string{"begin": "created", "complete": "updated"} {
		var action, changes string
		f.Scan(t, `select action, changes::text from app.activity where request_id = $1 and model = 'Attachment' and object_id = $2 and user_id = $3`, []any{request, id, ann.UserID}, &action, &changes)
		if action != want || strings.Contains(changes, "http") {
			t.Errorf("activity of %s: %s %s", request, action, changes)
		}
	}

	got := f.do(t, viewer, http.MethodGet, path, nil).Want(t, http.StatusOK)
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a link is kept: %s", got.Header.Get("Cache-Control"))
	}
	if expires, err := time.Parse(time.RFC3339, got.String(t, "download_expires_at")); err != nil || time.Until(expires) > 15*time.Minute || time.Until(expires) < 14*time.Minute {
		t.Errorf("the link holds until %v", expires)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, got.String(t, "download_url"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(w.Body)
	_ = w.Body.Close()
	if w.StatusCode != http.StatusOK || string(body) != content || w.Header.Get("Content-Disposition") != blob.Disposition(name) || !strings.HasPrefix(w.Header.Get("Content-Disposition"), "attachment;") {
		t.Errorf("download: %d %v %q", w.StatusCode, w.Header, body)
	}
}

func TestBeginIsRefused(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct {
		body  any
		field string
	}{
		"no size":           {map[string]any{"filename": "a", "content_type": "text/plain"}, "body.size"},
		"empty":             {file("a", 0, "text/plain"), "body.size"},
		"negative":          {file("a", -1, "text/plain"), "body.size"},
		"too large":         {file("a", 2_000_000_001, "text/plain"), "body.size"},
		"no name":           {file("", 1, "text/plain"), "body.filename"},
		"a long name":       {file(strings.Repeat("ü", 256), 1, "text/plain"), "body.filename"},
		"a folder":          {file("docs/", 1, "text/plain"), "body.filename"},
		"the folder above":  {file("docs/..", 1, "text/plain"), "body.filename"},
		"invisible":         {file("\u202e\u200b", 1, "text/plain"), "body.filename"},
		"no type":           {file("a", 1, ""), "body.content_type"},
		"half a type":       {file("a", 1, "text"), "body.content_type"},
		"every type":        {file("a", 1, "*/*"), "body.content_type"},
		"a header in it":    {file("a", 1, "text/plain\r\nX-A: b"), "body.content_type"},
		"a spaced value":    {file("a", 1, `text/plain; a="b  c"`), "body.content_type"},
		"a type of words":   {file("a", 1, "text plain/x"), "body.content_type"},
		"an unknown member": {map[string]any{"filename": "a", "size": 1, "content_type": "text/plain", "status": "ready"}, "body.status"},
	} {
		got := f.do(t, f.owner, http.MethodPost, f.path, c.body).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
		if !strings.Contains(string(got.Body), `"location":"`+c.field+`"`) {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	f.do(t, f.Member(t, f.owner.TenantID, "viewer"), http.MethodPost, f.path, file("a", 1, "text/plain")).WantCode(t, http.StatusForbidden, "permission_denied")
	for _, who := range []functest.Person{f.Tenant(t), f.owner} {
		path := f.path
		if who.TenantID == f.owner.TenantID {
			path = strings.Replace(path, f.task.String(), ids.New().String(), 1)
		}
		f.do(t, who, http.MethodPost, path, file("a", 1, "text/plain")).Want(t, http.StatusNotFound)
		f.do(t, who, http.MethodGet, path, nil).Want(t, http.StatusNotFound)
	}
	if n := f.count(t, `select count(*) from app.attachments`); n != 0 {
		t.Errorf("%d attachments of refused requests", n)
	}
}

func TestNamesAndTypes(t *testing.T) {
	f := setup(t)
	for given, want := range map[string]string{
		"a.txt": "a.txt", "../../etc/passwd": "passwd", `C:\temp\b.doc`: "b.doc", "a\tb\u007f.txt": "ab.txt", "\t.env": ".env",
		"in\u202evoice.exe": "invoice.exe", strings.Repeat("ü", 255): strings.Repeat("ü", 255), "日本.pdf": "日本.pdf",
	} {
		if got := f.do(t, f.owner, http.MethodPost, f.path, file(given, 1, "text/plain")).Want(t, http.StatusCreated).String(t, "filename"); got != want {
			t.Errorf("%q is kept as %q, want %q", given, got, want)
		}
	}
	for given, want := range map[string]string{
		"IMAGE/SVG+XML": "image/svg+xml", "text/plain ;charset=UTF-8": "text/plain; charset=UTF-8", "application/vnd.ms-excel": "application/vnd.ms-excel",
		"application/x-msdownload": "application/x-msdownload",
	} {
		if got := f.do(t, f.owner, http.MethodPost, f.path, file("a", 1, given)).Want(t, http.StatusCreated).String(t, "content_type"); got != want {
			t.Errorf("%q is kept as %q, want %q", given, got, want)
		}
	}
}

// What the storage took although it was not what was signed, as S3 does with
// types, is neither kept nor counted.
func TestMismatch(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct{ content, kind string }{
		"longer": {"abcd", "text/plain"}, "shorter": {"ab", "text/plain"}, "another type": {"abc", "text/html"}, "no type": {"abc", ""},
	} {
		made := f.begin(t, f.owner, "a.txt", "abc", "text/plain")
		path, id := made.Header.Get("Location"), made.String(t, "id")
		f.put(t, id, c.content, c.kind)
		f.do(t, f.owner, http.MethodPost, path+"complete/", nil).WantCode(t, http.StatusConflict, "upload_mismatch")
		if _, err := f.store.Stat(t.Context(), f.key(id)); err == nil {
			t.Errorf("%s: the object is still there", name)
		}
		if f.used(t) != 0 || f.do(t, f.owner, http.MethodGet, path, nil).String(t, "status") != "pending" {
			t.Errorf("%s: it counts", name)
		}
	}
	made := f.begin(t, f.owner, "a.txt", "abc", "text/plain")
	f.put(t, made.String(t, "id"), "ab", "text/plain")
	f.do(t, f.owner, http.MethodPost, made.Header.Get("Location")+"complete/", nil).WantCode(t, http.StatusConflict, "upload_mismatch")
	if status := upload(t, made, "abc"); status != http.StatusOK {
		t.Errorf("uploading again: %d", status)
	}
	f.do(t, f.owner, http.MethodPost, made.Header.Get("Location")+"complete/", nil).Want(t, http.StatusOK)
}

// Only who began an upload completes it; its uploader and administrators delete.
func TestWhoMay(t *testing.T) {
	f := setup(t)
	ann, bob := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member")
	manager, viewer := f.Member(t, f.owner.TenantID, "manager"), f.Member(t, f.owner.TenantID, "viewer")
	admin, stranger := f.Member(t, f.owner.TenantID, "admin"), f.Tenant(t)
	made := f.begin(t, ann, "a.txt", "abc", "text/plain")
	path := made.Header.Get("Location")
	upload(t, made, "abc")
	for _, c := range []struct {
		who    functest.Person
		status int
		code   string
	}{{bob, 403, "not_your_own"}, {admin, 403, "not_your_own"}, {f.owner, 403, "not_your_own"}, {viewer, 403, "permission_denied"}, {stranger, 404, "not_found"}} {
		f.do(t, c.who, http.MethodPost, path+"complete/", nil).WantCode(t, c.status, c.code)
	}
	f.do(t, ann, http.MethodPost, path+"complete/", nil).Want(t, http.StatusOK)
	f.do(t, stranger, http.MethodGet, path, nil).WantCode(t, http.StatusNotFound, "not_found")
	for _, c := range []struct {
		who    functest.Person
		status int
		code   string
	}{{bob, 403, "not_your_own"}, {manager, 403, "not_your_own"}, {viewer, 403, "permission_denied"}, {stranger, 404, "not_found"}} {
		f.do(t, c.who, http.MethodDelete, path, nil).WantCode(t, c.status, c.code)
	}
	f.do(t, admin, http.MethodDelete, path, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodGet, base+ids.New().String()+"/", nil).WantCode(t, http.StatusNotFound, "not_found")
}

func TestDelete(t *testing.T) {
	f := setup(t)
	ann := f.Member(t, f.owner.TenantID, "member")
	path, etag := f.ready(t, ann, "a.txt", "abc", "text/plain")
	id := strings.Split(path, "/")[4]
	f.do(t, ann, http.MethodDelete, path, nil, "If-Match", `"1.x"`).Want(t, http.StatusPreconditionFailed)
	f.do(t, ann, http.MethodDelete, path, nil, "If-Match", etag).Want(t, http.StatusNoContent)
	if f.used(t) != 0 || f.count(t, `select count(*) from app.usage_records where tenant_id = $1`, f.owner.TenantID) != 2 {
		t.Error("its bytes were not given back")
	}
	f.do(t, ann, http.MethodDelete, path, nil).Want(t, http.StatusNotFound)
	f.do(t, ann, http.MethodGet, path, nil).Want(t, http.StatusNotFound)
	f.do(t, ann, http.MethodPost, path+"complete/", nil).Want(t, http.StatusNotFound)
	if _, err := f.store.Stat(t.Context(), f.key(id)); err != nil {
		t.Errorf("the object is not kept for its 30 days: %v", err)
	}
	if n := f.count(t, `select count(*) from app.activity where object_id = $1 and action = 'deleted' and changes->'filename'->>'old' = 'a.txt'`, id); n != 1 {
		t.Error("no activity")
	}
	pending := f.begin(t, ann, "b.txt", "abc", "text/plain").Header.Get("Location")
	f.do(t, ann, http.MethodDelete, pending, nil).Want(t, http.StatusNoContent)
	if f.used(t) != 0 {
		t.Error("what never counted was given back")
	}
}

// Attachments go with their task; an archived project takes none.
func TestFollowTheirTask(t *testing.T) {
	f := setup(t)
	pending := f.begin(t, f.owner, "b.txt", "abc", "text/plain")
	upload(t, pending, "abc")
	path, _ := f.ready(t, f.owner, "a.txt", "abc", "text/plain")
	f.SQL(t, `update app.projects set status = 'archived' where id = $1`, f.project)
	f.do(t, f.owner, http.MethodPost, f.path, file("c", 1, "text/plain")).WantCode(t, http.StatusConflict, "project_archived")
	f.do(t, f.owner, http.MethodPost, pending.Header.Get("Location")+"complete/", nil).WantCode(t, http.StatusConflict, "project_archived")
	f.do(t, f.owner, http.MethodDelete, path, nil).WantCode(t, http.StatusConflict, "project_archived")
	f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK)
	f.SQL(t, `update app.projects set status = 'active' where id = $1`, f.project)
	f.SQL(t, `update app.tasks set deleted_at = now(), deletion_id = $2 where id = $1`, f.task, ids.New())
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, f.path}, {http.MethodPost, f.path}, {http.MethodGet, path}, {http.MethodDelete, path}, {http.MethodPost, pending.Header.Get("Location") + "complete/"},
	} {
		var body any
		if c.path == f.path && c.method == http.MethodPost {
			body = file("c", 1, "text/plain")
		}
		f.do(t, f.owner, c.method, c.path, body).WantCode(t, http.StatusNotFound, "not_found")
	}
}

// hoard fills the tenant's storage but for what is left.
func (f *fixture) hoard(t *testing.T, left int64) {
	t.Helper()
	f.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, status, ready_at)
		select $1, $2, $3, $4, 'x', max_storage_bytes - $5::bigint, 'text/plain', 'x', 'ready', now() from app.plans where id = 'free'`,
		f.owner.TenantID, ids.New(), f.task, f.owner.UserID, left)
}

func TestPlanLimit(t *testing.T) {
	f := setup(t)
	first, second := f.begin(t, f.owner, "a", "abc", "text/plain"), f.begin(t, f.owner, "b", "abc", "text/plain")
	f.do(t, f.owner, http.MethodPost, f.path, file("c", 1<<30, "text/plain")).Want(t, http.StatusCreated)
	f.do(t, f.owner, http.MethodPost, f.path, file("c", 1<<30+1, "text/plain")).WantCode(t, http.StatusPaymentRequired, "plan_limit")
	f.hoard(t, 3)
	for _, made := range []functest.Response{first, second} {
		upload(t, made, "abc")
	}
	f.do(t, f.owner, http.MethodPost, f.path, file("c", 4, "text/plain")).WantCode(t, http.StatusPaymentRequired, "plan_limit")
	path := first.Header.Get("Location")
	f.do(t, f.owner, http.MethodPost, path+"complete/", nil).Want(t, http.StatusOK)
	refused := f.do(t, f.owner, http.MethodPost, second.Header.Get("Location")+"complete/", nil).WantCode(t, http.StatusPaymentRequired, "plan_limit")
	if !strings.Contains(refused.String(t, "detail"), "upgrade") || f.used(t) != 3 {
		t.Errorf("%s, %d used", refused.Body, f.used(t))
	}
	f.do(t, f.owner, http.MethodDelete, path, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodPost, second.Header.Get("Location")+"complete/", nil).Want(t, http.StatusOK)
	f.SQL(t, `update app.organizations set plan = 'pro' where tenant_id = $1`, f.owner.TenantID)
	f.do(t, f.owner, http.MethodPost, f.path, file("c", 4, "text/plain")).Want(t, http.StatusCreated)
	other := f.Tenant(t)
	_, task := f.work(t, other)
	f.do(t, other, http.MethodPost, "/api/v1/tasks/"+task.String()+"/attachments/", file("c", 4, "text/plain")).Want(t, http.StatusCreated)
}

// Whatever comes at once, the plan holds and each file counts once.
func TestAtOnce(t *testing.T) {
	f := setup(t)
	const files, fit, repeats = 6, 2, 3
	f.hoard(t, 3*fit+2)
	var paths []string
	for i := range files {
		made := f.begin(t, f.owner, fmt.Sprint(i), "abc", "text/plain")
		upload(t, made, "abc")
		paths = append(paths, made.Header.Get("Location"))
	}
	var mu sync.Mutex
	byStatus := map[string]map[int]int{}
	var all sync.WaitGroup
	for _, path := range paths {
		byStatus[path] = map[int]int{}
		for range repeats {
			all.Go(func() {
				r := f.do(t, f.owner, http.MethodPost, path+"complete/", nil)
				mu.Lock()
				defer mu.Unlock()
				byStatus[path][r.Status]++
			})
		}
	}
	all.Wait()
	done := 0
	for path, got := range byStatus {
		switch {
		case got[http.StatusOK] == repeats:
			done++
		case got[http.StatusPaymentRequired] != repeats:
			t.Errorf("%s: %v", path, got)
		}
	}
	updates := f.count(t, `select count(*) from app.activity where model = 'Attachment' and action = 'updated'`)
	if done != fit || f.used(t) != 3*fit || updates != fit {
		t.Errorf("%d completed, %d bytes, %d notes", done, f.used(t), updates)
	}
}

func TestList(t *testing.T) {
	f := setup(t)
	var want []string
	var all []functest.Response
	for i := range 5 {
		all = append(all, f.begin(t, f.owner, fmt.Sprint("f", i), "abc", "text/plain"))
		want = append(want, all[i].String(t, "filename"))
	}
	upload(t, all[2], "abc")
	f.do(t, f.owner, http.MethodPost, all[2].Header.Get("Location")+"complete/", nil).Want(t, http.StatusOK)
	gone := f.begin(t, f.owner, "gone", "abc", "text/plain").Header.Get("Location")
	f.do(t, f.owner, http.MethodDelete, gone, nil).Want(t, http.StatusNoContent)
	_, elsewhere := f.work(t, f.owner)
	f.do(t, f.owner, http.MethodPost, strings.Replace(f.path, f.task.String(), elsewhere.String(), 1), file("x", 1, "text/plain")).Want(t, http.StatusCreated)
	viewer := f.Member(t, f.owner.TenantID, "viewer")
	walk := func(query string) (out []string) {
		path := f.path + "?page_size=2&" + query
		for pages := 0; path != "" && pages < 20; pages++ {
			var list struct {
				Results []struct{ Filename string }
				Next    *string
			}
			got := f.do(t, viewer, http.MethodGet, path, nil).Want(t, http.StatusOK)
			if strings.Contains(string(got.Body), "signature") {
				t.Errorf("a list has links: %s", got.Body)
			}
			got.Into(t, &list)
			for _, r := range list.Results {
				out = append(out, r.Filename)
			}
			path = ""
			if list.Next != nil {
				path = *list.Next
			}
		}
		return out
	}
	if got := walk("ordering=created_at"); !slices.Equal(got, want) {
		t.Errorf("oldest first: %v", got)
	}
	if got := walk("ordering=-updated_at"); len(got) != 5 || got[0] != "f2" {
		t.Errorf("last changed first: %v", got)
	}
	slices.Reverse(want)
	if got := walk(""); !slices.Equal(got, want) {
		t.Errorf("newest first: %v", got)
	}
	if got := walk("status=ready"); !slices.Equal(got, []string{"f2"}) {
		t.Errorf("ready ones: %v", got)
	}
	if got := walk("status=pending"); len(got) != 4 {
		t.Errorf("pending ones: %v", got)
	}
	for _, q := range []string{"status=x", "owner=me", "ordering=size"} {
		f.do(t, viewer, http.MethodGet, f.path+"?"+q, nil).Want(t, http.StatusBadRequest)
	}
}

// A storage that is down is a matter of trying again, and leaves nothing.
func TestStorageIsDown(t *testing.T) {
	f := setup(t)
	path, _ := f.ready(t, f.owner, "a.txt", "abc", "text/plain")
	pending := f.begin(t, f.owner, "b.txt", "abc", "text/plain").Header.Get("Location")
	rows := f.count(t, `select count(*) from app.attachments`)
	f.Vars["OBJECTS_URL"] = "file:///dev/null/objects"
	f.handler = f.Open(t, attachments.Open)
	f.do(t, f.owner, http.MethodGet, path, nil).WantCode(t, http.StatusServiceUnavailable, "unavailable")
	f.do(t, f.owner, http.MethodPost, pending+"complete/", nil).WantCode(t, http.StatusServiceUnavailable, "unavailable")
	f.do(t, f.owner, http.MethodPost, f.path, file("c", 1, "text/plain"), "Idempotency-Key", "k").WantCode(t, http.StatusServiceUnavailable, "unavailable")
	f.do(t, f.owner, http.MethodGet, f.path, nil).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.attachments`); n != rows {
		t.Errorf("%d attachments, were %d", n, rows)
	}
}

func TestOpenNeedsItsEnvironment(t *testing.T) {
	t.Parallel()
	objects := map[string]string{"OBJECTS_URL": "file:///tmp", "OBJECTS_PUBLIC_URL": "http://localhost/", "OBJECTS_SIGNING_KEY": strings.Repeat("x", 32)}
	for name, more := range map[string]map[string]string{
		"no environment": nil, "no database": objects,
		"no bound":      {"ATTACHMENTS_MAX_BYTES": "0"},
		"too far bound": {"ATTACHMENTS_MAX_BYTES": "5368709121"},
	} {
		vars := map[string]string{}
		for _, m := range []map[string]string{objects, more} {
			if name == "no environment" {
				break
			}
			maps.Copy(vars, m)
		}
		if _, err := attachments.Open(t.Context(), config.Map(vars)); err == nil {
			t.Errorf("opened with %s", name)
		} else if strings.Contains(name, "bound") && !strings.Contains(err.Error(), "ATTACHMENTS_MAX_BYTES") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
