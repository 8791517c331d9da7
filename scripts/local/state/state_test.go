package state

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func open(t *testing.T) Home {
	t.Helper()
	home, err := Open("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return home
}

func TestOpen(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	byDefault, err := Open(root, "")
	if err != nil || byDefault.Dir != filepath.Join(root, ".local") {
		t.Errorf("default home = %q, %v", byDefault.Dir, err)
	}
	chosen, err := Open(root, filepath.Join(root, "a", "b"))
	if err != nil || chosen.Dir != filepath.Join(root, "a", "b") {
		t.Errorf("chosen home = %q, %v", chosen.Dir, err)
	}
	blocked := filepath.Join(root, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(root, filepath.Join(blocked, "home")); err == nil {
		t.Error("a home below a file was opened")
	}
}

// Not parallel: the mask belongs to the whole process.
func TestMkdirIsSearchableWhateverTheMask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	parent := t.TempDir()
	if err := Mkdir(filepath.Join(parent, "x", "y")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"x", "x/y"} {
		info, err := os.Stat(filepath.Join(parent, dir))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

func TestWritePrivate(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "secret")
	for _, text := range []string{"one", "two"} {
		if err := WritePrivate(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil || string(data) != "two" {
		t.Errorf("content %q, %v", data, err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := WritePrivate(filepath.Join(name, "below"), nil); err == nil {
		t.Error("wrote below a file")
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	home := open(t)
	first, err := home.Lock("run")
	if err != nil {
		t.Fatal(err)
	}
	_, err = home.Lock("run")
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), home.Dir) {
		t.Errorf("second lock: %v", err)
	}
	if other, err := home.Lock("other"); err != nil {
		t.Errorf("a lock of another name: %v", err)
	} else {
		other.Release()
	}
	if other, err := open(t).Lock("run"); err != nil {
		t.Errorf("the lock of another home: %v", err)
	} else {
		other.Release()
	}
	first.Release()
	again, err := home.LockWait("run")
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}

func TestSharedLock(t *testing.T) {
	t.Parallel()
	home := open(t)
	a, err := home.Share("users")
	if err != nil {
		t.Fatal(err)
	}
	b, err := home.Share("users")
	if err != nil {
		t.Fatal(err)
	}
	if a.TryUpgrade() {
		t.Error("upgraded while shared")
	}
	b.Release()
	if !a.TryUpgrade() {
		t.Error("not upgraded by the last one")
	}
	a.Release()
}

func TestChoose(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		remembered, fixed, first int
		taken                    []int
		want                     int
		fails                    bool
	}{
		"the first":                        {first: 25432, want: 25432},
		"the next when taken":              {first: 25432, taken: []int{25432, 25433}, want: 25434},
		"the remembered one":               {first: 25432, remembered: 25440, want: 25440},
		"the first again when that is not": {first: 25432, remembered: 25440, taken: []int{25440}, want: 25432},
		"a fixed one":                      {first: 25432, fixed: 5000, remembered: 25440, want: 5000},
		"a fixed one that is taken":        {first: 25432, fixed: 5000, taken: []int{5000}, fails: true},
		"never an ephemeral one":           {first: 32767, taken: []int{32767}, fails: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Ports{Of: map[string]int{"db": c.remembered}}
			got, err := p.Choose("db", c.fixed, c.first, func(port int) bool {
				return !slices.Contains(c.taken, port)
			})
			if c.fails {
				if !errors.Is(err, ErrPortTaken) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

func TestBindChoosesAgainAfterARace(t *testing.T) {
	t.Parallel()
	home := open(t)
	ports, err := home.Ports()
	if err != nil {
		t.Fatal(err)
	}
	taken := map[int]bool{}
	starts := 0
	start := func(port int) error {
		starts++
		if starts == 1 { // Another home was faster.
			taken[port] = true
			return ErrPortTaken
		}
		return nil
	}
	free := func(port int) bool { return !taken[port] }
	port, err := ports.Bind("db", 0, 20000, free, start)
	if err != nil || port != 20001 {
		t.Fatalf("port %d, %v", port, err)
	}
	again, err := home.Ports()
	if err != nil || again.Of["db"] != 20001 {
		t.Errorf("remembered %v, %v", again.Of, err)
	}
	broken := errors.New("broken")
	if _, err := ports.Bind("db", 0, 20000, free, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a start that fails: %v", err)
	}
	if _, err := ports.Bind("db", 300, 20000, free, func(int) error { return ErrPortTaken }); !errors.Is(err, ErrPortTaken) {
		t.Errorf("a fixed port lost in a race: %v", err)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	port := address.Port
	if Free(port) {
		t.Error("a port with a listener is free")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !Free(port) {
		t.Error("a closed port is not free")
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	home := open(t)
	first, err := home.Passwords()
	if err != nil {
		t.Fatal(err)
	}
	if len(first.App) < 20 || first.App == first.System || first.Migrator == first.Superuser {
		t.Errorf("passwords are short or equal")
	}
	second, err := home.Passwords()
	if err != nil || second != first {
		t.Errorf("the second reading differs: %v", err)
	}
	other, err := open(t).Passwords()
	if err != nil || other.App == first.App {
		t.Errorf("two homes share a password: %v", err)
	}
	info, err := os.Stat(home.Path("passwords.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestDamagedMemory(t *testing.T) {
	t.Parallel()
	home := open(t)
	for _, name := range []string{home.Path(portsFile), home.Path(passwordsFile)} {
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := home.Ports(); err == nil || !strings.Contains(err.Error(), "make reset") {
		t.Errorf("ports: %v", err)
	}
	if _, err := home.Passwords(); err == nil || !strings.Contains(err.Error(), "make reset") {
		t.Errorf("passwords: %v", err)
	}
}
