package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/page"
)

type fixture struct {
	*functest.Env
	db    *db.DB
	owner functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Database.DB, e.Tenant(t)}
}

func (f *fixture) create(t *testing.T, kind string) (ids.ID, error) {
	t.Helper()
	id := ids.New()
	project := ids.New()
	var made *db.Row[job.Row]
	err := db.Write(t.Context(), f.db, f.owner.Principal, func(tx *db.Tx) (err error) {
		made, err = job.Create(tx, id, kind, job.Params{Format: "csv", ProjectID: &project})
		return err
	})
	if err != nil {
		return id, err
	}
	j, err := made.Value()
	if err != nil {
		t.Fatal(err)
	}
	if j.ID != id || j.Status != job.Queued || j.Params.ProjectID == nil || *j.Params.ProjectID != project || j.CreatedBy.Email != f.owner.Email || j.Available(time.Now()) {
		t.Errorf("created %+v", j)
	}
	return id, nil
}

func (f *fixture) mustCreate(t *testing.T) ids.ID {
	t.Helper()
	id, err := f.create(t, job.Report)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (f *fixture) get(t *testing.T, id ids.ID) job.Row {
	t.Helper()
	var row *db.Row[job.Row]
	if err := db.Read(t.Context(), f.db, f.owner.Principal, func(tx *db.Tx) error { row = job.Get(tx, id, nil); return nil }); err != nil {
		t.Fatal(err)
	}
	j, err := row.Value()
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (f *fixture) start(t *testing.T, id ids.ID) *job.Run {
	t.Helper()
	run, err := job.Start(t.Context(), f.db, f.owner.TenantID, id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (f *fixture) cancel(t *testing.T, id ids.ID) {
	t.Helper()
	err := db.Write(t.Context(), f.db, f.owner.Principal, func(tx *db.Tx) error {
		was, err := job.Lock(tx, id, &f.owner.UserID).Await(t.Context())
		if err != nil {
			return err
		}
		job.Cancel(tx, was)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// finish succeeds as a worker does.
func (f *fixture) finish(t *testing.T, run *job.Run) error {
	t.Helper()
	return db.Background(t.Context(), f.db, f.owner.TenantID, func(tx *db.Tx) error {
		return run.Finish(tx, job.File{ObjectKey: run.Key("file", "x"), Filename: "x.csv", ContentType: "text/csv", Bytes: 5, Rows: 2})
	})
}

func TestLife(t *testing.T) {
	f := setup(t)
	id := f.mustCreate(t)
	run := f.start(t, id)
	if run.Attempt != 1 || run.CreatedBy != f.owner.UserID || run.Params.Format != "csv" || string(run.State) != "{}" || time.Since(run.Now) > time.Minute {
		t.Errorf("started %+v", run)
	}
	if err := run.Progress(t.Context(), 30); err != nil {
		t.Error(err)
	}
	if err := run.Progress(t.Context(), 60); err != nil { // too soon to be written
		t.Error(err)
	}
	if j := f.get(t, id); j.Status != job.Running || j.Progress != 30 || j.Attempts != 1 || j.StartedAt == nil {
		t.Errorf("running %+v", j)
	}
	if err := run.Save(t.Context(), map[string]int{"done": 7}, 20); err != nil {
		t.Error(err)
	}
	again := f.start(t, id)
	var state map[string]int
	if err := json.Unmarshal(again.State, &state); err != nil || state["done"] != 7 || again.Attempt != 2 {
		t.Errorf("the next attempt has %s, %v", again.State, err)
	}
	if j := f.get(t, id); j.Progress != 30 {
		t.Errorf("progress went back to %d", j.Progress)
	}
	if err := f.finish(t, again); err != nil {
		t.Fatal(err)
	}
	j := f.get(t, id)
	if j.Status != job.Succeeded || j.Progress != 100 || j.File == nil || j.File.Bytes != 5 || j.FinishedAt == nil || j.Error != nil {
		t.Errorf("finished %+v", j)
	}
	if !j.Available(time.Now()) || j.Available(time.Now().Add(job.KeepFor)) {
		t.Error("the file is kept for another time")
	}
	if _, err := job.Start(t.Context(), f.db, f.owner.TenantID, id); !errors.Is(err, job.ErrOver) {
		t.Errorf("started again: %v", err)
	}
	if ended, wasted, err := job.Ended(t.Context(), f.db, f.owner.TenantID, id); !ended || wasted || err != nil {
		t.Errorf("ended %v, wasted %v, %v", ended, wasted, err)
	}
}

// TestFence holds that an attempt writes nothing once another has begun or the
// job was canceled.
func TestFence(t *testing.T) {
	f := setup(t)
	for name, end := range map[string]func(id ids.ID){
		"another attempt": func(id ids.ID) { f.start(t, id) },
		"canceled":        func(id ids.ID) { f.cancel(t, id) },
	} {
		id := f.mustCreate(t)
		run := f.start(t, id)
		end(id)
		before := f.get(t, id)
		for what, err := range map[string]error{
			"progress": run.Progress(t.Context(), 50), "save": run.Save(t.Context(), nil, 50), "finish": f.finish(t, run),
		} {
			if !job.Lost(err) {
				t.Errorf("%s after %s: %v", what, name, err)
			}
		}
		if final, err := run.Fail(t.Context(), errors.New("x")); final || !job.Lost(err) {
			t.Errorf("failed after %s: %v, %v", name, final, err)
		}
		if after := f.get(t, id); after.Version != before.Version {
			t.Errorf("something was written after %s", name)
		}
		canceled := name == "canceled"
		if ended, wasted, err := job.Ended(t.Context(), f.db, f.owner.TenantID, id); ended != canceled || wasted != canceled || err != nil {
			t.Errorf("%s: ended %v, wasted %v, %v", name, ended, wasted, err)
		}
	}
	if _, err := job.Start(t.Context(), f.db, f.Tenant(t).TenantID, f.mustCreate(t)); !errors.Is(err, job.ErrOver) {
		t.Errorf("another tenant started it: %v", err)
	}
	if job.Lost(nil) || job.Lost(errors.New("x")) {
		t.Error("lost without a reason")
	}
}

func TestFail(t *testing.T) {
	f := setup(t)
	down := errs.New(errs.Unavailable, "unavailable", "Away.")
	for name, c := range map[string]struct {
		cause    error
		age      time.Duration
		tries    int // until it is final; 0 is never, within ten
		sentence string
	}{
		"our fault":           {errors.New("select secret"), 0, job.MaxFailures, "Something went wrong on our side. Try again later, or write to support."},
		"an internal one":     {errs.New(errs.Internal, "internal", "secret"), 0, job.MaxFailures, "Something went wrong on our side. Try again later, or write to support."},
		"gone":                {errs.New(errs.NotFound, "gone", "It is gone."), 0, 1, "It is gone."},
		"down":                {down, 0, 0, ""},
		"out of time":         {context.DeadlineExceeded, 0, 0, ""},
		"down for a day":      {down, job.MaxAge + time.Hour, 1, "Away."},
		"our fault, much ago": {errors.New("x"), job.MaxAge + time.Hour, job.MaxFailures, "Something went wrong on our side. Try again later, or write to support."},
	} {
		id := f.mustCreate(t)
		f.SQL(t, `update app.jobs set created_at = now() - $2::interval where id = $1`, id, c.age)
		tries := 0
		for n := 1; n <= 10 && tries == 0; n++ {
			final, err := f.start(t, id).Fail(t.Context(), c.cause)
			if err != nil {
				t.Fatal(err)
			}
			if final {
				tries = n
			}
		}
		j := f.get(t, id)
		if tries != c.tries || (j.Status == job.Failed) != (c.tries > 0) {
			t.Errorf("%s: final after %d, %s", name, tries, j.Status)
		}
		if c.tries > 0 && (j.Error == nil || *j.Error != c.sentence || j.FinishedAt == nil) {
			t.Errorf("%s: %+v", name, j)
		}
		if c.tries == 0 {
			f.cancel(t, id)
		}
	}
}

func TestCrashes(t *testing.T) {
	f := setup(t)
	id := f.mustCreate(t)
	for n := range job.MaxCrashes {
		run := f.start(t, id)
		if n == 3 { // who gets somewhere begins the count anew
			if err := run.Save(t.Context(), nil, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 4 {
		f.start(t, id)
	}
	if _, err := job.Start(t.Context(), f.db, f.owner.TenantID, id); !errors.Is(err, job.ErrOver) {
		t.Errorf("begun once more: %v", err)
	}
	if j := f.get(t, id); j.Status != job.Failed || j.Error == nil {
		t.Errorf("after many crashes: %+v", j)
	}
}

func TestLimits(t *testing.T) {
	f := setup(t)
	if _, err := f.create(t, job.Export); err != nil {
		t.Fatal(err)
	}
	if _, err := f.create(t, job.Export); !errors.Is(err, job.ErrExportRunning) {
		t.Errorf("a second export: %v", err)
	}
	for range 9 {
		f.mustCreate(t)
	}
	if _, err := f.create(t, job.Report); !errors.Is(err, job.ErrTooMany) {
		t.Errorf("an eleventh job: %v", err)
	}
	f.owner = f.Member(t, f.owner.TenantID, "admin")
	if _, err := f.create(t, job.Report); err != nil {
		t.Errorf("another person's: %v", err)
	}
}

// TestAbandoned holds that a job that nobody works on does not keep others out.
func TestAbandoned(t *testing.T) {
	f := setup(t)
	id, err := f.create(t, job.Export)
	if err != nil {
		t.Fatal(err)
	}
	f.SQL(t, `update app.jobs set updated_at = now() - interval '26 hours' where id = $1`, id)
	if _, err := f.create(t, job.Export); err != nil {
		t.Errorf("another export: %v", err)
	}
	if j := f.get(t, id); j.Status != job.Failed || j.Error == nil {
		t.Errorf("%+v", j)
	}
}

func TestList(t *testing.T) {
	f := setup(t)
	mine := f.mustCreate(t)
	owner := f.owner
	f.owner = f.Member(t, f.owner.TenantID, "admin")
	theirs := f.mustCreate(t)
	f.start(t, theirs)
	for name, c := range map[string]struct {
		filter job.Filter
		want   []ids.ID
	}{
		"all":     {job.Filter{}, []ids.ID{theirs, mine}},
		"mine":    {job.Filter{CreatedBy: &owner.UserID}, []ids.ID{mine}},
		"running": {job.Filter{Status: job.Running}, []ids.ID{theirs}},
		"exports": {job.Filter{Kind: job.Export}, nil},
	} {
		var rows *db.Rows[job.Row]
		if err := db.Read(t.Context(), f.db, owner.Principal, func(tx *db.Tx) error { rows = job.List(tx, c.filter, page.First(page.Newest, 10)); return nil }); err != nil {
			t.Fatal(err)
		}
		got, _ := rows.Value()
		var found []ids.ID
		for _, j := range got {
			found = append(found, j.ID)
		}
		if len(found) != len(c.want) || len(found) > 0 && found[0] != c.want[0] {
			t.Errorf("%s: %v, want %v", name, found, c.want)
		}
	}
}

func TestExamples(t *testing.T) {
	t.Parallel()
	if j := job.NewExample(job.Report, job.Params{Format: "csv"}); j.Status != job.Queued || j.Result != nil || j.StartedAt != nil || job.Example().Result == nil {
		t.Errorf("%+v", j)
	}
}

// TestBackground holds that progress needs a tenant, and sees no other.
func TestBackground(t *testing.T) {
	f := setup(t)
	if err := db.Background(t.Context(), f.db, ids.Nil, func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrNoTenant) {
		t.Errorf("without a tenant: %v", err)
	}
	id := f.mustCreate(t)
	var changed *db.Tag
	err := db.Background(t.Context(), f.db, f.Tenant(t).TenantID, func(tx *db.Tx) error {
		changed = db.Exec(tx, `update app.jobs set progress = 1 where id = $1`, id)
		return nil
	})
	if err != nil || changed.Affected() != 0 {
		t.Errorf("another tenant's job: %v, %d rows", err, changed.Affected())
	}
}
