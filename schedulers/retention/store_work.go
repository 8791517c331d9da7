package retention

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/schedule"
)

// gone are the tasks of the organization $2 that are due at $1: those of due
// projects are, whenever they were deleted themselves.
const gone = `select t.id from app.tasks t where t.tenant_id = $2 and (t.deleted_at < $1
	or t.project_id in (select p.id from app.projects p where p.tenant_id = $2 and p.deleted_at < $1))`

// eraseWork erases what was deleted and is due, from the leaves up: nothing goes
// before what points to it.
func (s *service) eraseWork(ctx context.Context, run *schedule.Run) error {
	before := run.Now.Add(-s.cfg.Deleted)
	var faults []error
	for _, t := range []string{"attachments", "comments", "tasks", "projects"} {
		from := source{name: "deleted " + t, table: t, owner: tenant, kind: "uuid", condition: `x.deleted_at < $1`, before: before}
		err := s.each(ctx, run, from, func(ctx context.Context, owner string) error {
			if err := s.eraseAttachments(ctx, run, `(x.deleted_at < $1 or x.task_id in (`+gone+`))`, before, owner); err != nil {
				return fmt.Errorf("attachments: %w", err)
			}
			for _, step := range []struct{ name, due string }{
				{"comments", `(x.deleted_at < $1 or x.task_id in (` + gone + `))`},
				{"tasks", `x.deleted_at is not null and x.id in (` + gone + `)`},
				{"projects", `x.deleted_at < $1`},
			} {
				sql := `delete from app.` + step.name + ` x where x.tenant_id = $2 and ` + step.due + `
					and x.id in (select x.id from app.` + step.name + ` x where x.tenant_id = $2 and ` + step.due + ` limit $3)`
				if err := s.drain(ctx, run, step.name, sql, before, owner, s.cfg.Batch); err != nil {
					return fmt.Errorf("%s: %w", step.name, err)
				}
			}
			return nil
		})
		if err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// eraseUploads erases attachments that nobody completed, and what was uploaded
// of them.
func (s *service) eraseUploads(ctx context.Context, run *schedule.Run) error {
	const pending = `x.status = 'pending' and x.created_at < $1`
	before := run.Now.Add(-s.cfg.Uploads)
	from := source{name: "uploads", table: "attachments", owner: tenant, kind: "uuid", condition: pending, before: before}
	return s.each(ctx, run, from, func(ctx context.Context, owner string) error {
		return s.eraseAttachments(ctx, run, pending, before, owner)
	})
}

type object struct {
	id  ids.ID
	key string
}

// atATime is how many objects are deleted at a time.
const atATime = 8

// eraseAttachments erases objects and then the rows that name them.
func (s *service) eraseAttachments(ctx context.Context, run *schedule.Run, due string, args ...any) error {
	for {
		if run.Enough(ctx) {
			return schedule.ErrUnfinished
		}
		found, err := s.listObjects(ctx, `select x.id, x.object_key from app.attachments x where x.tenant_id = $2 and `+due+` order by x.id limit $3`, append(args, min(s.cfg.Batch, 200))...)
		if err != nil || len(found) == 0 {
			return err
		}
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(atATime)
		all := make([]string, len(found))
		for i, o := range found {
			all[i] = o.id.String()
			group.Go(func() error { return s.objects.Delete(within, o.key) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		run.Count("objects", len(found))
		n, err := s.exec(ctx, "erase attachments", `delete from app.attachments x where x.tenant_id = $2 and `+due+` and x.id = any($3::uuid[])`, append(args, all)...)
		run.Count("attachments", n)
		if err != nil || n == 0 {
			return err
		}
	}
}

func (s *service) listObjects(ctx context.Context, sql string, args ...any) ([]object, error) {
	var found *db.Rows[object]
	err := db.System(ctx, s.db, "find objects that are due", func(tx *db.Tx) error {
		found = db.Many(tx, func(r pgx.CollectableRow) (o object, err error) {
			err = r.Scan(&o.id, &o.key)
			return o, err
		}, sql, args...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found.Value()
}

// eraseFiles erases the files of jobs that expired. The job stays, without a
// result.
func (s *service) eraseFiles(ctx context.Context, run *schedule.Run) error {
	from := source{name: "files of jobs", table: "jobs", owner: tenant, kind: "uuid", condition: `x.expires_at <= $1`, before: run.Now}
	return s.each(ctx, run, from, func(ctx context.Context, owner string) error {
		id, err := ids.Parse(owner)
		if err != nil {
			return err
		}
		for {
			if run.Enough(ctx) {
				return schedule.ErrUnfinished
			}
			found, err := s.listObjects(ctx, `select x.id, '' from app.jobs x where x.tenant_id = $2 and x.expires_at <= $1 order by x.id limit $3`, run.Now, owner, 50)
			if err != nil || len(found) == 0 {
				return err
			}
			for _, o := range found {
				n, err := s.objects.DeletePrefix(ctx, job.Prefix(id, o.id))
				run.Count("objects", n)
				if err != nil {
					return err
				}
				if _, err := s.exec(ctx, "forget the file of a job", `update app.jobs set result = null, expires_at = null where tenant_id = $1 and id = $2 and expires_at <= $3`,
					owner, o.id, run.Now); err != nil {
					return err
				}
				run.Count("files", 1)
			}
		}
	})
}
