package jobs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// TestStorageDown holds that an export and a report wait while the storage takes
// nothing, uncounted, and are made when it is back.
func TestStorageDown(t *testing.T) {
	t.Parallel()
	s := newStage(t, point{})
	// A bucket that is a file instead of a folder: whoever runs this, root
	// included, cannot write there.
	bucket := filepath.Join(t.TempDir(), "objects")
	if err := os.WriteFile(bucket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"OBJECTS_URL": "file://" + bucket, "OBJECTS_PUBLIC_URL": "http://127.0.0.1:1/objects/", "OBJECTS_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
	}
	s.add("exporter", "exporter", vars)
	s.add("reporter", "reporter", vars)
	s.addQueues("relay")
	project := s.project()
	put := func(kind, params string) ids.ID {
		id := ids.New()
		s.SQL(t, `insert into app.jobs (tenant_id, id, kind, params, created_by) values ($1, $2, $3, $4::jsonb, $5)`, s.owner.TenantID, id, kind, params, s.owner.UserID)
		return id
	}
	export, report := put("export", `{"format":"json"}`), put("report", `{"format":"csv","project_id":"`+project.String()+`"}`)
	s.leave(queue.ExportTenant.Message("", queue.Job{JobID: export}))
	s.leave(queue.ReportProject.Message("", queue.Job{JobID: report}))
	s.begin()
	state := func(sql string) (n int) {
		s.Scan(t, sql, nil, &n)
		return n
	}
	const waiting = `select count(*) from app.outbox where kind in ('export.tenant', 'report.project') and done_at is null and last_error <> '' and attempts = 0`
	if err := until(func() bool { return state(waiting) == 2 }); err != nil {
		t.Fatalf("%v: %d wait", err, state(waiting))
	}
	if err := os.Remove(bucket); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	const made = `select count(*) from app.jobs j where status = 'succeeded' and progress = 100`
	if err := until(func() bool { return state(made) == 2 }); err != nil {
		t.Errorf("%v: %d of 2 were made", err, state(made))
	}
	if n := state(`select count(*) from app.outbox where kind = 'mail.export_ready'`); n != 1 {
		t.Errorf("%d mails about the export", n)
	}
}
