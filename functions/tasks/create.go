package tasks

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/listcache"
)

var createSpec = api.Spec{
	ID: "create-task", Method: http.MethodPost, Path: "/api/v1/projects/{id}/tasks/", Tag: "Tasks",
	Summary:    "Create a task in a project",
	Permission: identity.TasksWrite, Status: http.StatusCreated,
	Errors:          []errs.Error{*errNotAssignable, *errProjectArchived},
	RequestExample:  createBody{Title: "Check the guidance computer", Priority: "high", DueDate: new("2026-12-24")},
	ResponseExample: example,
}

type createBody struct {
	Title       string  `json:"title" minLength:"1" maxLength:"255" doc:"What is to be done."`
	Description string  `json:"description,omitempty" maxLength:"50000" doc:"More about it."`
	AssigneeID  *ids.ID `json:"assignee_id,omitempty" nullable:"true" format:"uuid" doc:"An active member who may hold tasks; null for nobody."`
	Status      string  `json:"status,omitempty" enum:"todo,in_progress,done" doc:"todo when left out."`
	Priority    string  `json:"priority,omitempty" enum:"low,medium,high" doc:"medium when left out."`
	DueDate     *string `json:"due_date,omitempty" nullable:"true" format:"date" doc:"The day it is due; null for none."`
}

type createInput struct {
	api.ByID
	Body createBody
}

// task is a new one as the body describes it.
func (b createBody) task(project, by ids.ID) Task {
	t := Task{
		ID: ids.New(), ProjectID: project, Title: b.Title, Description: b.Description, Assignee: person(nil, b.AssigneeID),
		Status: b.Status, Priority: b.Priority, DueDate: b.DueDate, CreatedBy: by,
	}
	if t.Status == "" {
		t.Status = statusTodo
	}
	if t.Priority == "" {
		t.Priority = priorityMedium
	}
	return t
}

func (s *service) create(ctx context.Context, by identity.Caller, in *createInput) (*api.Item[Task], error) {
	if err := dueFault(in.Body.DueDate); err != nil {
		return nil, err
	}
	t := row{Task: in.Body.task(in.ID, by.UserID)}
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		requireOpenProject(tx, t.ProjectID)
		var assignee *db.Row[Person]
		if t.Assignee != nil {
			assignee = assignable(tx, t.Assignee.ID)
			tell(tx, t.ID, t.Assignee.ID)
		}
		made := insertTask(tx, t.Task)
		countTasks(tx, t.ProjectID, t.ID, tally{}.add(t.Status, 1))
		tx.Record(activity.Created("Task", t.ID, t.values()))
		tx.OnCommit(func() error {
			if assignee != nil {
				p, err := assignee.Value()
				if err != nil {
					return errNotAssignable
				}
				t.Assignee = &p
			}
			v, err := made.Value()
			t.version, t.CreatedAt, t.UpdatedAt = v.version, v.updatedAt, v.updatedAt
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	return api.Created("/api/v1/tasks/"+t.ID.String()+"/", t.version, t.Task), nil
}
