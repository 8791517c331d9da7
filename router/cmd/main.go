// Command router serves the edge. `router check` asks the one that is running here
// whether it can serve.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coditect/platform/router"
	"github.com/coditect/platform/router/gcp"
	"github.com/coditect/platform/shared/config"
	_ "github.com/coditect/platform/shared/prefault"
	"github.com/coditect/platform/shared/telemetry"
)

// settings are the process's own, beside the router's.
type settings struct {
	Host string `env:"HOST"`
	Port string `env:"PORT" envDefault:"8080"`
	// Notice is how long the router says that it is not ready before it stops
	// taking connections, for balancers that poll.
	Notice time.Duration `env:"DRAIN_NOTICE" envDefault:"0s"`
	// Patience is how long requests in flight may take after the signal. Cloud
	// Run kills after 10 s.
	Patience time.Duration `env:"DRAIN_TIMEOUT" envDefault:"9s"`

	Traces telemetry.Config
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], config.Environ); err != nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		os.Exit(1)
	}
}

// command serves, whatever else stands there: a supervisor may mark the processes
// that are its own.
func command(ctx context.Context, args []string, lookup config.Lookup) error {
	if len(args) == 1 && args[0] == "check" {
		return check(ctx, lookup)
	}
	return run(ctx, lookup)
}

func run(ctx context.Context, lookup config.Lookup) error {
	set, err := config.Load[settings](lookup)
	if err != nil {
		return err
	}
	var o router.Options
	if gcp.OnCloudRun(lookup) {
		o.Wrap = func(base http.RoundTripper) http.RoundTripper { return gcp.Transport(base, gcp.Metadata) }
	}
	if o.Telemetry, err = openTelemetry(ctx, set.Traces); err != nil {
		return err
	}
	defer func() { _ = o.Telemetry.Shutdown(context.Background()) }()
	app, err := router.Open(ctx, lookup, o)
	if err != nil {
		return err
	}
	defer func() { _ = app.Close() }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(set.Host, set.Port))
	if err != nil {
		return err
	}
	server, ended := app.Server(), make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	return shutDown(app, server, set)
}

// shutDown says "not ready" first, stops listening then, and waits for what is
// under way.
func shutDown(app *router.App, server *http.Server, set settings) error {
	ctx, cancel := context.WithTimeout(context.Background(), set.Notice+set.Patience)
	defer cancel()
	app.Unready()
	if set.Notice > 0 {
		notice := time.NewTimer(set.Notice)
		defer notice.Stop()
		<-notice.C
	}
	err := server.Shutdown(ctx)
	return errors.Join(err, app.Drain(ctx), app.Close())
}
