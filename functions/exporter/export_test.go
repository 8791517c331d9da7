package exporter

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

// Kinds names the files.
func Kinds() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// OpenWith opens the function with the kinds it consumes and no others.
// reached is told of each step.
func OpenWith(reached func(string) error) serve.Open {
	return func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		registry, err := queue.NewRegistry([]queue.Route{queue.ExportTenant.Route}, []queue.Consumer{{
			Name: "exporter", Queue: "exports", MaxAttempts: 4, MinBackoff: time.Second, MaxBackoff: time.Minute, MaxAge: 24 * time.Hour, Rate: 1, Concurrency: 1,
		}})
		if err != nil {
			return nil, err
		}
		return open(lookup, reached, worker.WithRegistry(registry))
	}
}
