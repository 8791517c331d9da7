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

var deleteSpec = api.Spec{
	ID: "delete-project", Method: http.MethodDelete, Path: "/api/v1/projects/{id}/", Tag: "Projects",
	Summary:     "Delete a project",
	Description: "Takes its tasks, their comments and attachments with it. Restore brings back exactly those, for 30 days.",
	Permission:  identity.ProjectsWrite, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotYours},
}

type deleteInput struct {
	api.ByID
	api.IfMatch
}

func (s *service) delete(ctx context.Context, by identity.Caller, in *deleteInput) (*api.Empty, error) {
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		p, err := lockProject(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if !by.MayOn(identity.ProjectsDelete, identity.ProjectsWrite, p.Owner.ID, p.createdBy) {
			return errNotYours
		}
		if err := in.IfMatch.Check(p.version); err != nil {
			return err
		}
		deleteProject(tx, in.ID, ids.New())
		tx.Record(activity.Deleted("Project", in.ID, activity.Changes{
			"status": {Old: p.Status, New: statusDeleted},
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	return &api.Empty{}, nil
}
