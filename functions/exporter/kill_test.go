package exporter_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/exporter"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
)

// child makes the test's program the function itself, in a process that can be
// killed.
const child = "EXPORTER_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	app, err := exporter.OpenWith(nil)(context.Background(), config.Environ)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	log.Fatal(http.Serve(l, app.Handler)) //nolint:gosec // for one client, which kills it
}

// spawn starts the function in a process and gives a way to it.
func (f *fixture) spawn(t *testing.T) (http.Handler, *exec.Cmd) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), child+"=1")
	for name, value := range f.Vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimSpace(line)})
	proxy.ErrorLog = log.New(os.Stderr, "", 0)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return proxy, cmd
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
		handler, process := f.spawn(t)
		f.SQL(t, `update app.outbox set running_until = null, attempts = 0 where id = $1`, m.ID) // its lease has ended
		f.SQL(t, `update app.jobs set crashes = 0 where id = $1`, id)
		ended := make(chan functest.Response, 1)
		go func() { ended <- f.Deliver(t, handler, "exporter", m, 1) }()
		select {
		case <-ended:
		case <-time.After(wait + rand.N(wait)): // later each time, so that there is an end
			kills++
		}
		_ = process.Process.Kill()
		_ = process.Wait()
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
