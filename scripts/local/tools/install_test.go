package tools

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a system whose apt and sudo are scripts that write down what they
// were asked, with nothing installed.
type machine struct {
	dir string
	out bytes.Buffer
}

const (
	aptWorks = `case "$*" in
*" -s install "*) echo "Inst libpq5 (15 x)"; echo "Inst postgresql-15 (15 x)"; echo "Inst pgbouncer (1 x)";;
*" download "*) touch libpq5.deb pgbouncer.deb postgresql-15.deb;;
*" install "*) install_all "$DIR/system";;
esac`
	// apt without package lists, until updated.
	aptFresh = `case "$*" in
*" update"*) touch "$DIR/updated";;
*" install "*) test -e "$DIR/updated" || exit 100; install_all "$DIR/system";;
esac`
	aptFails = `exit 100`
	dpkg     = `install_all "$3"`
	noSudo   = `exit 1`
	sudo     = `shift; "$@"`
	// What both leave behind: programs where the Finder looks.
	library = `install_all() {
  mkdir -p "$1/usr/lib/postgresql/15/bin" "$1/usr/sbin" "$1/usr/lib/x86_64-linux-gnu"
  for p in initdb postgres; do printf '#!/bin/sh\necho "postgres (PostgreSQL) 15.1"\n' > "$1/usr/lib/postgresql/15/bin/$p"; chmod +x "$1/usr/lib/postgresql/15/bin/$p"; done
  printf '#!/bin/sh\n' > "$1/usr/sbin/pgbouncer"; chmod +x "$1/usr/sbin/pgbouncer"
}`
)

func newMachine(t *testing.T, programs map[string]string) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir()}
	bin := filepath.Join(m.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, body := range programs {
		script := "#!/bin/sh\nDIR=" + m.dir + "\necho " + name + " \"$@\" >> $DIR/asked\n" + library + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	return m
}

func (m *machine) installer(uid int) Installer {
	return Installer{
		Finder: Finder{
			Globs: []string{filepath.Join(m.dir, "system", "usr", "lib", "postgresql", "*", "bin")}, Path: filepath.Join(m.dir, "system", "usr", "sbin"),
			Unpacked: filepath.Join(m.dir, "unpacked"),
		},
		Out:  &m.out,
		user: func() int { return uid },
	}
}

func (m *machine) asked(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Not parallel, like all below: PATH belongs to the process.
func TestInstall(t *testing.T) {
	cases := map[string]struct {
		programs map[string]string
		uid      int
		where    string // the directory that has PostgreSQL then
		asked    []string
		never    string
	}{
		"root": {
			map[string]string{"apt-get": aptWorks}, 0, "system",
			[]string{"apt-get -y -q --no-install-recommends install postgresql pgbouncer"}, "update",
		},
		"root on a fresh machine": {
			map[string]string{"apt-get": aptFresh}, 0, "system",
			[]string{"apt-get -q update"}, "sudo",
		},
		"sudo without a password": {
			map[string]string{"apt-get": aptWorks, "sudo": sudo}, 1000, "system",
			[]string{"sudo -n true", "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get"}, "dpkg-deb",
		},
		"neither": {
			map[string]string{"apt-get": aptWorks, "sudo": noSudo, "dpkg-deb": dpkg}, 1000, "unpacked",
			[]string{"download libpq5 postgresql-15 pgbouncer", "dpkg-deb -x"}, "apt-get -y",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.programs)
			server, pooler, err := m.installer(c.uid).Ensure(t.Context(), 0)
			if err != nil {
				t.Fatalf("%v\n%s", err, m.out.String())
			}
			where := filepath.Join(m.dir, c.where)
			if server.Major != 15 || !strings.HasPrefix(server.Bin, where) || !strings.HasPrefix(pooler.Path, where) {
				t.Errorf("found %+v, %+v", server, pooler)
			}
			asked := m.asked(t)
			for _, want := range c.asked {
				if !strings.Contains(asked, want) {
					t.Errorf("never asked %q:\n%s", want, asked)
				}
			}
			if strings.Contains(asked, c.never) {
				t.Errorf("asked %q:\n%s", c.never, asked)
			}
			if !strings.Contains(m.out.String(), "PgBouncer: not found") || !strings.Contains(m.out.String(), "+ ") {
				t.Errorf("the progress says too little:\n%s", m.out.String())
			}
			before := m.asked(t)
			if _, _, err := m.installer(c.uid).Ensure(t.Context(), 0); err != nil || m.asked(t) != before {
				t.Errorf("installed again: %v", err)
			}
		})
	}
}

func TestInstallOfTheVersionThatMadeTheData(t *testing.T) {
	m := newMachine(t, map[string]string{"apt-get": aptWorks})
	if _, _, err := m.installer(0).Ensure(t.Context(), 15); err != nil {
		t.Fatal(err)
	}
	if asked := m.asked(t); !strings.Contains(asked, "install postgresql-15 pgbouncer") {
		t.Errorf("asked %s", asked)
	}
	if _, _, err := m.installer(0).Ensure(t.Context(), 12); err == nil || !strings.Contains(err.Error(), "after installing") {
		t.Errorf("a version that apt did not bring: %v", err)
	}
}

func TestInstallFailures(t *testing.T) {
	t.Run("apt fails", func(t *testing.T) {
		for _, uid := range []int{0, 1000} {
			m := newMachine(t, map[string]string{"apt-get": aptFails, "sudo": noSudo})
			if _, _, err := m.installer(uid).Ensure(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "apt-get") {
				t.Errorf("as %d: %v", uid, err)
			}
		}
	})
	t.Run("apt has nothing to offer", func(t *testing.T) {
		m := newMachine(t, map[string]string{"apt-get": "exit 0", "sudo": noSudo})
		if _, _, err := m.installer(1000).Ensure(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "nothing to install") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("an interrupted unpacking is not found", func(t *testing.T) {
		m := newMachine(t, map[string]string{"apt-get": aptWorks, "sudo": noSudo, "dpkg-deb": dpkg + "\nexit 1"})
		if _, _, err := m.installer(1000).Ensure(t.Context(), 0); err == nil {
			t.Error("no error")
		}
		if _, err := m.installer(1000).Finder.FindPostgres(t.Context(), 0); err == nil {
			t.Error("half an installation was found")
		}
	})
	t.Run("nowhere to unpack", func(t *testing.T) {
		m := newMachine(t, map[string]string{"apt-get": aptWorks, "sudo": noSudo})
		i := m.installer(1000)
		i.Finder.Unpacked = ""
		if err := i.Install(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "install them with") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("no apt", func(t *testing.T) {
		m := newMachine(t, nil)
		t.Setenv("PATH", filepath.Join(m.dir, "bin"))
		if err := m.installer(0).Install(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "PG_BIN") {
			t.Errorf("error = %v", err)
		}
		if err := m.installer(0).Packages(t.Context(), "gcc"); err == nil || !strings.Contains(err.Error(), "gcc") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestPackages(t *testing.T) {
	m := newMachine(t, map[string]string{"apt-get": aptWorks, "sudo": noSudo})
	if err := m.installer(0).Packages(t.Context(), "gcc", "libc6-dev"); err != nil {
		t.Fatal(err)
	}
	if asked := m.asked(t); !strings.Contains(asked, "install gcc libc6-dev") {
		t.Errorf("asked %s", asked)
	}
	if err := m.installer(1000).Packages(t.Context(), "gcc"); err == nil {
		t.Error("installed for the system without rights")
	}
}

// The program has a name that no machine has, so that a server that happens to
// be installed here does not answer for the fake one.
func TestRedisForTests(t *testing.T) {
	const program = "redis-pretend"
	put := `put() { mkdir -p "$1"; printf '#!/bin/sh\n' > "$1/` + program + `"; chmod +x "$1/` + program + `"; }
`
	cases := map[string]struct {
		programs map[string]string
		uid      int
		where    string
		asked    string
		fails    bool
	}{
		"root": {map[string]string{"apt-get": put + `put "$DIR/bin"`}, 0, "bin", "apt-get -y -q --no-install-recommends install " + program, false},
		"neither root nor sudo": {map[string]string{
			"apt-get": `case "$*" in
*" -s install "*) echo "Inst libjemalloc2 (5 x)"; echo "Inst ` + program + ` (7 x)";;
*" download "*) touch libjemalloc2.deb ` + program + `.deb;;
esac`,
			"sudo": noSudo, "dpkg-deb": put + `put "$3/usr/bin"`,
		}, 1000, "unpacked-redis/usr/bin", "download libjemalloc2 " + program, false},
		"apt has none": {map[string]string{"apt-get": aptFails}, 0, "", "update", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.programs)
			dir, err := m.installer(c.uid).ensureRedis(t.Context(), program)
			if c.fails {
				if err == nil || !strings.Contains(err.Error(), program) {
					t.Errorf("got %q, %v", dir, err)
				}
				return
			}
			if err != nil || dir != filepath.Join(m.dir, c.where) {
				t.Fatalf("got %q, %v\n%s", dir, err, m.out.String())
			}
			if asked := m.asked(t); !strings.Contains(asked, c.asked) {
				t.Errorf("never asked %q:\n%s", c.asked, asked)
			}
			before := m.asked(t)
			if again, err := m.installer(c.uid).ensureRedis(t.Context(), program); err != nil || again != dir || m.asked(t) != before {
				t.Errorf("installed again: %q, %v", again, err)
			}
			env := strings.Join(m.installer(c.uid).Finder.RedisEnvironment(), " ")
			if strings.Contains(env, dir) != (c.uid != 0) {
				t.Errorf("the environment of tests is %q", env)
			}
		})
	}
}
