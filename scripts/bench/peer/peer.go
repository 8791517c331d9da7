// Package peer holds the programs that the platform is measured beside, and
// variants of the platform's own that can be profiled. Each is a role of the
// benchmark's binary, started as a process of its own by its name:
//
//	floor     what an operation costs with nothing but net/http, a cached check
//	          of the token, the product's statements and encoding/json
//	proxy     httputil.ReverseProxy, and nothing else
//	checked   the same with a cached check of the token and one trip to Redis
//	backend   1 KB of JSON
//	function  a function of the platform by its name, with net/http/pprof
//	router    the router, with net/http/pprof
//	queue     Cloud Tasks' stand-in
//	relay     the outbox relay, for the benchmark's own kind of job
//	worker    a job function whose work is one row
//
// A new role is a line in roles and a file.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"
)

// Word is the first argument of a process that plays a role; the second names
// the role.
const Word = "peer"

type settings struct {
	Port       string `env:"PORT"`
	Profile    string `env:"BENCH_PPROF"`     // port of net/http/pprof on loopback, if any
	Upstream   string `env:"BENCH_UPSTREAM"`  // of a proxy: host:port
	Statements string `env:"BENCH_EXCHANGES"` // of the floor: a file with the operations' exchanges
	Database   string `env:"DATABASE_URL"`
	Conns      int32  `env:"BENCH_CONNS"`
	Redis      string `env:"REDIS_URL"`
	JWKS       string `env:"JWKS_URL"`
}

type role func(ctx context.Context, set settings, name string) error

var roles = map[string]role{
	"floor": runFloor, "proxy": runProxy, "checked": runChecked, "backend": runBackend,
	"function": runFunction, "router": runRouter,
	"queue": runQueue, "relay": runRelay, "worker": runWorker,
}

// Main plays the role that the arguments of the process name, until it is told
// to stop, and reports whether they name one.
func Main(args []string) (code int, played bool) {
	if len(args) < 3 || args[1] != Word || roles[args[2]] == nil {
		return 0, false
	}
	name := ""
	if len(args) > 3 {
		name = args[3]
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	set, err := env.ParseAs[settings]()
	if err == nil && set.Profile != "" {
		err = profile(set.Profile)
	}
	if err == nil {
		err = roles[args[2]](ctx, set, name)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", args[2], err)
		return 1, true
	}
	return 0, true
}

// profile serves net/http/pprof, which no binary of the product has, on
// loopback.
func profile(port string) error {
	l, err := net.Listen("tcp", "127.0.0.1:"+port) //nolint:noctx // ends with the process
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	go http.Serve(l, mux) //nolint:errcheck // ends with the process
	return nil
}

// listen serves h on the process's port.
func listen(ctx context.Context, set settings, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:"+set.Port) //nolint:noctx // closed by Shutdown
	if err != nil {
		return err
	}
	return serveOn(ctx, l, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second})
}

func serveOn(ctx context.Context, l net.Listener, s *http.Server) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(patience); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
