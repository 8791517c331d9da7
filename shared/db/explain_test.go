package db_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// TestExplain holds what breaking constraints means, real ones and guards.
func TestExplain(t *testing.T) {
	f := setup(t)
	long := errs.New(errs.Invalid, "too_long", "Too long.")
	gone := errs.New(errs.NotFound, "gone", "Gone.")
	stop := errs.New(errs.Conflict, "stop", "Stop.")
	rules := db.Constraints{"projects_name_length": long, "tasks_project_fkey": gone, "stop": stop, "projects_name_not_null": long}
	for name, tc := range map[string]struct {
		run  func(tx *db.Tx)
		want *errs.Error
	}{
		"check": {func(tx *db.Tx) { insert(tx, "") }, long},
		"foreign key": {func(tx *db.Tx) {
			db.Exec(tx, `insert into app.tasks (tenant_id, id, project_id, title, created_by) values ($1, $2, $2, 'x', $3)`, tx.Tenant(), ids.New(), tx.User())
		}, gone},
		"not null": {func(tx *db.Tx) {
			db.Exec(tx, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, null, $3, $3)`, tx.Tenant(), ids.New(), tx.User())
		}, long},
		"guard":             {func(tx *db.Tx) { db.Guard(tx, `'stop'`, `app.organizations o where o.tenant_id = $1`, tx.Tenant()) }, stop},
		"no row to guard":   {func(tx *db.Tx) { db.Guard(tx, `'stop'`, `app.organizations o where o.tenant_id = $1`, ids.New()) }, nil},
		"guard that passes": {func(tx *db.Tx) { db.Guard(tx, `''`, `app.organizations o where o.tenant_id = $1`, tx.Tenant()) }, nil},
	} {
		err := db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error {
			tx.Explain(rules)
			tc.run(tx)
			tx.Record(activity.Created("X", ids.New(), nil))
			return nil
		})
		if tc.want == nil && err != nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error { add(tx, ""); return nil })
	if errs.KindOf(err) != errs.Internal {
		t.Errorf("an unexplained constraint is %v", err)
	}
}

// TestDeadlock holds that who loses one is tried again.
func TestDeadlock(t *testing.T) {
	f := setup(t)
	var a, b ids.ID
	if err := db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error { a, b = add(tx, "a"), add(tx, "b"); return nil }); err != nil {
		t.Fatal(err)
	}
	var met, wait sync.WaitGroup
	met.Add(2)
	var mu sync.Mutex
	runs := 0
	for _, order := range [][2]ids.ID{{a, b}, {b, a}} {
		wait.Go(func() {
			first := true
			err := db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error {
				mu.Lock()
				runs++
				mu.Unlock()
				for _, id := range order {
					if _, err := db.Exec(tx, `update app.projects set version = version + 1 where tenant_id = $1 and id = $2`, tx.Tenant(), id).Await(t.Context()); err != nil {
						return err
					}
					if first {
						first = false
						met.Done()
						met.Wait()
					}
				}
				tx.Record(activity.Updated("Project", a, nil))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var versions int
	f.Scan(t, `select sum(version) from app.projects`, nil, &versions)
	if runs < 3 || versions != 6 {
		t.Errorf("%d runs, versions %d: want one more than two, and 6", runs, versions)
	}
}
