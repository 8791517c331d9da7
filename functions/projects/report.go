package projects

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/queue"
)

var reportSpec = api.Spec{
	ID: "create-project-report", Method: http.MethodPost, Path: "/api/v1/projects/{id}/report/", Tag: "Projects",
	Summary:     "Report on a project",
	Description: "Its details, all its tasks and how many there are of each status, as a sheet (CSV). Poll the job at `Location`.",
	Permission:  identity.ReportsCreate, Status: http.StatusAccepted,
	Errors:          []errs.Error{*job.ErrTooMany},
	ResponseExample: job.NewExample(job.Report, job.Params{Format: "csv", ProjectID: &example.ID}),
}

type reportInput struct {
	api.ByID
}

func (s *service) report(ctx context.Context, by identity.Caller, in *reportInput) (*api.Value[job.Job], error) {
	id := ids.New()
	var made *db.Row[job.Row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		if _, err := getProject(tx, in.ID).Await(ctx); err != nil {
			return err
		}
		var err error
		made, err = job.Create(tx, id, job.Report, job.Params{Format: "csv", ProjectID: &in.ID})
		tx.Enqueue(queue.ReportProject.Message("", queue.Job{JobID: id}))
		return err
	})
	if err != nil {
		return nil, err
	}
	j, err := made.Value()
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "internal", "The report was begun but could not be read.")
	}
	return api.Accepted("/api/v1/jobs/"+id.String()+"/", j.Job), nil
}
