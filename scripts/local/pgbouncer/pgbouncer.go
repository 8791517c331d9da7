// Package pgbouncer runs PgBouncer in transaction mode before a private
// cluster, as it stands before the database in production: what works only on
// a connection of one's own breaks here first.
package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coditect/platform/scripts/local/account"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// Pooler is one PgBouncer and its files.
type Pooler struct {
	Install tools.PgBouncer
	Account account.Account
	Dir     string            // the account can reach it
	Server  int               // port of PostgreSQL
	Users   map[string]string // role to password
	Admin   string            // the role that may see the admin console
	Size    int               // server connections for a pair of role and database
	Idle    time.Duration     // after which an unused server connection is closed
}

func (p Pooler) ini() string     { return filepath.Join(p.Dir, "pgbouncer.ini") }
func (p Pooler) users() string   { return filepath.Join(p.Dir, "userlist.txt") }
func (p Pooler) pidFile() string { return filepath.Join(p.Dir, "pgbouncer.pid") }

// LogFile is what PgBouncer writes to.
func (p Pooler) LogFile() string { return filepath.Join(p.Dir, "pgbouncer.log") }

// Start brings PgBouncer up on the port; one that a killed runner left is
// replaced, since its configuration may be of another time. It fails with
// state.ErrPortTaken when another program has the port.
func (p Pooler) Start(ctx context.Context, port int) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	if !state.Free(port) {
		return fmt.Errorf("PgBouncer: %w: %d", state.ErrPortTaken, port)
	}
	if err := p.configure(port); err != nil {
		return err
	}
	logFile, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of PgBouncer: %w", err)
	}
	defer logFile.Close() //nolint:errcheck // PgBouncer has its own handle.
	cmd := p.Account.Command(context.WithoutCancel(ctx), p.Dir, p.Install.Path, p.ini())
	cmd.Env = tools.Env(cmd.Env, p.Install.Libs)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true // A terminal's Ctrl-C is for the runner.
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PgBouncer: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		ended := cmd.Wait()
		p.note(ended)
		close(exited)
	}()
	if err := state.WritePrivate(p.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)+"\n")); err != nil {
		return err
	}
	dead := false
	err = process.Poll(ctx, 10*time.Second, func() bool {
		select {
		case <-exited:
			dead = true
			return true
		default:
			return dial(ctx, port)
		}
	})
	if dead {
		said, _ := os.ReadFile(p.LogFile())
		if strings.Contains(string(said), "Address already in use") {
			return fmt.Errorf("PgBouncer: %w: %d", state.ErrPortTaken, port)
		}
		return fmt.Errorf("PgBouncer ended at once:\n%s", said)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("PgBouncer is not ready, see %s: %w", p.LogFile(), err), p.Stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// note writes why PgBouncer ended into its log, for whoever wonders.
func (p Pooler) note(ended error) {
	if ended == nil {
		return
	}
	log, err := os.OpenFile(p.LogFile(), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	fmt.Fprintf(log, "PgBouncer ended: %v\n", ended)
	_ = log.Close()
}

// Said is the end of the log.
func (p Pooler) Said() string {
	text, err := os.ReadFile(p.LogFile())
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(text[max(0, len(text)-most):])
}

func dial(ctx context.Context, port int) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// Running returns the process of a PgBouncer with these files.
func (p Pooler) Running() (pid int, ok bool) {
	data, err := os.ReadFile(p.pidFile())
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, false
	}
	return pid, process.Is(pid, "pgbouncer", p.ini())
}

// Stop ends PgBouncer and closes its connections. It is no error when none runs.
func (p Pooler) Stop(ctx context.Context) error {
	pid, ok := p.Running()
	if !ok {
		return nil
	}
	return process.Stop(ctx, pid, "pgbouncer", p.ini(), syscall.SIGTERM, 5*time.Second)
}

// configure writes the two files. Prepared statements on the server side are
// off: the platform's statements must not need them, since not every pooler
// tracks them.
func (p Pooler) configure(port int) error {
	if err := state.Mkdir(p.Dir); err != nil {
		return err
	}
	ini := fmt.Sprintf(`; Written by the local runner at every start.
[databases]
* = host=127.0.0.1 port=%d

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
admin_users = %s
pool_mode = transaction
default_pool_size = %d
min_pool_size = 0
max_client_conn = 1000
server_idle_timeout = %d
server_login_retry = 1
query_wait_timeout = 30
ignore_startup_parameters = extra_float_digits,options
log_connections = 0
log_disconnections = 0
`, p.Server, port, p.users(), p.Admin, p.Size, int(p.Idle.Seconds()))
	if err := state.WritePrivate(p.ini(), []byte(ini)); err != nil {
		return err
	}
	var users strings.Builder
	for _, role := range slices.Sorted(maps.Keys(p.Users)) {
		fmt.Fprintf(&users, "%q %q\n", role, p.Users[role])
	}
	if err := state.WritePrivate(p.users(), []byte(users.String())); err != nil {
		return err
	}
	return p.Account.Own(p.Dir, p.ini(), p.users())
}
