package migrations

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// titles asks as the application does: ids from the function, rows under the caller's own policy.
func titles(t *testing.T, tx pgx.Tx, tenant, query, more string) ([]string, error) {
	t.Helper()
	rows, err := tx.Query(t.Context(), `select title from app.tasks where tenant_id = $1 and id in (
		select app.search_tasks(tenant => $1, query => $2, page_rows => 10`+more+`)) order by title`, tenant, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func TestSearchFindsWordsAndFilters(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	owner, app := open(t, d.migrator), open(t, d.app)
	for i, task := range []struct{ title, description, more string }{
		{"Zebra crossing", "paint it", "'todo', 'low', null, '2026-01-10', null"},
		{"paint the ZEBRA", "100% done_ok c:\\dir 'quoted'", "'done', 'high', '" + personA + "', '2026-01-20', null"},
		{"Gone zebra", "", "'todo', 'low', null, null, now()"},
		{"Élan vital", "other", "'todo', 'low', null, null, null"},
	} {
		exec(t, owner, fmt.Sprintf(`insert into app.tasks (tenant_id, id, project_id, title, description, created_by, created_at, status, priority, assignee_id, due_date, deleted_at, deletion_id)
			select $1, gen_random_uuid(), $1, $2, $3, $4, '2026-01-01'::timestamptz + interval '%d hours', s, p, a::uuid, dd::date, d::timestamptz, case when d is not null then gen_random_uuid() end
			from (values (%s)) v(s, p, a, dd, d)`, i, task.more), tenantA, task.title, task.description, personA)
	}
	exec(t, owner, "update app.tasks set title = 'Foreign zebra' where tenant_id = $1", tenantB)
	for _, c := range []struct {
		query, more string
		want        []string
	}{
		{"zebra", "", []string{"Zebra crossing", "paint the ZEBRA"}},
		{"zeb", "", []string{"Zebra crossing", "paint the ZEBRA"}},
		{" paint \t zebra ", "", []string{"Zebra crossing", "paint the ZEBRA"}},
		{"paint crossing", "", []string{"Zebra crossing"}},
		{"crossing\npaint", "", []string{"Zebra crossing"}},
		{"éLAN", "", []string{"Élan vital"}},
		{"100%", "", []string{"paint the ZEBRA"}},
		{"1%done", "", nil},
		{"done_ok", "", []string{"paint the ZEBRA"}},
		{"doneXok", "", nil},
		{`c:\dir`, "", []string{"paint the ZEBRA"}},
		{"'quoted'", "", []string{"paint the ZEBRA"}},
		{"') or true --", "", nil},
		{"vi", "", []string{"Élan vital"}},
		{"zebra", ", status => 'done'", []string{"paint the ZEBRA"}},
		{"zebra", ", priority => 'low'", []string{"Zebra crossing"}},
		{"zebra", ", unassigned => true", []string{"Zebra crossing"}},
		{"zebra", ", assignee => '" + personA + "'", []string{"paint the ZEBRA"}},
		{"zebra", ", due_before => '2026-01-20'", []string{"Zebra crossing"}},
		{"zebra", ", due_after => '2026-01-10'", []string{"paint the ZEBRA"}},
		{"zebra", ", project => '" + tenantA + "'", []string{"Zebra crossing", "paint the ZEBRA"}},
		{"zebra", ", project => '" + tenantB + "'", nil},
		{"zebra", ", after_at => '2026-01-01 01:00', after_id => '00000000-0000-0000-0000-000000000000'", []string{"Zebra crossing"}},
		{"zebra", ", ordering => 'created_at', after_at => '2026-01-01 00:30', after_id => '00000000-0000-0000-0000-000000000000'", []string{"paint the ZEBRA"}},
	} {
		in(t, app, tenantA, "", "", func(tx pgx.Tx) {
			got, err := titles(t, tx, tenantA, c.query, c.more)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q%s: got %q, %v, want %q", c.query, c.more, got, err, c.want)
			}
		})
	}
	for name, c := range map[string]struct{ set, tenant, more, code string }{
		"another tenant": {tenantA, tenantB, "", "42501"},
		"no tenant set":  {"", tenantA, "", "42501"},
		"bad ordering":   {tenantA, tenantA, ", ordering => 'title; drop table app.tasks'", "22023"},
		"null ordering":  {tenantA, tenantA, ", ordering => null", "22023"},
	} {
		in(t, app, c.set, "", "", func(tx pgx.Tx) {
			tag, err := tx.Exec(t.Context(), "select app.search_tasks(tenant => $1, query => 'zebra', page_rows => 10"+c.more+")", c.tenant)
			if code, _ := state(err); code != c.code {
				t.Errorf("%s: got %s, %v", name, tag, err)
			}
		})
	}
	// The function is the only way: what builds its query is not the application's to call.
	if _, err := app.Exec(t.Context(), "select app.search_condition('true', 'x')"); err == nil {
		t.Error("the application may build conditions")
	}
}

func TestSearchFindsProjects(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	owner, app := open(t, d.migrator), open(t, d.app)
	exec(t, owner, `insert into app.projects (tenant_id, id, name, description, status, owner_id, created_by, deleted_at, deletion_id)
		select $1, gen_random_uuid(), n, 'moon', s, $2, $2, d::timestamptz, case when d is not null then gen_random_uuid() end
		from (values ('active moon', 'active', null), ('archived moon', 'archived', null), ('deleted moon', 'active', now())) v(n, s, d)`, tenantA, personA)
	for more, want := range map[string][]string{
		"":                             {"active moon", "archived moon"},
		", status => 'archived'":       {"archived moon"},
		", status => 'deleted'":        {"deleted moon"},
		", include_deleted => true":    {"active moon", "archived moon", "deleted moon"},
		", owner => '" + personB + "'": nil,
		", ordering => 'updated_at'":   {"active moon", "archived moon"},
		", after_at => '2000-01-01', after_id => '" + personA + "'": nil,
	} {
		in(t, app, tenantA, "", "", func(tx pgx.Tx) {
			rows, err := tx.Query(t.Context(), "select name from app.projects where tenant_id = $1 and id in (select app.search_projects(tenant => $1, query => 'MOON', page_rows => 10"+more+")) order by name", tenantA)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, %v, want %q", more, got, err, want)
			}
		})
	}
	in(t, app, tenantA, "", "", func(tx pgx.Tx) {
		_, err := tx.Exec(t.Context(), "select app.search_projects($1, 'moon', 10)", tenantB)
		if code, _ := state(err); code != "42501" {
			t.Errorf("another tenant: %v", err)
		}
	})
}

// The reason for the functions: of a large tenant a rare word reads the trigram index through them, and all
// rows without them.
func TestSearchOfALargeTenantUsesItsIndex(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	owner, app := open(t, d.migrator), open(t, d.app)
	exec(t, owner, `insert into app.tasks (tenant_id, id, project_id, title, description, created_by)
		select $1, gen_random_uuid(), $1, 'task ' || md5(n::text), md5((n * 7)::text), $2 from generate_series(1, 20000) n`, tenantA, personA)
	exec(t, owner, "update app.tasks set title = 'a zebra crossing' where tenant_id = $1 and id = $1", tenantA)
	exec(t, owner, "vacuum analyze app.tasks")
	scans := func() int {
		exec(t, app, "select pg_stat_force_next_flush()")
		exec(t, owner, "select pg_stat_clear_snapshot()")
		return one[int](t, owner, "select idx_scan from pg_stat_user_indexes where indexrelname = 'tasks_search_idx'")
	}
	before := scans()
	in(t, app, tenantA, "", "", func(tx pgx.Tx) {
		if got, err := titles(t, tx, tenantA, "zebra", ""); err != nil || len(got) != 1 {
			t.Errorf("got %q, %v", got, err)
		}
	})
	if after := scans(); after <= before {
		t.Errorf("the search index was scanned %d times", after-before)
	}
	in(t, app, tenantA, "", "", func(tx pgx.Tx) {
		rows, err := tx.Query(t.Context(), `explain select id from app.tasks where tenant_id = $1 and deleted_at is null and (title || E'\n' || description) ilike '%zebra%'`, tenantA)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || strings.Contains(strings.Join(plan, "\n"), "tasks_search_idx") {
			t.Errorf("the application's own query may use the index now: the functions are not needed (%q, %v)", plan, err)
		}
	})
}

// Pages joined are the whole answer, for words that the list's next rows fill a page with and for those they
// do not, also where many rows share one time.
func TestSearchPagesJoinToTheWhole(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	owner, app := open(t, d.migrator), open(t, d.app)
	exec(t, owner, `insert into app.tasks (tenant_id, id, project_id, title, created_by, created_at)
		select $1, gen_random_uuid(), $1, concat('every', case when n % 1500 = 0 then ' rare' end, case when n % 3 = 0 then ' third' end), $2, '2026-01-01'::timestamptz + (n / 50) * interval '1 minute'
		from generate_series(1, 4000) n`, tenantA, personA)
	for word, want := range map[string]int{"every": 4000, "third": 1333, "rare": 2, "absent": 0} {
		for ordering, direction := range map[string]string{"created_at": "asc", "-created_at": "desc"} {
			var got []string
			in(t, app, tenantA, "", "", func(tx pgx.Tx) {
				for after := ""; ; {
					if len(got) > 0 {
						after = fmt.Sprintf(", after_id => '%[1]s', after_at => (select created_at from app.tasks where tenant_id = $1 and id = '%[1]s')", got[len(got)-1])
					}
					rows, err := tx.Query(t.Context(), "select id::text from app.search_tasks(tenant => $1, query => $2, page_rows => 400, ordering => $3"+after+") id", tenantA, word, ordering)
					if err != nil {
						t.Fatal(err)
					}
					page, err := pgx.CollectRows(rows, pgx.RowTo[string])
					if err != nil {
						t.Fatal(err)
					}
					if got = append(got, page...); len(page) < 400 {
						break
					}
				}
			})
			all := lines(t, owner, fmt.Sprintf("select id::text from app.tasks where tenant_id = $1 and title like '%%%s%%' order by created_at %[2]s, id %[2]s", word, direction), tenantA)
			if len(all) != want || !slices.Equal(got, all) {
				t.Errorf("%s by %s: %d rows, want the %d of the whole in their order", word, ordering, len(got), len(all))
			}
		}
	}
}

// Words too short for a trigram are found anywhere near in the list, and where a word begins behind that, in its
// order and by the index: however many tasks hold none.
func TestSearchOfShortWordsIsBounded(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	owner, app := open(t, d.migrator), open(t, d.app)
	exec(t, owner, `insert into app.tasks (tenant_id, id, project_id, title, description, created_by, created_at)
		select $1, gen_random_uuid(), $1, 'task ' || n, case when n % 9000 = 0 then 'the xk (q) c#' when n % 9000 = 4500 then 'mixk' else '' end, $2,
		       '2026-01-01'::timestamptz - n * interval '1 minute'
		  from generate_series(1, 30000) n`, tenantA, personA)
	for n, title := range map[int]string{100: "mixk near", 101: "!! near", 102: "東京 near"} {
		exec(t, owner, "update app.tasks set title = $2 where tenant_id = $1 and title = 'task ' || $3::int", tenantA, title, n)
	}
	exec(t, owner, "update app.tasks set title = '東京 far' where tenant_id = $1 and title = 'task 20000'", tenantA)
	exec(t, owner, "update app.tasks set title = '大東京 far' where tenant_id = $1 and title = 'task 20001'", tenantA)
	exec(t, owner, "update app.tasks set title = '!! far' where tenant_id = $1 and title = 'task 20002'", tenantA)
	exec(t, owner, "vacuum analyze app.tasks")
	for query, want := range map[string][]string{
		"xk":      {"mixk near", "task 18000", "task 27000", "task 9000"},
		"XK task": {"task 18000", "task 27000", "task 9000"},
		"xk near": {"mixk near"},
		"q":       {"task 18000", "task 27000", "task 9000"},
		"c#":      {"task 18000", "task 27000", "task 9000"},
		"(q)":     {"task 18000", "task 27000", "task 9000"},
		"ixk":     {"mixk near", "task 13500", "task 22500", "task 4500"},
		"!!":      {"!! near"},
		"!! far":  {"!! far"},
		"東京":      {"東京 far", "東京 near"},
		"zz":      nil,
		"z":       nil,
		"%":       nil,
		"_":       nil,
		"zz zz":   nil,
		"' or '":  nil,
		"x_":      nil,
	} {
		for _, more := range []string{"", ", ordering => 'created_at'"} {
			if more != "" && (query == "xk" || query == "!!" || query == "xk near") {
				continue // what is near there is another end of the list
			}
			in(t, app, tenantA, "", "", func(tx pgx.Tx) {
				got, err := titles(t, tx, tenantA, query, more)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%q%s: got %q, %v, want %q", query, more, got, err, want)
				}
			})
		}
	}
	// Pages go on behind a border, within the nearest and beyond.
	in(t, app, tenantA, "", "", func(tx pgx.Tx) {
		got, err := titles(t, tx, tenantA, "xk", `, after_at => (select created_at from app.tasks where title = 'task 9000'), after_id => (select id from app.tasks where title = 'task 9000')`)
		if want := []string{"task 18000", "task 27000"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("behind a border: got %q, %v, want %q", got, err, want)
		}
	})
	// What the owner's updates read would be counted when the server comes to it.
	exec(t, owner, "select pg_stat_force_next_flush()")
	// Read by the index: no more rows of the table than were near.
	for _, query := range []string{"zz", "z", "!!!", "qz task"} {
		exec(t, app, "select pg_stat_force_next_flush()")
		exec(t, owner, "select pg_stat_clear_snapshot()")
		before := one[int](t, owner, "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'tasks'")
		in(t, app, tenantA, "", "", func(tx pgx.Tx) {
			if got, err := titles(t, tx, tenantA, query, ""); err != nil || len(got) != 0 {
				t.Errorf("%q: got %q, %v", query, got, err)
			}
		})
		exec(t, app, "select pg_stat_force_next_flush()")
		exec(t, owner, "select pg_stat_clear_snapshot()")
		if read := one[int](t, owner, "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'tasks'") - before; read > 2500 {
			t.Errorf("%q read %d rows", query, read)
		}
	}
}
