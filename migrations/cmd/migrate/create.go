package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

const template = `-- Say what this changes and why.

-- +goose Up
set local citus.multi_shard_modify_mode to 'sequential';

-- +goose Down
set local citus.multi_shard_modify_mode to 'sequential';
`

var (
	goodName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	numbered = regexp.MustCompile(`^(\d{4,})_.*\.sql$`)
)

// create writes the file after the last one. It never overwrites: of two people who make the same number at
// once, the second's merge fails in the tests, which want every number once.
func create(name, dir string, stdout io.Writer) error {
	if !goodName.MatchString(name) {
		return fmt.Errorf("%w: a name is lower-case words joined by underscores, not %q", errUsage, name)
	}
	dir, err := findDir(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	last := 0
	for _, e := range entries {
		if m := numbered.FindStringSubmatch(e.Name()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return fmt.Errorf("the number of %s: %w", e.Name(), err)
			}
			last = max(last, n)
		}
	}
	file := filepath.Join(dir, fmt.Sprintf("%04d_%s.sql", last+1, name))
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the migration: %w", err)
	}
	if _, err := io.WriteString(f, template); err != nil {
		_ = f.Close()
		return fmt.Errorf("write the migration: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the migration: %w", err)
	}
	fmt.Fprintln(stdout, file)
	return nil
}

func findDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	for _, d := range []string{"migrations/sql", "sql"} {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			return d, nil
		}
	}
	return "", fmt.Errorf("%w: no migrations/sql here; run it at the repository's root or set MIGRATIONS_DIR", errUsage)
}
