package tenants

import (
	"context"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/function"
	"github.com/coditect/platform/shared/serve"
)

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) {
	base, err := function.Open(lookup, "tenants")
	if err != nil {
		return nil, err
	}
	s := &service{db: base.DB, access: base.Access}
	return base.App(s.operations()...), nil
}
