// Package reporter is the job function that writes the report of a project: a
// sheet with its details, its tasks and how many there are of each status.
//
// The tasks are read by one cursor, so that they, and the numbers counted from
// them, are of one moment; short transactions, page after page, would repeat or
// miss what changes in between. A report that is killed begins again: it is one
// query, and the object appears whole or not at all. Memory does not grow with
// the number of tasks.
//
// To change the sheet, change sheet.go and docs/exports.md; to add another
// report, give it a kind in shared/queue and a handler here.
package reporter

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

// timeout bounds one report; a million tasks take well under a minute.
const timeout = 14 * time.Minute

// service is what a report needs.
type service struct {
	db      *db.DB
	objects *blob.Store
	// reached is told of each step; an error ends the attempt there. For tests.
	reached func(step string) error
}

type settings struct{ Objects blob.Config }

// Open makes the function from its environment. It dials nothing.
func Open(_ context.Context, lookup config.Lookup) (*serve.App, error) { return open(lookup, nil) }

func open(lookup config.Lookup, reached func(string) error, opts ...worker.Option) (*serve.App, error) {
	cfg, err := config.Load[settings](lookup)
	if err != nil {
		return nil, err
	}
	objects, err := blob.Open(cfg.Objects)
	if err != nil {
		return nil, err
	}
	base, err := worker.Open(lookup, "reporter", append([]worker.Option{worker.WithTimeout(timeout)}, opts...)...)
	if err != nil {
		return nil, err
	}
	base.OnClose(objects.Close)
	if reached == nil {
		reached = func(string) error { return nil }
	}
	s := &service{db: base.DB, objects: objects, reached: reached}
	return base.App(worker.On(queue.ReportProject, s.report)), nil
}

func (s *service) report(ctx context.Context, d worker.Delivery[queue.Job]) error {
	tenant := d.Envelope.TenantID
	run, err := job.Start(ctx, s.db, tenant, d.Payload.JobID)
	if errors.Is(err, job.ErrOver) {
		return s.clean(ctx, tenant, d.Payload.JobID, true)
	}
	if err != nil {
		return err
	}
	file, err := s.write(ctx, run)
	if err == nil {
		err = d.Once(ctx, func(tx *db.Tx) error { return run.Finish(tx, file) })
	}
	if err == nil {
		return nil
	}
	if job.Lost(err) {
		return s.clean(ctx, tenant, run.ID, false)
	}
	final, fault := run.Fail(ctx, err)
	switch {
	case job.Lost(fault):
		return s.clean(ctx, tenant, run.ID, false)
	case fault != nil:
		return errors.Join(err, fault)
	case final:
		_ = s.clean(ctx, tenant, run.ID, true)
		return worker.Permanent(err)
	}
	return err
}

// clean deletes what was made for a job that came to nothing. A job that still
// runs is another attempt's, which keeps what it has and answers for the
// message; over tells that there is none.
func (s *service) clean(ctx context.Context, tenant, id ids.ID, over bool) error {
	ended, wasted, err := job.Ended(ctx, s.db, tenant, id)
	switch {
	case err != nil:
		return err
	case wasted:
		if _, err := s.objects.DeletePrefix(ctx, job.Prefix(tenant, id)); err != nil {
			return err
		}
	case !ended && !over:
		return worker.Yield("the job runs")
	}
	return worker.Skip("the job needs no work")
}
