package tasks

import (
	"strings"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// Person is a member as nested objects show them.
type Person struct {
	ID        ids.ID `json:"id" format:"uuid" doc:"The member's user id."`
	Email     string `json:"email" format:"email" doc:"Their address."`
	FirstName string `json:"first_name" doc:"Their first name."`
	LastName  string `json:"last_name" doc:"Their last name."`
}

// Task is a task as clients see it.
type Task struct {
	ID          ids.ID     `json:"id" format:"uuid" doc:"The task's id."`
	ProjectID   ids.ID     `json:"project_id" format:"uuid" doc:"The project it belongs to."`
	Title       string     `json:"title" minLength:"1" maxLength:"255" doc:"What is to be done."`
	Description string     `json:"description" maxLength:"50000" doc:"More about it."`
	Assignee    *Person    `json:"assignee" doc:"Who is to do it; null while nobody is."`
	Status      string     `json:"status" enum:"todo,in_progress,done" doc:"How far it is."`
	Priority    string     `json:"priority" enum:"low,medium,high" doc:"How urgent it is."`
	DueDate     *string    `json:"due_date" format:"date" doc:"The day it is due; null without one."`
	CreatedBy   ids.ID     `json:"created_by" format:"uuid" doc:"Who created it."`
	CreatedAt   time.Time  `json:"created_at" doc:"When it was created."`
	UpdatedAt   time.Time  `json:"updated_at" doc:"When it last changed."`
	DeletedAt   *time.Time `json:"deleted_at" doc:"When it was deleted; null while it is not."`
}

// row is a task as the database has it, with what deciding about it takes of
// its project.
type row struct {
	Task
	version        int64
	deletionID     *ids.ID
	projectOwner   ids.ID
	projectCreator ids.ID
	projectStatus  string
	projectDeleted bool
}

// values are the fields that activity compares.
func (t Task) values() map[string]any {
	v := map[string]any{
		"title": t.Title, "description": t.Description, "status": t.Status, "priority": t.Priority,
		"assignee_id": nil, "due_date": nil,
	}
	if t.Assignee != nil {
		v["assignee_id"] = t.Assignee.ID.String()
	}
	if t.DueDate != nil {
		v["due_date"] = *t.DueDate
	}
	return v
}

const (
	statusTodo       = "todo"
	statusInProgress = "in_progress"
	statusDone       = "done"
	priorityLow      = "low"
	priorityMedium   = "medium"
	priorityHigh     = "high"
	projectArchived  = "archived"
)

var (
	errProjectArchived = errs.New(errs.Conflict, "project_archived", "The project is archived. Make it active first.")
	errProjectDeleted  = errs.New(errs.Conflict, "project_deleted", "The task's project is deleted. Restore that first.")
	errNotDeleted      = errs.New(errs.Conflict, "not_deleted", "The task is not deleted.")
	errNotYours        = errs.New(errs.Forbidden, "not_your_own", "Only the task's creator, the project's owner or an administrator may do this.")
	errNotAssignable   = &errs.Error{Kind: errs.Invalid, Code: "not_assignable", Detail: "The assignee must be an active member who may hold tasks.",
		Fields: []errs.Field{{Location: "body.assignee_id", Message: "must be an active member who may hold tasks"}}}
)

const noDay = "must be a day from 0001-01-01 on"

// beforeCalendar reports whether a day has the form of one and lies in the
// year 0, which PostgreSQL's calendar, like ours, does not have.
func beforeCalendar(day string) bool { return strings.HasPrefix(day, "0000-") }

// dueFault is the refusal of a due date that cannot be stored.
func dueFault(day *string) error {
	if day == nil || !beforeCalendar(*day) {
		return nil
	}
	return errs.InvalidField("body.due_date", noDay)
}

// example is what the document shows.
//
//go:fix inline
var example = Task{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073991"), ProjectID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f"),
	Title: "Check the guidance computer", Description: "Twice.",
	Assignee: &Person{ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
	Status:   statusInProgress, Priority: "high", DueDate: new("2026-12-24"), CreatedBy: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"),
	CreatedAt: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
}
