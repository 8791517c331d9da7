package exporter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/exporter"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

func TestExport(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "csv"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.fill(t, f.owner, f.project)
			f.addTasks(t, f.owner, f.project, 2500) // more than are fetched at a time
			other := f.Tenant(t)
			f.fill(t, other, f.addProject(t, other, "Foreign"))
			gone := f.addProject(t, f.owner, "Gone")
			f.SQL(t, `update app.projects set deleted_at = now() - interval '1 minute', deletion_id = $2 where id = $1`, gone, ids.New())

			id, m := f.begin(t, f.owner, format)
			if got := f.deliver(t, m); got != "done" {
				t.Fatalf("delivered: %s", got)
			}
			files := f.archive(t, id)
			want := map[string]int{
				"activity": 1, "attachments": 1, "comments": 1, "tasks": 2501, "projects": 1, "invoices": 1, "invitations": 1,
				"members": 1, "roles": 2, "domains": 1, "settings": 1, "organization": 1,
			}
			total := int64(0)
			for _, kind := range exporter.Kinds() {
				n, known := want[kind]
				if got := things(t, files, kind); !known || len(got) != n {
					t.Errorf("%d of %s, want %d", len(got), kind, n)
				}
				total += int64(n)
			}
			if len(files) != len(want)+1 {
				t.Errorf("%d files", len(files))
			}
			j := f.job(t, id)
			if j.Rows != total || j.Progress != 100 || j.Attempts != 1 || j.Error != nil || j.Expires == nil || time.Until(*j.Expires) < 6*24*time.Hour {
				t.Errorf("the job says %+v", j)
			}
			for name, content := range files {
				for _, secret := range []string{"secret", "deadbeef", other.TenantID.String(), "Foreign", "Gone", "object_key"} {
					if bytes.Contains(content, []byte(secret)) {
						t.Errorf("%s holds %q", name, secret)
					}
				}
			}
			title := "=1+1"
			if format == "csv" {
				title = "'=1+1" // TestTrapT37 of shared/sheet
			}
			if column(things(t, files, "tasks"), "title")[title] != 1 || column(things(t, files, "comments"), "content")["Ümläut 日本 😀"] != 1 ||
				column(things(t, files, "tasks"), "description")["line\n\"quoted\", done"] != 1 {
				t.Error("texts are not what was stored")
			}
			var manifest struct {
				FormatVersion  int    `json:"format_version"`
				OrganizationID string `json:"organization_id"`
				AsOf           time.Time
				Files          []struct {
					Name  string
					Rows  int
					Bytes int
				}
			}
			if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || manifest.FormatVersion != 1 || manifest.OrganizationID != f.owner.TenantID.String() {
				t.Errorf("manifest %s, %v", files["manifest.json"], err)
			}
			for _, l := range manifest.Files {
				if l.Bytes != len(files[l.Name]) {
					t.Errorf("%s has %d bytes, the manifest says %d", l.Name, len(files[l.Name]), l.Bytes)
				}
			}
			if left := f.objects(t, id); len(left) != 1 || !strings.HasSuffix(left[0], ".zip") {
				t.Errorf("in storage: %v", left)
			}
			mails := f.Pending(t, "mail.export_ready")
			if len(mails) != 1 || !strings.Contains(string(mails[0].Payload), id.String()) {
				t.Errorf("mails %+v", mails)
			}
			if got := f.deliver(t, m); got != "repeated" && got != "skipped" {
				t.Errorf("delivered again: %s", got)
			}
			if n := len(f.Pending(t, "mail.export_ready")); n != 1 {
				t.Errorf("%d mails after a second delivery", n)
			}
			if again := f.job(t, id); again.Attempts != 1 || again.Key != j.Key {
				t.Errorf("a second delivery made %+v", again)
			}
		})
	}
}

// TestEmptyOrganization holds that a file without rows can be read too.
func TestEmptyOrganization(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, format := range []string{"json", "csv"} {
		id, m := f.begin(t, f.owner, format)
		f.deliver(t, m)
		files := f.archive(t, id)
		if got := things(t, files, "comments"); len(got) != 0 {
			t.Errorf("%s: %v", format, got)
		}
		if format == "json" && string(files["comments.json"]) != "[]\n" {
			t.Errorf("%q", files["comments.json"])
		}
	}
}

// killed stands for a process that is gone: of a handler that panics only the
// outbox is told, and the job is not.
type killed struct{}

// TestKilledAnywhere ends the process at each step of an export in turn, and
// changes the data between: the archive holds each thing once.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.fill(t, f.owner, f.project)
	f.addTasks(t, f.owner, f.project, 1500)
	id, m := f.begin(t, f.owner, "json")

	died := map[string]bool{}
	f.reached = func(step string) error {
		if !died[step] {
			died[step] = true
			panic(killed{})
		}
		return nil
	}
	// The moment of the export is that of its first attempt: what comes later
	// is not part of it, what goes later is.
	deleted := f.addProject(t, f.owner, "Deleted meanwhile")
	for n := 0; f.job(t, id).Status != "succeeded"; n++ {
		if n > 60 {
			t.Fatalf("no end: %+v", f.job(t, id))
		}
		f.deliver(t, m)
		if n == 0 {
			f.SQL(t, `update app.projects set deleted_at = now(), deletion_id = $2 where id = $1`, deleted, ids.New())
		}
		f.addTasks(t, f.owner, f.project, 3)
		f.addProject(t, f.owner, "Created meanwhile")
	}
	if len(died) < 2*len(exporter.Kinds())+2 {
		t.Errorf("killed only at %v", died)
	}
	files := f.archive(t, id)
	tasks, projects := things(t, files, "tasks"), things(t, files, "projects")
	if len(tasks) != 1501 {
		t.Errorf("%d tasks", len(tasks))
	}
	for id, n := range column(tasks, "id") {
		if n != 1 {
			t.Errorf("task %s is there %d times", id, n)
		}
	}
	if names := column(projects, "name"); names["Deleted meanwhile"] != 1 || names["Apollo"] != 1 || len(projects) != 2 {
		t.Errorf("projects %v", names)
	}
	whole := column(projects, "id")
	for id := range column(tasks, "project_id") {
		if whole[id] != 1 {
			t.Errorf("project %s of a task is missing", id)
		}
	}
	if n := len(f.Pending(t, "mail.export_ready")); n != 1 {
		t.Errorf("%d mails", n)
	}
	if left := f.objects(t, id); len(left) == 0 || strings.Contains(strings.Join(left, " "), "/parts/") {
		t.Errorf("in storage: %v", left)
	}
}

// TestPartsAreKept holds that an attempt reads nothing again that an earlier
// one has finished.
func TestPartsAreKept(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.addTasks(t, f.owner, f.project, 10)
	id, m := f.begin(t, f.owner, "json")
	var steps []string
	died := false
	f.reached = func(step string) error {
		steps = append(steps, step)
		if step == "before projects" && !died {
			died = true
			panic(killed{})
		}
		return nil
	}
	f.deliver(t, m)
	if p := f.job(t, id).Progress; p < 50 {
		t.Errorf("progress %d", p)
	}
	first := len(steps)
	f.deliver(t, m)
	if got := steps[first]; got != "before projects" {
		t.Errorf("went on with %q", got)
	}
	f.archive(t, id)

	// A part that is gone from storage is made again.
	id, m = f.begin(t, f.owner, "json")
	stopped := false
	f.reached = func(step string) error {
		if step == "before archive" && !stopped {
			stopped = true
			if _, err := f.store.DeletePrefix(t.Context(), "tenants/"+f.owner.TenantID.String()+"/jobs/"+id.String()+"/parts/"); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	for n := 0; n < 30 && f.job(t, id).Status != "succeeded"; n++ {
		f.SQL(t, `update app.jobs set failures = 0 where id = $1`, id)
		f.deliver(t, m)
	}
	if files := f.archive(t, id); len(things(t, files, "tasks")) != 10 {
		t.Error("tasks are missing")
	}
}

// TestOverlap holds that an attempt that was thought dead does no harm: the
// later one's archive stays whole, and the job is finished once.
func TestOverlap(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.fill(t, f.owner, f.project)
	id, m := f.begin(t, f.owner, "json")
	inside := false
	f.reached = func(step string) error {
		if step == "after tasks" && !inside {
			inside = true
			if got := f.deliver(t, m); got != "done" { // another attempt runs to the end
				t.Errorf("the second attempt: %s", got)
			}
		}
		return nil
	}
	if got := f.deliver(t, m); got != "skipped" {
		t.Errorf("the first attempt: %s", got)
	}
	if files := f.archive(t, id); len(things(t, files, "tasks")) != 1 {
		t.Error("tasks are missing")
	}
	if n := len(f.Pending(t, "mail.export_ready")); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestYield holds that an attempt which another one has overtaken leaves the
// message to that one: were it recorded, nobody would finish the job.
func TestYield(t *testing.T) {
	t.Parallel()
	for name, mishap := range map[string]error{"goes on": nil, "fails": errors.New("odd")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.fill(t, f.owner, f.project)
			id, m := f.begin(t, f.owner, "json")
			f.reached = func(step string) error {
				if step != "after tasks" {
					return nil
				}
				f.SQL(t, `update app.jobs set attempts = attempts + 1 where id = $1`, id) // as job.Start does
				return mishap
			}
			if got := f.deliver(t, m); got != "repeated" {
				t.Errorf("the first attempt: %s", got)
			}
			var open bool
			f.Scan(t, `select done_at is null and dead_at is null from app.outbox where id = $1`, []any{m.ID}, &open)
			if j := f.job(t, id); !open || j.Status != "running" {
				t.Errorf("the message is open: %v; the job %+v", open, j)
			}
			f.reached = func(string) error { return nil }
			if got := f.deliver(t, m); got != "done" {
				t.Errorf("the next attempt: %s", got)
			}
			if files := f.archive(t, id); len(things(t, files, "tasks")) != 1 {
				t.Error("tasks are missing")
			}
		})
	}
}

// TestCanceled holds that a canceled job ends and leaves nothing.
func TestCanceled(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.addTasks(t, f.owner, f.project, 10)
	cancel := func(id ids.ID) {
		f.SQL(t, `update app.jobs set status = 'canceled', finished_at = now() where id = $1 and finished_at is null`, id)
	}
	for _, at := range []string{"", "before tasks", "within tasks", "after tasks", "before archive", "after archive"} {
		id, m := f.begin(t, f.owner, "json")
		f.reached = func(step string) error {
			if step == at {
				cancel(id)
			}
			return nil
		}
		if at == "" {
			cancel(id)
		}
		if got := f.deliver(t, m); got != "skipped" {
			t.Errorf("canceled %q: %s", at, got)
		}
		if j := f.job(t, id); j.Status != "canceled" || j.Key != "" {
			t.Errorf("canceled %q: %+v", at, j)
		}
		if left := f.objects(t, id); len(left) != 0 {
			t.Errorf("canceled %q: in storage %v", at, left)
		}
	}
	if n := len(f.Pending(t, "mail.export_ready")); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	f := setup(t)
	id, m := f.begin(t, f.owner, "json")
	broken := errors.New("select secret from app.users: broken")
	f.reached = func(string) error { return broken }
	for n := 1; n <= 3; n++ {
		if got := f.deliver(t, m); got != "retry" {
			t.Errorf("attempt %d: %s", n, got)
		}
		if j := f.job(t, id); j.Status != "running" || j.Attempts != n {
			t.Errorf("attempt %d: %+v", n, j)
		}
	}
	if got := f.deliver(t, m); got != "dead" {
		t.Errorf("the last attempt: %s", got)
	}
	if j := f.job(t, id); j.Status != "failed" || j.Error == nil || strings.Contains(*j.Error, "secret") {
		t.Errorf("failed as %+v", j)
	}
	if left := f.objects(t, id); len(left) != 0 {
		t.Errorf("in storage %v", left)
	}

	// What is down is waited for, however often, but not for ever.
	id, m = f.begin(t, f.owner, "json")
	f.reached = func(string) error { return errs.New(errs.Unavailable, "unavailable", "The storage is away.") }
	for range 25 {
		if got := f.deliver(t, m); got != "deferred" {
			t.Fatalf("down: %s", got)
		}
	}
	if j := f.job(t, id); j.Status != "running" {
		t.Errorf("down: %+v", j)
	}
	f.SQL(t, `update app.jobs set created_at = now() - interval '25 hours' where id = $1`, id)
	f.deliver(t, m)
	if j := f.job(t, id); j.Status != "failed" || j.Error == nil || *j.Error != "The storage is away." {
		t.Errorf("down for a day: %+v", j)
	}

	// What kills its process again and again is given up.
	id, m = f.begin(t, f.owner, "json")
	f.reached = func(string) error { panic(killed{}) }
	for n := range 25 {
		f.deliver(t, m)
		if f.job(t, id).Status == "failed" {
			if n < 15 {
				t.Errorf("given up after %d", n)
			}
			break
		}
	}
	if j := f.job(t, id); j.Status != "failed" || j.Error == nil {
		t.Errorf("killed 25 times: %+v", j)
	}
}

// TestNothingToDo holds that a message about what is gone is done.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	f := setup(t)
	id, m := f.begin(t, f.owner, "json")
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, f.owner.TenantID)
	if got := f.deliver(t, m); got != "skipped" {
		t.Errorf("of an organization that is gone: %s", got)
	}
	if left := f.objects(t, id); len(left) != 0 {
		t.Errorf("in storage %v", left)
	}
}

// TestSnapshot holds that a file shows one moment, while what it shows
// changes: two tasks whose descriptions are always the same.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.addTasks(t, f.owner, f.project, 3000)
	f.SQL(t, `update app.tasks set description = 'v0' where tenant_id = $1`, f.owner.TenantID)
	id, m := f.begin(t, f.owner, "json")
	n := 0
	f.reached = func(step string) error {
		if step == "within tasks" {
			n++
			f.SQL(t, `update app.tasks set description = 'v'||$2, version = version + 1 where tenant_id = $1`, f.owner.TenantID, fmt.Sprint(n))
		}
		return nil
	}
	f.deliver(t, m)
	if n < 3 {
		t.Errorf("changed %d times", n)
	}
	if seen := column(things(t, f.archive(t, id), "tasks"), "description"); len(seen) != 1 || seen["v0"] != 3000 {
		t.Errorf("of several moments: %v", seen)
	}
}

func TestOpenNeedsItsEnvironment(t *testing.T) {
	t.Parallel()
	if _, err := exporter.Open(t.Context(), config.Map(nil)); err == nil {
		t.Error("opened without an environment")
	}
}
