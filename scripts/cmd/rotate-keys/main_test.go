package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/secrets"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func call(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(args, strings.NewReader(stdin), &out, now)
	return out.String(), err
}

// -init makes what is missing, for its owner alone, and never replaces what is there:
// sessions and sealed columns depend on it.
func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mine, err := secrets.GenerateRing(now.Add(-time.Hour)).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, secrets.HopKey), mine, 0o600); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for round := range 2 {
		if out, err := call(t, "", "-init", dir); err != nil || out != "" {
			t.Fatalf("%q %v", out, err)
		}
		source := secrets.Directory(os.DirFS(dir))
		for _, name := range []string{secrets.SigningKeys, secrets.HopKey, secrets.CursorKey, secrets.EnvelopeKeys} {
			p, err := source.Fetch(t.Context(), name)
			if err != nil || len(p.Data) == 0 {
				t.Fatalf("%s: %v", name, err)
			}
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is readable by others: %v %v", name, info.Mode(), err)
			}
			if round > 0 && before[name] != string(p.Data) {
				t.Errorf("%s was replaced", name)
			}
			before[name] = string(p.Data)
		}
	}
	if before[secrets.HopKey] != string(mine) {
		t.Error("a key that was there was replaced")
	}
	// What it made is what a rotation takes.
	next, err := call(t, before[secrets.CursorKey], "-secret", secrets.CursorKey)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.ParseRing([]byte(next))
	if err != nil || ring.String() != "ring of 2 keys" {
		t.Errorf("%v %v", ring, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no name":               {},
		"an unknown name":       {"-secret", "mail-url"},
		"an argument":           {"-secret", secrets.HopKey, "more"},
		"two things":            {"-init", file, "-secret", secrets.HopKey},
		"a folder that is none": {"-init", file},
		"an unknown flag":       {"-fresh"},
	} {
		if out, err := call(t, "{}", args...); err == nil || out != "" {
			t.Errorf("%s: %q %v", name, out, err)
		}
	}
	if out, err := call(t, "not a ring", "-secret", secrets.HopKey); err == nil || out != "" {
		t.Errorf("%q %v", out, err)
	}
}
