package projects

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/listcache"
)

var createSpec = api.Spec{
	ID: "create-project", Method: http.MethodPost, Path: "/api/v1/projects/", Tag: "Projects",
	Summary:     "Create a project",
	Description: "The caller becomes its owner.",
	Permission:  identity.ProjectsWrite, Status: http.StatusCreated,
	Errors:          []errs.Error{*errPlanLimit},
	RequestExample:  createBody{Name: "Apollo", Description: "Land on the moon."},
	ResponseExample: example,
}

type createBody struct {
	Name        string `json:"name" minLength:"1" maxLength:"255" doc:"What it is called."`
	Description string `json:"description,omitempty" maxLength:"50000" doc:"What it is for."`
}

type createInput struct {
	Body createBody
}

func (s *service) create(ctx context.Context, by identity.Caller, in *createInput) (*api.Item[Project], error) {
	id := ids.New()
	var made *db.Row[row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		lockPlan(tx)
		requireRoom(tx)
		insertProject(tx, id, in.Body.Name, in.Body.Description)
		made = getProject(tx, id)
		tx.Record(activity.Created("Project", id, map[string]any{
			"name": in.Body.Name, "description": in.Body.Description, "status": statusActive,
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	p, err := made.Value()
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "internal", "The project was created but could not be read.")
	}
	return api.Created("/api/v1/projects/"+id.String()+"/", p.version, p.Project), nil
}
