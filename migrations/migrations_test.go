package migrations

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// catalogue is everything the migrations make, as text; the two extensions' own objects are left out.
func catalogue(t *testing.T, d database) string {
	t.Helper()
	c := open(t, d.migrator)
	var b strings.Builder
	for _, q := range []string{
		`select 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') from pg_namespace where nspname = 'app'`,
		`select 'extension ' || extname from pg_extension where extname <> 'plpgsql' order by 1`,
		`select format('%s %s kind=%s owner=%s rls=%s force=%s acl=%s', c.oid::regclass, c.relname, c.relkind, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity, c.relacl)
		   from pg_class c where relnamespace = to_regnamespace('app') order by 1`,
		`select format('%s.%s %s notnull=%s default=%s acl=%s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attacl)
		   from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
		  where c.relnamespace = to_regnamespace('app') and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped order by a.attrelid::regclass::text, a.attnum`,
		`select format('%s %s %s validated=%s', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) from pg_constraint where connamespace = to_regnamespace('app') order by 1`,
		`select indexdef from pg_indexes where schemaname = 'app' order by 1`,
		`select format('%s %s %s %s %s using=%s check=%s', tablename, policyname, permissive, roles, cmd, qual, with_check) from pg_policies where schemaname = 'app' order by 1`,
		`select pg_get_statisticsobjdef(oid) from pg_statistic_ext where stxnamespace = to_regnamespace('app') order by 1`,
		`select pg_get_functiondef(oid) || coalesce(proacl::text, '') || proowner::regrole from pg_proc where pronamespace = to_regnamespace('app') order by 1`,
	} {
		for _, l := range lines(t, c, q) {
			b.WriteString(l + "\n")
		}
	}
	for _, table := range slices.Sorted(maps.Keys(Tables)) {
		if Tables[table] == Reference && one[bool](t, c, "select to_regclass('app.' || $1) is not null", table) {
			b.WriteString(table + one[string](t, c, "select json_agg(r order by r::text)::text from app."+table+" r"))
		}
	}
	return b.String()
}

// Each way down must give exactly what was there before its way up, and the way up again the same schema.
func TestEveryMigrationGoesDownToWhatWasBefore(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	all := names(sqlFiles())
	before := []string{catalogue(t, d)}
	part := fstest.MapFS{}
	for i, name := range all {
		part[name] = plus(t, nil)[name]
		r := newRunner(nil)
		r.files = part
		if err := r.up(t.Context(), d.migrator); err != nil {
			t.Fatal(err)
		}
		before = append(before, catalogue(t, d))
		if before[i+1] == before[i] {
			t.Errorf("%s changes nothing", name)
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if err := Down(t.Context(), d.migrator, 1); err != nil {
			t.Fatal(err)
		}
		if got := catalogue(t, d); got != before[i] {
			t.Errorf("%s does not go down to what was before:\n%s", all[i], difference(before[i], got))
		}
	}
	if err := Up(t.Context(), d.migrator); err != nil {
		t.Fatal(err)
	}
	if got := catalogue(t, d); got != before[len(all)] {
		t.Errorf("up again gives another schema:\n%s", difference(before[len(all)], got))
	}
	if err := Down(t.Context(), d.migrator, len(all)); err != nil {
		t.Fatal(err)
	}
	if got := catalogue(t, d); got != before[0] {
		t.Errorf("down to zero leaves:\n%s", difference(before[0], got))
	}
}

func TestStatusTellsWhatIsApplied(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	applied := func() (n int) {
		all, err := Status(t.Context(), d.migrator)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != len(names(sqlFiles())) {
			t.Fatalf("%d migrations listed", len(all))
		}
		for _, m := range all {
			if m.Applied {
				n++
			}
			if m.Applied == m.AppliedAt.IsZero() {
				t.Errorf("%s: applied %v at %v", m.Name, m.Applied, m.AppliedAt)
			}
		}
		return n
	}
	if n := applied(); n != 0 {
		t.Errorf("%d applied in an empty database", n)
	}
	if err := Up(t.Context(), d.migrator); err != nil {
		t.Fatal(err)
	}
	total := len(names(sqlFiles()))
	if n := applied(); n != total {
		t.Errorf("%d applied, want %d", n, total)
	}
	if err := Down(t.Context(), d.migrator, 2); err != nil {
		t.Fatal(err)
	}
	if n := applied(); n != total-2 {
		t.Errorf("%d applied after two down, want %d", n, total-2)
	}
	for _, n := range []int{0, -1, total} {
		if err := Down(t.Context(), d.migrator, n); err == nil {
			t.Errorf("down %d passed", n)
		}
	}
}

func TestTwoRunsAtOnceApplyEverythingOnce(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	var wg sync.WaitGroup
	var out [2]bytes.Buffer
	for i := range out {
		wg.Go(func() {
			if err := Up(t.Context(), d.migrator, WithLogger(slog.New(slog.NewTextHandler(&out[i], nil)))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ran := strings.Count(out[0].String()+out[1].String(), "migrated up")
	if total := len(names(sqlFiles())); ran != total {
		t.Errorf("%d migrations ran, want %d", ran, total)
	}
}

func TestARunWaitsForTheOtherAndGivesUpInTime(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	other := open(t, d.migrator)
	exec(t, other, "select pg_advisory_lock($1)", lockID)
	if err := Up(t.Context(), d.migrator, WithLockTimeout(150*time.Millisecond)); !errors.Is(err, ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Up(short, d.migrator); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's end", err)
	}
	waiting := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- Up(t.Context(), d.migrator, WithLogger(slog.New(onWait{ch: waiting}))) }()
	<-waiting
	exec(t, other, "select pg_advisory_unlock($1)", lockID)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// onWait tells when a run says that it waits.
type onWait struct {
	slog.Handler
	ch chan struct{}
}

func (h onWait) Enabled(context.Context, slog.Level) bool { return true }
func (h onWait) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "waiting") {
		close(h.ch)
	}
	return nil
}

// A waiting run must not hold a snapshot: the concurrent build would wait for it, and it for the build.
func TestConcurrentIndexBuildsOutsideATransactionWhileAnotherRunWaits(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	files := plus(t, map[string]string{"9001_index.sql": `-- +goose NO TRANSACTION

-- +goose Up
set lock_timeout = 0;

create index concurrently tasks_try_idx on app.tasks (tenant_id, title);

reset lock_timeout;

-- +goose Down
drop index concurrently app.tasks_try_idx;
`})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			r := newRunner(nil)
			r.files = files
			if err := r.up(t.Context(), d.migrator); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := open(t, d.migrator)
	if !one[bool](t, c, "select indisvalid from pg_index where indexrelid = 'app.tasks_try_idx'::regclass") {
		t.Error("the index is not valid")
	}
	r := newRunner(nil)
	r.files = files
	if err := r.down(t.Context(), d.migrator, 1); err != nil {
		t.Fatal(err)
	}
}

func TestAMigrationThatFailsKeepsNothingAndIsNamed(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	r := newRunner(nil)
	r.files = plus(t, map[string]string{
		"9001_good.sql": "-- +goose Up\ncreate table app.good (id int);\n-- +goose Down\ndrop table app.good;\n",
		"9002_bad.sql":  "-- +goose Up\ncreate table app.half (id int);\nselect 1/0;\n-- +goose Down\ndrop table app.half;\n",
	})
	err := r.up(t.Context(), d.migrator)
	if err == nil || !strings.Contains(err.Error(), "9002_bad.sql failed") || strings.Contains(err.Error(), "9001") {
		t.Fatalf("got %v", err)
	}
	c := open(t, d.migrator)
	if one[bool](t, c, "select to_regclass('app.half') is not null") || !one[bool](t, c, "select to_regclass('app.good') is not null") {
		t.Error("kept the failed migration, or lost the one before it")
	}
}

func TestATableThatStaysLockedFailsTheRunWithAdvice(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	reader, err := open(t, d.migrator).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, reader, "select from app.tasks")
	r := newRunner(nil)
	r.files = plus(t, map[string]string{"9001_column.sql": "-- +goose Up\nalter table app.tasks add column extra text;\n-- +goose Down\nalter table app.tasks drop column extra;\n"})
	if err := r.up(t.Context(), d.migrator); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Fatalf("got %v", err)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.up(t.Context(), d.migrator); err != nil {
		t.Fatal(err)
	}
}

func TestUpRefusesTheWrongConnection(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	for name, c := range map[string]struct{ url, want string }{
		"superuser":   {d.superuser, "must belong to " + RoleMigrator},
		"application": {d.app, "must belong to " + RoleMigrator},
		"none":        {"", "no database address"},
		"not an url":  {"postgres://%", "not valid"},
		"nobody home": {"postgres://x@127.0.0.1:1/x", "cannot reach"},
	} {
		if err := Up(t.Context(), c.url); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestHashIsStable(t *testing.T) {
	t.Parallel()
	if h := Hash(); len(h) != 64 || h != Hash() {
		t.Errorf("hash %q", h)
	}
}

// difference is the lines that only one of two catalogues has.
func difference(want, got string) string {
	have := map[string]int{}
	for _, l := range strings.Split(want, "\n") {
		have[l]++
	}
	for _, l := range strings.Split(got, "\n") {
		have[l]--
	}
	var b strings.Builder
	for l, n := range have {
		switch {
		case n > 0:
			b.WriteString("- " + l + "\n")
		case n < 0:
			b.WriteString("+ " + l + "\n")
		}
	}
	return b.String()
}
