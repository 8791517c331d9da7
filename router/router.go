// Package router is the edge: every request from outside passes it once, on its
// way to the function that serves it.
//
// It decides what can be decided without the database: which route a path is,
// whose the token is, whether host and token name one tenant, whether the
// session lives and the budget holds, and passes the rest on, signed. It holds
// no database pool; what it must know of hosts, sessions, plans and health it
// asks functions, and remembers for seconds.
//
// Most requests need no trip to Redis, and none needs two. Sessions are
// remembered for 4 s (sessions.go). Budgets are leased in blocks of at most a
// fiftieth of the limit for 1 s (package ratelimit, admit.go): never more than
// the limit is let in, and a client may be refused early by what the other
// instances hold. Usage is counted in batches of a second (usage.go), each
// counted once. Whether a tenant has used up the requests of its month is part
// of what is asked of its plan, once a minute. Who asks on and on after being
// refused is slowed down (tarpit.go) and goes last (traffic.go). On SIGTERM
// ([App.Drain], [App.Close]) counts are written and leases given back; a killed
// process loses a second of its counts and 100 ms of its access log.
//
// The order of checks is in serve.go and is the contract's. The table of routes
// (routes.json) and the OpenAPI document (openapi.json) are generated from the
// functions' operations: a new operation changes nothing here. To let another
// request header through, see headers.go; another setting, config.go.
package router

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/logs"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/telemetry"
)

// Options are the parts that a program may bring instead of what the
// configuration says.
type Options struct {
	// Transport reaches functions. With no address configured a function's
	// host is its name, so that one process can serve them itself. nil is HTTP.
	Transport http.RoundTripper
	// Wrap adds to the transport what the platform wants on each request; nil
	// adds nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Nudge is called, one call at a time, when a function left messages in
	// the outbox, beside the answer. nil tells whom the configuration names.
	Nudge func(context.Context) error
	// Secrets holds the hop key; nil is what the platform mounted.
	Secrets *secrets.Store
	// Keys verify our own tokens; nil fetches auth's public document.
	Keys identity.PublicKeys
	// Logger is for the access log and everything else; nil writes to stderr,
	// and the access log in portions.
	Logger *slog.Logger
	// Telemetry records spans of the trips to functions; nil records nothing.
	Telemetry *telemetry.Telemetry
	// Routes and OpenAPI replace the generated documents, for tests.
	Routes, OpenAPI []byte
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// App is an open router.
type App struct {
	// Handler serves everything.
	Handler http.Handler

	cfg       Config
	log       *slog.Logger
	access    *slog.Logger // of requests
	lines     *lines
	table     *table
	origins   map[string]bool
	hosts     *hosts
	verifier  *identity.Verifier
	redis     *cache.Client
	usage     *usage
	admission *admission
	tarpit    *tarpit
	upstreams *upstreams
	nudge     *nudger
	documents map[string]*document
	openapi   text
	yaml      func() (text, error)
	health    *cache.Local[struct{}, health]
	telemetry *telemetry.Telemetry
	now       func() time.Time

	traffic  *traffic
	draining atomic.Bool
	leaving  chan struct{} // closed with draining
	leave    sync.Once
	stop     chan struct{}
	stopping sync.Once
	running  sync.WaitGroup
}

// Open makes a router from its environment. It dials nothing; it starts two
// goroutines, which [App.Close] ends.
func Open(_ context.Context, lookup config.Lookup, o Options) (*App, error) {
	cfg, err := config.Load[Config](lookup)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	access, written := o.Logger, &lines{to: os.Stderr}
	if o.Logger == nil {
		o.Logger = logs.New(os.Stderr, cfg.Logs).With("function", "router")
		access = logs.New(written, cfg.Logs).With("function", "router")
	}
	if o.Secrets == nil {
		source := secrets.Environment(lookup)
		if cfg.SecretsDir != "" {
			source = secrets.First(source, secrets.Directory(os.DirFS(cfg.SecretsDir)))
		}
		o.Secrets = secrets.New(source, cfg.Secrets)
	}
	if o.Routes == nil {
		o.Routes = generatedRoutes
	}
	if o.OpenAPI == nil {
		o.OpenAPI = generatedOpenAPI
	}
	a := &App{cfg: cfg, log: o.Logger, access: access, lines: written, now: o.Now, usage: newUsage(o.Now),
		origins: map[string]bool{}, openapi: newText(o.OpenAPI), traffic: newTraffic(), stop: make(chan struct{}), leaving: make(chan struct{}),
		health: cache.NewLocal[struct{}, health](cache.LocalConfig{Size: 1, Now: o.Now})}
	if a.table, err = parseTable(o.Routes); err != nil {
		return nil, err
	}
	if err := a.upstreamsFor(o); err != nil {
		return nil, err
	}
	if a.redis, err = cache.Open(cfg.Cache); err != nil {
		return nil, err
	}
	if o.Keys == nil {
		at := *a.upstreams.address("auth")
		at.Path = "/.well-known/jwks.json"
		o.Keys = identity.NewRemoteKeys(at.String(), a.upstreams.rt)
	}
	for _, origin := range cfg.Origins {
		a.origins[origin] = true
	}
	memory := ratelimit.NewMemory(cfg.Limits.Buckets, o.Now)
	a.verifier = identity.NewVerifier(cfg.Identity, o.Keys)
	a.hosts = newHosts(cfg, memory, a.upstreams.host)
	a.admission = newAdmission(cfg.Limits, a.redis, memory, a.upstreams, o.Now)
	if a.tarpit, err = newTarpit(cfg.Limits, a.traffic, a.leaving, o.Now); err != nil {
		return nil, err
	}
	a.redis.OnChange(a.redisChanged)
	a.yaml = sync.OnceValues(func() (text, error) { return toYAML(a.openapi.data) })
	a.documents = a.ownDocuments()
	a.Handler = http.HandlerFunc(a.serve)
	if a.telemetry = o.Telemetry; a.telemetry.On() {
		a.Handler = traced(a.telemetry, a.Handler)
	}
	if at := cfg.Nudge.URL; o.Nudge == nil && at != nil {
		o.Nudge = func(ctx context.Context) error { return a.upstreams.relay(ctx, at) }
	}
	a.nudge = newNudger(cfg.Timeouts.Nudge, a.log, o.Nudge)
	a.running.Go(a.beat)
	a.running.Go(a.writeLines)
	return a, nil
}

func (a *App) upstreamsFor(o Options) error {
	if o.Transport == nil {
		o.Transport = newTransport(a.cfg.Timeouts)
		for _, function := range a.table.functions() {
			if a.cfg.Upstreams[function] == nil {
				return config.Invalid("UPSTREAMS", "has no address for "+function)
			}
		}
	}
	if o.Wrap != nil {
		o.Transport = o.Wrap(o.Transport)
	}
	if o.Telemetry.On() {
		o.Transport = o.Telemetry.Transport(o.Transport, "function")
	}
	a.upstreams = &upstreams{rt: o.Transport, addresses: a.cfg.Upstreams, timeouts: a.cfg.Timeouts, log: a.log,
		sign:     hop.New(secrets.Parse(o.Secrets, secrets.HopKey, secrets.ParseRing)),
		circuits: map[string]*gobreaker.TwoStepCircuitBreaker[struct{}]{}}
	return nil
}

func (a *App) redisChanged(up bool) {
	if up {
		a.admission.distrust.Store(a.now().Add(liveLife).UnixNano())
		a.log.Info("redis answers again")
		return
	}
	a.log.Warn("redis does not answer: limits hold in this process, sessions are asked of auth")
}

// Server is an http.Server for the router, with its limits on every side.
func (a *App) Server() *http.Server {
	t := a.cfg.Timeouts
	return &http.Server{
		Handler:           a.Handler,
		ReadHeaderTimeout: t.Header,
		ReadTimeout:       t.Header + t.Body,
		// The handler's own limit answers with a problem; this one is for
		// clients that do not read.
		WriteTimeout: t.Header + t.Total + 5*time.Second,
		IdleTimeout:  t.Idle,
		// Above what the handler takes, so that it can refuse in words.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// Unready makes health checks fail from now on, while everything is still
// served: balancers look elsewhere before anybody is refused.
func (a *App) Unready() {
	a.draining.Store(true)
	a.leave.Do(func() { close(a.leaving) })
}

// Drain makes the router unready at once, waits until requests in flight have
// been answered or ctx ends, and writes the usage down. Requests that still
// come are served.
func (a *App) Drain(ctx context.Context) error {
	a.Unready()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var late error
	for a.traffic.all.Load() > 0 && late == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			late = ctx.Err()
		}
	}
	a.admission.leases.Close()
	return errors.Join(late, a.settle(context.WithoutCancel(ctx)))
}

// Close ends the router: what is counted is written down, connections are
// closed. Drain first.
func (a *App) Close() error {
	var err error
	a.stopping.Do(func() {
		close(a.stop)
		a.running.Wait()
		_ = a.lines.flush()
		a.nudge.close()
		a.admission.leases.Close()
		err = errors.Join(a.settle(context.Background()), a.redis.Close())
		if t, ok := a.upstreams.rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	})
	return err
}
