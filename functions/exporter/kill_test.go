package exporter_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/coditect/platform/functions/exporter"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/serve"
)

func TestMain(m *testing.M) {
	functest.Main(m, func(lookup config.Lookup, _ func(string)) (*serve.App, error) {
		return exporter.OpenWith(nil)(context.Background(), lookup)
	})
}

// TestKilledProcess kills the process of an export (SIGKILL) at moments that
// nobody chose, until one lives long enough: each thing is there once.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.fill(t, f.owner, f.project)
	const tasks = 4000
	f.addTasks(t, f.owner, f.project, tasks)
	id, m := f.begin(t, f.owner, "json")
	kills, wait := 0, 2*time.Millisecond
	for f.job(t, id).Status != "succeeded" {
		if kills > 100 {
			t.Fatalf("no end: %+v", f.job(t, id))
		}
		child := f.Spawn(t, "")
		f.SQL(t, `update app.outbox set running_until = null, attempts = 0 where id = $1`, m.ID) // its lease has ended
		f.SQL(t, `update app.jobs set crashes = 0 where id = $1`, id)
		ended := make(chan functest.Response, 1)
		go func() { ended <- f.Deliver(t, child.Handler, "exporter", m, 1) }()
		select {
		case <-ended:
		case <-time.After(wait + rand.N(wait)): // later each time, so that there is an end
			kills++
		}
		child.Kill()
		wait += wait / 5
	}
	t.Logf("killed %d times, %d attempts", kills, f.job(t, id).Attempts)
	if kills < 5 {
		t.Errorf("killed only %d times", kills)
	}
	files := f.archive(t, id)
	seen := column(things(t, files, "tasks"), "id")
	if len(seen) != tasks+1 || len(things(t, files, "tasks")) != tasks+1 {
		t.Errorf("%d tasks, %d of them different", len(things(t, files, "tasks")), len(seen))
	}
	if n := len(f.Pending(t, "mail.export_ready")); n != 1 {
		t.Errorf("%d mails", n)
	}
}
