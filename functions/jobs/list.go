package jobs

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/page"
)

var listSpec = api.Spec{
	ID: "list-jobs", Method: http.MethodGet, Path: "/api/v1/jobs/", Tag: "Jobs",
	Summary:     "List jobs",
	Description: "One's own; for those who may export the organization, everybody's.",
	Permission:  identity.Member, Essential: true, Sealed: true,
	ResponseExample: api.ListBody[job.Job]{Results: []job.Job{job.Example()}},
}

type listInput struct {
	api.PageInput
	Status string `query:"status" enum:"queued,running,succeeded,failed,canceled" doc:"Only jobs in this state."`
	Kind   string `query:"kind" enum:"report,export" doc:"Only jobs of this kind."`
}

// signers is how many links of a page are made at a time: on Google Cloud each
// is a call.
const signers = 8

func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[job.Job], error) {
	at := in.Position()
	var rows *db.Rows[job.Row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = job.List(tx, job.Filter{Status: in.Status, Kind: in.Kind, CreatedBy: onlyOf(by)}, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(j job.Row) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return j.UpdatedAt, j.ID
		}
		return j.CreatedAt, j.ID
	})
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(signers)
	for i := range cut {
		if cut[i].Available(time.Now()) {
			group.Go(func() error { return s.link(within, &cut[i]) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	results := make([]job.Job, len(cut))
	for i := range cut {
		results[i] = cut[i].Job
	}
	return api.NewList(results, next, previous), nil
}
