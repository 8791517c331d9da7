package db_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/trips"
)

type fixture struct {
	*functest.Env
	db *db.DB
	by identity.Principal
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Database.DB, e.Tenant(t).Principal}
}

// open makes another way in, of as many connections.
func (f *fixture) open(t *testing.T, url string, conns int32, wait time.Duration) *db.DB {
	t.Helper()
	d, err := db.Open(db.Config{URL: config.Secret(url), MaxConns: conns, AcquireTimeout: wait, ConnectTimeout: 2 * time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func insert(tx *db.Tx, name string) ids.ID {
	id := ids.New()
	db.Exec(tx, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, $3, $4, $4)`, tx.Tenant(), id, name, tx.User())
	return id
}

// add is a whole write: a project and what it must leave.
func add(tx *db.Tx, name string) ids.ID {
	id := insert(tx, name)
	tx.Record(activity.Created("Project", id, map[string]any{"name": name}))
	return id
}

func (f *fixture) rows(t *testing.T, table string) (n int) {
	t.Helper()
	f.Scan(t, `select count(*) from app.`+table, nil, &n)
	return n
}

func one(tx *db.Tx) *db.Row[int] { return db.One(tx, pgx.RowTo[int], `select 1`) }

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func TestTrips(t *testing.T) {
	f := setup(t)
	var id ids.ID
	if err := db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error { id = add(tx, "x"); return nil }); err != nil {
		t.Fatal(err)
	}
	more := []ids.ID{f.by.TenantID, f.Tenant(t).TenantID, f.Tenant(t).TenantID}
	for name, tc := range map[string]struct {
		want int
		run  func(ctx context.Context) error
	}{
		"a read of three": {1, func(ctx context.Context) error {
			return db.Read(ctx, f.db, f.by, func(tx *db.Tx) error { one(tx); one(tx); one(tx); return nil })
		}},
		"a read of nothing": {0, func(ctx context.Context) error { return db.Read(ctx, f.db, f.by, func(*db.Tx) error { return nil }) }},
		"a person's read": {1, func(ctx context.Context) error {
			return db.ReadUser(ctx, f.db, f.by, func(tx *db.Tx) error { one(tx); return nil })
		}},
		"a look-up": {1, func(ctx context.Context) error {
			return db.Lookup(ctx, f.db, func(tx *db.Tx) error { one(tx); return nil })
		}},
		"a read of each": {1, func(ctx context.Context) error {
			return db.ReadEach(ctx, f.db, f.by, more, func(tx *db.Tx) error { one(tx); return nil })
		}},
		"a read of none": {0, func(ctx context.Context) error {
			return db.ReadEach(ctx, f.db, f.by, nil, func(tx *db.Tx) error { one(tx); return nil })
		}},
		"a write": {1, func(ctx context.Context) error {
			return db.Write(ctx, f.db, f.by, func(tx *db.Tx) error {
				id := add(tx, "y")
				tx.Enqueue(outbox.New("test", id.String(), nil))
				return nil
			})
		}},
		"a person's write": {1, func(ctx context.Context) error {
			return db.WriteUser(ctx, f.db, f.by, func(tx *db.Tx) error {
				tx.RecordUser("test", activity.Changes{"x": {New: 1}})
				tx.EnqueueUser(outbox.New("test", "", nil))
				return nil
			})
		}},
		"an update": {2, func(ctx context.Context) error {
			return db.Write(ctx, f.db, f.by, func(tx *db.Tx) error {
				name, err := db.One(tx, pgx.RowTo[string], `select name from app.projects where tenant_id = $1 and id = $2 for update`, tx.Tenant(), id).Await(ctx)
				if err != nil {
					return err
				}
				db.Exec(tx, `update app.projects set name = $3 where tenant_id = $1 and id = $2`, tx.Tenant(), id, name+"!")
				tx.Record(activity.Updated("Project", id, nil))
				return nil
			})
		}},
		"a span": {1, func(ctx context.Context) error {
			return db.Span(ctx, f.db, db.SpanProfile, f.by, func(tx *db.Tx) error {
				add(tx, "z")
				tx.RecordUser("test", nil)
				return nil
			})
		}},
		"a write with a key": {3, func(ctx context.Context) error {
			a := &idempotency.Attempt{Key: "k", Method: http.MethodPost, Path: "/"}
			if err := db.Write(idempotency.With(ctx, a), f.db, f.by, func(tx *db.Tx) error { add(tx, "k"); return nil }); err != nil {
				return err
			}
			return a.Commit(ctx, idempotency.Response{Status: http.StatusCreated})
		}},
	} {
		ctx, counter := trips.Count(t.Context())
		if err := tc.run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := counter.Postgres(); got != tc.want {
			t.Errorf("%s costs %d round trips, want %d", name, got, tc.want)
		}
	}
}

// TestWriteWithoutActivity holds that it does not commit, and that a closure
// which says that it changed nothing leaves nothing.
func TestWriteWithoutActivity(t *testing.T) {
	f := setup(t)
	if err := db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error { insert(tx, "x"); return nil }); err == nil {
		t.Error("a write without activity was taken")
	}
	err := db.Span(t.Context(), f.db, db.SpanHost, f.by, func(tx *db.Tx) error { insert(tx, "x"); tx.RecordUser("x", nil); return nil })
	if err == nil {
		t.Error("a span without activity was taken")
	}
	err = db.Write(t.Context(), f.db, f.by, func(tx *db.Tx) error {
		if _, err := one(tx).Await(t.Context()); err != nil {
			return err
		}
		add(tx, "x")
		tx.Enqueue(outbox.New("x", "", nil))
		tx.EnqueueUser(outbox.New("x", "", nil))
		tx.RecordUser("x", nil)
		tx.Unchanged()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, table := range []string{"projects", "activity", "outbox", "user_outbox", "user_events"} {
		if n := f.rows(t, table); n != 0 {
			t.Errorf("%d rows of %s", n, table)
		}
	}
}

// TestWhatAWriteLeaves holds the rows beside the change.
func TestWhatAWriteLeaves(t *testing.T) {
	f := setup(t)
	f.by.RequestID = "r-1"
	ctx, tracker := outbox.Track(t.Context())
	var id ids.ID
	err := db.Span(ctx, f.db, db.SpanCreateTenant, f.by, func(tx *db.Tx) error {
		id = add(tx, "x")
		tx.Record(activity.Updated("Project", id, nil))
		tx.Enqueue(outbox.New("for.tenant", "k1", map[string]any{"id": id}))
		tx.EnqueueUser(outbox.New("for.person", "k2", nil))
		tx.RecordUser("did", activity.Changes{"a": {Old: 1, New: 2}})
		if tx.Tenant() != f.by.TenantID || tx.User() != f.by.UserID {
			t.Error("the transaction is another's")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if tracker.Count() != 2 {
		t.Errorf("%d messages are known to have committed", tracker.Count())
	}
	var n int
	f.Scan(t, `select (select count(*) from app.activity where tenant_id = $1 and user_id = $2 and object_id = $3 and request_id = 'r-1')
		+ (select count(*) from app.outbox where tenant_id = $1 and kind = 'for.tenant' and key = 'k1' and payload->>'id' = $3::text)
		+ (select count(*) from app.user_outbox where user_id = $2 and kind = 'for.person' and key = 'k2')
		+ (select count(*) from app.user_events where user_id = $2 and action = 'did' and request_id = 'r-1' and changes = '{"a":{"old":1,"new":2}}')`, []any{f.by.TenantID, f.by.UserID, id}, &n)
	if n != 5 {
		t.Errorf("%d of 5 rows", n)
	}
	for name, fn := range map[string]func(tx *db.Tx){
		"activity": func(tx *db.Tx) { tx.Record(activity.Updated("X", id, activity.Changes{"x": {New: func() {}}})) },
		"event":    func(tx *db.Tx) { add(tx, "y"); tx.RecordUser("x", activity.Changes{"x": {New: func() {}}}) },
		"message":  func(tx *db.Tx) { add(tx, "y"); tx.Enqueue(outbox.New("x", "", map[string]any{"x": func() {}})) },
		"mail":     func(tx *db.Tx) { add(tx, "y"); tx.EnqueueUser(outbox.New("x", "", map[string]any{"x": func() {}})) },
	} {
		if err := db.Span(t.Context(), f.db, db.SpanLeave, f.by, func(tx *db.Tx) error { fn(tx); return nil }); err == nil {
			t.Errorf("%s that cannot be written was taken", name)
		}
	}
	if f.rows(t, "projects") != 1 {
		t.Error("a write stayed without what it must leave")
	}
}

// TestFailureRollsBack holds that nothing of a failed transaction stays, and
// that its connection, the only one, serves the next.
func TestFailureRollsBack(t *testing.T) {
	f := setup(t)
	d := f.open(t, f.Database.URL, 1, time.Second)
	mine := errors.New("mine")
	for name, fn := range map[string]func(tx *db.Tx) error{
		"a broken constraint": func(tx *db.Tx) error {
			add(tx, "x")
			insert(tx, "")
			return nil
		},
		"awaited": func(tx *db.Tx) error {
			add(tx, "x")
			insert(tx, "")
			return db.Flush(t.Context(), tx)
		},
		"ignored": func(tx *db.Tx) error {
			add(tx, "x")
			insert(tx, "")
			_ = db.Flush(t.Context(), tx) // the transaction remembers
			return nil
		},
		"after the failure": func(tx *db.Tx) error {
			insert(tx, "")
			_ = db.Flush(t.Context(), tx)
			_, err := db.Exec(tx, `select 1`).Await(t.Context())
			if err == nil {
				t.Error("a statement was sent into a broken transaction")
			}
			_, err = db.Many(tx, pgx.RowTo[int], `select 1`).Await(t.Context())
			return err
		},
		"no such table": func(tx *db.Tx) error {
			add(tx, "x")
			db.Many(tx, pgx.RowTo[int], `select 1 from app.nowhere`)
			return nil
		},
		"a row that does not fit": func(tx *db.Tx) error {
			add(tx, "x")
			_, err := db.One(tx, pgx.RowTo[int], `select 'x'`).Await(t.Context())
			return err
		},
		"the closure's own": func(tx *db.Tx) error {
			add(tx, "x")
			if err := db.Flush(t.Context(), tx); err != nil {
				return err
			}
			return mine
		},
	} {
		if err := db.Write(t.Context(), d, f.by, fn); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := f.rows(t, "projects") + f.rows(t, "activity"); n != 0 {
			t.Errorf("%s: %d rows stayed", name, n)
		}
		var row *db.Row[int]
		if err := db.Read(t.Context(), d, f.by, func(tx *db.Tx) error { row = one(tx); return nil }); err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
		if v, err := row.Value(); v != 1 || err != nil {
			t.Errorf("after %s: %d, %v", name, v, err)
		}
	}
	if err := db.Read(t.Context(), d, f.by, func(tx *db.Tx) error { insert(tx, "x"); return nil }); err == nil {
		t.Error("a read wrote")
	}
}

// TestResults holds what a result gives before, without and after its row.
func TestResults(t *testing.T) {
	f := setup(t)
	var row, none *db.Row[int]
	var rows *db.Rows[int]
	err := db.Read(t.Context(), f.db, f.by, func(tx *db.Tx) error {
		row, none = one(tx), db.One(tx, pgx.RowTo[int], `select 1 where false`)
		rows = db.Many(tx, pgx.RowTo[int], `select generate_series(1, 3)`)
		if _, err := row.Value(); err == nil {
			t.Error("a value before it was asked for")
		}
		if _, ok := row.Found(); ok {
			t.Error("found before it was asked for")
		}
		if v, err := rows.Await(t.Context()); len(v) != 3 || err != nil {
			t.Errorf("awaited %v, %v", v, err)
		}
		v, err := row.Await(t.Context()) // it came with the others
		if v != 1 || err != nil {
			t.Errorf("awaited %d, %v", v, err)
		}
		if n, err := db.Exec(tx, `select generate_series(1, 2)`).Await(t.Context()); n != 2 || err != nil {
			t.Errorf("affected %d, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Value(); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("an absent row is %v", err)
	}
	if _, ok := none.Found(); ok {
		t.Error("an absent row was found")
	}
	var empty *db.Rows[int]
	_ = db.Read(t.Context(), f.db, f.by, func(tx *db.Tx) error { empty = db.Many(tx, pgx.RowTo[int], `select 1 where false`); return nil })
	if v, err := empty.Value(); v == nil || len(v) != 0 || err != nil {
		t.Errorf("no rows are %v, %v", v, err)
	}
}
