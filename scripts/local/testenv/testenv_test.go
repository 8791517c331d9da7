package testenv

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/scripts/local/database"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

func environment(t *testing.T) Env {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // The database's account must reach it.
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home, err := state.Open("", filepath.Join(dir, "home"))
	if err != nil {
		t.Fatal(err)
	}
	e := Env{Home: home, Out: io.Discard, Tools: tools.Finder{PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: os.Getenv("CODITECT_TOOLS")}}
	t.Cleanup(func() {
		if err := e.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// run runs a shell script in the environment.
func run(t *testing.T, e Env, keep bool, script string) int {
	t.Helper()
	code, err := e.Run(t.Context(), keep, []string{"sh", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func isUp(t *testing.T, e Env) bool {
	t.Helper()
	_, err := e.current(t.Context())
	_, noFile := os.Stat(e.Home.Path(EnvFile))
	if (err == nil) != (noFile == nil) {
		t.Errorf("the address is given out (%v) though the environment is not up (%v)", noFile, err)
	}
	return err == nil
}

func TestLife(t *testing.T) {
	t.Parallel()
	e := environment(t)

	if code := run(t, e, false, `test -n "$CODITECT_TEST_SUPERUSER_URL" -a -n "$CODITECT_TEST_PGBOUNCER" -a -n "$CODITECT_TEST_PASSWORD" || exit 9; exit 7`); code != 7 {
		t.Errorf("exit code %d", code)
	}
	if isUp(t, e) {
		t.Error("up after its only user")
	}
	if code, err := e.Run(t.Context(), false, []string{"/nonexistent"}); code != 1 || err == nil {
		t.Errorf("a command that is not there: %d, %v", code, err)
	}

	t.Log("a run that keeps it, and one that joins and ends it")
	run(t, e, true, "true")
	if !isUp(t, e) {
		t.Error("not kept")
	}
	run(t, e, false, "true")
	if isUp(t, e) {
		t.Error("up after its last user")
	}

	t.Log("two at once: the first to end leaves it to the other")
	first := make(chan int)
	ready, release := e.Home.Path("ready"), e.Home.Path("release")
	go func() {
		code, err := e.Run(context.Background(), false, []string{"sh", "-c", "touch " + ready + "; while [ ! -e " + release + " ]; do sleep 0.05; done"})
		if err != nil {
			t.Error(err)
		}
		first <- code
	}()
	if err := process.Poll(t.Context(), 30*time.Second, func() bool { _, err := os.Stat(ready); return err == nil }); err != nil {
		t.Fatal(err)
	}
	run(t, e, false, "true")
	if !isUp(t, e) {
		t.Error("ended under the other's feet")
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := <-first; code != 0 || isUp(t, e) {
		t.Errorf("the last one: code %d, up %v", code, isUp(t, e))
	}
}

func TestUpStaysAndHeals(t *testing.T) {
	t.Parallel()
	e := environment(t)
	vars, err := e.Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, e, false, "true")
	if !isUp(t, e) {
		t.Error("a run ended what a person brought up")
	}
	again, err := e.Up(t.Context())
	if err != nil || again[SuperuserURL] != vars[SuperuserURL] || again[PgBouncer] != vars[PgBouncer] {
		t.Errorf("up twice: %v, %v", again, err)
	}
	data, err := os.ReadFile(e.Home.Path(EnvFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range vars {
		if !strings.Contains(string(data), name+"="+value+"\n") {
			t.Errorf("the file lacks %s", name)
		}
	}

	d, err := database.Leftover(t.Context(), e.Home)
	if err != nil {
		t.Fatal(err)
	}
	pid, _, ok := d.Cluster.Running()
	if !ok {
		t.Fatal("PostgreSQL does not run")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	run(t, e, false, "true")
	if !isUp(t, e) {
		t.Error("not up again after a killed PostgreSQL")
	}
	conn, err := pgx.Connect(t.Context(), vars[SuperuserURL])
	if err != nil {
		t.Fatal(err)
	}
	var fsync string
	if err := conn.QueryRow(t.Context(), `show fsync`).Scan(&fsync); err != nil || fsync != "off" {
		t.Errorf("fsync %q, %v", fsync, err)
	}
	_ = conn.Close(t.Context())
	for _, role := range []string{"coditect_app", "coditect_system", "coditect_migrator"} {
		cfg, err := pgx.ParseConfig("postgres://" + role + ":" + vars[Password] + "@" + vars[PgBouncer] + "/postgres?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Errorf("%s: %v", role, err)
			continue
		}
		_ = conn.Close(t.Context())
	}
	if err := e.Down(t.Context()); err != nil || isUp(t, e) {
		t.Errorf("down: %v", err)
	}
}

// TestPgBouncerIsStartedAgain kills it under a command: the command goes on with
// another one at the same address.
func TestPgBouncerIsStartedAgain(t *testing.T) {
	t.Parallel()
	e := environment(t)
	var out bytes.Buffer
	e.Out = &out
	script := `
		pid=$(head -n 1 "` + e.Home.Path("postgres") + `/pgbouncer/pgbouncer.pid"); host=${CODITECT_TEST_PGBOUNCER%:*}; port=${CODITECT_TEST_PGBOUNCER#*:}
		kill -KILL "$pid" || exit 8
		for i in $(seq 400); do
			if [ "$(head -n 1 "` + e.Home.Path("postgres") + `/pgbouncer/pgbouncer.pid")" != "$pid" ] && (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then exit 0; fi
			sleep 0.05
		done
		exit 9`
	code, err := e.Run(t.Context(), false, []string{"bash", "-c", script})
	if err != nil || code != 0 {
		t.Fatalf("code %d, %v\n%s", code, err, &out)
	}
	if !strings.Contains(out.String(), "PgBouncer ended: signal: killed") {
		t.Errorf("nobody was told:\n%s", &out)
	}
}
