package jobs

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
)

// linkFor is how long the link to a result holds.
const linkFor = 15 * time.Minute

var getSpec = api.Spec{
	ID: "get-job", Method: http.MethodGet, Path: "/api/v1/jobs/{id}/", Tag: "Jobs",
	Summary:     "Get a job",
	Description: "Of a job that has succeeded, `result.download_url` is a link to its file that holds for 15 minutes. Files are kept for seven days. Others' jobs are there only for those who may export the organization.",
	Permission:  identity.Member, Essential: true, ResponseExample: job.Example(),
	Sealed: true, // a link is as good as a token
}

type getInput struct {
	api.ByID
}

func (s *service) get(ctx context.Context, by identity.Caller, in *getInput) (*api.Item[job.Job], error) {
	var found *db.Row[job.Row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = job.Get(tx, in.ID, onlyOf(by))
		return nil
	})
	if err != nil {
		return nil, err
	}
	j, err := found.Value()
	if err != nil {
		return nil, err
	}
	if err := s.link(ctx, &j); err != nil {
		return nil, err
	}
	return api.NewItem(j.Version, j.Job), nil
}

// onlyOf names whose jobs the caller sees: nil is everybody's.
func onlyOf(by identity.Caller) *ids.ID {
	if by.May(identity.ExportsCreate) {
		return nil
	}
	return &by.UserID
}

// link gives a job that has a file a link to it.
func (s *service) link(ctx context.Context, j *job.Row) error {
	if !j.Available(time.Now()) {
		return nil
	}
	l, err := s.objects.DownloadURL(ctx, j.File.ObjectKey, blob.Download{
		Filename: j.File.Filename, ContentType: j.File.ContentType, For: min(linkFor, time.Until(*j.ExpiresAt)),
	})
	if err != nil {
		return err
	}
	j.Result = &job.Result{
		DownloadURL: l.URL, ExpiresAt: l.ExpiresAt, Bytes: j.File.Bytes, Rows: j.File.Rows, Filename: j.File.Filename, AvailableUntil: *j.ExpiresAt,
	}
	return nil
}
