// Package state is the local runner's memory: the directory that holds the
// database, the keys and the ports of one local platform, so that the next run
// goes on where the last one stopped.
//
// Everything that must survive a run is a file here and has one writer. To
// remember something new, add a file with its own type; do not widen Ports or
// Passwords with unrelated fields.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Home is a state directory: .local in the checkout, or $CODITECT_HOME.
type Home struct {
	Dir string // absolute
}

// Open makes the directory when it is absent. An empty dir means the default
// under root, the checkout.
func Open(root, dir string) (Home, error) {
	if dir == "" {
		dir = filepath.Join(root, ".local")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, fmt.Errorf("state directory: %w", err)
	}
	home := Home{Dir: abs}
	if err := Mkdir(abs); err != nil {
		return Home{}, err
	}
	return home, nil
}

// Path is a file or directory of the home.
func (h Home) Path(elem ...string) string {
	return filepath.Join(append([]string{h.Dir}, elem...)...)
}

// Secrets is the directory of the platform's secrets.
func (h Home) Secrets() string { return h.Path("secrets") }

// Remembered lists all that a reset deletes besides the database.
func (h Home) Remembered() []string {
	return []string{h.Path(portsFile), h.Path(passwordsFile), h.Secrets()}
}

// Mkdir makes a directory that other accounts may pass through: the database
// runs as another account when the runner is root, and a strict umask would
// lock it out of its own files. What must stay private is private by its file
// mode.
func Mkdir(dir string) error {
	var made []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for _, d := range made {
		if err := os.Chmod(d, 0o755); err != nil {
			return fmt.Errorf("open %s to the database's account: %w", d, err)
		}
	}
	return nil
}

// WritePrivate replaces a file whole, readable by its owner alone. A crash
// leaves the old file or the new one, never half of one.
func WritePrivate(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // Gone already when the rename succeeded.
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// readJSON reads a remembered value; an absent file leaves v as it is.
func readJSON(name string, v any) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s is not what was written there; delete it or run `make reset`: %w", name, err)
	}
	return nil
}

func writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return WritePrivate(name, append(data, '\n'))
}
