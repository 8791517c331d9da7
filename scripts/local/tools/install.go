package tools

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Installer gets what Finder does not find.
type Installer struct {
	Finder Finder
	Out    io.Writer // progress, for a person

	user func() int // os.Geteuid, but for tests
}

// Ensure returns PostgreSQL and PgBouncer, getting them first when one is
// missing. major is the version that existing data asks for, 0 for none.
func (i Installer) Ensure(ctx context.Context, major int) (Postgres, PgBouncer, error) {
	server, pooler, err := i.find(ctx, major)
	if err == nil {
		return server, pooler, nil
	}
	fmt.Fprintf(i.Out, "%v\n", err)
	if err := i.Install(ctx, major); err != nil {
		return server, pooler, err
	}
	server, pooler, err = i.find(ctx, major)
	if err != nil {
		return server, pooler, fmt.Errorf("after installing: %w\n%s", err, Advice())
	}
	return server, pooler, nil
}

func (i Installer) find(ctx context.Context, major int) (Postgres, PgBouncer, error) {
	server, errServer := i.Finder.FindPostgres(ctx, major)
	pooler, errPooler := i.Finder.FindPgBouncer()
	return server, pooler, errors.Join(errServer, errPooler)
}

// Advice says how a person gets the programs.
func Advice() string {
	if runtime.GOOS == "darwin" {
		return "install them with: brew install postgresql@16 pgbouncer"
	}
	if _, err := exec.LookPath("apt-get"); err == nil {
		return fmt.Sprintf("install them with: sudo apt-get install postgresql pgbouncer (PostgreSQL %d or newer; older systems: https://www.postgresql.org/download/)", MinPostgres)
	}
	return fmt.Sprintf("install PostgreSQL %d or newer and PgBouncer with the system's package manager, or set PG_BIN and PGBOUNCER_BIN", MinPostgres)
}

// Install gets both with apt: as root, by sudo where it asks for no password,
// else unpacked into Finder.Unpacked.
func (i Installer) Install(ctx context.Context, major int) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New(Advice())
	}
	server := "postgresql"
	if major != 0 {
		server = fmt.Sprintf("postgresql-%d", major)
	}
	if as, ok := i.elevated(ctx); ok {
		return i.apt(ctx, as, server, "pgbouncer")
	}
	return i.unpack(ctx, i.Finder.Unpacked, server, "pgbouncer")
}

// unpackedRedis is where redis-server lies when it could not be installed.
func (f Finder) unpackedRedis() string { return f.Unpacked + "-redis" }

// RedisEnvironment is what a command's environment needs beyond the usual to
// find a redis-server that was unpacked; nothing when there is none.
func (f Finder) RedisEnvironment() []string {
	bin := filepath.Join(f.unpackedRedis(), "usr", "bin")
	if _, err := os.Stat(bin); f.Unpacked == "" || err != nil {
		return nil
	}
	libs, err := filepath.Glob(filepath.Join(f.unpackedRedis(), "usr", "lib", "*-linux-gnu*"))
	if err != nil {
		return nil
	}
	return []string{
		"PATH=" + os.Getenv("PATH") + string(os.PathListSeparator) + bin,
		"LD_LIBRARY_PATH=" + strings.Join(append(libs, os.Getenv("LD_LIBRARY_PATH")), string(os.PathListSeparator)),
	}
}

// EnsureRedis returns the folder of redis-server, getting it first when it is
// missing. Only tests need one: the platform's own Redis is in its process.
func (i Installer) EnsureRedis(ctx context.Context) (string, error) {
	return i.ensureRedis(ctx, "redis-server")
}

func (i Installer) ensureRedis(ctx context.Context, program string) (string, error) {
	unpacked := i.Finder.unpackedRedis()
	find := func() (string, bool) {
		for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), filepath.Join(unpacked, "usr", "bin")) {
			if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
				return dir, true
			}
		}
		return "", false
	}
	if dir, ok := find(); ok {
		return dir, nil
	}
	fmt.Fprintf(i.Out, "%s was not found\n", program)
	err := errors.New("install redis-server with the system's package manager")
	if _, apt := exec.LookPath("apt-get"); apt == nil {
		if as, ok := i.elevated(ctx); ok {
			err = i.apt(ctx, as, program)
		} else {
			err = i.unpack(ctx, unpacked, program)
		}
	}
	if dir, ok := find(); ok && err == nil {
		return dir, nil
	}
	return "", fmt.Errorf("tests need %s: %w", program, err)
}

// Packages installs packages of the system, which needs root or sudo.
func (i Installer) Packages(ctx context.Context, names ...string) error {
	as, ok := i.elevated(ctx)
	if _, err := exec.LookPath("apt-get"); err != nil || !ok {
		return fmt.Errorf("cannot install %s here: it takes apt-get and root, or sudo without a password", strings.Join(names, ", "))
	}
	return i.apt(ctx, as, names...)
}

// elevated is what a command starts with to run as root.
func (i Installer) elevated(ctx context.Context) (as []string, ok bool) {
	user := os.Geteuid
	if i.user != nil {
		user = i.user
	}
	if user() == 0 {
		return nil, true
	}
	return []string{"sudo", "-n"}, exec.CommandContext(ctx, "sudo", "-n", "true").Run() == nil
}

// apt installs for the whole system. The cluster and the services that the
// packages set up are not ours and are not started by us.
func (i Installer) apt(ctx context.Context, as []string, packages ...string) error {
	install := slices.Concat(as, []string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q", "--no-install-recommends", "install"}, packages)
	if i.do(ctx, "", install...) == nil {
		return nil
	}
	// The package lists of a fresh machine are absent or old.
	if err := i.do(ctx, "", slices.Concat(as, []string{"apt-get", "-q", "update"})...); err != nil {
		return err
	}
	return i.do(ctx, "", install...)
}

// unpack fetches the packages with what they need and is missing, and unpacks
// them below a directory of ours. apt keeps its lists there too, since those of
// the system are often empty and only root may fill them.
func (i Installer) unpack(ctx context.Context, into string, programs ...string) error {
	if i.Finder.Unpacked == "" {
		return errors.New(Advice())
	}
	fmt.Fprintf(i.Out, "no root and no sudo: unpacking into %s\n", into)
	root := into + ".new" // Half of it, after an interruption, must not be found.
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("remove what an interrupted run left: %w", err)
	}
	work := filepath.Join(root, "apt")
	for _, dir := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return fmt.Errorf("make room for packages: %w", err)
		}
	}
	options := []string{
		"-q", "-o", "Dir::State::lists=" + filepath.Join(work, "lists"),
		"-o", "Dir::Cache=" + filepath.Join(work, "cache"), "-o", "Debug::NoLocking=true",
	}
	get := func(dir string, args ...string) error {
		return i.do(ctx, dir, append(append([]string{"apt-get"}, options...), args...)...)
	}
	if err := get("", "update"); err != nil {
		return err
	}
	plan := exec.CommandContext(ctx, "apt-get", append(append(options, "--no-install-recommends", "-s", "install"), programs...)...)
	var complaint bytes.Buffer
	plan.Stderr = &complaint
	out, err := plan.Output()
	if err != nil {
		return fmt.Errorf("ask apt what %s needs: %w\n%s", strings.Join(programs, " and "), err, bytes.TrimSpace(complaint.Bytes()))
	}
	packages := wanted(out)
	if len(packages) == 0 {
		return fmt.Errorf("apt has nothing to install, and yet the programs were not found: %s", Advice())
	}
	debs := filepath.Join(work, "debs")
	if err := get(debs, append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return fmt.Errorf("list packages: %w", err)
	}
	for _, deb := range files {
		if err := i.do(ctx, "", "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(work), os.RemoveAll(into)); err != nil {
		return fmt.Errorf("clean up after unpacking: %w", err)
	}
	return os.Rename(root, into)
}

// wanted picks from apt's simulation what the programs need to run: they and
// libraries. The compiler for queries is left out: it is large, and the
// cluster runs without it.
func wanted(simulation []byte) []string {
	var names []string
	for s := bufio.NewScanner(bytes.NewReader(simulation)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 || fields[0] != "Inst" {
			continue
		}
		name, _, _ := strings.Cut(fields[1], ":")
		library := strings.HasPrefix(name, "lib") && !strings.HasPrefix(name, "libllvm") && !strings.Contains(name, "perl")
		if library || name == "pgbouncer" || strings.HasPrefix(name, "redis-") || strings.HasPrefix(name, "postgresql-") && !strings.HasPrefix(name, "postgresql-common") && !strings.HasPrefix(name, "postgresql-client-common") {
			names = append(names, name)
		}
	}
	return names
}

// do runs a step, saying so first, with its output as progress.
func (i Installer) do(ctx context.Context, dir string, args ...string) error {
	fmt.Fprintf(i.Out, "+ %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, i.Out, i.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}
