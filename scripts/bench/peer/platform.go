package peer

import (
	"context"
	"fmt"
	"net"

	"github.com/coditect/platform/functions/auth"
	"github.com/coditect/platform/functions/projects"
	"github.com/coditect/platform/functions/tasks"
	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/functions/users"
	"github.com/coditect/platform/router"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/serve/gcp"
)

// functions are those that the benchmark's lines go through.
var functions = map[string]serve.Open{
	"auth": auth.Open, "projects": projects.Open, "tasks": tasks.Open, "tenants": tenants.Open, "users": users.Open,
}

// runFunction serves a function as its own main does.
func runFunction(ctx context.Context, _ settings, name string) error {
	open := functions[name]
	if open == nil {
		return fmt.Errorf("there is no function %q here", name)
	}
	cfg, err := config.Load[gcp.Config](config.Environ)
	if err != nil {
		return err
	}
	return gcp.Serve(ctx, cfg, serve.New(open, config.Environ))
}

// runRouter serves the router as its own main does.
func runRouter(ctx context.Context, set settings, _ string) error {
	app, err := router.Open(ctx, config.Environ, router.Options{})
	if err != nil {
		return err
	}
	defer app.Close()                                  //nolint:errcheck // The process ends.
	l, err := net.Listen("tcp", "127.0.0.1:"+set.Port) //nolint:noctx // closed by Shutdown
	if err != nil {
		return err
	}
	return serveOn(ctx, l, app.Server())
}
