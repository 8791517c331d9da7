package projects

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
)

var getSpec = api.Spec{
	ID: "get-project", Method: http.MethodGet, Path: "/api/v1/projects/{id}/", Tag: "Projects",
	Summary:    "Get a project",
	Permission: identity.ProjectsRead, ResponseExample: example,
}

type getInput struct {
	api.ByID
}

func (s *service) get(ctx context.Context, by identity.Caller, in *getInput) (*api.Item[Project], error) {
	var found *db.Row[row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getProject(tx, in.ID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(p.version, p.Project), nil
}
