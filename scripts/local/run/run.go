// Package run is `make run`: the database, stand-ins of the cloud's services,
// every function and the router in one process, until it is told to stop.
//
// What the functions and the router are is not decided here but by a Compose;
// what they need is in the environment that it gets, exactly as in the cloud.
// To embed another part, start it in parts.go, add its address to that
// environment and to the table.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
	"github.com/coditect/platform/shared/config"
)

// Platform is the composed product.
type Platform struct {
	Handler http.Handler
	// Drain stops taking work, finishes what is under way and flushes.
	Drain func(context.Context) error
	// Transport leads to functions, and Address tells where each is: what queues
	// and schedules call. Without them none does.
	Transport http.RoundTripper
	Address   func(function string) string
}

// Compose opens all functions behind a router.
type Compose func(ctx context.Context, lookup config.Lookup) (*Platform, error)

// Options say how to run.
type Options struct {
	Home    state.Home
	Tools   tools.Finder
	Lookup  config.Lookup
	Compose Compose
	// Functions are the deployables: the queues, subscriptions and schedules of
	// functions.json are made for them.
	Functions []deployables.Function
	Out       io.Writer // for a person
}

const (
	healthLimit = 30 * time.Second // from composed to healthy
	drainLimit  = 20 * time.Second // for requests under way at the end
)

// Run brings everything up, serves until ctx ends and takes everything down.
// It fails with a sentence for a person when a part cannot start.
func Run(ctx context.Context, o Options) (err error) {
	cfg, err := config.Load[Config](o.Lookup)
	if err != nil {
		return err
	}
	lock, err := o.Home.Lock("run")
	if errors.Is(err, state.ErrLocked) {
		return fmt.Errorf("%w: stop that run first, or set CODITECT_HOME (and PORT) for a second platform", err)
	}
	if err != nil {
		return err
	}
	defer lock.Release()

	// Before the database, so that a taken port costs no time. Requests that
	// arrive early wait for the router.
	listener, err := listen(ctx, cfg.Port)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // The server closed it, unless we never got there.

	p := &parts{Options: o, cfg: cfg, env: map[string]string{}}
	defer func() { err = errors.Join(err, p.stop(context.WithoutCancel(ctx))) }()
	if err := p.start(ctx); err != nil {
		return interrupted(ctx, err)
	}
	if err := p.announce(portOf(listener)); err != nil {
		return err
	}
	platform, err := o.Compose(ctx, p.lookup)
	if err != nil {
		return interrupted(ctx, fmt.Errorf("open the functions and the router: %w", err))
	}
	if platform.Address != nil && p.cloud != nil {
		if err := p.cloud.Connect(ctx, platform.Transport, platform.Address); err != nil {
			return errors.Join(fmt.Errorf("make the queues: %w", err), platform.Drain(context.WithoutCancel(ctx)))
		}
	}
	return serve(ctx, o.Out, listener, platform, p)
}

// interrupted drops the error of a start that a person broke off.
func interrupted(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d is taken by another program: stop it, or choose another one, as in PORT=%d make run", port, port+1)
	}
	if err != nil {
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	return l, nil
}

func portOf(l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return ""
	}
	return port
}

func serve(ctx context.Context, out io.Writer, listener net.Listener, platform *Platform, p *parts) error {
	server := &http.Server{
		Handler:           p.front(platform),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      90 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	address := "http://" + listener.Addr().String()
	err := healthy(ctx, address)
	if err == nil {
		p.table(address)
		fmt.Fprintln(out, "ready")
		watching, stop := context.WithCancel(ctx)
		watched := make(chan struct{})
		go func() { defer close(watched); p.watch(watching) }()
		schedules := p.schedules(watching, platform)
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, "stopping")
		case err = <-served:
			served <- err
		}
		stop()
		<-watched
		schedules.Wait()
	}
	// Also after a failed start: the functions hold connections.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	defer cancel()
	stopped := server.Shutdown(drain)
	if errors.Is(stopped, context.DeadlineExceeded) {
		stopped = server.Close()
	}
	stopped = errors.Join(stopped, platform.Drain(drain))
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		stopped = errors.Join(stopped, ended)
	}
	return errors.Join(interrupted(ctx, err), stopped)
}

// healthy waits for GET /health/ to answer 200.
func healthy(ctx context.Context, address string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	last := errors.New("no answer yet")
	err := process.Poll(ctx, healthLimit, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/health/", http.NoBody)
		if err != nil {
			last = err
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			last = err
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		last = fmt.Errorf("%s: %s", resp.Status, body)
		return err == nil && resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return fmt.Errorf("the platform did not become healthy: %w (last answer of /health/: %w)", err, last)
	}
	return nil
}
