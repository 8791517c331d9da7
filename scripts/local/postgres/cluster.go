// Package postgres runs one private PostgreSQL cluster: made once, started and
// stopped with the runner, found again after a crash of anything.
//
// The cluster listens on loopback TCP only. It has no Unix socket: a socket's
// path may be 107 bytes long, and checkouts are deeper than that.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// Superuser is the role that owns the cluster.
const Superuser = "postgres"

// Cluster is one PostgreSQL server and its files.
type Cluster struct {
	Install        tools.Postgres
	Account        account.Account
	Dir            string // holds data/ and the log; the account can reach it
	Password       string // of Superuser
	Durable        bool   // fsync; off for throw-away data only
	MaxConnections int
}

func (c Cluster) data() string { return filepath.Join(c.Dir, "data") }

// LogFile is what the server writes to.
func (c Cluster) LogFile() string { return filepath.Join(c.Dir, "postgres.log") }

// URL is the superuser's direct address of a database.
func (c Cluster) URL(port int, database string) string {
	return Address(Superuser, c.Password, port, database)
}

// Address is the loopback URL of a database for a role.
func Address(role, password string, port int, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: "127.0.0.1:" + strconv.Itoa(port), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SplitPassword takes the password out of an address, for programs that want
// it elsewhere than in their arguments.
func SplitPassword(address string) (bare, password string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return "", "", errors.New("the database's address is no URL with a user") // The parser's error quotes the password.
	}
	password, _ = u.User.Password()
	u.User = url.User(u.User.Username())
	return u.String(), password, nil
}

// Major is the version whose files are in dir, 0 when there are none.
func Major(dir string) int {
	data, err := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// Init makes the cluster's files when there are none. They appear under their
// final name only once complete, so an interrupted run starts over.
func (c Cluster) Init(ctx context.Context) error {
	if err := state.Mkdir(c.Dir); err != nil {
		return err
	}
	if err := c.Account.Own(c.Dir); err != nil {
		return err
	}
	if Major(c.Dir) != 0 {
		return nil
	}
	if _, err := os.Stat(c.data()); err == nil {
		return fmt.Errorf("%s is no PostgreSQL data directory: move it away or run `make reset`", c.data())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the cluster: %w", err)
	}
	unfinished := c.data() + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove what an interrupted run left: %w", err)
	}
	password := filepath.Join(c.Dir, ".superuser")
	if err := state.WritePrivate(password, []byte(c.Password+"\n")); err != nil {
		return err
	}
	defer os.Remove(password) //nolint:errcheck // Unreadable to others either way.
	if err := c.Account.Own(password); err != nil {
		return err
	}
	args := []string{
		"-D", unfinished, "-U", Superuser, "--pwfile=" + password,
		"--auth=scram-sha-256", "-E", "UTF8", "--locale=" + locale(), "--no-instructions",
	}
	if !c.Durable {
		args = append(args, "--no-sync")
	}
	cmd := c.Account.Command(ctx, c.Dir, filepath.Join(c.Install.Bin, "initdb"), args...)
	cmd.Env = tools.Env(cmd.Env, c.Install.Libs)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := os.Rename(unfinished, c.data()); err != nil {
		return fmt.Errorf("put the new cluster in place: %w", err)
	}
	return nil
}

// locale is one whose upper and lower case work beyond ASCII without being
// installed.
func locale() string {
	if runtime.GOOS == "darwin" {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}

// Running returns the process and the port of a server on these files: one
// that this runner, or a runner that was killed, started.
func (c Cluster) Running() (pid, port int, ok bool) {
	lines := c.pidFile()
	if len(lines) < 4 {
		return 0, 0, false
	}
	pid, errPID := strconv.Atoi(lines[0])
	port, errPort := strconv.Atoi(lines[3])
	if errPID != nil || errPort != nil || !c.isServer(pid) {
		return 0, 0, false
	}
	return pid, port, true
}

func (c Cluster) isServer(pid int) bool { return process.Is(pid, "postgres", c.data()) }

// pidFile is postmaster.pid, whose lines are: process, data directory, start
// time, port, socket directory, address, shared memory, status. See "Database
// File Layout" in PostgreSQL's manual.
func (c Cluster) pidFile() []string {
	data, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(data), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

func (c Cluster) ready(pid int) bool {
	lines := c.pidFile()
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) && lines[7] == "ready"
}

// Stop ends the server after rolling back what is open. It is no error when
// none runs.
func (c Cluster) Stop(ctx context.Context) error {
	pid, _, ok := c.Running()
	if !ok {
		return nil
	}
	return process.Stop(ctx, pid, "postgres", c.data(), fastShutdown, 30*time.Second)
}
