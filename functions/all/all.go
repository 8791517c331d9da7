// Package all is the one module that imports every function. It mounts them in
// one process for the local runner and the tests, and gives the generator the
// operations that the router's table and the OpenAPI document are made of.
//
// Which functions there are is functions.json's business: all_gen.go is
// generated from it by `make generate`.
package all

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/serve"
)

// opener is one line of the generated list. function is nil for deployables
// that serve no operations.
type opener struct {
	name     string
	open     serve.Open
	function func() api.Function
}

// Functions describes every HTTP function, in the order of functions.json.
func Functions() []api.Function {
	var out []api.Function
	for _, o := range openers {
		if o.function != nil {
			out = append(out, o.function())
		}
	}
	return out
}

// Apps is every function, mounted in this process. Each is served by a server
// of its own over connections in memory, so that what passes between router
// and function is HTTP, as it is when they are deployed.
type Apps struct {
	names     []string
	instances []*serve.Instance
	servers   []*http.Server
	listeners map[string]*pipe
	transport *http.Transport
}

// Open mounts every function. Like a deployed one, each opens with its first
// request; lookup is the environment they read.
func Open(_ context.Context, lookup config.Lookup) (*Apps, error) {
	a := &Apps{listeners: map[string]*pipe{}}
	for _, f := range openers {
		instance := serve.New(f.open, lookup)
		server := &http.Server{
			Handler:           instance,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		}
		l := &pipe{name: f.name, conns: make(chan net.Conn), closed: make(chan struct{})}
		a.names = append(a.names, f.name)
		a.instances, a.servers = append(a.instances, instance), append(a.servers, server)
		a.listeners[f.name] = l
		go server.Serve(l) //nolint:errcheck // it ends with ErrServerClosed, at Close
	}
	a.transport = &http.Transport{
		DialContext:         a.dial,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
	return a, nil
}

// Transport reaches each function under its name as host.
func (a *Apps) Transport() http.RoundTripper { return a.transport }

// Handler gives one function's handler, for tests that call it directly.
func (a *Apps) Handler(name string) http.Handler {
	for i, n := range a.names {
		if n == name {
			return a.instances[i]
		}
	}
	return http.NotFoundHandler()
}

func (a *Apps) dial(ctx context.Context, _, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	l, ok := a.listeners[name]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: errors.New("there is no function " + name)}
	}
	return l.dial(ctx)
}

// Close lets requests finish until ctx ends, and closes every function.
func (a *Apps) Close(ctx context.Context) error {
	var faults []error
	for _, s := range a.servers {
		faults = append(faults, s.Shutdown(ctx))
	}
	for _, i := range a.instances {
		faults = append(faults, i.Close(ctx))
	}
	a.transport.CloseIdleConnections()
	return errors.Join(faults...)
}

// pipe is a listener without a port.
type pipe struct {
	name   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipe) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) Addr() net.Addr { return p }

// Network and String make a pipe its own address.
func (p *pipe) Network() string { return "pipe" }
func (p *pipe) String() string  { return p.name }
