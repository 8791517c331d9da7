package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coditect/platform/scripts/bench/peer"
	"github.com/coditect/platform/scripts/bench/proc"
	"github.com/coditect/platform/scripts/bench/spawn"
	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/scripts/local/database"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
	"github.com/coditect/platform/shared/config"
)

// Where searches for free ports start.
const (
	firstPort  = 27000
	firstFront = 24080
)

// platform is everything that runs, and what is known of it.
type platform struct {
	o       Options
	group   *spawn.Group
	lookup  config.Lookup
	specs   []spawn.Spec // of the functions and the router, for their starts
	cast    *stage.Cast
	does    peer.Exchanges
	trips   []Trips
	cluster *database.Database

	router                              *spawn.Process
	functions                           map[string]*spawn.Process
	floor, backend, proxy, checked, one *spawn.Process
	redis                               *spawn.Process
}

// with brings everything up, calls act and takes everything down.
func with(ctx context.Context, o Options, act func(context.Context, *platform) error) (err error) {
	group := &spawn.Group{Home: o.Home, First: firstPort}
	defer group.End()
	p := &platform{o: o, group: group, functions: map[string]*spawn.Process{}}
	if p.redis, err = startRedis(ctx, o, group); err != nil {
		return err
	}
	ports, err := o.Home.Ports()
	if err != nil {
		return err
	}
	front, err := ports.Choose("bench front", 0, firstFront, state.Free)
	if err != nil {
		return err
	}
	// The runner brings the database, the secrets and the address under which
	// the platform is known; ours are the processes and Redis.
	running, stop := context.WithCancel(ctx)
	defer stop()
	composed := make(chan error, 1)
	ran := make(chan error, 1)
	go func() {
		ran <- run.Run(running, run.Options{
			Home: o.Home, Tools: o.Tools, Out: quiet{o.Out},
			Lookup: config.Map(map[string]string{"PORT": strconv.Itoa(front), "REDIS_URL": "redis://" + p.redis.Host() + "/0"}),
			Compose: func(ctx context.Context, lookup config.Lookup) (*run.Platform, error) {
				platform, err := p.compose(ctx, lookup)
				composed <- err
				return platform, err
			},
		})
	}()
	select {
	case err := <-ran:
		return errors.Join(errors.New("the platform did not start"), err)
	case err := <-composed:
		if err != nil {
			return cmp.Or(<-ran, err)
		}
	}
	err = p.prepare(running)
	if err == nil {
		err = act(running, p)
	}
	stop()
	return errors.Join(err, <-ran)
}

// quiet keeps the runner's table of addresses to itself: they are not those
// that are measured.
type quiet struct {
	out interface{ Write([]byte) (int, error) }
}

func (q quiet) Write(b []byte) (int, error) { return len(b), nil }

// startRedis starts a server that keeps nothing, the one that the system's
// package brings; it is installed like PgBouncer where it is missing.
func startRedis(ctx context.Context, o Options, g *spawn.Group) (*spawn.Process, error) {
	dir, err := tools.Installer{Finder: o.Tools, Out: o.Out}.EnsureRedis(ctx)
	if err != nil {
		return nil, err
	}
	return g.Start(ctx, spawn.Spec{
		Name: "redis", Args: []string{filepath.Join(dir, "redis-server"), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"},
		Env:    append(inherited(), o.Tools.RedisEnvironment()...),
		PortIn: func(port int) []string { return []string{"--port", strconv.Itoa(port)} },
	})
}

// inherited is what processes get of our own environment.
func inherited() []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, set := os.LookupEnv(name); set {
			out = append(out, name+"="+value)
		}
	}
	return out
}

// compose loads the database and starts the functions and the router.
func (p *platform) compose(ctx context.Context, lookup config.Lookup) (*run.Platform, error) {
	p.lookup = lookup
	owner, _ := lookup("MIGRATE_DATABASE_URL")
	if err := stage.Load(ctx, owner, p.o.Size, p.o.Out); err != nil {
		return nil, err
	}
	if err := stage.Reset(ctx, owner); err != nil {
		return nil, err
	}
	programs, err := p.programs(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range programs {
		spec := p.functionSpec(f)
		p.specs = append(p.specs, spec)
		child, err := p.group.Start(ctx, spec)
		if err != nil {
			return nil, err
		}
		p.functions[f.name] = child
	}
	spec := p.routerSpec("router", p.upstreams(""))
	p.specs = append(p.specs, spec)
	if p.router, err = p.group.Start(ctx, spec); err != nil {
		return nil, err
	}
	behind, err := url.Parse(p.router.URL())
	if err != nil {
		return nil, err
	}
	front := httputil.NewSingleHostReverseProxy(behind)
	return &run.Platform{Handler: front, Drain: func(context.Context) error { p.group.End(); return nil }}, nil
}

// prepare does what needs the platform to answer: the exchanges, the people
// and what is measured beside it.
func (p *platform) prepare(ctx context.Context) error {
	jwks := p.env("JWKS_URL")
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	if err := process.Poll(ctx, 30*time.Second, func() bool { return available(ctx, client, jwks) }); err != nil {
		return fmt.Errorf("%s does not answer: %w", jwks, err)
	}
	var err error
	if p.cluster, err = database.Leftover(ctx, p.o.Home); err != nil {
		return err
	}
	signer, err := p.signer(ctx)
	if err != nil {
		return err
	}
	if p.cast, err = stage.SignIn(ctx, p.env("MIGRATE_DATABASE_URL"), p.o.Size, signer, p.o.Conns); err != nil {
		return err
	}
	if err := p.record(ctx); err != nil {
		return fmt.Errorf("record what the functions send: %w", err)
	}
	return p.startPeers(ctx)
}

func available(ctx context.Context, client *http.Client, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (p *platform) env(name string) string {
	value, ok := p.lookup(name)
	if !ok {
		return ""
	}
	return value
}

// databasePIDs are PostgreSQL's processes and PgBouncer's.
func (p *platform) databasePIDs() (server, pooler []int) {
	if pid, _, ok := p.cluster.Cluster.Running(); ok {
		server = proc.Family(pid)
	}
	if pid, ok := p.cluster.Pooler.Running(); ok {
		pooler = []int{pid}
	}
	return server, pooler
}
