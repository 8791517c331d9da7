package attachments

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/blob/key"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// uploadFor is how long an upload may be begun.
const uploadFor = time.Hour

var createSpec = api.Spec{
	ID: "create-attachment", Method: http.MethodPost, Path: "/api/v1/tasks/{id}/attachments/", Tag: "Attachments",
	Summary:     "Begin to attach a file",
	Description: "Answers with a link of the object storage that takes the file, of exactly this size and type, within an hour. Write it there with `upload.method` and `upload.headers`, then complete the attachment. One that nobody completes within two days is deleted.",
	Permission:  identity.TasksWrite, Status: http.StatusCreated,
	Sealed: true, // the link is as good as a token
	Errors: []errs.Error{*errProjectArchived, *errPlanLimit},

	RequestExample: createBody{Filename: "listing.pdf", Size: 482133, ContentType: "application/pdf"},
	ResponseExample: Started{pendingExample(), Upload{
		Method: http.MethodPut, URL: "https://storage.example.com/objects/listing?signature=Vv2a",
		Headers:   map[string]string{"Content-Type": "application/pdf"},
		ExpiresAt: pendingExample().CreatedAt.Add(uploadFor),
	}},
}

type createBody struct {
	Filename    string `json:"filename" minLength:"1" maxLength:"255" doc:"Its name. Folders before it and invisible characters in it are left out."`
	Size        int64  `json:"size" minimum:"1" doc:"Its bytes, exactly; at most 5 GiB, and what is left of the plan's storage."`
	ContentType string `json:"content_type" minLength:"3" maxLength:"255" doc:"Its media type (RFC 6838), exactly as it will be sent."`
}

type createInput struct {
	api.ByID
	Body createBody
}

// attachment is a new one as the body describes it.
func (b createBody) attachment(task ids.ID, maxSize int64) (Attachment, error) {
	var faults []errs.Field
	fault := func(field, message string) {
		faults = append(faults, errs.Field{Location: "body." + field, Message: message})
	}
	name, ok := cleanName(b.Filename)
	if !ok {
		fault("filename", "must name a file")
	}
	kind, ok := cleanType(b.ContentType)
	if !ok {
		fault("content_type", "must be a media type such as application/pdf")
	}
	if b.Size > maxSize {
		fault("size", fmt.Sprintf("must be at most %d bytes", maxSize))
	}
	return Attachment{ID: ids.New(), TaskID: task, Filename: name, Size: b.Size, ContentType: kind}, errs.InvalidFields(faults...)
}

func (s *service) create(ctx context.Context, by identity.Caller, in *createInput) (*api.Item[Started], error) {
	a, err := in.Body.attachment(in.ID, s.maxSize)
	if err != nil {
		return nil, err
	}
	object := key.Of(by.TenantID, "attachments", a.ID.String())
	// Before the row: a storage that is down leaves nothing behind.
	link, err := s.objects.UploadURL(ctx, object, blob.Upload{ContentType: a.ContentType, Size: a.Size, For: uploadFor})
	if err != nil {
		return nil, err
	}
	var made *db.Row[row]
	err = db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		requireOpenTask(tx, in.ID)
		requireRoom(tx, a.Size)
		made = insertAttachment(tx, a, object)
		tx.Record(activity.Created("Attachment", a.ID, map[string]any{
			"task_id": in.ID.String(), "filename": a.Filename, "size": a.Size, "content_type": a.ContentType,
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	stored, err := made.Value()
	if err != nil {
		return nil, err
	}
	return api.Created("/api/v1/attachments/"+a.ID.String()+"/", stored.version, Started{
		stored.Attachment, Upload{Method: link.Method, URL: link.URL, Headers: link.Headers, ExpiresAt: link.ExpiresAt},
	}), nil
}
