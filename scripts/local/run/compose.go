package run

import (
	"context"
	"errors"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/router"
	"github.com/coditect/platform/shared/config"
)

// Whole opens the router and, behind it, every function in this process.
func Whole(ctx context.Context, lookup config.Lookup) (*Platform, error) {
	apps, err := all.Open(ctx, lookup)
	if err != nil {
		return nil, err
	}
	edge, err := router.Open(ctx, told(lookup), router.Options{Transport: apps.Transport()})
	if err != nil {
		return nil, errors.Join(err, apps.Close(ctx))
	}
	return &Platform{
		Handler: edge.Handler,
		Drain: func(ctx context.Context) error {
			return errors.Join(edge.Drain(ctx), edge.Close(), apps.Close(ctx))
		},
		Transport: apps.Transport(),
		Address:   inProcess,
	}, nil
}

// inProcess is where a function is that lives in this process.
func inProcess(name string) string { return "http://" + name }

// told is lookup with the addresses of this process's functions, where the
// person names no others.
func told(lookup config.Lookup) config.Lookup {
	return func(name string) (string, bool) {
		if value, ok := lookup(name); ok || name != "ROUTER_NUDGE_URL" {
			return value, ok
		}
		return inProcess("outboxrelay"), true
	}
}
