package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/coditect/platform/migrations"
	"github.com/coditect/platform/scripts/local/database"
	"github.com/coditect/platform/scripts/local/postgres"
	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tenant"
	"github.com/coditect/platform/shared/config"
)

// addresses of the database as each role.
type addresses struct {
	app, system, migrator string
	bin                   string // of psql, empty for PATH
}

// withDatabase calls act with the given database or the home's own, which it
// brings up for as long as act takes when no run has it up.
func withDatabase(ctx context.Context, here place, act func(addresses) (int, error)) (code int, err error) {
	cfg, err := config.Load[run.Config](config.Environ)
	if err != nil {
		return 1, err
	}
	if cfg.Database.Reveal() != "" {
		return act(addresses{app: cfg.Database.Reveal(), system: cfg.System.Reveal(), migrator: cfg.Migrate.Reveal()})
	}
	lock, err := here.home.Lock("run")
	if errors.Is(err, state.ErrLocked) {
		d, err := running(ctx, here)
		if err != nil {
			return 1, err
		}
		return act(own(d))
	}
	if err != nil {
		return 1, err
	}
	defer lock.Release()
	d, err := run.OpenDatabase(ctx, run.Options{Home: here.home, Tools: here.tools, Out: os.Stderr}, cfg)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, d.Down(context.WithoutCancel(ctx))) }()
	return act(own(d))
}

// running is the database that a run in another process has up.
func running(ctx context.Context, here place) (*database.Database, error) {
	d, err := database.Leftover(ctx, here.home)
	if err != nil {
		return nil, err
	}
	_, port, ok := d.Cluster.Running()
	if !ok {
		return nil, errors.New("the platform is starting or uses a given database: try again when it is ready, or set the same addresses here")
	}
	ports, err := here.home.Ports()
	if err != nil {
		return nil, err
	}
	d.Port, d.PoolPort = port, ports.Of["PgBouncer"]
	d.Passwords, err = here.home.Passwords()
	return d, err
}

func own(d *database.Database) addresses {
	return addresses{
		app:      d.URL(migrations.RoleApp, d.Passwords.App, run.Database),
		system:   d.URL(migrations.RoleSystem, d.Passwords.System, run.Database),
		migrator: run.MigrateURL(d),
		bin:      d.Cluster.Install.Bin,
	}
}

func migrate(ctx context.Context, here place, args []string) (int, error) {
	return withDatabase(ctx, here, func(at addresses) (int, error) {
		cmd := exec.CommandContext(ctx, "go", append([]string{"run", "./migrations/cmd/migrate"}, args...)...)
		cmd.Dir = here.root
		cmd.Env = append(os.Environ(), "MIGRATE_DATABASE_URL="+at.migrator)
		return passThrough(cmd)
	})
}

func psql(ctx context.Context, here place, args []string) (int, error) {
	return withDatabase(ctx, here, func(at addresses) (int, error) {
		url, ok := map[string]string{"": at.migrator, "migrator": at.migrator, "app": at.app, "system": at.system}[os.Getenv("ROLE")]
		if !ok {
			return 2, errors.New("ROLE is app, system or migrator")
		}
		program := "psql"
		if bundled := filepath.Join(at.bin, "psql"); at.bin != "" && isFile(bundled) {
			program = bundled
		}
		bare, password, err := postgres.SplitPassword(url)
		if err != nil {
			return 1, err
		}
		// Ctrl-C ends a query, not the shell, and so not us.
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		defer signal.Stop(interrupts)
		cmd := exec.CommandContext(context.WithoutCancel(ctx), program, append([]string{bare}, args...)...)
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password) // Not an argument, which other users can read.
		return passThrough(cmd)
	})
}

func changeTenant(ctx context.Context, here place, args []string) (int, error) {
	return withDatabase(ctx, here, func(at addresses) (int, error) {
		done, err := tenant.Do(ctx, at.system, args)
		if errors.Is(err, tenant.ErrUsage) {
			return 2, err
		}
		if err != nil {
			return 1, err
		}
		forget(ctx, here, done)
		before := done.Before
		if before == "" {
			before = "nothing"
		}
		fmt.Printf("%s (%s): was %s, is %s\n", done.Name, done.TenantID, before, done.After) //nolint:forbidigo // A terminal.
		return 0, nil
	})
}

// forget tells the Redis that the functions use. Without a run and a given
// address there is none, and so nothing that could remember.
func forget(ctx context.Context, here place, done tenant.Outcome) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	address := os.Getenv("REDIS_URL")
	if address == "" {
		ports, err := here.home.Ports()
		if err != nil || ports.Of["Redis"] == 0 || state.Free(ports.Of["Redis"]) {
			return
		}
		address = fmt.Sprintf("redis://127.0.0.1:%d/0", ports.Of["Redis"])
	}
	if err := tenant.Forget(ctx, address, done, log); err != nil {
		log.Error("Redis was not told; the functions see the change when its copy expires", "error", err)
	}
}

// passThrough runs a command on the terminal and hands its exit code on.
func passThrough(cmd *exec.Cmd) (int, error) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return 0, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// reset stops what runs and deletes the home's data; fetched programs stay.
func reset(ctx context.Context, here place, _ []string) (int, error) {
	lock, err := here.home.Lock("run")
	if err != nil {
		return 1, fmt.Errorf("%w: stop that run first", err)
	}
	defer lock.Release()
	d, err := database.Leftover(ctx, here.home)
	if err != nil {
		return 1, err
	}
	if os.Getenv("YES") != "1" {
		fmt.Fprintf(os.Stderr, "Delete the local platform in %s, its database included? Type yes: ", here.home.Dir)
		answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil || strings.TrimSpace(answer) != "yes" {
			return 1, errors.New("nothing was deleted")
		}
	}
	if err := d.Down(ctx); err != nil {
		return 1, err
	}
	for _, path := range append(here.home.Remembered(), d.Cluster.Dir) {
		if err := os.RemoveAll(path); err != nil {
			return 1, fmt.Errorf("delete %s: %w", path, err)
		}
	}
	return 0, nil
}
