package projects

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/listcache"
)

var restoreSpec = api.Spec{
	ID: "restore-project", Method: http.MethodPost, Path: "/api/v1/projects/{id}/restore/", Tag: "Projects",
	Summary:     "Restore a deleted project",
	Description: "Brings back what its deletion took, and nothing that was deleted before. An active project counts against the plan's limit again.",
	Permission:  identity.ProjectsWrite,
	Errors:      []errs.Error{*errNotYours, *errNotDeleted, *errPlanLimit}, ResponseExample: example,
}

type restoreInput struct {
	api.ByID
}

func (s *service) restore(ctx context.Context, by identity.Caller, in *restoreInput) (*api.Item[Project], error) {
	var restored *db.Row[row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		lockPlan(tx)
		p, err := lockDeleted(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if !by.MayOn(identity.ProjectsDelete, identity.ProjectsWrite, p.Owner.ID, p.createdBy) {
			return errNotYours
		}
		if p.DeletedAt == nil {
			return errNotDeleted
		}
		if !p.archived {
			requireRoom(tx)
		}
		restoreProject(tx, in.ID, *p.deletionID)
		restored = getProject(tx, in.ID)
		status := statusActive
		if p.archived {
			status = statusArchived
		}
		tx.Record(activity.Restored("Project", in.ID, activity.Changes{
			"status": {Old: statusDeleted, New: status},
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	p, err := restored.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(p.version, p.Project), nil
}
