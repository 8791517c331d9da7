package reporter_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/reporter"
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
	reached func(step string) error
	handler http.Handler
}

func setup(t testing.TB, name string) *fixture {
	t.Helper()
	e := functest.New(t)
	f := &fixture{Env: e, owner: e.Tenant(t), project: ids.New(), reached: func(string) error { return nil }}
	cfg, err := config.Load[blob.Config](config.Map(e.Vars))
	if err != nil {
		t.Fatal(err)
	}
	if f.store, err = blob.Open(cfg); err != nil {
		t.Fatal(err)
	}
	f.handler = e.Open(t, reporter.OpenWith(func(step string) error { return f.reached(step) }))
	f.SQL(t, `insert into app.projects (tenant_id, id, name, description, owner_id, created_by) values ($1, $2, $3, '=cmd()', $4, $4)`, f.owner.TenantID, f.project, name, f.owner.UserID)
	return f
}

func (f *fixture) addTasks(t testing.TB, n int) {
	t.Helper()
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, description, status, created_by, created_at)
		select $1, gen_random_uuid(), $2, 'Task ' || i, repeat('d', 200), (array['todo', 'in_progress', 'done'])[1 + i % 3], $3, now() - i * interval '1 second' from generate_series(1, $4::int) i`,
		f.owner.TenantID, f.project, f.owner.UserID, n)
}

func (f *fixture) begin(t testing.TB, project ids.ID) (ids.ID, queue.Envelope) {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.jobs (tenant_id, id, kind, params, created_by) values ($1, $2, 'report', json_build_object('format', 'csv', 'project_id', $3::uuid), $4)`, f.owner.TenantID, id, project, f.owner.UserID)
	return id, f.Enqueue(t, f.owner.TenantID, ids.Nil, queue.ReportProject.Message("", queue.Job{JobID: id}))
}

func (f *fixture) deliver(t testing.TB, m queue.Envelope) string {
	t.Helper()
	// The lease of an attempt that was killed has ended.
	f.SQL(t, `update app.outbox set running_until = null, attempts = 0 where id = $1`, m.ID)
	return f.Deliver(t, f.handler, "reporter", m, 1).String(t, "result")
}

func (f *fixture) status(t testing.TB, id ids.ID) (status, sentence string, rows int) {
	t.Helper()
	f.Scan(t, `select status, coalesce(error, ''), coalesce((result->>'rows')::int, -1) from app.jobs where id = $1`, []any{id}, &status, &sentence, &rows)
	return status, sentence, rows
}

// sheet reads what a job made.
func (f *fixture) sheet(t testing.TB, id ids.ID) [][]string {
	t.Helper()
	var key string
	f.Scan(t, `select coalesce(result->>'object_key', status) from app.jobs where id = $1`, []any{id}, &key)
	r, err := f.store.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(raw, []byte("\ufeff")) {
		t.Error("no byte order mark")
	}
	lines, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestReport(t *testing.T) {
	t.Parallel()
	f := setup(t, "Apollo/11: <Moon>")
	f.addTasks(t, 2500)
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, description, assignee_id, due_date, priority, created_by, created_at)
		values ($1, gen_random_uuid(), $2, '＝1+1', E'two\nlines;=x', $3, '2026-12-24', 'high', $3, now() - interval '1 day')`, f.owner.TenantID, f.project, f.owner.UserID)
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, deleted_at, deletion_id) values ($1, gen_random_uuid(), $2, 'deleted', $3, now(), gen_random_uuid())`, f.owner.TenantID, f.project, f.owner.UserID)
	id, m := f.begin(t, f.project)
	if got := f.deliver(t, m); got != "done" {
		t.Fatalf("delivered: %s", got)
	}
	if status, _, rows := f.status(t, id); status != "succeeded" || rows != 2501 {
		t.Errorf("%s with %d rows", status, rows)
	}
	lines := f.sheet(t, id)
	for i, want := range []string{"Project,Apollo/11: <Moon>", "Project ID," + f.project.String(), "Description,'=cmd()", "Status,active", "Owner,Test Person <" + f.owner.Email + ">"} {
		if got := strings.Join(lines[i][:2], ","); got != want {
			t.Errorf("line %d: %s, want %s", i, got, want)
		}
	}
	if got := strings.Join(lines[9], "|"); got != "Task ID|Title|Description|Status|Priority|Assignee|Assignee email|Due date|Created by|Created at|Updated at" {
		t.Errorf("heading %s", got)
	}
	if got := strings.Join(lines[10][1:9], "|"); got != "'＝1+1|two\nlines;'=x|todo|high|Test Person|"+f.owner.Email+"|2026-12-24|Test Person" {
		t.Errorf("the oldest task is %s", got)
	}
	tasks := lines[10 : len(lines)-6]
	seen := map[string]bool{}
	for _, task := range tasks {
		if seen[task[0]] || task[1] == "deleted" {
			t.Errorf("%s is there twice, or not there at all", task)
		}
		seen[task[0]] = true
	}
	if len(tasks) != 2501 || tasks[1][1] != "Task 2500" || tasks[2500][1] != "Task 1" {
		t.Errorf("%d tasks from %s to %s", len(tasks), tasks[1][1], tasks[len(tasks)-1][1])
	}
	var summary []string
	for _, line := range lines[len(lines)-5:] {
		summary = append(summary, line[0]+"="+line[1])
	}
	if got := strings.Join(summary, " "); got != "Status=Tasks todo=834 in_progress=834 done=833 total=2501" {
		t.Errorf("summary %s", got)
	}
	var name string
	f.Scan(t, `select result->>'filename' from app.jobs where id = $1`, []any{id}, &name)
	if want := "Apollo11 Moon " + time.Now().UTC().Format("2006-01-02") + ".csv"; name != want {
		t.Errorf("saved as %q, want %q", name, want)
	}
	if got := f.deliver(t, m); got != "repeated" && got != "skipped" {
		t.Errorf("delivered again: %s", got)
	}
}

func TestProjectIsGone(t *testing.T) {
	t.Parallel()
	f := setup(t, "Apollo")
	other := f.Tenant(t)
	foreign := ids.New()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Foreign', $3, $3)`, other.TenantID, foreign, other.UserID)
	f.SQL(t, `update app.projects set deleted_at = now(), deletion_id = $2 where id = $1`, f.project, ids.New())
	for _, project := range []ids.ID{f.project, foreign, ids.New()} {
		id, m := f.begin(t, project)
		if got := f.deliver(t, m); got != "dead" {
			t.Errorf("delivered: %s", got)
		}
		if status, sentence, _ := f.status(t, id); status != "failed" || sentence != "The project was deleted before its report was made." {
			t.Errorf("%s: %s", status, sentence)
		}
	}
}

// TestKilledOrCanceled holds that a report is there once and whole, or not.
func TestKilledOrCanceled(t *testing.T) {
	t.Parallel()
	f := setup(t, "Apollo")
	f.addTasks(t, 1500)
	id, m := f.begin(t, f.project)
	died := map[string]bool{}
	f.reached = func(step string) error {
		if !died[step] {
			died[step] = true
			panic("killed")
		}
		return nil
	}
	for range 5 {
		f.deliver(t, m)
	}
	if lines := f.sheet(t, id); len(died) != 2 || lines[len(lines)-1][1] != "1500" {
		t.Errorf("killed at %v: %v", died, lines[len(lines)-1])
	}
	for _, at := range []string{"", "within tasks", "after write"} {
		id, m := f.begin(t, f.project)
		cancel := func(step string) error {
			if step == at {
				f.SQL(t, `update app.jobs set status = 'canceled', finished_at = now() where id = $1 and finished_at is null`, id)
			}
			return nil
		}
		f.reached = cancel
		_ = cancel("")
		if got := f.deliver(t, m); got != "skipped" {
			t.Errorf("canceled %q: %s", at, got)
		}
		if status, _, rows := f.status(t, id); status != "canceled" || rows != -1 {
			t.Errorf("canceled %q: %s, %d rows", at, status, rows)
		}
		if n, err := f.store.DeletePrefix(t.Context(), blob.Prefix(f.owner.TenantID, "jobs", id.String())); n != 0 || err != nil {
			t.Errorf("canceled %q: %d objects are left, %v", at, n, err)
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	f := setup(t, "Apollo")
	id, m := f.begin(t, f.project)
	f.addTasks(t, 1)
	f.reached = func(string) error { return errors.New("select secret") }
	for _, want := range []string{"retry", "retry", "retry", "dead"} {
		if got := f.deliver(t, m); got != want {
			t.Errorf("delivered: %s, want %s", got, want)
		}
	}
	if status, sentence, _ := f.status(t, id); status != "failed" || strings.Contains(sentence, "secret") || sentence == "" {
		t.Errorf("%s: %s", status, sentence)
	}
}

func TestFilename(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"Apollo": "Apollo", "../../x": "x", "": "Project", "...": "Project", "a\r\nb": "a b", "日本": "日本", "CON|<>:\"": "CON", strings.Repeat("é", 255): strings.Repeat("é", 100),
	} {
		if got := reporter.Filename(name, day); got != want+" 2026-11-24.csv" {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// most is how much a report may hold in memory, in bytes, however many tasks
// there are.
const most = 48 << 20

// TestMemory holds that memory does not grow with the project. TASKS makes it
// larger; the measured figures are in docs/exports.md.
func TestMemory(t *testing.T) {
	tasks := 200_000
	if n, err := strconv.Atoi(os.Getenv("TASKS")); err == nil {
		tasks = n
	}
	f := setup(t, "Apollo")
	// Indexes that no export reads are most of what so many inserts cost.
	f.SQL(t, `do $$ declare i text; begin
		for i in select indexname from pg_indexes where schemaname = 'app' and tablename = 'tasks' and indexname not in ('tasks_pkey', 'tasks_project_created_idx') loop
			execute 'drop index app.' || i;
		end loop; end $$`)
	f.addTasks(t, tasks)
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	peak, n := base.HeapInuse, 0
	f.reached = func(string) error {
		if n++; n%20 == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
		}
		return nil
	}
	id, m := f.begin(t, f.project)
	started := time.Now()
	f.deliver(t, m)
	status, _, rows := f.status(t, id)
	t.Logf("%d tasks: %v, heap grew by %.1f MB at most", tasks, time.Since(started).Round(time.Millisecond), float64(peak-base.HeapInuse)/(1<<20))
	if status != "succeeded" || rows != tasks || peak-base.HeapInuse > most {
		t.Errorf("%s: %d rows with %d bytes", status, rows, peak-base.HeapInuse)
	}
}

func TestOpenNeedsItsEnvironment(t *testing.T) {
	t.Parallel()
	if _, err := reporter.Open(t.Context(), config.Map(nil)); err == nil {
		t.Error("opened without an environment")
	}
}
