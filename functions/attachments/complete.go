package attachments

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
)

var completeSpec = api.Spec{
	ID: "complete-attachment", Method: http.MethodPost, Path: "/api/v1/attachments/{id}/complete/", Tag: "Attachments",
	Summary:     "Complete an attachment",
	Description: "Once the file is written. It is checked against the size and type that were named and counts from now on. Completing again changes nothing.",
	Permission:  identity.TasksWrite, ResponseExample: readyExample(),
	Errors: []errs.Error{*errNotYourUpload, *errNotUploaded, *errMismatch, *errPlanLimit, *errProjectArchived},
}

func (s *service) complete(ctx context.Context, by identity.Caller, in *getInput) (*api.Item[Attachment], error) {
	a, err := s.read(ctx, by, in)
	if err != nil {
		return nil, err
	}
	if a.UploadedBy.ID != by.UserID {
		return nil, errNotYourUpload
	}
	if a.Status == statusReady {
		return api.NewItem(a.version, a.Attachment), nil
	}
	if a.projectStatus == projectArchived {
		return nil, errProjectArchived
	}
	// No transaction is open while the storage is asked.
	if err := s.check(ctx, a); err != nil {
		return nil, err
	}
	var done *db.Row[row]
	err = db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) (err error) {
		tx.Explain(broken)
		lockStorage(tx)
		if a, err = withTask(lockAttachment(tx, in.ID).Await(ctx)); err != nil {
			return err
		}
		if a.Status == statusReady { // another request was faster, which is as good
			done = nil
			tx.Unchanged()
			return nil
		}
		if a.projectStatus == projectArchived {
			return errProjectArchived
		}
		requireRoom(tx, a.Size)
		done = completeAttachment(tx, in.ID)
		countStorage(tx, in.ID, a.Size)
		tx.Record(activity.Updated("Attachment", in.ID, activity.Changes{"status": {Old: statusPending, New: statusReady}}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if done != nil {
		if a, err = done.Value(); err != nil {
			return nil, err
		}
	}
	return api.NewItem(a.version, a.Attachment), nil
}

// check compares what lies in the storage with what was signed. Not every
// store binds both: what differs is deleted, so that it neither stays unpaid
// for nor is taken for the file.
func (s *service) check(ctx context.Context, a row) error {
	object, err := s.objects.Stat(ctx, a.objectKey)
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return errNotUploaded.WithCause(err)
	case err != nil:
		return err
	case object.Size == a.Size && sameType(object.ContentType, a.ContentType):
		return nil
	}
	if err := s.objects.Delete(ctx, a.objectKey); err != nil {
		return err
	}
	return errMismatch
}
