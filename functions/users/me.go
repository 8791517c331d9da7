package users

import (
	"context"
	"errors"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
)

var meSpec = api.Spec{
	ID: "get-me", Method: http.MethodGet, Path: "/api/v1/users/me/", Tag: "Users",
	Summary:    "Get one's own profile",
	Permission: identity.SignedIn, OpenWhenSuspended: true,
	ResponseExample: example,
}

type meInput struct{}

func (s *service) me(ctx context.Context, by identity.Caller, _ *meInput) (*api.Item[Profile], error) {
	var found *db.Row[row]
	err := db.ReadUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getProfile(tx, "")
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := found.Value()
	if err != nil {
		return nil, gone(err)
	}
	return s.item(ctx, by, p)
}

// gone makes of an absent person a token that does not hold: one's own profile
// is never a resource that is not there.
func gone(err error) error {
	if errors.Is(err, errs.ErrNotFound) {
		return identity.ErrTokenInvalid.WithCause(err)
	}
	return err
}

// item adds what the person may do in the organization they act in. Who is no
// longer a member of it still sees their own profile.
func (s *service) item(ctx context.Context, by identity.Caller, p row) (*api.Item[Profile], error) {
	p.Permissions = []string{}
	if by.HasTenant() {
		a, err := s.access.Resolve(ctx, by.Principal)
		switch {
		case err == nil:
			p.Role, p.Permissions, p.TenantID = &a.Role, a.Permissions.Strings(), &by.TenantID
		case errors.As(err, new(*errs.Error)) && errs.KindOf(err) == errs.Forbidden:
		default:
			return nil, err
		}
	}
	return api.NewItem(p.version, p.Profile), nil
}
