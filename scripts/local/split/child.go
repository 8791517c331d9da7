package split

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
)

// A process that ends is started again after a pause that doubles from the
// first to the longest, and is short again once it ran steadily.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 10 * time.Second
	steady       = 10 * time.Second
)

const signalEnd = syscall.SIGTERM

// child is a process that is kept running until stop.
type child struct {
	name, binary string
	port         int
	env          []string
	// pidFile is also the process's only argument: nothing reads it there, but
	// with it the next run knows a leftover from a stranger with its number.
	pidFile string
	thread  *thread
	out     *lines

	quit, kill chan struct{} // closed to end it, and to end it at once
	gone       chan struct{} // closed when it has ended for good

	mu  sync.Mutex
	cmd *exec.Cmd // nil while it is down
}

// errEnded says that a process did not live to listen.
var errEnded = errors.New("it ended before it listened")

// start runs the process, waits until it listens, and keeps it running.
func (c *child) start(ctx context.Context) error {
	ended, err := c.launch()
	if err != nil {
		return err
	}
	died := false
	err = process.Poll(ctx, startLimit, func() bool {
		select {
		case <-ended.done:
			died = true
			return true
		default:
			return listening(ctx, c.host())
		}
	})
	if err == nil && !died {
		go c.keep(ended)
		return nil
	}
	c.signal(os.Kill)
	<-ended.done
	c.forget()
	switch {
	case err != nil:
		return err
	case !state.Free(c.port): // somebody else was faster
		return fmt.Errorf("%w: %d", state.ErrPortTaken, c.port)
	default:
		return fmt.Errorf("%w (%w): its output says why", errEnded, ended.why())
	}
}

func listening(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// end is how a process ended.
type end struct {
	done chan struct{}
	err  error // when done is closed
}

func (e *end) why() error {
	if e.err == nil {
		return errors.New("exit status 0")
	}
	return e.err
}

func (c *child) launch() (*end, error) {
	cmd := exec.CommandContext(context.Background(), c.binary, c.pidFile)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.env, c.out, c.out, apart()
	cmd.WaitDelay = time.Second
	if err := c.thread.do(cmd.Start); err != nil {
		return nil, err
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(c.pidFile, []byte(pid+" "+c.binary+"\n"), 0o600); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	c.mu.Lock()
	c.cmd = cmd
	c.mu.Unlock()
	ended := &end{done: make(chan struct{})}
	go func() {
		defer close(ended.done)
		ended.err = cmd.Wait()
		c.mu.Lock()
		c.cmd = nil
		c.mu.Unlock()
		c.out.flush()
	}()
	return ended, nil
}

// keep starts the process again whenever it ends, until it is to stop.
func (c *child) keep(running *end) {
	defer close(c.gone)
	defer c.forget()
	pause, began := firstPause, time.Now()
	for {
		select {
		case <-c.quit:
			c.finish(running)
			return
		case <-running.done:
		}
		if time.Since(began) > steady {
			pause = firstPause
		}
		c.out.say("ended (%v): starting it again in %s", running.why(), pause)
		wait := time.NewTimer(pause)
		select {
		case <-c.quit:
			wait.Stop()
			return
		case <-wait.C:
		}
		pause, began = min(2*pause, longestPause), time.Now()
		next, err := c.launch()
		if err != nil {
			next = &end{done: make(chan struct{}), err: err}
			close(next.done)
		}
		running = next
	}
}

// finish lets the process end by itself, or else makes it.
func (c *child) finish(running *end) {
	c.signal(signalEnd)
	select {
	case <-running.done:
		return
	case <-c.kill:
	}
	c.signal(os.Kill)
	<-running.done
}

func (c *child) signal(s os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		_ = c.cmd.Process.Signal(s) // It may have ended meanwhile.
	}
}

// stop asks the process to end and kills it when ctx ends first.
func (c *child) stop(ctx context.Context) error {
	close(c.quit)
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
	}
	close(c.kill)
	<-c.gone
	return fmt.Errorf("%s did not end in time and was killed", c.name)
}

func (c *child) forget() { _ = os.Remove(c.pidFile) }

func (c *child) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// thread starts processes from one thread of the operating system that lives as
// long as the fleet: Linux ends a child with the thread that started it, not
// with the process (prctl(2), PR_SET_PDEATHSIG).
type thread struct{ work chan func() }

func newThread() *thread {
	t := &thread{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range t.work {
			f()
		}
	}()
	return t
}

func (t *thread) do(f func() error) error {
	done := make(chan error)
	t.work <- func() { done <- f() }
	return <-done
}

// end lets the thread go. Whatever it started must have ended.
func (t *thread) end() { close(t.work) }

// longestLine is where a line is broken that a process does not end.
const longestLine = 64 << 10

// lines writes whole lines with a prefix, so that those of several processes do
// not mix.
type lines struct {
	prefix string
	to     io.Writer
	mu     *sync.Mutex // of to
	part   []byte      // of a line; one process writes at a time
}

// Write never fails: a terminal that went away is no reason for a process to
// end.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, p...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 && len(l.part) < longestLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(l.part) - 1
		}
		l.line(bytes.TrimSuffix(l.part[:i+1], []byte("\n")))
		l.part = l.part[i+1:]
	}
}

// line leaves empty ones out: the framework writes one after every request.
func (l *lines) line(text []byte) {
	if len(text) > 0 {
		fmt.Fprintf(l.to, "%s%s\n", l.prefix, text)
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.line(l.part)
	}
	l.part = nil
}

// say adds a line of our own.
func (l *lines) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line(fmt.Appendf(nil, format, args...))
}
