package projects

import (
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// The states of a project. Deleted is not one a client may ask for: deletion
// has an operation of its own.
const (
	statusActive   = "active"
	statusArchived = "archived"
	statusDeleted  = "deleted"
)

// Person is a member as nested objects show them.
type Person struct {
	ID        ids.ID `json:"id" format:"uuid" doc:"The member's user id."`
	Email     string `json:"email" format:"email" doc:"Their address."`
	FirstName string `json:"first_name" doc:"Their first name."`
	LastName  string `json:"last_name" doc:"Their last name."`
}

// TaskCounts counts a project's tasks by status, without deleted ones.
type TaskCounts struct {
	Todo       int `json:"todo" minimum:"0" doc:"Tasks to be done."`
	InProgress int `json:"in_progress" minimum:"0" doc:"Tasks being done."`
	Done       int `json:"done" minimum:"0" doc:"Tasks that are done."`
}

// Project is a project as clients see it.
type Project struct {
	ID          ids.ID     `json:"id" format:"uuid" doc:"The project's id."`
	Name        string     `json:"name" minLength:"1" maxLength:"255" doc:"What it is called."`
	Description string     `json:"description" maxLength:"50000" doc:"What it is for."`
	Status      string     `json:"status" enum:"active,archived,deleted" doc:"An archived project is read-only."`
	Owner       Person     `json:"owner" doc:"Who is responsible for it."`
	TaskCounts  TaskCounts `json:"task_counts" doc:"Its tasks by status."`
	CreatedAt   time.Time  `json:"created_at" doc:"When it was created."`
	UpdatedAt   time.Time  `json:"updated_at" doc:"When it last changed."`
	DeletedAt   *time.Time `json:"deleted_at" doc:"When it was deleted; null while it is not."`
}

// row is a project as the database has it.
type row struct {
	Project
	createdBy  ids.ID
	version    int64
	deletionID *ids.ID
	archived   bool // what a deleted project was
}

// values are the fields that activity compares.
func (p Project) values() map[string]any {
	return map[string]any{"name": p.Name, "description": p.Description, "status": p.Status}
}

var (
	errArchived   = errs.New(errs.Conflict, "project_archived", "The project is archived. Make it active first.")
	errNotDeleted = errs.New(errs.Conflict, "not_deleted", "The project is not deleted.")
	errPlanLimit  = errs.New(errs.Payment, "plan_limit", "The plan allows no more active projects. Archive or delete one, or upgrade the plan.")
	errNotYours   = errs.New(errs.Forbidden, "not_your_own", "Only the project's owner or an administrator may do this.")
)

// example is what the document shows.
var example = Project{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f"), Name: "Apollo", Description: "Land on the moon.", Status: statusActive,
	Owner:      Person{ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
	TaskCounts: TaskCounts{Todo: 3, InProgress: 1, Done: 12},
	CreatedAt:  time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
}
