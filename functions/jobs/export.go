package jobs

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

var exportSpec = api.Spec{
	ID: "create-export", Method: http.MethodPost, Path: "/api/v1/exports/", Tag: "Jobs",
	Summary:     "Export the organization",
	Description: "Everything the organization has, in one archive: docs/exports.md describes the files. Poll the job at `Location`; its person is also told by email. One export at a time.",
	Permission:  identity.ExportsCreate, Essential: true, Status: http.StatusAccepted,
	Errors:         []errs.Error{*job.ErrExportRunning, *job.ErrTooMany},
	RequestExample: exportBody{Format: "json"}, ResponseExample: job.NewExample(job.Export, job.Params{Format: "json"}),
}

type exportBody struct {
	Format string `json:"format" enum:"json,csv" doc:"json says exactly what is stored; csv is for spreadsheets."`
}

type exportInput struct {
	Body exportBody
}

func (s *service) export(ctx context.Context, by identity.Caller, in *exportInput) (*api.Value[job.Job], error) {
	id := ids.New()
	var made *db.Row[job.Row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) (err error) {
		made, err = job.Create(tx, id, job.Export, job.Params{Format: in.Body.Format})
		tx.Enqueue(queue.ExportTenant.Message("", queue.Job{JobID: id}))
		return err
	})
	if err != nil {
		return nil, err
	}
	j, err := made.Value()
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "internal", "The export was begun but could not be read.")
	}
	return api.Accepted("/api/v1/jobs/"+id.String()+"/", j.Job), nil
}
