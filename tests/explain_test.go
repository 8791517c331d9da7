package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/tests/platform"
)

// plan is a node of EXPLAIN's JSON.
type plan struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Schema   string  `json:"Schema"`
	Parent   string  `json:"Parent Relationship"`
	Rows     float64 `json:"Plan Rows"`
	Actual   float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Index    string  `json:"Index Cond"`
	Recheck  string  `json:"Recheck Cond"`
	Plans    []plan  `json:"Plans"`
}

// fixed are tables that no tenant's work makes longer.
var fixed = map[string]bool{"plans": true, "permissions": true}

// TestPlans runs every operation, with every filter of the lists, on a database
// of many tenants, takes down each statement as it reaches the server, and
// reads how the server would run it as the application role: by an index,
// never by reading a table whole, and with an idea of how many rows there are
// that is right within a factor of ten.
func TestPlans(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	recorder := newRecorder(t, e.Database.URL)
	home := stage(t, &platform.Platform{Env: e})
	crowd(t, home)
	vars := maps.Clone(e.Vars)
	vars["DATABASE_URL"] = recorder.url
	apps, err := all.Open(context.Background(), config.Map(vars))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apps.Close(context.Background()) })

	for _, f := range all.Functions() {
		for _, op := range f.Operations {
			if op.Public || op.Permission == identity.Internal {
				continue
			}
			recorder.label(op.ID)
			home.objects(t, home.owner)
			home.signIn(t)
			in := home.request(t, op)
			for _, query := range append([]string{""}, queries[op.ID]...) {
				in.Path = strings.SplitN(in.Path, "?", 2)[0] + query
				if r := e.Do(t, apps.Handler(f.Name), in); r.Status != op.Status {
					t.Fatalf("%s %s: %d %s", op.ID, query, r.Status, r.Body)
				}
				if op.Method != http.MethodGet {
					break
				}
			}
		}
	}
	e.SQL(t, `analyze`)
	statements := recorder.statements()
	if len(statements) < 40 {
		t.Fatalf("only %d statements were seen", len(statements))
	}
	conn, err := pgconn.Connect(t.Context(), e.Database.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, s := range statements {
		t.Run(s.label, func(t *testing.T) {
			root, err := explain(t.Context(), conn, home, s)
			if err != nil {
				t.Fatalf("%v: %s", err, s.sql)
			}
			inspect(t, s.sql, root, false)
		})
	}
}

// queries are the ways a list is narrowed and sorted.
var queries = map[string][]string{
	"list-projects":      {"?status=active", "?search=secret", "?ordering=updated_at", "?include_deleted=true", "?status=deleted"},
	"list-tasks":         {"?status=todo", "?priority=medium", "?assignee=none", "?assignee=me", "?due_before=2027-01-01", "?due_after=2025-01-01", "?search=secret", "?ordering=-updated_at"},
	"list-project-tasks": {"?status=todo", "?priority=medium", "?assignee=none", "?search=secret", "?ordering=updated_at"},
	"list-activity":      {"?model=Task", "?action=created", "?since=2020-01-01T00:00:00Z"},
}

// crowd fills the database with other tenants' rows, and one's own, enough for
// the planner to have a choice.
func crowd(t *testing.T, s *scene) {
	t.Helper()
	s.SQL(t, `insert into app.organizations (tenant_id, name, subdomain)
		select gen_random_uuid(), 'crowd', 'crowd-' || i from generate_series(1, 200) i`)
	s.SQL(t, `insert into app.users (user_id, email) select gen_random_uuid(), 'crowd-' || i || '@example.com' from generate_series(1, 200) i`)
	s.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, is_active, joined_at)
		select o.tenant_id, u.user_id, u.email, 'owner', true, now()
		  from app.organizations o join app.users u on u.email = o.subdomain || '@example.com' where o.name = 'crowd'`)
	s.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by, created_at)
		select m.tenant_id, gen_random_uuid(), 'project ' || i, m.user_id, m.user_id, now() - i * interval '1 hour'
		  from app.memberships m, generate_series(1, 50) i`)
	s.SQL(t, `update app.projects set deleted_at = now(), deletion_id = gen_random_uuid() where name like 'project 4%'`)
	s.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, created_at, status, due_date)
		select p.tenant_id, gen_random_uuid(), p.id, 'task ' || i, p.created_by, now() - i * interval '1 minute',
		       (array['todo','in_progress','done'])[1 + i % 3], current_date + i % 30
		  from app.projects p, generate_series(1, 15) i where p.name in ('project 1', 'project 2', 'project 3', 'project 11', 'project 41') or p.name like 'secret%'`)
	s.SQL(t, `insert into app.activity (tenant_id, id, action, model, object_id, user_id, created_at)
		select t.tenant_id, gen_random_uuid(), 'created', 'Task', t.id, t.created_by, t.created_at from app.tasks t`)
	s.SQL(t, `insert into app.sessions (user_id, session_id, expires_at) select user_id, gen_random_uuid(), now() + interval '1 day' from app.users`)
	s.SQL(t, `insert into app.profiles (user_id) select user_id from app.users on conflict do nothing`)
	s.SQL(t, `analyze`)
}

// explain runs the statement under the scene's settings and undoes it.
func explain(ctx context.Context, conn *pgconn.PgConn, s *scene, st statement) (root plan, err error) {
	settings := fmt.Sprintf(`begin; set local enable_seqscan = off; select app.set_tenant('%s'); select app.set_user('%s')`, s.owner.TenantID, s.owner.UserID)
	if _, err := conn.Exec(ctx, settings).ReadAll(); err != nil {
		return root, err
	}
	defer func() { _, _ = conn.Exec(ctx, "rollback").ReadAll() }()
	how := "explain (analyze, verbose, format json) "
	if strings.HasPrefix(strings.TrimSpace(st.sql), "insert") {
		how = "explain (verbose, format json) " // its rows are there already
	}
	r := conn.ExecParams(ctx, how+st.sql, st.parameters, st.types, st.formats, nil).Read()
	if r.Err != nil {
		return root, r.Err
	}
	var out []struct{ Plan plan }
	err = json.Unmarshal(r.Rows[0][0], &out)
	if err == nil {
		root = out[0].Plan
	}
	return root, err
}

// inspect walks a plan. Below a Limit a node stops early, so that its estimate
// cannot be compared with what it gave.
func inspect(t *testing.T, sql string, p plan, limited bool) {
	t.Helper()
	if p.Schema == "app" && p.Relation != "" && !fixed[p.Relation] && strings.HasSuffix(p.Type, "Scan") && p.Index == "" && p.Recheck == "" {
		t.Errorf("%s reads %s whole: %s", p.Type, p.Relation, sql)
	}
	limited = limited || p.Type == "Limit"
	if !limited && p.Relation != "" && p.Loops > 0 && (p.Actual > 10*max(p.Rows, 1) || p.Rows > 10*max(p.Actual, 1)) && max(p.Rows, p.Actual) > 20 {
		t.Errorf("%s on %s: %.0f rows expected, %.0f came: %s", p.Type, p.Relation, p.Rows, p.Actual, sql)
	}
	for _, child := range p.Plans {
		inspect(t, sql, child, limited)
	}
}

// sorted keeps the order of subtests the same from run to run.
func sorted(in []statement) []statement {
	return slices.SortedFunc(slices.Values(in), func(a, b statement) int {
		return strings.Compare(a.label+a.sql, b.label+b.sql)
	})
}
