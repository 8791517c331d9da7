package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/tools"
)

// broken is a cluster of an installation whose programs are these scripts. The
// life of a real one is tested by package database.
func broken(t *testing.T, initdb, postgres string) Cluster {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{"initdb": initdb, "postgres": postgres} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return Cluster{
		Install: tools.Postgres{Bin: dir, Major: 15},
		Account: account.Account{Name: "me", UID: os.Geteuid(), GID: os.Getegid()},
		Dir:     filepath.Join(dir, "cluster"), Password: "secret",
	}
}

const makes = `for a; do case $last in -D) mkdir -p "$a"; echo 15 > "$a/PG_VERSION";; esac; last=$a; done`

func TestInitFails(t *testing.T) {
	t.Parallel()
	c := broken(t, "echo no room; exit 1", "")
	err := c.Init(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("error = %v", err)
	}
	if Major(c.Dir) != 0 {
		t.Error("a failed cluster is there")
	}
	if left, err := filepath.Glob(filepath.Join(c.Dir, ".superuser*")); err != nil || len(left) > 0 {
		t.Errorf("the password was left in %v, %v", left, err)
	}
}

func TestServerThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := broken(t, makes, "echo 'FATAL: bad luck' >&2; exit 1")
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := Major(c.Dir); got != 15 {
		t.Errorf("major %d", got)
	}
	if err := c.Start(t.Context(), 20001); err == nil || !strings.Contains(err.Error(), "bad luck") {
		t.Errorf("error = %v", err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("stopping what does not run: %v", err)
	}
}

func TestWaitsForOrphans(t *testing.T) {
	t.Parallel()
	// Twice the memory is in use, then something else is wrong.
	c := broken(t, makes, `echo x >> "$0.count"; if [ "$(wc -l < "$0.count")" -lt 3 ]; then echo 'FATAL: pre-existing shared memory block (key 1, ID 2) is still in use' >&2; else echo 'FATAL: bad luck' >&2; fi; exit 1`)
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context(), 20002); err == nil || !strings.Contains(err.Error(), "bad luck") {
		t.Errorf("error = %v", err)
	}
}

func TestMissingPrograms(t *testing.T) {
	t.Parallel()
	c := broken(t, makes, "")
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Install.Bin = "/nonexistent"
	if err := c.Start(t.Context(), 20003); err == nil {
		t.Error("started nothing")
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Init(t.Context()); err == nil {
		t.Error("made a cluster with nothing")
	}
}

func TestLogIsSetAside(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, make([]byte, 11<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openLog(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the new log: %v, %v", info, err)
	}
	if info, err := os.Stat(name + ".old"); err != nil || info.Size() != 11<<20 {
		t.Errorf("the old log: %v, %v", info, err)
	}
	if _, err := openLog(filepath.Join(name, "below")); err == nil {
		t.Error("opened a log below a file")
	}
	if got := tail("/nonexistent", 0); got != "" {
		t.Errorf("tail of nothing: %q", got)
	}
}

func TestSplitPassword(t *testing.T) {
	t.Parallel()
	bare, password, err := SplitPassword(Address("me", "p@ss/w", 5432, "db"))
	if err != nil || bare != "postgres://me@127.0.0.1:5432/db?sslmode=disable" || password != "p@ss/w" {
		t.Errorf("%q, %q, %v", bare, password, err)
	}
	for _, address := range []string{"::", "postgres://host/db", "host=x password=secret"} {
		if _, _, err := SplitPassword(address); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
