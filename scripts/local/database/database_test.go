package database

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// home is one that the database's account can reach: Go's own temporary
// directories are not when the tests run as root.
func home(t *testing.T) state.Home {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // The database's account must reach it.
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := state.Open("", filepath.Join(dir, "home"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func options(t *testing.T, h state.Home, first int) Options {
	t.Helper()
	passwords, err := h.Passwords()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Home: h, Out: io.Discard, Tools: tools.Finder{PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: os.Getenv("CODITECT_TOOLS")}, Passwords: passwords,
		FirstPort: first, FirstPool: first + 1000, MaxConnections: 20, PoolSize: 5, PoolIdle: time.Second,
	}
}

func up(t *testing.T, o Options) *Database {
	t.Helper()
	d, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var text string
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := process.Poll(t.Context(), 10*time.Second, func() bool { return process.Args(pid) == nil }); err != nil {
		t.Fatal(err)
	}
}

// One cluster lives through everything that may happen to it: making one takes
// longer than all the rest.
func TestLife(t *testing.T) {
	t.Parallel()
	h := home(t)
	o := options(t, h, 21432)
	o.Durable = true // Throw-away data may lose its last moments to a kill -9.
	data := h.Path("postgres", "data")

	// A run that was killed during initdb left this.
	if err := os.MkdirAll(data+".new/base", 0o700); err != nil {
		t.Fatal(err)
	}
	d := up(t, o)
	setup := migrations.Setup{
		Database:         "coditect",
		MigratorPassword: o.Passwords.Migrator, AppPassword: o.Passwords.App, SystemPassword: o.Passwords.System,
	}
	if err := migrations.Bootstrap(t.Context(), d.Cluster.URL(d.Port, "postgres"), setup); err != nil {
		t.Fatal(err)
	}
	super := func() string { return d.Cluster.URL(d.Port, "coditect") }
	exec(t, super(), `create table kept (v text)`, `insert into kept values ('still here')`)
	here := func(when string) {
		t.Helper()
		if got := query(t, super(), `select v from kept`); got != "still here" {
			t.Errorf("%s: %q", when, got)
		}
		for role, password := range map[string]string{migrations.RoleApp: o.Passwords.App, migrations.RoleSystem: o.Passwords.System, migrations.RoleMigrator: o.Passwords.Migrator} {
			if got := query(t, d.URL(role, password, "coditect"), `select current_user::text`); got != role {
				t.Errorf("%s: PgBouncer serves %s as %q", when, role, got)
			}
		}
	}
	here("after the first start")

	t.Log("settings")
	if got := query(t, super(), `show fsync`); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	if got := query(t, super(), `show unix_socket_directories`); got != "" {
		t.Errorf("sockets in %q", got)
	}
	if got := query(t, super(), `select rolpassword from pg_authid where rolname = 'coditect_app'`); !strings.HasPrefix(got, "SCRAM-SHA-256$") {
		t.Errorf("password kept as %.20s", got)
	}
	who, err := account.Pick()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) != who.UID || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v of %v", info.Mode(), owner)
	}
	for _, private := range []string{h.Path("passwords.json"), h.Path("postgres", "pgbouncer", "userlist.txt")} {
		if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", private, info, err)
		}
	}

	t.Log("the runner was killed: both still run")
	before, _, _ := d.Cluster.Running()
	port := d.Port
	d = up(t, o)
	if after, _, _ := d.Cluster.Running(); after != before || d.Port != port {
		t.Errorf("the leftover was not taken over: process %d then %d, port %d then %d", before, after, port, d.Port)
	}
	here("after a killed runner")

	t.Log("PostgreSQL was killed")
	pid, _, _ := d.Cluster.Running()
	kill(t, pid)
	if _, _, ok := d.Cluster.Running(); ok {
		t.Error("a dead server runs")
	}
	d = up(t, o)
	here("after a killed PostgreSQL")

	t.Log("PgBouncer was killed")
	pid, ok = d.Pooler.Running()
	if !ok {
		t.Fatal("PgBouncer does not run")
	}
	kill(t, pid)
	d = up(t, o)
	here("after a killed PgBouncer")

	t.Log("stopped, and the pid file names a stranger")
	if err := d.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(data, "postmaster.pid")
	stranger := strconv.Itoa(os.Getpid()) + "\n" + data + "\n1\n" + strconv.Itoa(port) + "\n\n127.0.0.1\n\nready\n"
	if err := os.WriteFile(pidFile, []byte(stranger), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Path("postgres", "pgbouncer", "pgbouncer.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	d = up(t, o)
	here("after a stale pid file")

	t.Log("stopped, and the pid file is cut short")
	if err := d.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pidFile, []byte("12"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = up(t, o)
	here("after a broken pid file")

	t.Log("a fixed port moves the leftover")
	o.Port = free(t, d.Port+1)
	d = up(t, o)
	if d.Port != o.Port {
		t.Errorf("port %d, want %d", d.Port, o.Port)
	}
	here("on another port")

	t.Log("a fixed port that is taken")
	if err := d.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := listen(t, o.Port)
	if _, err := Up(t.Context(), o); err == nil || !strings.Contains(err.Error(), strconv.Itoa(o.Port)) {
		t.Errorf("started on a taken port: %v", err)
	}
	if err := d.Cluster.Start(t.Context(), o.Port); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("PostgreSQL on a taken port: %v", err)
	}
	if err := d.Pooler.Start(t.Context(), o.Port); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("PgBouncer on a taken port: %v", err)
	}
	o.Port = 0
	second := up(t, o)
	if second.Port == l {
		t.Errorf("chose the taken port")
	}
	leftover, err := Leftover(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if err := leftover.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, ok := second.Cluster.Running(); ok {
		t.Error("PostgreSQL still runs")
	}
	if _, ok := second.Pooler.Running(); ok {
		t.Error("PgBouncer still runs")
	}
}

func TestDataDirectoryOfSomethingElse(t *testing.T) {
	t.Parallel()
	h := home(t)
	if err := os.MkdirAll(h.Path("postgres", "data", "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), options(t, h, 21600)); err == nil || !strings.Contains(err.Error(), "no PostgreSQL data directory") {
		t.Errorf("error = %v", err)
	}
	if _, err := os.Stat(h.Path("postgres", "data", "photos")); err != nil {
		t.Errorf("what was there is gone: %v", err)
	}
}

func exec(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// free finds a port that nothing listens on, from first up.
func free(t *testing.T, first int) int {
	t.Helper()
	for port := first; port < first+200; port++ {
		if state.Free(port) {
			return port
		}
	}
	t.Fatalf("no port from %d is free", first)
	return 0
}

func listen(t *testing.T, port int) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return port
}
