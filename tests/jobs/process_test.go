package jobs_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

const (
	roleVariable = "JOBS_TEST_ROLE"
	// inherited is the file descriptor of the listener that a process serves on.
	inherited = 3
)

// process is one part of the platform. Its port outlives it: who calls while it
// is started again waits, as callers of Cloud Run do for an instance.
type process struct {
	t    *testing.T
	name string
	role string
	vars map[string]string
	port *net.TCPListener

	mu     sync.Mutex
	cmd    *exec.Cmd
	alive  io.Closer // the process ends when this does
	ended  bool
	output output
}

func newProcess(t *testing.T, name, role string, vars map[string]string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, role: role, vars: vars, port: l.(*net.TCPListener)}
	t.Cleanup(func() {
		p.end()
		_ = l.Close()
		if t.Failed() {
			t.Logf("--- %s\n%s", name, p.output.text())
		}
	})
	return p
}

func (p *process) address() string { return p.port.Addr().String() }

// start starts the process, which serves at once or lets callers wait.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil || p.ended {
		return nil
	}
	file, err := p.port.File()
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{roleVariable + "=" + p.role, "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for k, v := range p.vars {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if p.alive, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	return nil
}

// kill is kill -9, and returns when the process is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *process) end() {
	p.kill()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
}

// output is what a process says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// until asks again and again until yes says so, for a minute at most.
func until(yes func() bool) error { return within(time.Now().Add(patience), yes) }

func within(deadline time.Time, yes func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ; !yes(); <-tick.C {
		if time.Now().After(deadline) {
			return errTooLate
		}
	}
	return nil
}

const (
	// patience is within what time after a kill all work is resumed and done.
	patience = time.Minute
	// arrival is within what time the moment to kill comes. Nothing is promised
	// about that: the processes have to be there first, on a machine that may be
	// full.
	arrival = 3 * time.Minute
)

var errTooLate = errors.New("not within a minute")
