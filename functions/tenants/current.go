package tenants

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
)

var currentSpec = api.Spec{
	ID: "get-current-tenant", Method: http.MethodGet, Path: "/api/v1/tenants/me/", Tag: "Tenants",
	Summary:    "Get the present organization",
	Permission: identity.Member, OpenWhenSuspended: true, Essential: true,
	ResponseExample: example,
}

type currentInput struct{}

func (s *service) current(ctx context.Context, by identity.Caller, _ *currentInput) (*api.Item[Organization], error) {
	var found *db.Row[row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getOrganization(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	o, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(o.version, o.Organization), nil
}
