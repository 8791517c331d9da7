package pgbouncer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// The life of a real one is tested by package database.
func broken(t *testing.T, body string) Pooler {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "pgbouncer")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Pooler{
		Install: tools.PgBouncer{Path: program},
		Account: account.Account{Name: "me", UID: os.Geteuid(), GID: os.Getegid()},
		Dir:     filepath.Join(dir, "files"), Server: 5432, Users: map[string]string{"b": "two", "a": "one"}, Admin: "a", Size: 3,
	}
}

func TestEndsAtOnce(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		says  string
		want  string
		taken bool
	}{
		"for a reason of its own": {"FATAL bad luck", "bad luck", false},
		"its port went meanwhile": {"FATAL cannot listen: Address already in use", "taken", true},
	}
	first := 20101
	for name, c := range cases {
		first++
		port := first
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := broken(t, "echo '"+c.says+"' >&2; exit 1")
			err := p.Start(t.Context(), port)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, state.ErrPortTaken) != c.taken {
				t.Errorf("error = %v", err)
			}
			users, err := os.ReadFile(p.users())
			if err != nil || string(users) != "\"a\" \"one\"\n\"b\" \"two\"\n" {
				t.Errorf("users %q, %v", users, err)
			}
		})
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	p := broken(t, "")
	p.Install.Path = "/nonexistent"
	if err := p.Start(t.Context(), 20120); err == nil {
		t.Error("started nothing")
	}
	p.Dir = filepath.Join(p.Dir, "pgbouncer.ini", "below") // Below a file.
	if err := p.Start(t.Context(), 20121); err == nil {
		t.Error("wrote below a file")
	}
}

func TestPidFileOfNobody(t *testing.T) {
	t.Parallel()
	p := broken(t, "")
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", "2147483647"} {
		if err := os.WriteFile(p.pidFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := p.Running(); ok {
			t.Errorf("%q is running", text)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
