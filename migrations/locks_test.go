package migrations

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// rowsOfALargeTable is the size at which no migration may hold a lock for a second.
const rowsOfALargeTable = 1_000_000

// The lint reads; this measures. Each migration after the first release runs on a million tasks while readers
// and writers use them, and none may wait for a second.
func TestNoMigrationLocksAMillionRowsForASecond(t *testing.T) {
	t.Parallel()
	all := names(sqlFiles())
	d := fresh(t)
	r := newRunner(nil)
	part := fstest.MapFS{}
	for _, name := range all[:min(baseline, len(all))] {
		part[name] = plus(t, nil)[name]
	}
	r.files = part
	if err := r.up(t.Context(), d.migrator); err != nil {
		t.Fatal(err)
	}
	c := open(t, d.migrator)
	fillAt(t, d, func(statement string) bool {
		table, _, _ := strings.Cut(strings.TrimPrefix(statement, "insert into "), " ")
		var there bool
		if err := c.QueryRow(t.Context(), `select to_regclass($1) is not null`, table).Scan(&there); err != nil {
			t.Fatal(err)
		}
		return there // the others come with a later migration
	})
	if newer := all[min(baseline, len(all)):]; len(newer) > 0 {
		crowd(t, d, rowsOfALargeTable)
		for _, name := range newer {
			part[name] = plus(t, nil)[name]
			if worst := stall(t, d, func() error { return r.up(t.Context(), d.migrator) }); worst >= time.Second {
				t.Errorf("%s kept somebody waiting for %s", name, worst)
			}
		}
	}
}

// The measurement itself: it must see a lock, and must not see one where there is none.
func TestStallSeesALock(t *testing.T) {
	t.Parallel()
	d := migrated(t)
	fill(t, d)
	run := func(file, sql string) func() error {
		return func() error {
			r := newRunner(nil)
			r.files = plus(t, map[string]string{file: "-- +goose Up\n" + sql + "\n-- +goose Down\nselect 1;\n"})
			return r.up(t.Context(), d.migrator)
		}
	}
	if worst := stall(t, d, run("9001_lock.sql", "lock table app.tasks;\nselect pg_sleep(1.2);")); worst < time.Second {
		t.Errorf("a lock of 1.2 s was seen as %s", worst)
	}
	if worst := stall(t, d, run("9001_lock.sql", "select pg_sleep(0.1);")); worst >= time.Second {
		t.Errorf("no lock was seen as %s", worst)
	}
}

// crowd gives tenant A n tasks.
func crowd(t *testing.T, d database, n int) {
	t.Helper()
	c := open(t, d.migrator)
	exec(t, c, fmt.Sprintf(`insert into app.tasks (tenant_id, id, project_id, title, created_by)
		select $1, gen_random_uuid(), $1, 'task ' || n, $2 from generate_series(1, %d) n`, n), tenantA, personA)
	exec(t, c, "analyze app.tasks")
}

// stall is the longest that a reader or a writer of app.tasks waited while do ran.
func stall(t *testing.T, d database, do func() error) time.Duration {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type seen struct {
		worst time.Duration
		err   error
	}
	started, results := make(chan struct{}, 2), make(chan seen, 2)
	for _, q := range []string{"select title from app.tasks where tenant_id = $1 and id = $1", "update app.tasks set version = version + 1 where tenant_id = $1 and id = $1"} {
		c := open(t, d.system)
		go func() {
			var s seen
			for first := true; ctx.Err() == nil; first = false {
				from := time.Now()
				// Not the cancelled context: the statement that waits at the end counts too.
				if _, err := c.Exec(context.WithoutCancel(ctx), q, tenantA); err != nil {
					s.err = err
					break
				}
				s.worst = max(s.worst, time.Since(from))
				if first {
					started <- struct{}{}
				}
			}
			results <- s
		}()
	}
	for range 2 {
		select {
		case <-started:
		case s := <-results:
			t.Fatal(s.err)
		}
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
	stop()
	var worst time.Duration
	for range 2 {
		s := <-results
		if s.err != nil {
			t.Fatal(s.err)
		}
		worst = max(worst, s.worst)
	}
	return worst
}
