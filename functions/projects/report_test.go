package projects_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

func TestReport(t *testing.T) {
	f := setup(t)
	project := f.create(t, f.owner, "Apollo").String(t, "id")
	viewer := f.Member(t, f.owner.TenantID, "viewer")
	made := f.do(t, viewer, http.MethodPost, base+project+"/report/", nil, "Idempotency-Key", "k").Want(t, http.StatusAccepted)
	id := made.String(t, "id")
	if got := made.Header.Get("Location"); got != "/api/v1/jobs/"+id+"/" {
		t.Errorf("Location %q", got)
	}
	for path, want := range map[string]any{
		"kind": "report", "status": "queued", "progress": 0.0, "result": nil, "params.project_id": project, "params.format": "csv", "created_by.id": viewer.UserID.String(),
	} {
		if got := made.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	waiting := f.Pending(t, "report.project")
	if len(waiting) != 1 || !strings.Contains(string(waiting[0].Payload), id) {
		t.Errorf("messages %+v", waiting)
	}
	if n := f.count(t, `select count(*) from app.activity where model = 'Job' and action = 'created' and object_id = $1 and user_id = $2`, id, viewer.UserID); n != 1 {
		t.Errorf("%d rows of activity", n)
	}
	if again := f.do(t, viewer, http.MethodPost, base+project+"/report/", nil, "Idempotency-Key", "k").Want(t, http.StatusAccepted); again.String(t, "id") != id {
		t.Errorf("a repeat made %s", again.Body)
	}
	for range 9 {
		f.do(t, viewer, http.MethodPost, base+project+"/report/", nil).Want(t, http.StatusAccepted)
	}
	f.do(t, viewer, http.MethodPost, base+project+"/report/", nil).WantCode(t, http.StatusConflict, "too_many_jobs")
	f.do(t, f.owner, http.MethodPost, base+project+"/report/", nil).Want(t, http.StatusAccepted)
}

// TestReportOfNothing holds that what one may not see cannot be reported on.
func TestReportOfNothing(t *testing.T) {
	f := setup(t)
	project := f.create(t, f.owner, "Apollo").String(t, "id")
	stranger := f.Tenant(t)
	f.do(t, stranger, http.MethodPost, base+project+"/report/", nil).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodPost, base+ids.New().String()+"/report/", nil).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodPost, base+"x/report/", nil).WantCode(t, http.StatusNotFound, "not_found")
	f.do(t, f.owner, http.MethodDelete, base+project+"/", nil).Want(t, http.StatusNoContent)
	f.do(t, f.owner, http.MethodPost, base+project+"/report/", nil).WantCode(t, http.StatusNotFound, "not_found")
	if n := f.count(t, `select count(*) from app.jobs`); n != 0 {
		t.Errorf("%d jobs", n)
	}
}
