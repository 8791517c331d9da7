package tools

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// install fakes an installation that reports a version.
func install(t *testing.T, bin, version string) {
	t.Helper()
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindPostgres(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	at := func(elem ...string) string { return filepath.Join(append([]string{root}, elem...)...) }
	install(t, at("lib", "9", "bin"), "9.6.24")
	install(t, at("lib", "15", "bin"), "15.18 (Debian 15.18-0)")
	install(t, at("lib", "17", "bin"), "17.2")
	install(t, at("chosen"), "16.4 (Homebrew)")
	install(t, at("path"), "18beta1")
	install(t, at("tools", "usr/lib/postgresql/15/bin"), "15.2")
	install(t, at("old"), "14.9")
	if err := os.MkdirAll(at("tools", "usr/lib/x86_64-linux-gnu"), 0o755); err != nil {
		t.Fatal(err)
	}
	globs := []string{at("lib", "*", "bin")}

	cases := map[string]struct {
		finder Finder
		major  int
		want   string // directory, relative
	}{
		"the newest":                    {Finder{Globs: globs, Path: at("none")}, 0, "lib/17/bin"},
		"the one that made the data":    {Finder{Globs: globs, Path: at("none")}, 15, "lib/15/bin"},
		"the user's choice":             {Finder{PGBin: at("chosen"), Globs: globs, Path: at("none")}, 0, "chosen"},
		"data before the user's choice": {Finder{PGBin: at("chosen"), Globs: globs, Path: at("none")}, 17, "lib/17/bin"},
		"a choice that is too old":      {Finder{PGBin: at("old"), Globs: globs, Path: at("none")}, 0, "lib/17/bin"},
		"in PATH":                       {Finder{Globs: []string{at("none")}, Path: at("none") + ":" + at("path")}, 0, "path"},
		"unpacked":                      {Finder{Globs: []string{at("none")}, Path: at("none"), Unpacked: at("tools")}, 0, "tools/usr/lib/postgresql/15/bin"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.finder.FindPostgres(t.Context(), c.major)
			if err != nil || got.Bin != at(c.want) {
				t.Fatalf("found %+v, %v", got, err)
			}
			if unpacked := strings.HasPrefix(c.want, "tools"); unpacked != (got.Libs != "") {
				t.Errorf("library path %q", got.Libs)
			}
		})
	}
	_, err := Finder{Globs: []string{at("lib", "9", "bin")}, Path: at("none")}.FindPostgres(t.Context(), 0)
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "9 in ") {
		t.Errorf("only an old one: %v", err)
	}
	_, err = Finder{Globs: globs, Path: at("none")}.FindPostgres(t.Context(), 16)
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "existing data") {
		t.Errorf("data of a version that is not there: %v", err)
	}
	_, err = Finder{Globs: []string{"["}, Path: at("none")}.FindPostgres(t.Context(), 0)
	if !errors.Is(err, ErrMissing) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestFindPgBouncer(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path string) string {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chosen, onPath, unpacked := write("mine/pgbouncer"), write("bin/pgbouncer"), write("tools/usr/sbin/pgbouncer")
	tools := filepath.Join(root, "tools")
	cases := map[string]struct {
		finder Finder
		want   string
	}{
		"the user's choice": {Finder{PgBouncer: chosen, Path: filepath.Dir(onPath)}, chosen},
		"in PATH":           {Finder{Path: filepath.Dir(onPath), Unpacked: tools}, onPath},
		"unpacked":          {Finder{Path: root, Unpacked: tools}, unpacked},
	}
	for name, c := range cases {
		if got, err := c.finder.FindPgBouncer(); err != nil || got.Path != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := (Finder{Path: root}).FindPgBouncer(); !errors.Is(err, ErrMissing) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	const simulation = `NOTE: This is only a simulation!
Reading package lists...
Inst perl (5.36 Debian:12 [amd64])
Inst libperl5.36 (5.36 Debian:12 [amd64])
Inst libjson-perl (4.10 Debian:12 [all])
Inst libpq5 (15.18 Debian:12 [amd64])
Inst libevent-2.1-7:amd64 (2.1 Debian:12 [amd64])
Inst libllvm14 (14 Debian:12 [amd64])
Inst postgresql-client-common (248 Debian:12 [all])
Inst postgresql-client-15 (15.18 Debian:12 [amd64])
Inst postgresql-common (248 Debian:12 [all])
Inst postgresql-15 (15.18 Debian:12 [amd64])
Inst postgresql (15+248 Debian:12 [all])
Inst pgbouncer (1.18 Debian:12 [amd64])
Conf pgbouncer (1.18 Debian:12 [amd64])
`
	want := []string{"libpq5", "libevent-2.1-7", "postgresql-client-15", "postgresql-15", "pgbouncer"}
	if got := wanted([]byte(simulation)); !slices.Equal(got, want) {
		t.Errorf("wanted %v", got)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	if got := Env([]string{"A=1"}, ""); len(got) != 1 {
		t.Errorf("installed: %v", got)
	}
	if got := Env([]string{"A=1"}, "/x:/y"); !slices.Contains(got, "LD_LIBRARY_PATH=/x:/y") {
		t.Errorf("unpacked: %v", got)
	}
}
