// Package split is `make run-split`: every function as its own process under
// the functions framework, built from what is deployed, behind two processes of
// the router. Nothing can rely on living together here; what breaks in the
// cloud for that reason breaks on a laptop first.
//
// Build makes the programs, Fleet runs them: it is a Compose of scripts/local/run,
// which brings the database and the stand-ins and serves the balancer. What a
// process is told is decided in environment.go, how it is kept alive in child.go.
package split

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/config"
)

// Program is a function, built.
type Program struct {
	Name   string
	Binary string
	Entry  string // what it registers with the functions framework
	Routed bool   // the router is in front of it
	// Secrets and Database are its entry's in functions.json: a process gets no
	// others.
	Secrets  []string
	Database string
}

// Programs is the whole product, built.
type Programs struct {
	Functions []Program
	Router    string // the router's binary
}

// Options say what to run and where.
type Options struct {
	Home     state.Home
	Programs Programs
	// Environ holds the person's own settings, in the form of os.Environ: every
	// process gets those that are not the platform's to decide.
	Environ []string
	Out     io.Writer
}

// routers is how many of them there are: with one, state that a router keeps to
// itself would not show.
const routers = 2

// Where the search for free ports starts, apart by home: between the look and
// the process's own listening another runner must not look, too.
const (
	firstFunction = 20000
	firstRouter   = 22000
	homes         = 1500
)

func (f *Fleet) first(port int) int {
	h := fnv.New32a()
	h.Write([]byte(f.Home.Dir))
	return port + int(h.Sum32()%homes)
}

// startLimit is how long a process may take to listen.
const startLimit = 20 * time.Second

// Fleet is the product as processes.
type Fleet struct {
	Options
	env    environment
	thread *thread
	say    *sync.Mutex

	mu       sync.Mutex
	children []*child // functions, then routers
	edge     int      // the first router
}

// New makes a fleet. Nothing runs before Compose.
func New(o Options) *Fleet { return &Fleet{Options: o, say: &sync.Mutex{}} }

// Compose starts every function, then the routers, and waits until each
// listens. It is a run.Compose.
func (f *Fleet) Compose(ctx context.Context, lookup config.Lookup) (_ *run.Platform, err error) {
	if err := f.sweep(ctx); err != nil {
		return nil, err
	}
	f.env = environment{own: f.Environ, lookup: lookup, dir: f.Home.Path("split", "secrets")}
	f.thread = newThread()
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop(context.WithoutCancel(ctx)))
		}
	}()
	ports, err := f.Home.Ports()
	if err != nil {
		return nil, err
	}
	var addresses, upstreams []string
	for _, p := range relayLast(f.Programs.Functions) {
		vars, err := f.env.function(p)
		if err != nil {
			return nil, err
		}
		if p.Name == relay {
			vars = append(vars, "FUNCTION_URLS="+strings.Join(addresses, ","))
		}
		c, err := f.start(ctx, ports, p.Name, p.Binary, firstFunction, vars)
		if err != nil {
			return nil, err
		}
		at := p.Name + "=" + c.address()
		addresses = append(addresses, at)
		if p.Routed {
			upstreams = append(upstreams, at)
		}
	}
	f.edge = len(f.children)
	vars, err := f.env.router(strings.Join(upstreams, ","), f.Address(relay))
	if err != nil {
		return nil, err
	}
	var behind []string
	for i := range routers {
		c, err := f.start(ctx, ports, "router-"+strconv.Itoa(i+1), f.Programs.Router, firstRouter, vars)
		if err != nil {
			return nil, err
		}
		behind = append(behind, c.host())
	}
	f.table()
	return &run.Platform{
		Handler: newBalancer(behind), Drain: f.stop,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}, Address: f.Address,
	}, nil
}

// relay is the function that has to know where the others are.
const relay = "outboxrelay"

func relayLast(programs []Program) []Program {
	out := slices.Clone(programs)
	slices.SortStableFunc(out, func(a, b Program) int {
		switch {
		case a.Name == relay:
			return 1
		case b.Name == relay:
			return -1
		}
		return 0
	})
	return out
}

// Address is where the process called name listens, or "".
func (f *Fleet) Address(name string) string {
	if c := f.child(name); c != nil {
		return c.address()
	}
	return ""
}

// PID is the process's number, and 0 while it is down.
func (f *Fleet) PID(name string) int {
	if c := f.child(name); c != nil {
		return c.number()
	}
	return 0
}

func (f *Fleet) child(name string) *child {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// start runs one process on a port of its own.
func (f *Fleet) start(ctx context.Context, ports *state.Ports, name, binary string, first int, vars []string) (*child, error) {
	var c *child
	_, err := ports.Bind("split "+name, 0, f.first(first), state.Free, func(port int) error {
		c = &child{
			name: name, binary: binary, port: port, pidFile: filepath.Join(f.pids(), name+".pid"), thread: f.thread,
			env: append(vars[:len(vars):len(vars)], "PORT="+strconv.Itoa(port), "PUSH_AUDIENCE=http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port))),
			out: &lines{prefix: name + " | ", to: f.Out, mu: f.say}, quit: make(chan struct{}), kill: make(chan struct{}), gone: make(chan struct{}),
		}
		return c.start(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	f.mu.Lock()
	f.children = append(f.children, c)
	f.mu.Unlock()
	return c, nil
}

// stop ends the routers first, so that what they have under way still finds its
// function.
func (f *Fleet) stop(ctx context.Context) error {
	f.mu.Lock()
	all := f.children
	f.children = nil
	f.mu.Unlock()
	edge := min(f.edge, len(all))
	if f.edge == 0 { // broken off before there were routers
		edge = len(all)
	}
	err := errors.Join(halt(ctx, all[edge:]), halt(ctx, all[:edge]))
	f.thread.end()
	return err
}

// halt ends processes together.
func halt(ctx context.Context, children []*child) error {
	faults := make([]error, len(children))
	var ending sync.WaitGroup
	for i, c := range children {
		ending.Go(func() { faults[i] = c.stop(ctx) })
	}
	ending.Wait()
	return errors.Join(faults...)
}

func (f *Fleet) pids() string { return f.Home.Path("split", "run") }

// sweep ends what a run that was killed left behind, where the system does not
// end children with their parent.
func (f *Fleet) sweep(ctx context.Context) error {
	if err := os.MkdirAll(f.pids(), 0o700); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(f.pids(), "*.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := endLeftover(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

func endLeftover(ctx context.Context, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	number, binary, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
	if pid, err := strconv.Atoi(number); err == nil && binary != "" {
		if err := process.Stop(ctx, pid, binary, file, signalEnd, 5*time.Second); err != nil {
			return err
		}
	}
	return os.Remove(file)
}

func (f *Fleet) table() {
	f.say.Lock()
	defer f.say.Unlock()
	w := tabwriter.NewWriter(f.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, c := range f.children {
		fmt.Fprintf(w, "  %s\t%s\tprocess %d\n", c.name, c.host(), c.number())
	}
	w.Flush() //nolint:errcheck // A terminal.
}

func (c *child) host() string    { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }
func (c *child) address() string { return "http://" + c.host() }
