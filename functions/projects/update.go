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

var replaceSpec = api.Spec{
	ID: "replace-project", Method: http.MethodPut, Path: "/api/v1/projects/{id}/", Tag: "Projects",
	Summary:     "Replace a project",
	Description: "What is left out becomes its default. An archived project changes only when it is made active.",
	Permission:  identity.ProjectsWrite,
	Errors:      []errs.Error{*errNotYours, *errArchived, *errPlanLimit},

	RequestExample:  replaceBody{Name: "Apollo", Description: "Land on the moon and return."},
	ResponseExample: example,
}

var updateSpec = api.Spec{
	ID: "update-project", Method: http.MethodPatch, Path: "/api/v1/projects/{id}/", Tag: "Projects",
	Summary:     "Change a project",
	Description: "A JSON merge patch (RFC 7396). An archived project changes only when it is made active.",
	Permission:  identity.ProjectsWrite,
	Errors:      []errs.Error{*errNotYours, *errArchived, *errPlanLimit},

	RequestExample:  map[string]any{"status": statusArchived},
	ResponseExample: example,
}

type replaceBody struct {
	Name        string `json:"name" minLength:"1" maxLength:"255" doc:"What it is called."`
	Description string `json:"description,omitempty" maxLength:"50000" doc:"What it is for."`
	Status      string `json:"status,omitempty" enum:"active,archived" doc:"active when left out."`
}

type replaceInput struct {
	api.ByID
	api.IfMatch
	Body replaceBody
}

type updateBody struct {
	Name        api.Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"255" doc:"What it is called."`
	Description api.Optional[string] `json:"description,omitzero" maxLength:"50000" doc:"What it is for."`
	Status      api.Optional[string] `json:"status,omitzero" enum:"active,archived" doc:"archived makes it read-only."`
}

type updateInput struct {
	api.ByID
	api.IfMatch
	Body updateBody `contentType:"application/merge-patch+json"`
}

func (s *service) replace(ctx context.Context, by identity.Caller, in *replaceInput) (*api.Item[Project], error) {
	return s.change(ctx, by, in.ID, in.IfMatch, in.Body.Status != statusArchived, func(p *Project) {
		p.Name, p.Description, p.Status = in.Body.Name, in.Body.Description, in.Body.Status
		if p.Status == "" {
			p.Status = statusActive
		}
	})
}

func (s *service) update(ctx context.Context, by identity.Caller, in *updateInput) (*api.Item[Project], error) {
	return s.change(ctx, by, in.ID, in.IfMatch, in.Body.Status.Or("") == statusActive, func(p *Project) {
		p.Name = in.Body.Name.Or(p.Name)
		p.Description = in.Body.Description.Or(p.Description)
		p.Status = in.Body.Status.Or(p.Status)
	})
}

// change reads the project under a lock, lets edit change it, and writes it
// with its activity. activates tells that it will be active then: the plan is
// locked before the project, as whoever creates one does.
func (s *service) change(ctx context.Context, by identity.Caller, id ids.ID, match api.IfMatch, activates bool, edit func(*Project)) (*api.Item[Project], error) {
	var after row
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		if activates {
			lockPlan(tx)
		}
		before, err := lockProject(tx, id).Await(ctx)
		if err != nil {
			return err
		}
		if !by.MayOn(identity.ProjectsManage, identity.ProjectsWrite, before.Owner.ID, before.createdBy) {
			return errNotYours
		}
		if err := match.Check(before.version); err != nil {
			return err
		}
		after = before
		edit(&after.Project)
		diff := activity.Diff(before.values(), after.values())
		if len(diff) == 0 {
			tx.Unchanged()
			return nil
		}
		if before.Status == statusArchived && after.Status == statusArchived {
			return errArchived
		}
		if before.Status == statusArchived {
			requireRoom(tx)
		}
		changed := updateProject(tx, after)
		tx.Record(activity.Updated("Project", id, diff))
		tx.OnCommit(func() error {
			v, err := changed.Value()
			after.version, after.UpdatedAt = v.version, v.updatedAt
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	return api.NewItem(after.version, after.Project), nil
}
