package split

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/config"
)

// role makes this test's program play one of the fleet's, or a whole runner.
const role = "SPLIT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "server":
		os.Exit(serve(false))
	case "deaf":
		os.Exit(serve(true))
	case "broken":
		fmt.Fprint(os.Stderr, "no good reason")
		os.Exit(3)
	case "runner":
		f := New(Options{Home: state.Home{Dir: os.Getenv("SPLIT_TEST_HOME")}, Programs: players(), Environ: []string{role + "=server"}, Out: io.Discard})
		if _, err := f.Compose(context.Background(), nothing); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%d %d\n", f.PID("tasks"), f.PID("router-2"))
		select {}
	}
}

func serve(deaf bool) int {
	if deaf {
		signal.Ignore(syscall.SIGTERM)
	}
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // A test's.
		fmt.Fprintf(w, "%s %s %s", os.Getenv("FUNCTION_TARGET"), r.Host, strings.Join(r.Header["X-Forwarded-For"], ","))
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func nothing(string) (string, bool) { return "", false }

// players are this program as everything.
func players() Programs {
	self, err := os.Executable()
	if err != nil {
		return Programs{}
	}
	return Programs{Functions: []Program{{Name: "tasks", Binary: self, Entry: "Tasks", Routed: true}, {Name: "users", Binary: self, Entry: "Users", Routed: true}}, Router: self}
}

func plain(t *testing.T) state.Home {
	t.Helper()
	h, err := state.Open("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFleet(t *testing.T) {
	t.Parallel()
	out := &screen{}
	f := New(Options{Home: plain(t), Programs: players(), Environ: []string{role + "=server"}, Out: out})
	p, err := f.Compose(t.Context(), nothing)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"tasks", "users", "router-1", "router-2"} {
		if f.PID(name) == 0 || !strings.Contains(out.String(), strings.TrimPrefix(f.Address(name), "http://")) {
			t.Errorf("%s is not in the table:\n%s", name, out)
		}
	}
	if f.PID("nobody") != 0 || f.Address("nobody") != "" {
		t.Error("a process that there is not")
	}
	first := f.PID("users")
	kill(t, first)
	again := func() bool { pid := f.PID("users"); return pid != 0 && pid != first }
	if err := process.Poll(t.Context(), 20*time.Second, again); err != nil {
		t.Errorf("it stays dead:\n%s", out)
	}
	if !strings.Contains(out.String(), "users | ended (signal: killed): starting it again in 500ms") {
		t.Errorf("a person is not told:\n%s", out)
	}
	if err := p.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir(f.pids()); err != nil || len(files) > 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestAProcessThatWillNotEndIsKilled(t *testing.T) {
	t.Parallel()
	f := New(Options{Home: plain(t), Programs: players(), Environ: []string{role + "=deaf"}, Out: &screen{}})
	p, err := f.Compose(t.Context(), nothing)
	if err != nil {
		t.Fatal(err)
	}
	pid := f.PID("tasks")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := p.Drain(ctx); err == nil || !strings.Contains(err.Error(), "router-1 did not end in time") {
		t.Errorf("error = %v", err)
	}
	if len(process.Args(pid)) > 0 {
		t.Error("it runs on")
	}
}

func TestAProcessThatDoesNotStart(t *testing.T) {
	t.Parallel()
	out := &screen{}
	f := New(Options{Home: plain(t), Programs: players(), Environ: []string{role + "=broken"}, Out: out})
	if _, err := f.Compose(t.Context(), nothing); !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "start tasks") {
		t.Errorf("error = %v", err)
	}
	if !strings.Contains(out.String(), "tasks | no good reason") {
		t.Errorf("its output is lost:\n%s", out)
	}
	missing := Programs{Functions: []Program{{Name: "tasks", Binary: "/nonexistent"}}}
	if _, err := New(Options{Home: plain(t), Programs: missing, Out: out}).Compose(t.Context(), nothing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
}

// A runner that is killed leaves nothing: on Linux the kernel sees to it, and
// elsewhere the next run.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	h := plain(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runner := exec.Command(self)
	runner.Env = []string{role + "=runner", "SPLIT_TEST_HOME=" + h.Dir}
	runner.Stderr = t.Output()
	said, err := runner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	var pids [2]int
	_, err = fmt.Fscan(said, &pids[0], &pids[1])
	_ = runner.Process.Kill()
	_ = runner.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Home: h}).sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := process.Poll(t.Context(), 10*time.Second, func() bool { return len(process.Args(pid)) == 0 }); err != nil {
			t.Errorf("process %d runs on", pid)
		}
	}
}

// What the kernel does not end, the next run does; strangers it leaves alone.
func TestSweep(t *testing.T) {
	t.Parallel()
	f := New(Options{Home: plain(t)})
	if err := os.MkdirAll(f.pids(), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours, strangers := filepath.Join(f.pids(), "tasks.pid"), filepath.Join(f.pids(), "users.pid")
	leftover := exec.Command(self, ours)
	leftover.Env = []string{role + "=server", "PORT=0"}
	if err := leftover.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = leftover.Wait() }()
	// A process that has just begun has no arguments to be known by yet.
	if err := process.Poll(t.Context(), 10*time.Second, func() bool { return process.Is(leftover.Process.Pid, self, ours) }); err != nil {
		t.Fatal(err)
	}
	for file, pid := range map[string]int{ours: leftover.Process.Pid, strangers: os.Getpid()} {
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)+" "+self+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	if files, err := os.ReadDir(f.pids()); err != nil || len(files) > 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	for _, name := range []string{"hop-key", "signing-keys"} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := environment{dir: t.TempDir(), own: []string{"LOG_LEVEL=debug", "DATABASE_URL=mine", "UPSTREAMS=mine", "MIGRATE_DATABASE_URL=mine"}, lookup: config.Map(map[string]string{
		"DATABASE_URL": "app", "SYSTEM_DATABASE_URL": "system", "MIGRATE_DATABASE_URL": "migrate", "REDIS_URL": "redis", "JWKS_URL": "jwks", "SECRETS_DIR": secrets,
	})}
	for _, c := range []struct {
		name string
		make func() ([]string, error)
		want string
	}{
		{"an ordinary function", func() ([]string, error) {
			return e.function(Program{Name: "tasks", Entry: "Tasks", Database: "app", Secrets: []string{"hop-key"}})
		}, "LOG_LEVEL=debug REDIS_URL=redis JWKS_URL=jwks DATABASE_URL=app SECRETS_DIR=tasks FUNCTION_TARGET=Tasks FUNCTION_SIGNATURE_TYPE=http K_SERVICE=tasks"},
		{"one that crosses tenants", func() ([]string, error) {
			return e.function(Program{Name: "relay", Entry: "Relay", Database: "system"})
		}, "LOG_LEVEL=debug REDIS_URL=redis JWKS_URL=jwks SYSTEM_DATABASE_URL=system SECRETS_DIR=relay FUNCTION_TARGET=Relay FUNCTION_SIGNATURE_TYPE=http K_SERVICE=relay"},
		{"one that does both", func() ([]string, error) { return e.function(Program{Name: "x", Entry: "X", Database: "both"}) }, "LOG_LEVEL=debug REDIS_URL=redis JWKS_URL=jwks DATABASE_URL=app SYSTEM_DATABASE_URL=system SECRETS_DIR=x FUNCTION_TARGET=X FUNCTION_SIGNATURE_TYPE=http K_SERVICE=x"},
		{"the router", func() ([]string, error) { return e.router("a=http://b", "http://127.0.0.1:20009") }, "LOG_LEVEL=debug REDIS_URL=redis JWKS_URL=jwks SECRETS_DIR=router ROUTER_NUDGE_URL=http://127.0.0.1:20009 UPSTREAMS=a=http://b TRUSTED_HOPS=1 HOST=127.0.0.1"},
	} {
		for range 2 { // The second time over what the first left.
			vars, err := c.make()
			if got := strings.ReplaceAll(strings.Join(vars, " "), e.dir+"/", ""); err != nil || got != c.want {
				t.Errorf("%s is told\n%s, not\n%s (%v)", c.name, got, c.want, err)
			}
		}
	}
	files, err := os.ReadDir(filepath.Join(e.dir, "tasks"))
	if err != nil || len(files) != 1 || files[0].Name() != "hop-key" {
		t.Errorf("a function has %v, %v", files, err)
	}
	if raw, err := os.ReadFile(filepath.Join(e.dir, "tasks", "hop-key")); err != nil || string(raw) != "hop-key" {
		t.Errorf("it reads %q, %v", raw, err)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	out := &screen{}
	f := New(Options{Out: out})
	l := &lines{prefix: "x | ", to: out, mu: f.say}
	for _, part := range []string{"a", "b\n\nc", "\n", strings.Repeat("d", longestLine), "e"} {
		if n, err := l.Write([]byte(part)); err != nil || n != len(part) {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	l.flush()
	l.flush()
	want := "x | ab\nx | c\nx | " + strings.Repeat("d", longestLine) + "\nx | e\n"
	if got := out.String(); got != want {
		t.Errorf("%d bytes, not %d: %.60q", len(got), len(want), got)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	b := builder{cache: t.TempDir()}
	now := time.Now()
	for name, used := range map[string]time.Time{"tasks-0123456789abcdef": now.Add(-2 * unused), "tasks-0123456789abcdee": now, "router": now.Add(-2 * unused)} {
		file := filepath.Join(b.cache, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, used, used); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.prune(now.Add(-unused)); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(b.cache, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left %v, %v", left, err)
	}
}
