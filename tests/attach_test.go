package tests

import (
	"testing"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// attach makes an attachment of the scene's task with its object, as an upload
// leaves them.
func (s *scene) attach(t testing.TB, of functest.Person, id ids.ID, status string) {
	t.Helper()
	const content, kind = "a listing", "text/plain"
	key := blob.Key(of.TenantID, "attachments", id.String())
	s.SQL(t, `insert into app.attachments (tenant_id, id, task_id, uploaded_by, filename, size, content_type, object_key, status, ready_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, case when $9 = 'ready' then now() end)`,
		of.TenantID, id, s.task, of.UserID, secretOf(of.TenantID), len(content), kind, key, status)
	cfg, err := config.Load[blob.Config](config.Map(s.Vars))
	if err != nil {
		t.Fatal(err)
	}
	store, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	w, err := store.Create(t.Context(), key, kind)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}
