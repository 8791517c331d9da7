package attachments

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
)

// downloadFor is how long the link to a file holds.
const downloadFor = 15 * time.Minute

var getSpec = api.Spec{
	ID: "get-attachment", Method: http.MethodGet, Path: "/api/v1/attachments/{id}/", Tag: "Attachments",
	Summary:     "Get an attachment",
	Description: "With a link to its file that holds for 15 minutes. The file is always saved, never shown by the browser.",
	Permission:  identity.TasksRead, Sealed: true, // the link is as good as a token
	ResponseExample: Downloadable{
		Attachment: readyExample(), DownloadURL: new("https://storage.example.com/objects/listing?signature=Vv2a"),
		DownloadExpiresAt: new(readyExample().CreatedAt.Add(downloadFor)),
	},
}

type getInput struct {
	api.ByID
}

func (s *service) get(ctx context.Context, by identity.Caller, in *getInput) (*api.Item[Downloadable], error) {
	a, err := s.read(ctx, by, in)
	if err != nil {
		return nil, err
	}
	out := Downloadable{Attachment: a.Attachment}
	if a.Status == statusReady {
		link, err := s.objects.DownloadURL(ctx, a.objectKey, blob.Download{Filename: a.Filename, ContentType: a.ContentType, For: downloadFor})
		if err != nil {
			return nil, err
		}
		out.DownloadURL, out.DownloadExpiresAt = &link.URL, &link.ExpiresAt
	}
	return api.NewItem(a.version, out), nil
}

// read reads an attachment that is not deleted.
func (s *service) read(ctx context.Context, by identity.Caller, in *getInput) (row, error) {
	var found *db.Row[row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getAttachment(tx, in.ID)
		return nil
	})
	if err != nil {
		return row{}, err
	}
	return withTask(found.Value())
}
