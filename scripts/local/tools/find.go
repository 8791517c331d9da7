// Package tools finds PostgreSQL and PgBouncer on the machine and gets them
// when they are missing: with apt as root, with sudo where it asks for no
// password, else unpacked into the state directory without any rights.
//
// To support another system, add its directories to candidates and its way of
// installing to Installer.Install.
package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// MinPostgres is the oldest major version that the schema supports.
const MinPostgres = 15

// ErrMissing says that a program is not on this machine.
var ErrMissing = errors.New("not found")

// Postgres is an installation of PostgreSQL.
type Postgres struct {
	Bin   string // directory of initdb and postgres
	Major int
	Libs  string // LD_LIBRARY_PATH it needs, empty for an installed one
}

// PgBouncer is an installed pooler.
type PgBouncer struct {
	Path string
	Libs string
}

// Finder looks in the places where the programs are installed.
type Finder struct {
	PGBin     string   // the user's choice ($PG_BIN), tried first
	PgBouncer string   // the user's choice ($PGBOUNCER_BIN), tried first
	Unpacked  string   // where Installer unpacks without root
	Globs     []string // directories with initdb; nil means the usual ones
	Path      string   // colon-separated; empty means $PATH
}

var usual = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/opt/homebrew/opt/postgresql/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// FindPostgres returns the installation to use. A cluster that exists decides
// the major version (0 for none yet): another one could not read its files.
// Otherwise the user's choice comes first, then the newest.
func (f Finder) FindPostgres(ctx context.Context, major int) (Postgres, error) {
	var seen []string
	for _, candidate := range f.candidates() {
		found, err := inspect(ctx, candidate)
		if err != nil {
			continue
		}
		if major == 0 && found.Major >= MinPostgres || found.Major == major {
			return found, nil
		}
		seen = append(seen, fmt.Sprintf("%d in %s", found.Major, found.Bin))
	}
	want := fmt.Sprintf("PostgreSQL %d or newer", MinPostgres)
	if major != 0 {
		want = fmt.Sprintf("PostgreSQL %d, which made the existing data,", major)
	}
	if len(seen) > 0 {
		return Postgres{}, fmt.Errorf("%s: %w (found %v)", want, ErrMissing, seen)
	}
	return Postgres{}, fmt.Errorf("%s: %w", want, ErrMissing)
}

func (f Finder) candidates() []Postgres {
	var list []Postgres
	if f.PGBin != "" {
		list = append(list, Postgres{Bin: f.PGBin})
	}
	globs := f.Globs
	if globs == nil {
		globs = usual
	}
	var dirs []string
	for _, glob := range globs {
		found, err := filepath.Glob(glob)
		if err != nil {
			continue
		}
		dirs = append(dirs, found...)
	}
	sort.SliceStable(dirs, func(i, j int) bool { return number(dirs[i]) > number(dirs[j]) })
	for _, dir := range dirs {
		list = append(list, Postgres{Bin: dir})
	}
	if path := f.lookPath("postgres"); path != "" {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		list = append(list, Postgres{Bin: filepath.Dir(path)})
	}
	if f.Unpacked != "" {
		found, err := filepath.Glob(filepath.Join(f.Unpacked, "usr", "lib", "postgresql", "*", "bin"))
		if err == nil {
			for _, dir := range found {
				list = append(list, Postgres{Bin: dir, Libs: libraries(f.Unpacked)})
			}
		}
	}
	return list
}

// FindPgBouncer returns the pooler to use.
func (f Finder) FindPgBouncer() (PgBouncer, error) {
	list := []PgBouncer{{Path: f.PgBouncer}, {Path: f.lookPath("pgbouncer")}}
	for _, path := range []string{"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer", "/usr/local/bin/pgbouncer"} {
		if f.Path == "" {
			list = append(list, PgBouncer{Path: path})
		}
	}
	if f.Unpacked != "" {
		list = append(list, PgBouncer{Path: filepath.Join(f.Unpacked, "usr", "sbin", "pgbouncer"), Libs: libraries(f.Unpacked)})
	}
	for _, candidate := range list {
		if candidate.Path != "" && executable(candidate.Path) {
			return candidate, nil
		}
	}
	return PgBouncer{}, fmt.Errorf("PgBouncer: %w", ErrMissing)
}

func (f Finder) lookPath(name string) string {
	if f.Path == "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return ""
		}
		return path
	}
	for _, dir := range filepath.SplitList(f.Path) {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	return ""
}

var version = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func inspect(ctx context.Context, p Postgres) (Postgres, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if !executable(filepath.Join(p.Bin, name)) {
			return p, fmt.Errorf("%s/%s: %w", p.Bin, name, ErrMissing)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.Bin, "postgres"), "--version")
	cmd.Env = Env(os.Environ(), p.Libs)
	out, err := cmd.Output()
	if err != nil {
		return p, fmt.Errorf("%s/postgres does not start: %w", p.Bin, err)
	}
	m := version.FindSubmatch(out)
	if m == nil {
		return p, fmt.Errorf("%s/postgres names no version", p.Bin)
	}
	p.Major, err = strconv.Atoi(string(m[1]))
	return p, err
}

// Env adds the library path of an unpacked program to its environment.
func Env(env []string, libs string) []string {
	if libs == "" {
		return env
	}
	return append(env, "LD_LIBRARY_PATH="+libs)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

var digits = regexp.MustCompile(`\d+`)

// number is the major version in a directory's name; 0 when it has none.
func number(dir string) int {
	n, err := strconv.Atoi(digits.FindString(filepath.Base(filepath.Dir(dir))))
	if err != nil {
		return 0
	}
	return n
}

// libraries lists the shared-library directories below an unpacked root.
func libraries(root string) string {
	var dirs []string
	for _, glob := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib"} {
		found, err := filepath.Glob(filepath.Join(root, glob))
		if err == nil {
			dirs = append(dirs, found...)
		}
	}
	return strings.Join(dirs, string(os.PathListSeparator))
}
