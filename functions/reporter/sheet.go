package reporter

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/sheet"
)

// heading names the columns of the tasks; the order is that of the query.
var heading = []string{
	"Task ID", "Title", "Description", "Status", "Priority", "Assignee", "Assignee email", "Due date", "Created by", "Created at", "Updated at",
}

// statusColumn is the place of the status among them.
const statusColumn = 3

var statuses = []string{"todo", "in_progress", "done"}

// fetch is how many tasks are asked for at a time. They are written as they
// arrive: it does not bound memory, but how often progress is looked at.
const fetch = 1000

var errGone = errs.New(errs.NotFound, "project_gone", "The project was deleted before its report was made.")

// write makes the report, whole or not at all.
func (s *service) write(ctx context.Context, run *job.Run) (job.File, error) {
	if run.Params.ProjectID == nil {
		return job.File{}, errGone
	}
	var file job.File
	// A read that breaks with its connection is begun again by db.Read, so
	// everything starts inside.
	err := db.Read(ctx, s.db, identity.Principal{TenantID: run.Tenant}, func(tx *db.Tx) error {
		db.Exec(tx, `set local statement_timeout = '10min'`)
		db.Exec(tx, `set local idle_in_transaction_session_timeout = '2min'`)
		details := getProject(tx, *run.Params.ProjectID)
		declareTasks(tx, *run.Params.ProjectID)
		p, err := details.Await(ctx)
		if errs.KindOf(err) == errs.NotFound {
			return errGone
		}
		if err != nil {
			return err
		}
		// The attempt is part of the key: one that was thought dead writes
		// beside this one, not over it.
		key := run.Key("file", strconv.Itoa(run.Attempt), "report.csv")
		object, err := s.objects.Create(ctx, key, "text/csv; charset=utf-8")
		if err != nil {
			return err
		}
		defer object.Abort()
		w := sheet.NewWriter(object, len(heading))
		if err := p.write(w); err != nil {
			return err
		}
		rows, err := s.tasks(ctx, tx, run, w, p.tasks)
		if err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if err := object.Commit(); err != nil {
			return err
		}
		file = job.File{ObjectKey: key, Filename: filename(p.name, p.at), ContentType: "text/csv; charset=utf-8", Bytes: object.Size(), Rows: rows}
		return nil
	})
	if err != nil {
		return job.File{}, err
	}
	return file, s.reached("after write")
}

// tasks writes every task, and the summary of those that were written.
func (s *service) tasks(ctx context.Context, tx *db.Tx, run *job.Run, w *sheet.Writer, expected int64) (int64, error) {
	if err := w.Row(heading...); err != nil {
		return 0, err
	}
	var n int64
	counts := map[string]int64{}
	for {
		before := n
		_, err := db.Many(tx, func(r pgx.CollectableRow) (struct{}, error) {
			n++
			values := r.RawValues()
			counts[string(values[statusColumn])]++
			return struct{}{}, w.Raw(values)
		}, `fetch `+strconv.Itoa(fetch)+` from tasks`).Await(ctx)
		if err != nil {
			return 0, err
		}
		if n == before {
			break
		}
		if err := run.Progress(ctx, int(99*n/max(n, expected))); err != nil {
			return 0, err
		}
		if err := s.reached("within tasks"); err != nil {
			return 0, err
		}
	}
	if err := w.Row(); err != nil {
		return 0, err
	}
	if err := w.Row("Status", "Tasks"); err != nil {
		return 0, err
	}
	for _, status := range statuses {
		if err := w.Row(status, strconv.FormatInt(counts[status], 10)); err != nil {
			return 0, err
		}
	}
	return n, w.Row("total", strconv.FormatInt(n, 10))
}

// project is what stands above the tasks.
type project struct {
	id, name, description, status, owner, createdAt, updatedAt string

	at    time.Time
	tasks int64
}

func (p project) write(w *sheet.Writer) error {
	for _, line := range [][2]string{
		{"Project", p.name}, {"Project ID", p.id}, {"Description", p.description}, {"Status", p.status}, {"Owner", p.owner},
		{"Created at", p.createdAt}, {"Updated at", p.updatedAt}, {"Report of", p.at.Format(time.RFC3339)},
	} {
		if err := w.Row(line[0], line[1]); err != nil {
			return err
		}
	}
	return w.Row()
}

// filename is the project's name, the day, and nothing that a file system
// takes amiss.
func filename(name string, at time.Time) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.,()", r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, name)
	if runes := []rune(strings.Trim(strings.Join(strings.Fields(clean), " "), " .")); len(runes) > 100 {
		clean = string(runes[:100])
	} else {
		clean = string(runes)
	}
	if clean == "" {
		clean = "Project"
	}
	return clean + " " + at.Format("2006-01-02") + ".csv"
}
