// Package gcp serves a function over HTTP, as Cloud Run and a laptop want it:
// on one port, until SIGTERM, and then to the end of what is in flight.
//
// The functions framework's own Start is a bare ListenAndServe without time
// limits or an end, so the server is ours; the framework still hosts what
// Google's buildpack builds.
package gcp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coditect/platform/shared/config"
)

// Config says where to listen.
type Config struct {
	// Host is empty for every interface, which containers need.
	Host string `env:"HOST"`
	Port int    `env:"PORT" envDefault:"8080"`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	if c.Port < 0 || c.Port > 65535 {
		return config.Invalid("PORT", "must be from 0 to 65535")
	}
	return nil
}

// App is what is served, and closed at the end.
type App interface {
	http.Handler
	Close(ctx context.Context) error
}

// drain is how long requests in flight may take after SIGTERM. Cloud Run kills
// the container after ten seconds; one is for closing connections.
const drain = 9 * time.Second

// Serve listens and serves until ctx ends, then lets requests in flight finish
// and closes the app.
func Serve(ctx context.Context, cfg Config, app App) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return err
	}
	return ServeListener(ctx, listener, app)
}

// ServeListener is Serve on a listener that is open already.
func ServeListener(ctx context.Context, listener net.Listener, app App) error {
	server := &http.Server{
		Handler: app,
		// A slow head is cut off; bodies have a limit of their own in the
		// chain, and an idle connection must outlast the load balancer's.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       620 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, app.Close(context.WithoutCancel(ctx)))
	case <-ctx.Done():
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	err := server.Shutdown(end)
	if err != nil {
		err = errors.Join(err, server.Close()) // what did not finish is cut, not leaked
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, app.Close(last))
}
