package tasks

import (
	"context"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/listcache"
	"github.com/coditect/platform/shared/serve"
)

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	base, err := function.Open(lookup, "tasks")
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, lists: listcache.New(base.Cache, base.Log)}
	return base.App(s.operations()...), nil
}
