package exporter_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/exporter"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

type fixture struct {
	*functest.Env
	owner   functest.Person
	store   *blob.Store
	project ids.ID
	// reached is called at each step of an export.
	reached func(step string) error
	handler http.Handler
}

func setup(t testing.TB) *fixture {
	t.Helper()
	e := functest.New(t)
	f := &fixture{Env: e, owner: e.Tenant(t), reached: func(string) error { return nil }}
	cfg, err := config.Load[blob.Config](config.Map(e.Vars))
	if err != nil {
		t.Fatal(err)
	}
	if f.store, err = blob.Open(cfg); err != nil {
		t.Fatal(err)
	}
	f.handler = e.Open(t, exporter.OpenWith(func(step string) error { return f.reached(step) }))
	f.project = f.addProject(t, f.owner, "Apollo")
	return f
}

func (f *fixture) addProject(t testing.TB, who functest.Person, name string) ids.ID {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, $3, $4, $4)`, who.TenantID, id, name, who.UserID)
	return id
}

// addTasks makes n tasks in one statement.
func (f *fixture) addTasks(t testing.TB, who functest.Person, project ids.ID, n int) {
	t.Helper()
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, description, status, created_by)
		select $1, gen_random_uuid(), $2, 'Task ' || i, repeat('d', 200), (array['todo', 'in_progress', 'done'])[1 + i % 3], $3 from generate_series(1, $4::int) i`,
		who.TenantID, project, who.UserID, n)
}

// fill puts at least one of each kind into the organization.
func (f *fixture) fill(t testing.TB, who functest.Person, project ids.ID) {
	t.Helper()
	task := ids.New()
	run := func(sql string, args ...any) {
		t.Helper()
		f.SQL(t, sql, append([]any{who.TenantID, who.UserID}, args...)...)
	}
	run(`insert into app.tasks (tenant_id, id, project_id, title, description, assignee_id, due_date, created_by) values ($1, $3, $4, '=1+1', E'line\n"quoted", done', $2, '2026-12-24', $2)`, task, project)
	run(`insert into app.comments (tenant_id, id, task_id, author_id, content) values ($1, gen_random_uuid(), $3, $2, 'Ümläut 日本 😀')`, task)
	run(`insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, status, ready_at) values ($1, gen_random_uuid(), $3, $2, 'a.txt', 5, 'text/plain', 'secret-object-key', 'ready', now())`, task)
	run(`insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key) values ($1, gen_random_uuid(), $3, $2, 'pending.txt', 5, 'text/plain', 'k')`, task)
	run(`insert into app.activity (tenant_id, id, action, model, object_id, user_id, changes) values ($1, gen_random_uuid(), 'created', 'Task', $3, $2, '{"title":{"old":null,"new":"x"}}')`, task)
	run(`insert into app.invitations (tenant_id, id, email, secret_hash, invited_by, expires_at) values ($1, gen_random_uuid(), 'b@example.com', '\xdeadbeef', $2, now() + interval '1 day')`)
	run(`insert into app.invoices (tenant_id, id, stripe_invoice_id, number, status, currency, amount_due, hosted_url) values ($1, gen_random_uuid(), 'in_' || $2::text, 'N-1', 'paid', 'usd', 2900, 'https://secret-invoice-url')`)
	f.SQL(t, `insert into app.tenant_hosts (tenant_id, id, domain, verification_token) values ($1, gen_random_uuid(), 'work.example.com', 'secret-verification-token')`, who.TenantID)
	f.SQL(t, `insert into app.sso_connections (tenant_id, id, provider, issuer, client_id, client_secret) values ($1, gen_random_uuid(), 'oidc', 'https://i', 'secret-client-id', 'secret-client-secret')`, who.TenantID)
	f.SQL(t, `update app.tenant_settings set preferences = '{"theme":"dark"}' where tenant_id = $1`, who.TenantID)
}

// begin makes a job and its message.
func (f *fixture) begin(t testing.TB, who functest.Person, format string) (ids.ID, queue.Envelope) {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.jobs (tenant_id, id, kind, params, created_by) values ($1, $2, 'export', json_build_object('format', $3::text), $4)`, who.TenantID, id, format, who.UserID)
	return id, f.Enqueue(t, who.TenantID, ids.Nil, queue.ExportTenant.Message("", queue.Job{JobID: id}))
}

// deliver hands the message over and says what became of it.
func (f *fixture) deliver(t testing.TB, m queue.Envelope) string {
	t.Helper()
	// The lease of an attempt that was killed has ended.
	f.SQL(t, `update app.outbox set running_until = null, attempts = 0 where id = $1`, m.ID)
	return f.Deliver(t, f.handler, "exporter", m, 1).String(t, "result")
}

type jobRow struct {
	Status   string
	Progress int
	Attempts int
	Error    *string
	Key      string
	Bytes    int64
	Rows     int64
	Expires  *time.Time
}

func (f *fixture) job(t testing.TB, id ids.ID) (j jobRow) {
	t.Helper()
	f.Scan(t, `select status, progress, attempts, error, coalesce(result->>'object_key', ''), coalesce((result->>'bytes')::bigint, 0), coalesce((result->>'rows')::bigint, 0), expires_at
		from app.jobs where id = $1`, []any{id}, &j.Status, &j.Progress, &j.Attempts, &j.Error, &j.Key, &j.Bytes, &j.Rows, &j.Expires)
	return j
}

// archive opens what a job made.
func (f *fixture) archive(t testing.TB, id ids.ID) map[string][]byte {
	t.Helper()
	j := f.job(t, id)
	if j.Status != "succeeded" {
		t.Fatalf("the job is %+v", j)
	}
	r, err := f.store.Read(t.Context(), j.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(raw)) != j.Bytes {
		t.Errorf("the archive has %d bytes, the job says %d", len(raw), j.Bytes)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, file := range z.File {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r) // checks the CRC
		if err != nil {
			t.Fatalf("%s: %v", file.Name, err)
		}
		files[file.Name] = content
	}
	return files
}

// things reads a file of the archive.
func things(t testing.TB, files map[string][]byte, kind string) (out []map[string]any) {
	t.Helper()
	if raw, ok := files[kind+".json"]; ok {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		return out
	}
	raw, ok := files[kind+".csv"]
	if !ok {
		t.Fatalf("no file of %s", kind)
	}
	lines, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	for _, line := range lines[1:] {
		row := map[string]any{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		out = append(out, row)
	}
	return out
}

// column collects a field of things.
func column(list []map[string]any, name string) map[string]int {
	out := map[string]int{}
	for _, row := range list {
		if v := row[name]; v != nil && v != "" {
			out[fmt.Sprint(v)]++
		}
	}
	return out
}

// objects lists what is in storage of a job.
func (f *fixture) objects(t testing.TB, id ids.ID) (names []string) {
	t.Helper()
	root := strings.TrimPrefix(f.Vars["OBJECTS_URL"], "file://")
	_ = filepath.WalkDir(root, func(path string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() && strings.Contains(path, id.String()) && !strings.HasSuffix(path, ".attrs") {
			names = append(names, strings.TrimPrefix(path, root))
		}
		return nil
	})
	return names
}
