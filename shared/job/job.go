// Package job knows the jobs that a person waits for: reports and exports.
//
// A function creates one with [Create], in the transaction that leaves the
// message for its worker; functions/jobs shows it; its worker drives it with
// [Start] and what that returns. The row is the only truth, and says queued,
// running, succeeded, failed or canceled. To add a kind, add it here, give it a
// message in shared/queue and write its worker.
package job

import (
	"encoding/json"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// The states of a job. The last three are final.
const (
	Queued    = "queued"
	Running   = "running"
	Succeeded = "succeeded"
	Failed    = "failed"
	Canceled  = "canceled"
)

// The kinds of jobs.
const (
	Report = "report" // a project, as a sheet
	Export = "export" // everything an organization has
)

// KeepFor is how long the file of a job is kept.
const KeepFor = 7 * 24 * time.Hour

// maxOpen is how many unfinished jobs one person may have.
const maxOpen = 10

// Params is what a job was asked to do.
type Params struct {
	Format    string  `json:"format" enum:"json,csv" doc:"The form of the file."`
	ProjectID *ids.ID `json:"project_id,omitempty" format:"uuid" doc:"The project of a report."`
}

// Person is a member as nested objects show them.
type Person struct {
	ID        ids.ID `json:"id" format:"uuid" doc:"The member's user id."`
	Email     string `json:"email" format:"email" doc:"Their address."`
	FirstName string `json:"first_name" doc:"Their first name."`
	LastName  string `json:"last_name" doc:"Their last name."`
}

// Result is the file that a job made.
type Result struct {
	DownloadURL    string    `json:"download_url" format:"uri" doc:"Where to fetch the file, for as long as the link holds. Ask for the job again to get a new one."`
	ExpiresAt      time.Time `json:"expires_at" doc:"When the link ends."`
	Bytes          int64     `json:"bytes" minimum:"0" doc:"The size of the file."`
	Rows           int64     `json:"rows" minimum:"0" doc:"How many records it holds."`
	Filename       string    `json:"filename" doc:"What it is saved as."`
	AvailableUntil time.Time `json:"available_until" doc:"When the file is deleted."`
}

// Job is a job as clients see it.
type Job struct {
	ID         ids.ID     `json:"id" format:"uuid" doc:"The job's id."`
	Kind       string     `json:"kind" enum:"report,export" doc:"What it does."`
	Status     string     `json:"status" enum:"queued,running,succeeded,failed,canceled" doc:"The last three are final."`
	Progress   int        `json:"progress" minimum:"0" maximum:"100" doc:"How much of it is done, in percent."`
	Attempts   int        `json:"attempts" minimum:"0" doc:"How often it was begun."`
	Error      *string    `json:"error" doc:"Why it failed; null unless it did."`
	Params     Params     `json:"params" doc:"What it was asked to do."`
	Result     *Result    `json:"result" doc:"The file; null until the job has succeeded, and once the file is deleted."`
	CreatedBy  Person     `json:"created_by" doc:"Who asked for it."`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was asked for."`
	StartedAt  *time.Time `json:"started_at" doc:"When it was first begun."`
	FinishedAt *time.Time `json:"finished_at" doc:"When it came to its end."`
}

// File is where the result of a job is, as the row keeps it.
type File struct {
	ObjectKey   string `json:"object_key"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Bytes       int64  `json:"bytes"`
	Rows        int64  `json:"rows"`
}

// Row is a job as the database has it. Its Result is without a link.
type Row struct {
	Job
	Version   int64
	UpdatedAt time.Time
	// File is nil until the job has succeeded.
	File      *File
	ExpiresAt *time.Time
}

// Available reports whether the job has a file that is not due for deletion.
func (r Row) Available(now time.Time) bool {
	return r.File != nil && r.ExpiresAt != nil && now.Before(*r.ExpiresAt)
}

func (r *Row) take(params string, result *string, at ...*time.Time) error {
	if err := json.Unmarshal([]byte(params), &r.Params); err != nil {
		return err
	}
	if result != nil {
		r.File = &File{}
		if err := json.Unmarshal([]byte(*result), r.File); err != nil {
			return err
		}
	}
	for _, t := range at {
		if t != nil {
			*t = t.UTC()
		}
	}
	return nil
}

// What a client may be told.
var (
	ErrExportRunning = errs.New(errs.Conflict, "export_running", "The organization is being exported already. Wait for that export, or cancel it.")
	ErrTooMany       = errs.New(errs.Conflict, "too_many_jobs", "You have too many unfinished jobs. Wait for one, or cancel it.")
	ErrFinished      = errs.New(errs.Conflict, "job_finished", "The job has come to its end.")
)

// Example is what documents show.
func Example() Job {
	started := time.Date(2026, 11, 24, 9, 30, 1, 0, time.UTC)
	finished := started.Add(9 * time.Second)
	return Job{
		ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073994"), Kind: Export, Status: Succeeded, Progress: 100, Attempts: 1,
		Params: Params{Format: "json"},
		Result: &Result{
			DownloadURL: "https://storage.example.com/export.zip?signature=Vv2a", ExpiresAt: finished.Add(20 * time.Minute), Bytes: 48123, Rows: 1204,
			Filename: "export-2026-11-24.zip", AvailableUntil: finished.Add(KeepFor),
		},
		CreatedBy: Person{ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
		CreatedAt: started.Add(-time.Second), StartedAt: &started, FinishedAt: &finished,
	}
}

// NewExample is a job that was just created, as documents show it.
func NewExample(kind string, params Params) Job {
	j := Example()
	j.Kind, j.Params = kind, params
	j.Status, j.Progress, j.Attempts, j.Result, j.StartedAt, j.FinishedAt = Queued, 0, 0, nil, nil, nil
	return j
}
