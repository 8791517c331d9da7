// Package testenv gives tests a throw-away PostgreSQL behind PgBouncer: fsync
// off, shared by every test run of the checkout, stopped when the last one
// ends. Tests make their own databases in it.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/coditect/platform/scripts/local/database"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// Names of the variables that a test reads. EnvFile holds the same while the
// environment is up, so that a bare `go test` finds it too.
const (
	SuperuserURL = "CODITECT_TEST_SUPERUSER_URL" // direct, database postgres
	PgBouncer    = "CODITECT_TEST_PGBOUNCER"     // host:port; serves any database
	Password     = "CODITECT_TEST_PASSWORD"      // of the three roles
	EnvFile      = "env"
)

const (
	keepFile  = "keep"  // exists while a person asked for the environment to stay
	usersLock = "users" // shared by every command that uses the environment
	startLock = "start" // held while it is brought up or down
)

// Env is the test environment of a checkout.
type Env struct {
	Home  state.Home // .local/test
	Tools tools.Finder
	Out   io.Writer // progress, for a person
}

// Up brings the environment up and leaves it so until Down.
func (e Env) Up(ctx context.Context) (map[string]string, error) {
	if err := os.WriteFile(e.Home.Path(keepFile), nil, 0o600); err != nil {
		return nil, fmt.Errorf("keep the test environment: %w", err)
	}
	return e.up(ctx)
}

// Down stops the environment.
func (e Env) Down(ctx context.Context) error {
	if err := os.Remove(e.Home.Path(keepFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stop keeping the test environment: %w", err)
	}
	start, err := e.Home.LockWait(startLock)
	if err != nil {
		return err
	}
	defer start.Release()
	return e.down(ctx)
}

// Run runs a command in the environment and returns its exit code. The
// environment ends with the last command that uses it, unless Up was called or
// keep is set.
func (e Env) Run(ctx context.Context, keep bool, args []string) (code int, err error) {
	use, err := e.Home.Share(usersLock)
	if err != nil {
		return 1, err
	}
	defer use.Release()
	vars, err := e.up(ctx)
	if err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	for name, value := range vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, e.Tools.RedisEnvironment()...)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); e.watch(watching) }()
	ran := cmd.Run()
	stop()
	<-watched
	if !keep {
		err = e.leave(context.WithoutCancel(ctx), use)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(ran, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), err
	case ran != nil:
		return 1, errors.Join(fmt.Errorf("%s: %w", args[0], ran), err)
	}
	return 0, err
}

// watch starts PgBouncer again when it dies, as an orchestrator would: version
// 1.18 has done so when a database was dropped under it. What it said last is shown.
func (e Env) watch(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := e.revive(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintf(e.Out, "PgBouncer does not start: %v\n", err)
			}
		}
	}
}

func (e Env) revive(ctx context.Context) error {
	d, err := database.Leftover(ctx, e.Home)
	if err != nil {
		return err
	}
	if _, ok := d.Pooler.Running(); ok {
		return nil
	}
	start, err := e.Home.LockWait(startLock)
	if err != nil {
		return err
	}
	defer start.Release()
	if _, err := os.Stat(e.Home.Path(EnvFile)); err != nil {
		return nil // It was brought down meanwhile.
	}
	if _, ok := d.Pooler.Running(); ok {
		return nil
	}
	fmt.Fprintf(e.Out, "PgBouncer ended: starting it again. It said last:\n%s\n", d.Pooler.Said())
	_, err = e.database(ctx)
	return err
}

// database brings both processes up where they are not.
func (e Env) database(ctx context.Context) (*database.Database, error) {
	passwords, err := e.Home.Passwords()
	if err != nil {
		return nil, err
	}
	passwords.Migrator, passwords.System = passwords.App, passwords.App // One for all three: tests only.
	return database.Up(ctx, database.Options{
		Home: e.Home, Out: e.Out, Tools: e.Tools, Passwords: passwords,
		FirstPort: 25532, FirstPool: 26532,
		MaxConnections: 400, PoolSize: 8, PoolIdle: 5 * time.Second,
	})
}

// leave stops the environment when nobody else uses it.
func (e Env) leave(ctx context.Context, use *state.Lock) error {
	if _, err := os.Stat(e.Home.Path(keepFile)); err == nil {
		return nil
	}
	start, err := e.Home.LockWait(startLock)
	if err != nil {
		return err
	}
	defer start.Release()
	if !use.TryUpgrade() {
		return nil
	}
	return e.down(ctx)
}

func (e Env) up(ctx context.Context) (map[string]string, error) {
	start, err := e.Home.LockWait(startLock)
	if err != nil {
		return nil, err
	}
	defer start.Release()
	if vars, err := e.current(ctx); err == nil {
		return vars, nil
	}
	d, err := e.database(ctx)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{
		SuperuserURL: d.Cluster.URL(d.Port, "postgres"),
		PgBouncer:    fmt.Sprintf("127.0.0.1:%d", d.PoolPort),
		Password:     d.Passwords.App,
	}
	if err := prepare(ctx, vars); err != nil {
		return nil, errors.Join(err, d.Down(context.WithoutCancel(ctx)))
	}
	var file strings.Builder
	for _, name := range []string{SuperuserURL, PgBouncer, Password} {
		fmt.Fprintf(&file, "%s=%s\n", name, vars[name])
	}
	if err := state.WritePrivate(e.Home.Path(EnvFile), []byte(file.String())); err != nil {
		return nil, errors.Join(err, d.Down(context.WithoutCancel(ctx)))
	}
	return vars, nil
}

func (e Env) down(ctx context.Context) error {
	if err := os.Remove(e.Home.Path(EnvFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("withdraw the test environment's address: %w", err)
	}
	d, err := database.Leftover(ctx, e.Home)
	if err != nil {
		return err
	}
	return d.Down(ctx)
}

// current returns the variables of an environment that is up and answers.
func (e Env) current(ctx context.Context) (map[string]string, error) {
	data, err := os.ReadFile(e.Home.Path(EnvFile))
	if err != nil {
		return nil, fmt.Errorf("read the test environment's address: %w", err)
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			vars[name] = value
		}
	}
	d, err := database.Leftover(ctx, e.Home)
	if err != nil {
		return nil, err
	}
	if _, _, ok := d.Cluster.Running(); !ok {
		return nil, errors.New("PostgreSQL does not run")
	}
	if _, ok := d.Pooler.Running(); !ok {
		return nil, errors.New("PgBouncer does not run")
	}
	return vars, ping(ctx, vars[SuperuserURL])
}
