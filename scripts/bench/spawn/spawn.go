// Package spawn starts the processes that a benchmark measures, and ends them.
// A process that the benchmark leaves behind, because it was killed, is ended
// by the kernel where the system can.
package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
)

// Process is one that runs.
type Process struct {
	Name string
	Port int
	PID  int

	cmd   *exec.Cmd
	ended chan struct{}
}

// Host is where it listens, as host:port.
func (p *Process) Host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

// URL is the same as a URL.
func (p *Process) URL() string { return "http://" + p.Host() }

// Spec says what to start.
type Spec struct {
	Name string
	Args []string // the program first
	Env  []string // all of it, but for PORT
	// PortIn, if set, makes the arguments of the port instead, for programs
	// that do not read PORT.
	PortIn func(port int) []string
}

// Group starts processes and ends them together.
type Group struct {
	Home  state.Home
	First int // where the search for free ports starts

	once    sync.Once
	work    chan func()
	mu      sync.Mutex
	running []*Process
}

// do runs f on one thread of the operating system that lives as long as the
// group: Linux ends children with the thread that started them, not with the
// process (prctl(2), PR_SET_PDEATHSIG).
func (g *Group) do(f func() error) error {
	g.once.Do(func() {
		g.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range g.work {
				f()
			}
		}()
	})
	done := make(chan error, 1)
	g.work <- func() { done <- f() }
	return <-done
}

const startLimit = 20 * time.Second

// Start runs a process on a port of its own and waits until it listens. Its
// output goes to a file of the home's logs.
func (g *Group) Start(ctx context.Context, s Spec) (*Process, error) {
	ports, err := g.Home.Ports()
	if err != nil {
		return nil, err
	}
	var p *Process
	_, err = ports.Bind("bench "+s.Name, 0, g.First, state.Free, func(port int) error {
		if p, err = g.Launch(s, port); err != nil {
			return err
		}
		died := false
		err := process.Poll(ctx, startLimit, func() bool {
			died = p.dead()
			return died || !state.Free(port)
		})
		if err == nil && !died {
			return nil
		}
		g.Stop(p)
		return errors.Join(err, fmt.Errorf("it ended or does not listen: %s says why", g.log(s.Name)))
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	return p, nil
}

func (g *Group) log(name string) string { return g.Home.Path("logs", name+".log") }

// Launch runs a process on a port without waiting for anything.
func (g *Group) Launch(s Spec, port int) (*Process, error) {
	file := g.log(s.Name)
	if err := state.Mkdir(filepath.Dir(file)); err != nil {
		return nil, err
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // The process has its own.
	args := s.Args
	if s.PortIn != nil {
		args = append(args[:len(args):len(args)], s.PortIn(port)...)
	}
	p := &Process{Name: s.Name, Port: port, cmd: exec.CommandContext(context.Background(), args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Env = append(s.Env[:len(s.Env):len(s.Env)], "PORT="+strconv.Itoa(port))
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = out, out, apart()
	if err := g.do(p.cmd.Start); err != nil {
		return nil, err
	}
	p.PID = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	g.mu.Lock()
	g.running = append(g.running, p)
	g.mu.Unlock()
	return p, nil
}

func (p *Process) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Dead reports the processes that ended without having been told to.
func (g *Group) Dead() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var faults []error
	for _, p := range g.running {
		if p.dead() {
			faults = append(faults, fmt.Errorf("%s ended: %s says why", p.Name, g.log(p.Name)))
		}
	}
	return errors.Join(faults...)
}

// Stop ends a process, by force when it does not in a while.
func (g *Group) Stop(p *Process) {
	_ = p.cmd.Process.Signal(stopSignal)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, q := range g.running {
		if q == p {
			g.running = append(g.running[:i:i], g.running[i+1:]...)
			return
		}
	}
}

// End ends all of them, the last started first.
func (g *Group) End() {
	for {
		g.mu.Lock()
		n := len(g.running)
		var last *Process
		if n > 0 {
			last = g.running[n-1]
		}
		g.mu.Unlock()
		if last == nil {
			return
		}
		g.Stop(last)
	}
}

// FirstAnswer starts a process on a free port and gives the time from its start
// to the first answer in HTTP to a GET of path, whatever it says; then it ends it.
func (g *Group) FirstAnswer(ctx context.Context, s Spec, path string) (time.Duration, error) {
	port := 0
	for candidate := g.First; candidate < g.First+500 && port == 0; candidate++ {
		if state.Free(candidate) {
			port = candidate
		}
	}
	begun := time.Now()
	p, err := g.Launch(s, port)
	if err != nil {
		return 0, err
	}
	defer g.Stop(p)
	for time.Since(begun) < startLimit && !p.dead() && ctx.Err() == nil {
		if answers(ctx, p.Host(), path) {
			return time.Since(begun), nil
		}
		pause := time.NewTimer(200 * time.Microsecond)
		<-pause.C
	}
	return 0, fmt.Errorf("%s does not answer: %s says why", s.Name, g.log(s.Name))
}

func answers(ctx context.Context, host, path string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", host)
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	first := make([]byte, 5)
	_, err = io.ReadFull(conn, first)
	return err == nil && string(first) == "HTTP/"
}
