package tasks

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
	ID: "restore-task", Method: http.MethodPost, Path: "/api/v1/tasks/{id}/restore/", Tag: "Tasks",
	Summary:     "Restore a deleted task",
	Description: "Brings back what its deletion took, and nothing that was deleted before.",
	Permission:  identity.TasksWrite,
	Errors:      []errs.Error{*errNotYours, *errProjectDeleted, *errProjectArchived, *errNotDeleted}, ResponseExample: example,
}

type restoreInput struct {
	api.ByID
}

func (s *service) restore(ctx context.Context, by identity.Caller, in *restoreInput) (*api.Item[Task], error) {
	var restored *db.Row[row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		t, err := lockTask(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		switch {
		case !mayDelete(by, t):
			return errNotYours
		case t.projectDeleted:
			return errProjectDeleted
		case t.projectStatus == projectArchived:
			return errProjectArchived
		case t.DeletedAt == nil:
			return errNotDeleted
		}
		restoreTask(tx, in.ID, *t.deletionID)
		countTasks(tx, t.ProjectID, in.ID, tally{}.add(t.Status, 1))
		restored = getTask(tx, in.ID)
		tx.Record(activity.Restored("Task", in.ID, activity.Changes{"deleted": {Old: true, New: false}}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	t, err := restored.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(t.version, t.Task), nil
}
