package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/coditect/platform/migrations"
)

// errUsage marks what the caller typed wrong.
var errUsage = errors.New("wrong usage")

// run is the command without its process: what it reads and writes is handed in.
func run(ctx context.Context, args []string, env lookup, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, _ = io.WriteString(stdout, usage)
		if len(args) == 0 {
			return exitUsage
		}
		return exitDone
	}
	err := dispatch(ctx, args[0], args[1:], env, stdout)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "migrate: %v\n\n%s", err, usage)
		return exitUsage
	case errors.Is(err, migrations.ErrLocked):
		fmt.Fprintf(stderr, "migrate: %v\n", err)
		return exitLocked
	default:
		fmt.Fprintf(stderr, "migrate: %v\n", err)
		return exitFailed
	}
}

func dispatch(ctx context.Context, command string, args []string, env lookup, stdout io.Writer) error {
	most := map[string]int{"up": 0, "down": 1, "status": 0, "version": 0, "create": 1, "bootstrap": 0}
	allowed, known := most[command]
	if !known {
		return fmt.Errorf("%w: no command %q", errUsage, command)
	}
	if len(args) > allowed {
		return fmt.Errorf("%w: %s takes no %q", errUsage, command, args[allowed])
	}
	switch command {
	case "create":
		if len(args) == 0 {
			return fmt.Errorf("%w: create needs a name", errUsage)
		}
		return create(args[0], env("MIGRATIONS_DIR"), stdout)
	case "bootstrap":
		return bootstrap(ctx, env, stdout)
	}
	url := env("MIGRATE_DATABASE_URL")
	if url == "" {
		return fmt.Errorf("%w: MIGRATE_DATABASE_URL is not set", errUsage)
	}
	opts := []migrations.Option{migrations.WithLogger(slog.New(slog.NewTextHandler(stdout, &slog.HandlerOptions{ReplaceAttr: brief})))}
	if text := env("MIGRATE_LOCK_TIMEOUT"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fmt.Errorf("%w: MIGRATE_LOCK_TIMEOUT %q is not a duration such as 5m", errUsage, text)
		}
		opts = append(opts, migrations.WithLockTimeout(d))
	}
	switch command {
	case "up":
		return migrations.Up(ctx, url, opts...)
	case "down":
		n := 1
		if len(args) == 1 {
			var err error
			if n, err = strconv.Atoi(args[0]); err != nil || n < 1 {
				return fmt.Errorf("%w: down %q: how many must be a number from 1", errUsage, args[0])
			}
		}
		return migrations.Down(ctx, url, n, opts...)
	default:
		return show(ctx, command, url, stdout)
	}
}

func show(ctx context.Context, command, url string, stdout io.Writer) error {
	all, err := migrations.Status(ctx, url)
	if err != nil {
		return err
	}
	var last int64
	for _, m := range all {
		state := "pending"
		if m.Applied {
			state, last = m.AppliedAt.UTC().Format(time.RFC3339), m.Version
		}
		if command == "status" {
			fmt.Fprintf(stdout, "%-20s  %s\n", state, m.Name)
		}
	}
	if command == "version" {
		fmt.Fprintln(stdout, last)
	}
	return nil
}

func bootstrap(ctx context.Context, env lookup, stdout io.Writer) error {
	url := env("SUPERUSER_DATABASE_URL")
	if url == "" {
		return fmt.Errorf("%w: SUPERUSER_DATABASE_URL is not set", errUsage)
	}
	name := env("DATABASE_NAME")
	if name == "" {
		name = "coditect"
	}
	var citus bool
	if text := env("CITUS"); text != "" {
		var err error
		if citus, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("%w: CITUS %q is neither true nor false", errUsage, text)
		}
	}
	err := migrations.Bootstrap(ctx, url, migrations.Setup{Database: name, MigratorPassword: env("MIGRATOR_PASSWORD"),
		AppPassword: env("APP_PASSWORD"), SystemPassword: env("SYSTEM_PASSWORD"), Citus: citus})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "database %s and its roles are ready; next: migrate up\n", name)
	return nil
}

// brief leaves out what a person at a terminal does not read; the platform's log adds a time of its own.
func brief(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}
