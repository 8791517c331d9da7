package account

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestNeverRoot(t *testing.T) {
	t.Parallel()
	who, err := Pick()
	if err != nil {
		t.Fatal(err)
	}
	if who.UID == 0 {
		t.Fatal("root was picked")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := who.Command(t.Context(), dir, "/bin/sh", "-c", "id -u; pwd; echo $HOME").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{strconv.Itoa(who.UID), dir, dir}, "\n")
	if strings.TrimSpace(string(out)) != want {
		t.Errorf("ran as %q, want %q", out, want)
	}
}

func TestReachAndOwn(t *testing.T) {
	t.Parallel()
	who, err := Pick()
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "closed")
	inside := filepath.Join(closed, "inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o700)
	if !who.Switch {
		mode = 0 // Our own account: only this closes it to us.
	}
	if err := os.Chmod(closed, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	if who.CanReach(t.Context(), inside) {
		t.Error("reached a directory below a closed one")
	}
	if who.CanReach(t.Context(), filepath.Join(closed, "absent")) {
		t.Error("reached a directory that is not there")
	}
	if who.Switch {
		if err := who.Own(inside); err != nil {
			t.Error(err)
		}
		if err := who.Own(filepath.Join(closed, "absent")); err == nil {
			t.Error("owns what is not there")
		}
	}
}
