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

var replaceSpec = api.Spec{
	ID: "replace-task", Method: http.MethodPut, Path: "/api/v1/tasks/{id}/", Tag: "Tasks",
	Summary:     "Replace a task",
	Description: "What is left out becomes its default.",
	Permission:  identity.TasksWrite,
	Errors:      []errs.Error{*errNotAssignable, *errProjectArchived},

	RequestExample:  createBody{Title: "Check the guidance computer", Status: "done", Priority: "high"},
	ResponseExample: example,
}

var updateSpec = api.Spec{
	ID: "update-task", Method: http.MethodPatch, Path: "/api/v1/tasks/{id}/", Tag: "Tasks",
	Summary:     "Change a task",
	Description: "A JSON merge patch (RFC 7396): null clears the assignee or the due date.",
	Permission:  identity.TasksWrite,
	Errors:      []errs.Error{*errNotAssignable, *errProjectArchived},

	RequestExample:  map[string]any{"status": "done", "due_date": nil},
	ResponseExample: example,
}

type replaceInput struct {
	api.ByID
	api.IfMatch
	Body createBody
}

type updateBody struct {
	Title       api.Optional[string] `json:"title,omitzero" minLength:"1" maxLength:"255" doc:"What is to be done."`
	Description api.Optional[string] `json:"description,omitzero" maxLength:"50000" doc:"More about it."`
	AssigneeID  api.Nullable[ids.ID] `json:"assignee_id,omitzero" format:"uuid" doc:"An active member who may hold tasks; null for nobody."`
	Status      api.Optional[string] `json:"status,omitzero" enum:"todo,in_progress,done" doc:"How far it is."`
	Priority    api.Optional[string] `json:"priority,omitzero" enum:"low,medium,high" doc:"How urgent it is."`
	DueDate     api.Nullable[string] `json:"due_date,omitzero" format:"date" doc:"The day it is due; null for none."`
}

type updateInput struct {
	api.ByID
	api.IfMatch
	Body updateBody `contentType:"application/merge-patch+json"`
}

func (s *service) replace(ctx context.Context, by identity.Caller, in *replaceInput) (*api.Item[Task], error) {
	if err := dueFault(in.Body.DueDate); err != nil {
		return nil, err
	}
	return s.change(ctx, by, in.ID, in.IfMatch, func(t *Task) {
		b := in.Body
		t.Title, t.Description, t.Status, t.Priority, t.DueDate = b.Title, b.Description, b.Status, b.Priority, b.DueDate
		if t.Status == "" {
			t.Status = statusTodo
		}
		if t.Priority == "" {
			t.Priority = priorityMedium
		}
		t.Assignee = person(t.Assignee, b.AssigneeID)
	})
}

func (s *service) update(ctx context.Context, by identity.Caller, in *updateInput) (*api.Item[Task], error) {
	if err := dueFault(in.Body.DueDate.Or(nil)); err != nil {
		return nil, err
	}
	return s.change(ctx, by, in.ID, in.IfMatch, func(t *Task) {
		t.Title = in.Body.Title.Or(t.Title)
		t.Description = in.Body.Description.Or(t.Description)
		t.Status = in.Body.Status.Or(t.Status)
		t.Priority = in.Body.Priority.Or(t.Priority)
		t.DueDate = in.Body.DueDate.Or(t.DueDate)
		t.Assignee = person(t.Assignee, in.Body.AssigneeID.Or(assigneeID(*t)))
	})
}

// person keeps what is known of the present assignee when they stay.
func person(present *Person, id *ids.ID) *Person {
	switch {
	case id == nil:
		return nil
	case present != nil && present.ID == *id:
		return present
	}
	return &Person{ID: *id}
}

// change reads the task under a lock, lets edit change it, and writes it with
// its activity.
func (s *service) change(ctx context.Context, by identity.Caller, id ids.ID, match api.IfMatch, edit func(*Task)) (*api.Item[Task], error) {
	var after row
	moved := false // between statuses, which projects count
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		before, err := lockTask(tx, id).Await(ctx)
		if err != nil {
			return err
		}
		if before.DeletedAt != nil {
			return errs.ErrNotFound
		}
		if err := match.Check(before.version); err != nil {
			return err
		}
		after = before
		edit(&after.Task)
		moved = after.Status != before.Status
		diff := activity.Diff(before.values(), after.values())
		if len(diff) == 0 {
			tx.Unchanged()
			return nil
		}
		if before.projectStatus == projectArchived {
			return errProjectArchived
		}
		var assignee *db.Row[Person]
		if _, moved := diff["assignee_id"]; moved && after.Assignee != nil {
			assignee = assignable(tx, after.Assignee.ID)
			tell(tx, id, after.Assignee.ID)
		}
		changed := updateTask(tx, after.Task)
		countTasks(tx, after.ProjectID, id, tally{}.add(before.Status, -1).add(after.Status, 1))
		tx.Record(activity.Updated("Task", id, diff))
		tx.OnCommit(func() error {
			if assignee != nil {
				p, err := assignee.Value()
				if err != nil {
					return errNotAssignable
				}
				after.Assignee = &p
			}
			v, err := changed.Value()
			after.version, after.UpdatedAt = v.version, v.updatedAt
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if moved {
		s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	}
	return api.NewItem(after.version, after.Task), nil
}
