package database

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/state"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	who, err := account.Pick()
	if err != nil {
		t.Fatal(err)
	}
	reachable := home(t)
	got, err := place(t.Context(), reachable, who, "/nonexistent", &bytes.Buffer{})
	if err != nil || got != reachable.Path("postgres") {
		t.Errorf("a home that it can reach: %q, %v", got, err)
	}

	// Whoever does not change accounts has what is theirs, closed or not.
	closed := filepath.Join(filepath.Dir(home(t).Dir), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	shut, err := state.Open("", filepath.Join(closed, ".local"))
	if err != nil {
		t.Fatal(err)
	}
	same := account.Account{Name: "me", UID: os.Geteuid(), GID: os.Getegid()}
	if got, err := place(t.Context(), shut, same, "/nonexistent", &bytes.Buffer{}); err != nil || got != shut.Path("postgres") {
		t.Errorf("one's own: %q, %v", got, err)
	}
	if !who.Switch {
		return // The rest is about root.
	}

	var said bytes.Buffer
	open := filepath.Dir(reachable.Dir)
	got, err = place(t.Context(), shut, who, filepath.Join(open, "lib"), &said)
	if err != nil || !strings.HasPrefix(got, filepath.Join(open, "lib", "closed-")) {
		t.Errorf("a home that it cannot reach: %q, %v", got, err)
	}
	if !strings.Contains(said.String(), shut.Dir) || !strings.Contains(said.String(), got) {
		t.Errorf("said %q", said.String())
	}
	again, err := place(t.Context(), shut, who, filepath.Join(open, "lib"), &said)
	if err != nil || again != got {
		t.Errorf("moved: %q then %q, %v", got, again, err)
	}
	if _, err := place(t.Context(), shut, who, filepath.Join(closed, "lib"), &said); err == nil || !strings.Contains(err.Error(), "CODITECT_HOME") {
		t.Errorf("nowhere: %v", err)
	}
}
