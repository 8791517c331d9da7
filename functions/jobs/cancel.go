package jobs

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/job"
)

var cancelSpec = api.Spec{
	ID: "cancel-job", Method: http.MethodPost, Path: "/api/v1/jobs/{id}/cancel/", Tag: "Jobs",
	Summary:     "Cancel a job",
	Description: "It is canceled at once and never succeeds any more; work that is under way ends within seconds, and what it made is deleted.",
	Permission:  identity.Member, Essential: true,
	Errors: []errs.Error{*job.ErrFinished}, ResponseExample: canceledExample(),
}

func canceledExample() job.Job {
	j := job.Example()
	j.Status, j.Progress, j.Result = job.Canceled, 40, nil
	return j
}

type cancelInput struct {
	api.ByID
}

func (s *service) cancel(ctx context.Context, by identity.Caller, in *cancelInput) (*api.Item[job.Job], error) {
	var canceled *db.Row[job.Row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		was, err := job.Lock(tx, in.ID, onlyOf(by)).Await(ctx)
		if err != nil {
			return err
		}
		if was.FinishedAt != nil {
			return job.ErrFinished
		}
		canceled = job.Cancel(tx, was)
		return nil
	})
	if err != nil {
		return nil, err
	}
	j, err := canceled.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(j.Version, j.Job), nil
}
