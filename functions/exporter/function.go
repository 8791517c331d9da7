// Package exporter is the job function that writes everything an organization
// has into one archive: a file for each kind of thing, as JSON or CSV.
//
// An export is made in parts, one object in storage per kind, each read in one
// statement and so of one moment. When a part is whole, the job's row says so;
// an attempt that is killed leaves the parts that were whole, and the next one
// goes on with the first that was not. At the end the parts, compressed
// already, are joined into the archive, and one transaction makes the job
// succeed, records the message and leaves the mail. See docs/exports.md for the
// files and for what "of one moment" means.
//
// To export another kind of thing, add it to kinds.go and to docs/exports.md.
package exporter

import (
	"context"
	"errors"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/worker"
)

// timeout is below the half hour for which Cloud Tasks waits.
const timeout = 29 * time.Minute

// service is what an export needs.
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
	base, err := worker.Open(lookup, "exporter", append([]worker.Option{worker.WithTimeout(timeout)}, opts...)...)
	if err != nil {
		return nil, err
	}
	base.OnClose(objects.Close)
	if reached == nil {
		reached = func(string) error { return nil }
	}
	s := &service{db: base.DB, objects: objects, reached: reached}
	return base.App(worker.On(queue.ExportTenant, s.export)), nil
}

func (s *service) export(ctx context.Context, d worker.Delivery[queue.Job]) error {
	tenant := d.Envelope.TenantID
	run, err := job.Start(ctx, s.db, tenant, d.Payload.JobID)
	if errors.Is(err, job.ErrOver) {
		return s.clean(ctx, tenant, d.Payload.JobID, true)
	}
	if err != nil {
		return err
	}
	file, err := s.make(ctx, run)
	if err == nil {
		err = d.Once(ctx, func(tx *db.Tx) error {
			if err := run.Finish(tx, file); err != nil {
				return err
			}
			tx.Enqueue(ready(run))
			return nil
		})
	}
	if err == nil {
		// What is left of the parts goes with the job, if not now.
		_, _ = s.objects.DeletePrefix(ctx, run.Prefix(partsFolder))
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

// ready is the mail to whom the export was made for.
func ready(run *job.Run) outbox.Message {
	return queue.MailExportReady.Message("", queue.Job{JobID: run.ID})
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
