package jobs

import (
	"context"
	"errors"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/serve"
)

// settings is what this function is told beyond what all are.
type settings struct{ Objects blob.Config }

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	cfg, err := config.Load[settings](lookup)
	if err != nil {
		return nil, err
	}
	objects, err := blob.Open(cfg.Objects)
	if err != nil {
		return nil, err
	}
	base, err := function.Open(lookup, "jobs")
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, objects: objects}
	app := base.App(s.operations()...)
	closeBase := app.Close
	app.Close = func(ctx context.Context) error { return errors.Join(closeBase(ctx), objects.Close()) }
	return app, nil
}
