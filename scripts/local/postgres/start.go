package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// fastShutdown rolls back open transactions and ends; SIGTERM would wait for
// clients to leave. See "Shutting Down the Server" in PostgreSQL's manual.
const fastShutdown = syscall.SIGINT

// startLimit bounds the start, crash recovery included.
const startLimit = 60 * time.Second

var errBusy = errors.New("the processes of a killed server still hold its memory")

// Start brings the server up on the port and returns when it takes
// connections. A server already running on these files is taken over as it is
// when it has that port, else stopped first. It fails with state.ErrPortTaken
// when another program has the port.
func (c Cluster) Start(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if pid, running, ok := c.Running(); ok {
		if running == port && process.Poll(ctx, startLimit, func() bool { return c.ready(pid) || !c.isServer(pid) }) == nil && c.ready(pid) {
			return nil
		}
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	if err := c.forgetDead(); err != nil {
		return err
	}
	for {
		err := c.launch(ctx, port)
		if !errors.Is(err, errBusy) {
			return err
		}
		select { // The orphans notice the death of their parent within moments.
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// forgetDead makes a pid file that a killed server left harmless. PostgreSQL
// refuses to start while any process has the number in it, which after a
// reboot may be a stranger's. The file itself must stay: it names the shared
// memory by which the server finds out whether orphans still write to the data.
func (c Cluster) forgetDead() error {
	name := filepath.Join(c.data(), "postmaster.pid")
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the last server's pid file: %w", err)
	}
	_, rest, found := strings.Cut(string(data), "\n")
	if !found {
		if err := os.Remove(name); err != nil { // Cut short: the server died before it had any memory.
			return fmt.Errorf("remove a broken pid file: %w", err)
		}
		return nil
	}
	const nobody = "2147483647" // Above every system's largest process number.
	if err := state.WritePrivate(name, []byte(nobody+"\n"+rest)); err != nil {
		return err
	}
	return c.Account.Own(name)
}

func (c Cluster) launch(ctx context.Context, port int) error {
	logFile, err := openLog(c.LogFile())
	if err != nil {
		return err
	}
	defer logFile.Close() //nolint:errcheck // The server has its own handle.
	if err := c.Account.Own(c.LogFile()); err != nil {
		return err
	}
	start, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("log of PostgreSQL: %w", err)
	}
	// The server outlives the context: it is stopped in order, after the
	// functions that use it.
	cmd := c.Account.Command(context.WithoutCancel(ctx), c.Dir, filepath.Join(c.Install.Bin, "postgres"), c.arguments(port)...)
	cmd.Env = tools.Env(cmd.Env, c.Install.Libs)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true // A terminal's Ctrl-C is for the runner, which stops the server last.
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	dead := func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	}
	err = process.Poll(ctx, startLimit, func() bool { return c.ready(cmd.Process.Pid) || dead() })
	switch {
	case err != nil:
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		return fmt.Errorf("PostgreSQL is not ready after %s, see %s: %w", startLimit, c.LogFile(), err)
	case !dead():
		return nil
	}
	said := tail(c.LogFile(), start)
	switch {
	case strings.Contains(said, "Address already in use") || strings.Contains(said, "could not bind"):
		return fmt.Errorf("PostgreSQL: %w: %d", state.ErrPortTaken, port)
	case strings.Contains(said, "pre-existing shared memory block"):
		return errBusy
	}
	return fmt.Errorf("PostgreSQL ended at once (%s):\n%s", c.LogFile(), said)
}

func (c Cluster) arguments(port int) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "port=" + strconv.Itoa(port),
		"max_connections=" + strconv.Itoa(c.MaxConnections), "shared_buffers=128MB",
		"password_encryption=scram-sha-256", "timezone=UTC", "log_timezone=UTC", "lc_messages=C",
		// Debian keeps the compiler in a package of its own, and short
		// statements lose by it.
		"jit=off",
		"logging_collector=off", "log_destination=stderr", "log_line_prefix=%m [%p] %q%u@%d ",
	}
	if !c.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
	}
	args := []string{"-D", c.data()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// openLog appends to the log, and starts a new one, keeping the last, when it
// has grown beyond 10 MB.
func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > 10<<20 {
		if err := os.Rename(name, name+".old"); err != nil {
			return nil, fmt.Errorf("set the log aside: %w", err)
		}
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of PostgreSQL: %w", err)
	}
	return f, nil
}

// tail is what was written to the log since offset.
func tail(name string, offset int64) string {
	data, err := os.ReadFile(name)
	if err != nil || int64(len(data)) < offset {
		return ""
	}
	return strings.TrimSpace(string(data[offset:]))
}
