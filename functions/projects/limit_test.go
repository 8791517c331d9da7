package projects_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/functest"
)

// fill gives the owner's organization active projects, as many as are missing
// from n.
func (f *fixture) fill(t *testing.T, n int) {
	t.Helper()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by)
		select $1, gen_random_uuid(), 'filler', $2, $2
		  from generate_series(1, $3 - (select count(*)::int from app.projects where tenant_id = $1 and status = 'active' and deleted_at is null))`,
		f.owner.TenantID, f.owner.UserID, n)
}

// TestPlanLimit holds that a plan's active projects are counted by every way in
// which one becomes active, and by no other.
func TestPlanLimit(t *testing.T) {
	f := setup(t)
	refused := func(r functest.Response) {
		t.Helper()
		r.WantCode(t, http.StatusPaymentRequired, "plan_limit")
		if detail := r.String(t, "detail"); !strings.Contains(detail, "Archive") || !strings.Contains(detail, "upgrade") {
			t.Errorf("does not say what to do: %s", detail)
		}
	}
	archived := f.create(t, f.owner, "archived").Header.Get("Location")
	f.do(t, f.owner, http.MethodPatch, archived, map[string]any{"status": "archived"}).Want(t, http.StatusOK)
	deleted := f.create(t, f.owner, "deleted").Header.Get("Location")
	f.do(t, f.owner, http.MethodDelete, deleted, nil).Want(t, http.StatusNoContent)
	deletedArchived := f.create(t, f.owner, "both").Header.Get("Location")
	f.do(t, f.owner, http.MethodPatch, deletedArchived, map[string]any{"status": "archived"}).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodDelete, deletedArchived, nil).Want(t, http.StatusNoContent)

	f.fill(t, 49)
	last := f.create(t, f.owner, "the fiftieth").Header.Get("Location")
	refused(f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "one too many"}))
	refused(f.do(t, f.owner, http.MethodPatch, archived, map[string]any{"status": "active"}))
	refused(f.do(t, f.owner, http.MethodPut, archived, map[string]any{"name": "x"}))
	refused(f.do(t, f.owner, http.MethodPost, deleted+"restore/", nil))
	if n := f.count(t, `select count(*) from app.projects where tenant_id = $1 and status = 'active' and deleted_at is null`, f.owner.TenantID); n != 50 {
		t.Errorf("%d active projects", n)
	}
	// What makes none active goes on.
	f.do(t, f.owner, http.MethodPatch, last, map[string]any{"name": "renamed", "status": "active"}).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPut, last, map[string]any{"name": "replaced"}).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPost, deletedArchived+"restore/", nil).Want(t, http.StatusOK)
	f.create(t, f.Tenant(t), "another organization's")
	// Room is made by archiving, by deleting, and by another plan.
	f.do(t, f.owner, http.MethodPatch, last, map[string]any{"status": "archived"}).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodPost, deleted+"restore/", nil).Want(t, http.StatusOK)
	f.do(t, f.owner, http.MethodDelete, deleted, nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodPatch, archived, map[string]any{"status": "active"}).Want(t, http.StatusOK)
	refused(f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "one too many"}))
	for _, plan := range []string{"pro", "enterprise"} {
		f.SQL(t, `update app.organizations set plan = $2 where tenant_id = $1`, f.owner.TenantID, plan)
		f.create(t, f.owner, "of "+plan)
	}
	f.SQL(t, `update app.organizations set plan = 'pro' where tenant_id = $1`, f.owner.TenantID)
	f.fill(t, 1000)
	refused(f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "one too many"}))
}

// TestPlanLimitIsExact lets many ask for the last place at once, in each way that
// there is.
func TestPlanLimitIsExact(t *testing.T) {
	f := setup(t)
	const racers = 6
	var archived, deleted []string
	for i := range racers {
		archived = append(archived, f.create(t, f.owner, fmt.Sprint("archived ", i)).Header.Get("Location"))
		f.do(t, f.owner, http.MethodPatch, archived[i], map[string]any{"status": "archived"}).Want(t, http.StatusOK)
		deleted = append(deleted, f.create(t, f.owner, fmt.Sprint("deleted ", i)).Header.Get("Location"))
		f.do(t, f.owner, http.MethodDelete, deleted[i], nil).Want(t, http.StatusNoContent)
	}
	f.fill(t, 49)
	var all sync.WaitGroup
	outcomes := make(chan int, 3*racers)
	for i := range racers {
		all.Go(func() { outcomes <- f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": "new"}).Status })
		all.Go(func() {
			outcomes <- f.do(t, f.owner, http.MethodPatch, archived[i], map[string]any{"status": "active"}).Status
		})
		all.Go(func() { outcomes <- f.do(t, f.owner, http.MethodPost, deleted[i]+"restore/", nil).Status })
	}
	all.Wait()
	close(outcomes)
	let := 0
	for status := range outcomes {
		switch status {
		case http.StatusOK, http.StatusCreated:
			let++
		case http.StatusPaymentRequired:
		default:
			t.Errorf("status %d", status)
		}
	}
	if n := f.count(t, `select count(*) from app.projects where tenant_id = $1 and status = 'active' and deleted_at is null`, f.owner.TenantID); let != 1 || n != 50 {
		t.Errorf("%d were let in, %d are active", let, n)
	}
}
