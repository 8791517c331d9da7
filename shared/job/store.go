package job

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

const columns = `
	j.id, j.kind, j.status, j.progress, j.attempts, j.error, j.params::text, j.result::text, j.version,
	j.created_at, j.updated_at, j.started_at, j.finished_at, j.expires_at, m.user_id, m.email, m.first_name, m.last_name`

const joins = ` join app.memberships m on m.tenant_id = $1 and m.user_id = j.created_by`

func scan(r pgx.CollectableRow) (j Row, err error) {
	var params string
	var result *string
	err = r.Scan(&j.ID, &j.Kind, &j.Status, &j.Progress, &j.Attempts, &j.Error, &params, &result, &j.Version,
		&j.CreatedAt, &j.UpdatedAt, &j.StartedAt, &j.FinishedAt, &j.ExpiresAt,
		&j.CreatedBy.ID, &j.CreatedBy.Email, &j.CreatedBy.FirstName, &j.CreatedBy.LastName)
	if err == nil {
		err = j.take(params, result, &j.CreatedAt, &j.UpdatedAt, j.StartedAt, j.FinishedAt, j.ExpiresAt)
	}
	return j, err
}

const abandoned = "The job was not begun for a day. Try again later, or write to support."

// Create queues a job of the transaction's person, its activity, and the read
// of what was created. The caller enqueues the message for its worker. It may
// break with [ErrTooMany] or, for an export, [ErrExportRunning].
func Create(tx *db.Tx, id ids.ID, kind string, p Params) (*db.Row[Row], error) {
	params, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("job: params: %w", err)
	}
	tx.Explain(db.Constraints{"jobs_open_limit": ErrTooMany, "jobs_export_open_key": ErrExportRunning})
	// A job whose message was given up without its worker is nobody's: it must
	// not stand in the way of another.
	db.Exec(tx, `update app.jobs set status = 'failed', error = $2, finished_at = now(), updated_at = now(), version = version + 1
		where tenant_id = $1 and finished_at is null and updated_at < now() - $3::interval`, tx.Tenant(), abandoned, MaxAge+time.Hour)
	db.Guard(tx, `case when count(*) >= `+strconv.Itoa(maxOpen)+` then 'jobs_open_limit' else '' end`,
		`app.jobs j where j.tenant_id = $1 and j.created_by = $2 and j.finished_at is null`, tx.Tenant(), tx.User())
	db.Exec(tx, `insert into app.jobs (tenant_id, id, kind, params, created_by) values ($1, $2, $3, $4, $5)`,
		tx.Tenant(), id, kind, string(params), tx.User())
	values := map[string]any{"kind": kind, "format": p.Format, "status": Queued}
	if p.ProjectID != nil {
		values["project_id"] = *p.ProjectID
	}
	tx.Record(activity.Created("Job", id, values))
	return Get(tx, id, nil), nil
}

// Get reads a job; with by, only one of theirs.
func Get(tx *db.Tx, id ids.ID, by *ids.ID) *db.Row[Row] {
	return db.One(tx, scan, `select `+columns+` from app.jobs j`+joins+`
		where j.tenant_id = $1 and j.id = $2 and ($3::uuid is null or j.created_by = $3)`, tx.Tenant(), id, by)
}

// Filter is what a list may be narrowed by; empty means any.
type Filter struct {
	Status, Kind string
	CreatedBy    *ids.ID
}

// List reads one page.
func List(tx *db.Tx, f Filter, at page.Position) *db.Rows[Row] {
	args := []any{tx.Tenant()}
	arg := func(v any) string { args = append(args, v); return "$" + strconv.Itoa(len(args)) }
	where := []string{`j.tenant_id = $1`}
	if f.CreatedBy != nil {
		where = append(where, `j.created_by = `+arg(*f.CreatedBy))
	}
	if f.Status != "" {
		where = append(where, `j.status = `+arg(f.Status))
	}
	if f.Kind != "" {
		where = append(where, `j.kind = `+arg(f.Kind))
	}
	keyset, order, more := at.SQL(len(args)+1, "j")
	where, args = append(where, keyset), append(args, more...)
	sql := `select ` + columns + ` from app.jobs j` + joins + ` where ` + strings.Join(where, " and ") + ` order by ` + order + ` limit ` + arg(at.Limit())
	return db.Many(tx, scan, sql, args...)
}

// Cancel queues the end of a job that the closure has locked with [Lock], and
// its activity. Its worker notices.
func Cancel(tx *db.Tx, was Row) *db.Row[Row] {
	db.Exec(tx, `update app.jobs set status = 'canceled', finished_at = now(), updated_at = now(), version = version + 1
		where tenant_id = $1 and id = $2 and finished_at is null`, tx.Tenant(), was.ID)
	tx.Record(activity.Updated("Job", was.ID, activity.Changes{"status": {Old: was.Status, New: Canceled}}))
	return Get(tx, was.ID, nil)
}

// Lock reads a job that is about to change; with by, only one of theirs.
func Lock(tx *db.Tx, id ids.ID, by *ids.ID) *db.Row[Row] {
	return db.One(tx, scan, `select `+columns+` from app.jobs j`+joins+`
		where j.tenant_id = $1 and j.id = $2 and ($3::uuid is null or j.created_by = $3) for update of j`, tx.Tenant(), id, by)
}

// errLost tells a worker that the job is no longer its own.
var errLost = errs.New(errs.Conflict, "job_lost", "The job was canceled, or another attempt has begun.")
