package tasks

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
	ID: "delete-task", Method: http.MethodDelete, Path: "/api/v1/tasks/{id}/", Tag: "Tasks",
	Summary:     "Delete a task",
	Description: "Takes its comments and attachments with it. Restore brings back exactly those, for 30 days.",
	Permission:  identity.TasksWrite, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotYours, *errProjectArchived},
}

type deleteInput struct {
	api.ByID
	api.IfMatch
}

// mayDelete is the rule for deleting and restoring: any with the right, else
// one's own task or one in one's own project.
func mayDelete(by identity.Caller, t row) bool {
	return by.MayOn(identity.TasksDelete, identity.TasksWrite, t.CreatedBy, t.projectOwner, t.projectCreator)
}

func (s *service) delete(ctx context.Context, by identity.Caller, in *deleteInput) (*api.Empty, error) {
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		t, err := lockTask(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if t.DeletedAt != nil {
			return errs.ErrNotFound
		}
		if !mayDelete(by, t) {
			return errNotYours
		}
		if err := in.IfMatch.Check(t.version); err != nil {
			return err
		}
		if t.projectStatus == projectArchived {
			return errProjectArchived
		}
		deleteTask(tx, in.ID, ids.New())
		countTasks(tx, t.ProjectID, in.ID, tally{}.add(t.Status, -1))
		tx.Record(activity.Deleted("Task", in.ID, activity.Changes{"deleted": {Old: false, New: true}}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	return &api.Empty{}, nil
}
