package tests

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/functest"
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
	Name     string  `json:"Index Name"`
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
	home := stage(t, platform.Mount(t, e, func(vars map[string]string) { vars["DATABASE_URL"] = recorder.url }))
	crowd(t, home)
	for _, f := range all.Functions() {
		for _, op := range f.Operations {
			recorder.label(op.ID)
			home.objects(t, home.owner)
			home.signIn(t)
			in := home.request(t, op)
			for _, query := range append([]string{""}, queries[op.ID]...) {
				if query != "" {
					in.Path = strings.SplitN(in.Path, "?", 2)[0] + query
				}
				if r := e.Do(t, home.Apps.Handler(f.Name), in); r.Status != op.Status {
					t.Fatalf("%s %s: %d %s", op.ID, query, r.Status, r.Body)
				}
				if op.Method != http.MethodGet {
					break
				}
			}
		}
	}
	home.objects(t, home.owner) // what the last one deleted, and the statements name
	e.SQL(t, `analyze`)
	statements := recorder.statements()
	heard := map[string]bool{}
	for _, s := range statements {
		heard[s.label] = true
	}
	if len(statements) < 60 || len(heard) < 25 {
		t.Fatalf("only %d statements of %d operations were seen", len(statements), len(heard))
	}
	conn, err := pgconn.Connect(t.Context(), e.Database.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, s := range statements {
		t.Run(s.label, func(t *testing.T) {
			root, err := explain(t.Context(), conn, s)
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
	"list-tasks":         {"?status=todo", "?priority=medium", "?status=todo&priority=medium", "?status=todo&assignee=me", "?assignee=none", "?assignee=me", "?due_before=2027-01-01", "?due_after=2025-01-01", "?search=secret", "?ordering=-updated_at"},
	"list-project-tasks": {"?status=todo", "?priority=medium", "?status=todo&priority=medium", "?assignee=me", "?due_before=2027-01-01", "?due_after=2025-01-01", "?assignee=none", "?search=secret", "?ordering=updated_at"},
	"list-members":       {"?role=owner", "?role=manager", "?is_active=true", "?search=secret", "?ordering=updated_at"},
	"list-invitations":   {"?status=pending", "?status=expired", "?ordering=updated_at"},
	"list-roles":         {"?ordering=-updated_at"},
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
	s.SQL(t, `update app.projects set deleted_at = now() - random() * interval '30 days', deletion_id = gen_random_uuid() where name like 'project 4%'`)
	s.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, created_at, status, due_date)
		select p.tenant_id, gen_random_uuid(), p.id, 'task ' || i, p.created_by, now() - i * interval '1 minute',
		       (array['todo','in_progress','done'])[1 + i % 3], current_date + i % 30
		  from app.projects p, generate_series(1, 15) i where p.name in ('project 1', 'project 2', 'project 3', 'project 11', 'project 41') or p.name like 'secret%'`)
	s.SQL(t, `insert into app.activity (tenant_id, id, action, model, object_id, user_id, created_at)
		select t.tenant_id, gen_random_uuid(), 'created', 'Task', t.id, t.created_by, t.created_at from app.tasks t`)
	s.SQL(t, `insert into app.sessions (user_id, session_id, expires_at) select user_id, gen_random_uuid(), now() + interval '1 day' from app.users`)
	s.SQL(t, `insert into app.profiles (user_id) select user_id from app.users on conflict do nothing`)
	s.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status)
		select tenant_id, 'cus_' || subdomain, 'pro', 'active' from app.organizations where name = 'crowd'`)
	s.SQL(t, `insert into app.payment_methods (tenant_id, id, brand, last4, exp_month, exp_year, created_at)
		select tenant_id, 'pm_' || subdomain || i, 'visa', '4242', 12, 2030, now() from app.organizations, generate_series(1, 3) i where name = 'crowd'`)
	s.SQL(t, `insert into app.invoices (tenant_id, id, stripe_invoice_id, status, currency, created_at)
		select tenant_id, gen_random_uuid(), 'in_' || subdomain || i, 'paid', 'usd', now() - i * interval '30 days' from app.organizations, generate_series(1, 20) i where name = 'crowd'`)
	s.SQL(t, `insert into app.usage_records (tenant_id, id, metric, day, quantity)
		select tenant_id, gen_random_uuid(), 'api_requests', current_date - i, 100 from app.organizations, generate_series(1, 60) i where name = 'crowd'`)
	s.SQL(t, `analyze`)
}

// explain runs the statement for whom it was sent and undoes it. Reading whole
// is made dear, since these tables are so small that it would be right; the
// test of growth leaves the planner free.
func explain(ctx context.Context, conn *pgconn.PgConn, st statement) (root plan, err error) {
	how := "explain (analyze, verbose, format json) "
	if sql := strings.TrimSpace(st.sql); strings.HasPrefix(sql, "insert") || strings.HasPrefix(sql, "select app.guard(") {
		how = "explain (verbose, format json) " // its rows are there already, or what it guards against
	}
	var out []struct{ Plan plan }
	if err := repeat(ctx, conn, "begin; set local enable_seqscan = off", how, st, &out); err != nil {
		return root, err
	}
	return out[0].Plan, nil
}

// repeat sends a statement again, in a transaction that begins as told and is
// undone, with how before it, and reads the JSON that comes.
func repeat(ctx context.Context, conn *pgconn.PgConn, begin, how string, st statement, into any) error {
	if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
		return err
	}
	defer func() { _, _ = conn.Exec(ctx, "rollback").ReadAll() }()
	for _, s := range st.settings {
		if r := conn.ExecParams(ctx, s.sql, s.parameters, s.types, s.formats, nil).Read(); r.Err != nil {
			return r.Err
		}
	}
	r := conn.ExecParams(ctx, how+st.sql, st.parameters, st.types, st.formats, nil).Read()
	if r.Err != nil {
		return r.Err
	}
	return json.Unmarshal(r.Rows[0][0], into)
}

// inspect walks a plan. Below a Limit a node stops early, so that its estimate
// cannot be compared with what it gave.
func inspect(t *testing.T, sql string, p plan, limited bool) {
	t.Helper()
	if p.Schema == "app" && p.Relation != "" && !fixed[p.Relation] && strings.HasSuffix(p.Type, "Scan") && p.Index == "" && p.Recheck == "" {
		t.Errorf("%s reads %s whole (%s; %.0f rows expected, %.0f came): %s", p.Type, p.Relation, p.Name, p.Rows, p.Actual, sql)
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
