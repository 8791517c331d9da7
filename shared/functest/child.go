package functest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/serve"
)

// diesAt makes a test's program the function itself, and says where it dies.
const diesAt = "FUNCTEST_DIES_AT"

// OpenAt opens a function that calls at on its way, with the names of points
// between which something might be lost.
type OpenAt func(lookup config.Lookup, at func(point string)) (*serve.App, error)

// Main is the TestMain of a package that kills its function: it runs the tests,
// or, in a process that [Env.Spawn] started, serves the function until it
// reaches the point at which it is to kill itself (SIGKILL).
func Main(m *testing.M, open OpenAt) {
	point, child := config.Environ(diesAt)
	if !child {
		os.Exit(m.Run())
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil {
		err = mortal{open, point, kill, os.Stdout}.serve(l)
	}
	fmt.Fprintln(os.Stderr, "functest:", err)
	os.Exit(1)
}

// kill ends this process, within a moment.
func kill() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
}

// mortal is a function that dies at a point, by die, and says on out where it
// listens.
type mortal struct {
	open  OpenAt
	point string
	die   func()
	out   io.Writer
}

func (m mortal) serve(l net.Listener) error {
	app, err := m.open(config.Environ, func(reached string) {
		for reached == m.point { // nothing comes behind it
			m.die()
		}
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(m.out, l.Addr()); err != nil {
		return err
	}
	return http.Serve(l, app.Handler) //nolint:gosec // for one client, while it lives
}

// Child is the package's function in a process of its own, killed with the test.
type Child struct {
	// Handler is the way to it; it answers 502 once the process is dead.
	Handler http.Handler

	cmd *exec.Cmd
}

// Spawn starts the function with the environment's Vars in a process that dies
// at a point, or by [Child.Kill] where the function has none of that name. The
// package's TestMain must be [Main].
func (e *Env) Spawn(t testing.TB, point string) *Child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), diesAt+"="+point)
	for name, value := range e.Vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("functest: the child says nothing: %v, %v", err, cmd.Wait())
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimSpace(line)})
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return &Child{Handler: proxy, cmd: cmd}
}

// Kill ends the process where it stands (SIGKILL) and waits for its end.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// WantKilled waits for the end of the process, and fails the test unless it was
// killed.
func (c *Child) WantKilled(t testing.TB) {
	t.Helper()
	err := c.cmd.Wait()
	if c.cmd.ProcessState == nil || c.cmd.ProcessState.Exited() {
		t.Fatalf("functest: it ended by itself: %v", err)
	}
}
