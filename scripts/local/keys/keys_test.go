package keys

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
)

func store(t *testing.T) Store {
	t.Helper()
	home, err := state.Open("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return Store{Home: home}
}

func TestSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	s := store(t)
	first, err := s.Load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{secrets.EnvelopeKeys, secrets.HopKey} {
		if _, err := secrets.ParseRing(first[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := identity.ParseKeySet(first[secrets.SigningKeys]); err != nil {
		t.Errorf("signing keys: %v", err)
	}
	info, err := os.Stat(s.Home.Path(File))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	second, err := s.Load(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range first {
		if string(second[name]) != string(value) {
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
	values, err := s.Load(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if string(values[secrets.HopKey]) != "kept" || string(values["other"]) != "kept too" || len(values[secrets.EnvelopeKeys]) == 0 {
		t.Errorf("secrets: %q", values)
	}
}

func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	s := store(t)
	broken := errors.New("no randomness")
	_, err := s.load(time.Now(), map[string]func(time.Time) ([]byte, error){"x": func(time.Time) ([]byte, error) { return nil, broken }})
	if !errors.Is(err, broken) {
		t.Errorf("generator: %v", err)
	}
	if err := os.WriteFile(s.Home.Path(File), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(time.Now()); err == nil {
		t.Error("a damaged file was taken")
	}
}
