package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/scripts/local/database"
	"github.com/coditect/platform/scripts/local/keys"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/secrets/manager"
)

// screen is what a person sees.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// running is a Run in the background.
type running struct {
	t      *testing.T
	out    *screen
	env    config.Lookup // what the functions were told
	cancel context.CancelFunc
	done   chan error
	drains int
}

func (r *running) get(name string) string {
	value, ok := r.env(name)
	if !ok {
		return ""
	}
	return value
}

// stop is Ctrl-C.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("stopped with %v", err)
		}
		r.done <- err
	case <-time.After(60 * time.Second):
		r.t.Fatal("does not stop")
	}
	if r.drains != 1 {
		r.t.Errorf("drained %d times", r.drains)
	}
}

// A platform of the least kind: healthy when its database is.
func (r *running) compose(_ context.Context, lookup config.Lookup) (*Platform, error) {
	r.env = lookup
	url := r.get("DATABASE_URL")
	return &Platform{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn, err := pgx.Connect(req.Context(), url)
			if err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_ = conn.Close(req.Context())
		}),
		Drain: func(context.Context) error { r.drains++; return nil },
	}, nil
}

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

func options(h state.Home, vars map[string]string) Options {
	return Options{
		Home: h, Tools: tools.Finder{PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: os.Getenv("CODITECT_TOOLS")},
		Lookup: config.Map(vars), Out: &screen{},
		Compose: func(context.Context, config.Lookup) (*Platform, error) { return nil, errors.New("not reached") },
	}
}

func start(t *testing.T, h state.Home, vars map[string]string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, out: &screen{}, cancel: cancel, done: make(chan error, 2)}
	o := options(h, vars)
	o.Out, o.Compose = r.out, r.compose
	go func() { r.done <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
	})
	err := process.Poll(ctx, 60*time.Second, func() bool { return len(r.done) > 0 || strings.Contains(r.out.String(), "ready\n") })
	if err != nil || len(r.done) > 0 {
		cancel()
		ended := <-r.done
		r.done <- ended
		t.Fatalf("not ready: %v\n%s", ended, r.out)
	}
	return r
}

// port is one that nothing listens on.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, number, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func execute(t *testing.T, url, sql string) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.Background())
	var text string
	err = conn.QueryRow(t.Context(), sql).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return text, err
}

// Not parallel: its parts follow one another in the life of one run.
func TestRun(t *testing.T) {
	h := home(t)
	p := port(t)
	first := start(t, h, map[string]string{"PORT": p})

	t.Run("the table names every part and no password", func(t *testing.T) {
		passwords, err := h.Passwords()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"http://127.0.0.1:" + p + "/api/v1/", "PostgreSQL", "PgBouncer", "Redis", "secrets", h.Dir} {
			if !strings.Contains(first.out.String(), want) {
				t.Errorf("the table lacks %q:\n%s", want, first.out)
			}
		}
		for _, secret := range []string{passwords.App, passwords.System, passwords.Migrator, passwords.Superuser} {
			if strings.Contains(first.out.String(), secret) {
				t.Error("a password is on the screen")
			}
		}
	})
	t.Run("the database is durable, migrated and pooled", func(t *testing.T) {
		if got, err := execute(t, first.get("MIGRATE_DATABASE_URL"), `show fsync`); err != nil || got != "on" {
			t.Errorf("fsync %q, %v", got, err)
		}
		for name, role := range map[string]string{"DATABASE_URL": migrations.RoleApp, "SYSTEM_DATABASE_URL": migrations.RoleSystem} {
			cfg, err := pgx.ParseConfig(first.get(name))
			if err != nil || cfg.User != role {
				t.Fatalf("%s: %v", name, err)
			}
			cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
			conn, err := pgx.ConnectConfig(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			var n int
			if err := conn.QueryRow(t.Context(), `select count(*) from app.organizations`).Scan(&n); err != nil {
				t.Errorf("%s: %v", role, err)
			}
			_ = conn.Close(t.Context())
		}
	})
	t.Run("Redis forgets in time", func(t *testing.T) {
		opt, err := goredis.ParseURL(first.get("REDIS_URL"))
		if err != nil {
			t.Fatal(err)
		}
		client := goredis.NewClient(opt)
		defer client.Close()
		if err := client.Set(t.Context(), "k", "v", 300*time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		if got := client.Get(t.Context(), "k").Val(); got != "v" {
			t.Errorf("read %q", got)
		}
		gone := func() bool { return errors.Is(client.Get(t.Context(), "k").Err(), goredis.Nil) }
		if err := process.Poll(t.Context(), 5*time.Second, gone); err != nil {
			t.Error("the key outlived its time")
		}
	})
	t.Run("the official client reads the secrets", func(t *testing.T) {
		source := manager.New(manager.Config{Project: first.get("GOOGLE_CLOUD_PROJECT"), Endpoint: first.get("SECRETS_ENDPOINT")})
		defer source.Close()
		payload, err := source.Fetch(t.Context(), secrets.SigningKeys)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := keys.Store{Dir: first.get("SECRETS_DIR")}.Load(time.Now())
		if err != nil || !bytes.Equal(kept[secrets.SigningKeys], payload.Data) {
			t.Errorf("the file has other keys: %v", err)
		}
	})
	t.Run("a second run of the home is told so", func(t *testing.T) {
		err := Run(t.Context(), options(h, map[string]string{"PORT": port(t)}))
		if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), "CODITECT_HOME") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("a taken port is one clear line", func(t *testing.T) {
		err := Run(t.Context(), options(home(t), map[string]string{"PORT": p}))
		if err == nil || !strings.Contains(err.Error(), "port "+p+" is taken") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("what dies is started again", func(t *testing.T) {
		d, err := database.Leftover(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := d.Pooler.Running()
		victim, err := os.FindProcess(before)
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Kill(); err != nil {
			t.Fatal(err)
		}
		again := func() bool {
			pid, ok := d.Pooler.Running()
			return ok && pid != before && strings.Contains(first.out.String(), "PgBouncer ended")
		}
		if err := process.Poll(t.Context(), 20*time.Second, again); err != nil {
			t.Errorf("PgBouncer stays dead:\n%s", first.out)
		}
	})
	t.Run("a second home and given parts", func(t *testing.T) { sideBySide(t, first) })

	keeper, err := pgx.Connect(t.Context(), first.get("MIGRATE_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Exec(t.Context(), `create table app.kept as select 'still here' as v`); err != nil {
		t.Fatal(err)
	}
	_ = keeper.Close(t.Context())
	first.stop()
	d, err := database.Leftover(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := d.Cluster.Running(); ok {
		t.Error("PostgreSQL outlived the run")
	}
	if _, ok := d.Pooler.Running(); ok {
		t.Error("PgBouncer outlived the run")
	}

	began := time.Now()
	second := start(t, h, map[string]string{"PORT": p})
	t.Logf("ready again after %s", time.Since(began).Round(10*time.Millisecond))
	if got, err := execute(t, second.get("MIGRATE_DATABASE_URL"), `select v from app.kept`); err != nil || got != "still here" {
		t.Errorf("the data of the first run: %q, %v", got, err)
	}
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "SECRETS_ENDPOINT", "TOKEN_ISSUER"} {
		if second.get(name) != first.get(name) {
			t.Errorf("%s changed between runs", name)
		}
	}
	second.stop()
}

// sideBySide runs a second home next to the first, with the first one's parts
// given to a third.
func sideBySide(t *testing.T, first *running) {
	t.Helper()
	h := home(t)
	other := start(t, h, map[string]string{"PORT": port(t)})
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "SECRETS_ENDPOINT", "TOKEN_ISSUER"} {
		if other.get(name) == first.get(name) {
			t.Errorf("two homes share %s", name)
		}
	}
	other.stop()

	guest := home(t)
	given := map[string]string{
		"PORT": port(t), "TOKEN_ISSUER": "https://id.example.com",
		"DATABASE_URL": first.get("DATABASE_URL"), "SYSTEM_DATABASE_URL": first.get("SYSTEM_DATABASE_URL"), "MIGRATE_DATABASE_URL": first.get("MIGRATE_DATABASE_URL"),
		"REDIS_URL": first.get("REDIS_URL"), "SECRETS_ENDPOINT": first.get("SECRETS_ENDPOINT"),
		"TASKS_ENDPOINT": first.get("TASKS_ENDPOINT"), "PUBSUB_ENDPOINT": first.get("PUBSUB_ENDPOINT"), "OBJECTS_URL": first.get("OBJECTS_URL"), "MAIL_URL": first.get("MAIL_URL"),
		"STRIPE_API_URL": first.get("STRIPE_API_URL"), "DNS_RESOLVER": first.get("DNS_RESOLVER"),
	}
	third := start(t, guest, given)
	for name, want := range given {
		if got := third.get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if entries, err := os.ReadDir(guest.Dir); err != nil || len(entries) != 2 { // The lock and the mounted secrets.
		t.Errorf("something was started for given parts: %v, %v", entries, err)
	}
	if n := strings.Count(third.out.String(), "(given)"); n != 3 {
		t.Errorf("the table says given %d times:\n%s", n, third.out)
	}
	if own, err := (keys.Store{Dir: first.get("SECRETS_DIR")}).Load(time.Now()); err != nil {
		t.Error(err)
	} else if mounted, err := (keys.Store{Dir: third.get("SECRETS_DIR")}).Load(time.Now()); err != nil || !bytes.Equal(own[secrets.HopKey], mounted[secrets.HopKey]) {
		t.Errorf("the given secrets were not mounted: %v", err)
	}
	third.stop()

	for role, url := range map[string]string{"system": first.get("SYSTEM_DATABASE_URL"), "migrator": first.get("MIGRATE_DATABASE_URL")} {
		given["DATABASE_URL"] = url
		err := Run(t.Context(), options(guest, given))
		if err == nil || !strings.Contains(err.Error(), "must be the application's role") {
			t.Errorf("the %s role was taken for the application's: %v", role, err)
		}
	}
}

func TestIsolationIsTried(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"::", "postgres://u:secret@127.0.0.1:1/x?sslmode=disable&connect_timeout=1"} {
		err := CheckIsolation(t.Context(), url)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestConfigIsRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, vars := range map[string]map[string]string{
		"DATABASE_URL":         {"DATABASE_URL": "postgres://x"},
		"MIGRATE_DATABASE_URL": {"DATABASE_URL": "postgres://x", "SYSTEM_DATABASE_URL": "postgres://y"},
		"PORT":                 {"PORT": "70000"},
		"PG_PORT":              {"PG_PORT": "many"},
	} {
		err := Run(t.Context(), options(state.Home{Dir: "/nonexistent"}, vars))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPlatformThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	h := home(t)
	err := Run(t.Context(), options(h, map[string]string{"PORT": port(t)}))
	if err == nil || !strings.Contains(err.Error(), "not reached") {
		t.Errorf("error = %v", err)
	}
	d, err := database.Leftover(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := d.Cluster.Running(); ok {
		t.Error("PostgreSQL was left running")
	}
}

func TestHealthyGivesUpWithTheCanceled(t *testing.T) {
	t.Parallel()
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"unhealthy"}`)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { _ = server.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = healthy(ctx, "http://"+l.Addr().String())
	if err == nil {
		t.Fatal("an unhealthy platform is healthy")
	}
}
