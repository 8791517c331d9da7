package keys

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
)

func store(t *testing.T) Store {
	t.Helper()
	return Store{Dir: filepath.Join(t.TempDir(), "secrets")}
}

func TestSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	s := store(t)
	first, err := s.Load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.ParseKeySet(first[secrets.SigningKeys]); err != nil {
		t.Errorf("signing keys: %v", err)
	}
	for _, name := range []string{secrets.EnvelopeKeys, secrets.HopKey, secrets.CursorKey} {
		if _, err := secrets.ParseRing(first[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]os.FileMode{".": 0o700, secrets.HopKey: 0o600, secrets.SigningKeys: 0o600} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	second, err := s.Load(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range first {
		if !bytes.Equal(second[name], value) {
			t.Errorf("%s changed", name)
		}
	}
}

func TestNewSecretsJoinOldOnes(t *testing.T) {
	t.Parallel()
	s := store(t)
	if err := s.Save(map[string][]byte{secrets.HopKey: []byte("kept"), "other": []byte("kept too")}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, ".hop-key.123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	values, err := s.Load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if string(values[secrets.HopKey]) != "kept" || string(values["other"]) != "kept too" || len(values[secrets.EnvelopeKeys]) == 0 || len(values) != 7 {
		t.Errorf("secrets: %q", values)
	}
}

func TestMount(t *testing.T) {
	t.Parallel()
	values, err := store(t).Load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := store(t)
	if err := s.Mount(t.Context(), secrets.Static(values)); err != nil {
		t.Fatal(err)
	}
	got, err := s.read()
	if err != nil || len(got) != len(values) || !bytes.Equal(got[secrets.HopKey], values[secrets.HopKey]) {
		t.Errorf("mounted %q, %v", got, err)
	}
	delete(values, secrets.HopKey)
	if err := s.Mount(t.Context(), secrets.Static(values)); !errors.Is(err, secrets.ErrAbsent) || !strings.Contains(err.Error(), secrets.HopKey) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("no randomness")
	_, err := store(t).load(time.Now(), map[string]func(time.Time) ([]byte, error){"x": func(time.Time) ([]byte, error) { return nil, broken }})
	if !errors.Is(err, broken) {
		t.Errorf("generator: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Store{Dir: file}).Load(time.Now()); err == nil {
		t.Error("read a file as a directory")
	}
	if err := (Store{Dir: filepath.Join(file, "below")}).Save(nil); err == nil {
		t.Error("wrote below a file")
	}
}
