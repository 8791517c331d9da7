package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/blob/key"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// MaxCrashes is how many attempts in a row may end without a word, their
// process killed: what takes its process down must not do so for ever. An
// attempt that got somewhere ([Run.Save]) begins the count anew.
const MaxCrashes = 20

// MaxFailures is at which failure of the job's own the job has failed.
const MaxFailures = 4

// MaxAge is how long a job may wait for a dependency that is down.
const MaxAge = 24 * time.Hour

// progressEvery is how often a worker writes its progress at most.
const progressEvery = time.Second

// Run is one attempt at a job. Every write of it holds only while the job runs
// and no later attempt has begun: a worker that was thought dead can do no
// harm.
type Run struct {
	ID, Tenant ids.ID
	Params     Params
	CreatedBy  ids.ID
	CreatedAt  time.Time
	Attempt    int
	// State is what earlier attempts have finished, as JSON: [Run.Save].
	State json.RawMessage
	// Now is the database's time at the start of the attempt.
	Now time.Time

	db      *db.DB
	written time.Time
}

// ErrOver is the answer to a job that needs no work: it has come to its end,
// was never created, or its organization is gone.
var ErrOver = errors.New("job: it needs no work")

// Lost reports whether err says that the attempt has to stop without a trace:
// the job was canceled, or another attempt has begun.
func Lost(err error) bool { return errors.Is(err, errLost) }

// Start begins an attempt. One crash too many ends the job as failed, and is
// [ErrOver] too.
//
// Citus takes now() neither inside CASE nor in RETURNING: it comes from a row
// beside the job's.
func Start(ctx context.Context, d *db.DB, tenant, id ids.ID) (*Run, error) {
	var row *db.Row[*Run]
	err := db.Background(ctx, d, tenant, func(tx *db.Tx) error {
		row = db.One(tx, scanRun, `
			update app.jobs j set attempts = attempts + 1, crashes = crashes + 1, started_at = coalesce(started_at, t.at), updated_at = t.at, version = version + 1,
			       status = case when crashes >= $3::int then 'failed' else 'running' end,
			       error = case when crashes >= $3::int then $4 end,
			       finished_at = case when crashes >= $3::int then t.at end
			  from (select now() as at) t
			 where j.tenant_id = $1 and j.id = $2 and j.finished_at is null
			   and exists (select 1 from app.organizations o where o.tenant_id = $1 and o.status <> 'deleted')
			returning j.params::text, j.state::text, j.created_by, j.created_at, j.attempts, j.finished_at is null, t.at`,
			tenant, id, MaxCrashes, tooOften)
		return nil
	})
	if err != nil {
		return nil, err
	}
	run, ok := row.Found()
	if !ok || run == nil {
		return nil, ErrOver
	}
	run.ID, run.Tenant, run.db = id, tenant, d
	return run, nil
}

const tooOften = "The job was begun too often without coming to its end. Try again later, or write to support."

func scanRun(r pgx.CollectableRow) (*Run, error) {
	var params, state string
	var runs bool
	run := &Run{}
	if err := r.Scan(&params, &state, &run.CreatedBy, &run.CreatedAt, &run.Attempt, &runs, &run.Now); err != nil {
		return nil, err
	}
	if !runs {
		return nil, nil //nolint:nilnil // ended by this very attempt
	}
	run.State, run.Now = json.RawMessage(state), run.Now.UTC()
	return run, json.Unmarshal([]byte(params), &run.Params)
}

// mine is true of the row while the attempt may write to it.
const mine = ` where tenant_id = $1 and id = $2 and status = 'running' and attempts = $3`

func (r *Run) write(ctx context.Context, sql string, args ...any) error {
	var done *db.Tag
	err := db.Background(ctx, r.db, r.Tenant, func(tx *db.Tx) error {
		done = db.Exec(tx, sql+mine, append([]any{r.Tenant, r.ID, r.Attempt}, args...)...)
		return nil
	})
	if err == nil && done.Affected() == 0 {
		return errLost
	}
	return err
}

// Progress notes how much is done, in percent, at most once a second; between,
// it costs nothing. It is how a worker learns that the job was canceled: see
// [Lost].
func (r *Run) Progress(ctx context.Context, percent int) error {
	if now := time.Now(); now.Sub(r.written) >= progressEvery {
		r.written = now
		return r.write(ctx, `update app.jobs set progress = greatest(progress, $4::smallint), updated_at = now(), version = version + 1`, clamp(percent))
	}
	return nil
}

func clamp(percent int) int { return max(0, min(99, percent)) }

// Save keeps what the next attempt need not do again, with the progress. What
// it speaks of exists already.
func (r *Run) Save(ctx context.Context, state any, percent int) error {
	raw, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("job: state: %w", err)
	}
	r.written = time.Now()
	return r.write(ctx, `update app.jobs set state = $4, crashes = 0, progress = greatest(progress, $5::smallint), updated_at = now(), version = version + 1`,
		string(raw), clamp(percent))
}

// Finish queues the job's success, in the transaction that records its
// message. That one breaks, with an error that is [Lost], when the job is no
// longer the attempt's.
func (r *Run) Finish(tx *db.Tx, f File) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("job: result: %w", err)
	}
	tx.Explain(db.Constraints{"jobs_lost": errLost})
	// The lock first: between the guard and the update nobody may cancel.
	db.Exec(tx, `select 1 from app.jobs where tenant_id = $1 and id = $2 for update`, r.Tenant, r.ID)
	db.Guard(tx, `case when status = 'running' and attempts = $3 then '' else 'jobs_lost' end`,
		`app.jobs where tenant_id = $1 and id = $2`, r.Tenant, r.ID, r.Attempt)
	db.Exec(tx, `update app.jobs set status = 'succeeded', progress = 100, result = $4, state = '{}', error = null, finished_at = now(), updated_at = now(),
		expires_at = now() + $5::interval, version = version + 1`+mine, r.Tenant, r.ID, r.Attempt, string(raw), KeepFor)
	return nil
}

// Fail notes what went wrong and reports whether that was final: the job has
// failed, and its person reads a sentence about it. A failure that is not
// final is tried again by the message's own rules. It answers an error that is
// [Lost] when the job is no longer the attempt's.
func (r *Run) Fail(ctx context.Context, cause error) (final bool, err error) {
	var ours *errs.Error
	down := errors.As(cause, &ours) && ours.Kind == errs.Unavailable || errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled)
	sentence := "Something went wrong on our side. Try again later, or write to support."
	if ours != nil && ours.Kind != errs.Internal {
		sentence = ours.Detail
	}
	failures := 1
	if down {
		failures = 0
	}
	over := Final(cause) || down && r.Now.Sub(r.CreatedAt) >= MaxAge
	// The caller may be out of time; what became of the job is said anyway.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	var status *db.Row[string]
	err = db.Background(ctx, r.db, r.Tenant, func(tx *db.Tx) error {
		status = db.One(tx, pgx.RowTo[string], `
			update app.jobs set failures = failures + $4::int, crashes = greatest(crashes - 1, 0), updated_at = t.at, version = version + 1,
			       status = case when $5 or failures + $4::int >= $6::int then 'failed' else status end,
			       error = case when $5 or failures + $4::int >= $6::int then $7 end,
			       finished_at = case when $5 or failures + $4::int >= $6::int then t.at end
			  from (select now() as at) t`+mine+` returning status`,
			r.Tenant, r.ID, r.Attempt, failures, over, MaxFailures, sentence)
		return nil
	})
	if err != nil {
		return false, err
	}
	now, ok := status.Found()
	if !ok {
		return false, errLost
	}
	return now == Failed, nil
}

// Final reports whether trying again cannot help: what the job is about is
// gone or not allowed.
func Final(err error) bool {
	switch errs.KindOf(err) {
	case errs.NotFound, errs.Forbidden, errs.Conflict, errs.Invalid:
		return true
	}
	return false
}

// Prefix is where the objects of a job are.
func Prefix(tenant, id ids.ID) string { return key.Prefix(tenant, "jobs", id.String()) }

// Prefix is where objects of this job are.
func (r *Run) Prefix(folder string) string {
	return key.Prefix(r.Tenant, "jobs", r.ID.String(), folder)
}

// Key names an object of this job.
func (r *Run) Key(parts ...string) string {
	return key.Of(r.Tenant, append([]string{"jobs", r.ID.String()}, parts...)...)
}

// Ended reports whether the job has come to an end, and whether to one without
// a result, so that what was made for it may go.
func Ended(ctx context.Context, d *db.DB, tenant, id ids.ID) (ended, wasted bool, err error) {
	var status *db.Row[string]
	err = db.Read(ctx, d, identity.Principal{TenantID: tenant}, func(tx *db.Tx) error {
		status = db.One(tx, pgx.RowTo[string], `select status from app.jobs where tenant_id = $1 and id = $2`, tenant, id)
		return nil
	})
	if err != nil {
		return false, false, err
	}
	now, there := status.Found()
	return !there || now != Queued && now != Running, now == Failed || now == Canceled, nil
}
