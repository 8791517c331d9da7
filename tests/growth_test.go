package tests

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/tests/platform"
)

const (
	smallTown = 10_000
	// largeTown keeps the test within a minute; GROWTH_TASKS sets another size,
	// and the benchmark takes a million.
	largeTown = 100_000
)

// town is an organization with many tasks: half of them in one project, none
// of them done or of low priority, a hundredth of them the owner's.
type town struct {
	*scene
	apps     *all.Apps
	recorder *recorder
	size     int
}

// settle makes an empty town among others whose tasks are of every kind.
func settle(t testing.TB) *town {
	t.Helper()
	e := functest.New(t)
	w := &town{scene: stage(t, &platform.Platform{Env: e}), recorder: newRecorder(t, e.Database.URL)}
	vars := maps.Clone(e.Vars)
	vars["DATABASE_URL"] = w.recorder.url
	vars["CHECK_RESPONSES"] = "false" // as in production: it costs more than the database
	var err error
	if w.apps, err = all.Open(context.Background(), config.Map(vars)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.apps.Close(context.Background()) })
	// Only what the test says is analyzed.
	w.SQL(t, `alter table app.tasks set (autovacuum_enabled = false)`)
	w.SQL(t, `alter table app.activity set (autovacuum_enabled = false)`)
	w.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by, created_at)
		select $1, gen_random_uuid(), 'district ' || i, $2, $2, now() - i * interval '1 hour' from generate_series(1, 60) i`, w.owner.TenantID, w.owner.UserID)
	for range 10 {
		other := stage(t, w.Platform)
		w.fill(t, other.owner, other.project.String(), 1000, 3)
	}
	w.SQL(t, `analyze`)
	return w
}

// grow adds tasks until the town has n, each with its activity.
func (w *town) grow(t testing.TB, n int) {
	t.Helper()
	w.fill(t, w.owner, w.project.String(), n-w.size, 2)
	w.size = n
}

// fill gives a tenant n tasks whose status and priority are of the first kinds.
// The search index is made anew afterwards, which is much quicker than keeping it.
func (w *town) fill(t testing.TB, of functest.Person, project string, n, kinds int) {
	t.Helper()
	if n > 5000 {
		w.SQL(t, `drop index app.tasks_search_idx`)
	}
	w.SQL(t, `with districts as (select array_agg(id) as ids from app.projects where tenant_id = $1 and deleted_at is null)
		insert into app.tasks (tenant_id, id, project_id, title, created_by, created_at, updated_at, status, priority, assignee_id, due_date)
		select $1, gen_random_uuid(), case when i % 2 = 0 then $2::uuid else d.ids[1 + i % cardinality(d.ids)] end, 'task ' || i, $3,
		       now() - (i - $5) * interval '1 second', now() - ((i::bigint * 7919 - $5) % ($4 + 1)) * interval '1 second',
		       (array['todo','in_progress','done'])[1 + i / 2 % $6], (array['medium','high','low'])[1 + i / 3 % $6],
		       case when i % 100 = 0 then $3::uuid end, case when i % 4 = 0 then current_date + i % 365 end
		  from districts d, generate_series(1, $4::int) i`, of.TenantID, project, of.UserID, n, w.size, kinds)
	w.SQL(t, `insert into app.activity (tenant_id, id, action, model, object_id, user_id, created_at)
		select t.tenant_id, gen_random_uuid(), 'created', 'Task', t.id, t.created_by, t.created_at from app.tasks t
		 where t.tenant_id = $1 and not exists (select from app.activity a where a.tenant_id = $1 and a.object_id = t.id)`, of.TenantID)
	w.SQL(t, `delete from app.project_task_counts where tenant_id = $1`, of.TenantID)
	w.SQL(t, `insert into app.project_task_counts (tenant_id, project_id, slot, todo, in_progress, done)
		select tenant_id, project_id, 0, count(*), 0, 0 from app.tasks where tenant_id = $1 and deleted_at is null group by 1, 2`, of.TenantID)
	if n > 5000 {
		w.SQL(t, `create index tasks_search_idx on app.tasks using gin (tenant_id, (title || E'\n' || description) public.gin_trgm_ops)`)
	}
}

// bounded are the readings whose cost must not follow the number of tasks, by
// function. {p} is the large project, {t} a task of it.
func bounded() map[string][]string {
	out := map[string][]string{
		"tasks":    {"/api/v1/tasks/{t}/"},
		"projects": {"/api/v1/projects/{p}/", "/api/v1/projects/", "/api/v1/projects/?ordering=-updated_at", "/api/v1/projects/?status=active"},
		"activity": {"/api/v1/activity/"},
	}
	for _, list := range []string{"/api/v1/tasks/", "/api/v1/projects/{p}/tasks/"} {
		for _, order := range []string{"-created_at", "created_at", "-updated_at", "updated_at"} {
			for _, filter := range []string{
				"", "status=todo", "status=done", "priority=high", "priority=low",
				"status=todo&priority=high", "status=done&priority=high", "status=todo&assignee=none", "priority=high&assignee=none",
			} {
				out["tasks"] = append(out["tasks"], list+"?"+filter+"&ordering="+order)
			}
		}
		for _, filter := range []string{"assignee=me", "assignee=me&ordering=-updated_at", "assignee=none", "due_after=2020-01-01"} {
			out["tasks"] = append(out["tasks"], list+"?"+filter)
		}
	}
	return out
}

// reading is what one request costs the database.
type reading struct {
	blocks int
	sql    string // of the page
}

// read sends a request and explains the statements that it took: on the page
// that it asks for, and on one far behind it.
func (w *town) read(t testing.TB, conn *pgconn.PgConn, function, path string, deep int) (r reading) {
	t.Helper()
	w.recorder.take()
	for _, key := range w.Redis.Keys() { // a page that is remembered costs the database nothing
		if strings.HasPrefix(key, "list:") {
			w.Redis.Del(key)
		}
	}
	path = strings.NewReplacer("{p}", w.project.String(), "{t}", w.task.String()).Replace(path)
	for page := 0; ; page++ {
		if page > 0 {
			w.recorder.take()
		}
		answer := w.Do(t, w.apps.Handler(function), functest.Request{Method: http.MethodGet, Path: path, Token: w.owner.Token}).Want(t, http.StatusOK)
		if page == deep {
			break
		}
		var list struct {
			Next *string `json:"next"`
		}
		if err := json.Unmarshal(answer.Body, &list); err != nil {
			t.Fatal(err)
		}
		if list.Next == nil {
			break // a short list has no further pages
		}
		u, err := url.Parse(*list.Next)
		if err != nil {
			t.Fatal(err)
		}
		path = u.RequestURI()
	}
	for _, s := range w.recorder.take() {
		root, err := explained(t.Context(), conn, s)
		if err != nil {
			t.Fatalf("%v: %s", err, s.sql)
		}
		r.blocks += root.Hit + root.Read
		if strings.Contains(s.sql, " limit ") {
			r.sql = s.sql
		}
	}
	return r
}

type cost struct {
	Hit  int `json:"Shared Hit Blocks"`
	Read int `json:"Shared Read Blocks"`
}

// explained gives what a statement costs, run as the application does and with
// nothing switched off.
func explained(ctx context.Context, conn *pgconn.PgConn, s statement) (c cost, err error) {
	var out []struct{ Plan cost }
	if err := repeat(ctx, conn, "begin", "explain (analyze, buffers, timing off, format json) ", s, &out); err != nil {
		return c, err
	}
	return out[0].Plan, nil
}

// TestGrowth holds that reading a page, far behind the first one too, or a task
// costs the same blocks of the database when the tenant has ten times the
// tasks: just after they were written, when the planner knows nothing of them,
// and when it does.
func TestGrowth(t *testing.T) {
	t.Parallel()
	w := settle(t)
	conn, err := pgconn.Connect(t.Context(), w.Database.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	w.grow(t, smallTown)
	w.SQL(t, `analyze`)
	small := w.readings(t, conn)
	w.grow(t, size(t, largeTown))
	for _, known := range []bool{false, true} {
		if known {
			w.SQL(t, `analyze`)
		}
		for path, large := range w.readings(t, conn) {
			// A tree of ten times the entries is one level higher at most: some
			// blocks for each part of a page and for each way down to a member.
			if limit := small[path].blocks*6/5 + 40; large.blocks > limit || large.blocks > 1500 {
				t.Errorf("analyzed %v: %s reads %d blocks, %d when the tenant has %d tasks: %s", known, path, large.blocks, small[path].blocks, smallTown, large.sql)
			}
		}
	}
}

func (w *town) readings(t *testing.T, conn *pgconn.PgConn) map[string]reading {
	t.Helper()
	out := map[string]reading{}
	for function, paths := range bounded() {
		for _, path := range paths {
			out[path] = w.read(t, conn, function, path, 0)
			if path == "/api/v1/tasks/?&ordering=-created_at" || strings.Contains(path, "{p}/tasks/?status=todo&ordering") {
				out[path+" deep"] = w.read(t, conn, function, path, 8)
			}
		}
	}
	return out
}

// size is how many tasks the large town has.
func size(t testing.TB, otherwise int) int {
	t.Helper()
	text := os.Getenv("GROWTH_TASKS")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= smallTown {
		t.Fatalf("GROWTH_TASKS=%s", text)
	}
	return n
}

// linear are the lists that no index keeps in order: their cost follows the
// member's tasks, those that match a due date, or those that do not. Searches
// have a test of their own next to their functions. The benchmark says what
// that means in time.
var linear = []string{
	"/api/v1/tasks/?due_before=2020-01-01", "/api/v1/tasks/?due_after=2020-01-01&status=done", "/api/v1/tasks/?due_before=2030-01-01&ordering=updated_at",
	"/api/v1/tasks/?status=done&assignee=none", "/api/v1/tasks/?assignee=me&status=done",
	"/api/v1/projects/{p}/tasks/?assignee=me&status=done", "/api/v1/tasks/?assignee=me&status=todo", "/api/v1/tasks/?search=task", "/api/v1/tasks/?search=absent", "/api/v1/tasks/?search=zz", "/api/v1/tasks/?search=z", "/api/v1/tasks/?search=!!",
	"/api/v1/tasks/?search=ta", "/api/v1/tasks/?search=zz%20task", "/api/v1/tasks/?search=9",
}

// BenchmarkGrowth times every reading at ten thousand tasks and at a million,
// in turns, through the function and PgBouncer. The figure of interest is the
// ratio.
func BenchmarkGrowth(b *testing.B) {
	towns := [2]*town{settle(b), settle(b)}
	for i, n := range []int{smallTown, size(b, 1_000_000)} {
		towns[i].grow(b, n)
		towns[i].SQL(b, `vacuum analyze`)
	}
	readings := bounded()
	readings["tasks"] = append(readings["tasks"], linear...)
	for function, paths := range readings {
		for _, path := range paths {
			b.Run(path, func(b *testing.B) {
				var spent [2][]time.Duration
				ask := func(i int) {
					w := towns[i]
					in := functest.Request{Method: http.MethodGet, Token: w.owner.Token,
						Path: strings.NewReplacer("{p}", w.project.String(), "{t}", w.task.String()).Replace(path)}
					from := time.Now()
					r := w.Do(b, w.apps.Handler(function), in)
					spent[i] = append(spent[i], time.Since(from))
					r.Want(b, http.StatusOK)
				}
				for b.Loop() {
					ask(0)
					ask(1)
				}
				small, large := median(spent[0]), median(spent[1])
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(small.Microseconds()), "µs-small")
				b.ReportMetric(float64(large.Microseconds()), "µs-large")
				b.ReportMetric(float64(large)/float64(small), "ratio")
			})
		}
	}
}

// median is the middle one: on a busy machine the mean belongs to the others.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
