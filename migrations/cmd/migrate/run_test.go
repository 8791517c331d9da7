package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func call(t *testing.T, env map[string]string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, func(k string) string { return env[k] }, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestWrongUsageIsExplained(t *testing.T) {
	t.Parallel()
	nowhere := map[string]string{"MIGRATE_DATABASE_URL": "postgres://x@127.0.0.1:1/x"}
	for _, c := range []struct {
		env  map[string]string
		args []string
		code int
		says string
	}{
		{nil, nil, exitUsage, "usage: migrate"},
		{nil, []string{"help"}, exitDone, "usage: migrate"},
		{nil, []string{"sideways"}, exitUsage, `no command "sideways"`},
		{nil, []string{"up"}, exitUsage, "MIGRATE_DATABASE_URL is not set"},
		{nil, []string{"bootstrap"}, exitUsage, "SUPERUSER_DATABASE_URL is not set"},
		{map[string]string{"SUPERUSER_DATABASE_URL": "x", "CITUS": "perhaps"}, []string{"bootstrap"}, exitUsage, "neither true nor false"},
		{nil, []string{"create"}, exitUsage, "create needs a name"},
		{nil, []string{"create", "Bad Name"}, exitUsage, "lower-case words"},
		{nil, []string{"create", "fine"}, exitUsage, "no migrations/sql here"},
		{nowhere, []string{"up", "now"}, exitUsage, `takes no "now"`},
		{nowhere, []string{"down", "none"}, exitUsage, "a number from 1"},
		{nowhere, []string{"down", "0"}, exitUsage, "a number from 1"},
		{nowhere, []string{"status"}, exitFailed, "cannot reach the database"},
		{map[string]string{"MIGRATE_DATABASE_URL": "x", "MIGRATE_LOCK_TIMEOUT": "soon"}, []string{"up"}, exitUsage, "not a duration"},
	} {
		code, out, errs := call(t, c.env, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%q: exit %d, %s%s", c.args, code, out, errs)
		}
	}
}

func TestCreateWritesTheNextNumber(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := map[string]string{"MIGRATIONS_DIR": dir}
	for _, want := range []string{"0001_first.sql", "0002_second_thing.sql"} {
		name := strings.TrimSuffix(want[5:], ".sql")
		code, out, errs := call(t, env, "create", name)
		if code != exitDone || strings.TrimSpace(out) != filepath.Join(dir, want) {
			t.Fatalf("exit %d, %s%s", code, out, errs)
		}
		body, err := os.ReadFile(filepath.Join(dir, want))
		if err != nil || string(body) != template {
			t.Errorf("%s: %q, %v", want, body, err)
		}
	}
	if code, _, errs := call(t, map[string]string{"MIGRATIONS_DIR": filepath.Join(dir, "none")}, "create", "x"); code != exitFailed {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestTheCommandFromAnEmptyServer(t *testing.T) {
	t.Parallel()
	super := os.Getenv("CODITECT_TEST_SUPERUSER_URL")
	if super == "" {
		t.Fatal("these tests need a PostgreSQL server: run make test, or set CODITECT_TEST_SUPERUSER_URL")
	}
	name := "migcmd_" + strings.ToLower(rand.Text()[:12])
	u, err := url.Parse(super)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.User = "/"+name, url.UserPassword("coditect_migrator", os.Getenv("CODITECT_TEST_PASSWORD"))
	env := map[string]string{"SUPERUSER_DATABASE_URL": super, "DATABASE_NAME": name, "MIGRATE_DATABASE_URL": u.String(), "MIGRATE_LOCK_TIMEOUT": "100ms"}
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), super)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(context.Background(), "drop database "+name+" with (force)"); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []struct {
		args []string
		says string
	}{
		{[]string{"bootstrap"}, "roles are ready"},
		{[]string{"version"}, "0"},
		{[]string{"status"}, "pending"},
		{[]string{"up"}, "0001_foundation.sql"},
		{[]string{"up"}, "nothing to migrate"},
		{[]string{"down"}, "migrated down"},
		{[]string{"down", "2"}, "migrated down"},
		{[]string{"up"}, "migrated up"},
		{[]string{"down"}, "migrated down"}, // a current database needs no lock
	} {
		code, out, errs := call(t, env, step.args...)
		if code != exitDone || !strings.Contains(out, step.says) {
			t.Fatalf("%q: exit %d, %s%s", step.args, code, out, errs)
		}
	}
	c, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "select pg_advisory_lock($1)", int64(0x636f6469_74656374)); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, env, "up"); code != exitLocked || !strings.Contains(errs, "another migration") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
