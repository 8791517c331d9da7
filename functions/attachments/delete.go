package attachments

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

var deleteSpec = api.Spec{
	ID: "delete-attachment", Method: http.MethodDelete, Path: "/api/v1/attachments/{id}/", Tag: "Attachments",
	Summary: "Delete an attachment", Description: "One's own, or any as an administrator. Its bytes are free at once; the file is erased after 30 days.",
	Permission: identity.TasksWrite, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotYours, *errProjectArchived},
}

type deleteInput struct {
	api.ByID
	api.IfMatch
}

func (s *service) delete(ctx context.Context, by identity.Caller, in *deleteInput) (*api.Empty, error) {
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		a, err := withTask(lockAttachment(tx, in.ID).Await(ctx))
		if err != nil {
			return err
		}
		if !by.MayOn(identity.ProjectsDelete, identity.TasksWrite, a.UploadedBy.ID) {
			return errNotYours
		}
		if err := in.IfMatch.Check(a.version); err != nil {
			return err
		}
		if a.projectStatus == projectArchived {
			return errProjectArchived
		}
		deletion := ids.New()
		deleteAttachment(tx, in.ID, deletion)
		if a.Status == statusReady {
			countStorage(tx, deletion, -a.Size)
		}
		tx.Record(activity.Deleted("Attachment", in.ID, activity.Changes{
			"filename": {Old: a.Filename, New: nil}, "size": {Old: a.Size, New: nil},
		}))
		return nil
	})
	return &api.Empty{}, err
}
