package tasks

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

var listInProjectSpec = api.Spec{
	ID: "list-project-tasks", Method: http.MethodGet, Path: "/api/v1/projects/{id}/tasks/", Tag: "Tasks",
	Summary:         "List a project's tasks",
	Permission:      identity.TasksRead,
	ResponseExample: api.ListBody[Task]{Results: []Task{example}},
}

var listSpec = api.Spec{
	ID: "list-tasks", Method: http.MethodGet, Path: "/api/v1/tasks/", Tag: "Tasks",
	Summary:         "List tasks of all projects",
	Permission:      identity.TasksRead,
	ResponseExample: api.ListBody[Task]{Results: []Task{example}},
}

// Narrowing is what both lists may be narrowed by.
type Narrowing struct {
	Status    string `query:"status" enum:"todo,in_progress,done" doc:"Only tasks in this state."`
	Assignee  string `query:"assignee" minLength:"1" maxLength:"36" doc:"Only tasks of this member: an id, me, or none for tasks of nobody."`
	Priority  string `query:"priority" enum:"low,medium,high" doc:"Only tasks of this priority."`
	DueBefore string `query:"due_before" format:"date" doc:"Only tasks due before this day."`
	DueAfter  string `query:"due_after" format:"date" doc:"Only tasks due after this day."`
	Search    string `query:"search" maxLength:"200" doc:"Words that title or description hold, whatever the case."`
}

type listInProjectInput struct {
	api.ByID
	api.PageInput
	Narrowing
}

type listInput struct {
	api.PageInput
	Narrowing
}

func (n Narrowing) filter(by identity.Caller) (filter, error) {
	f := filter{status: n.Status, priority: n.Priority, dueBefore: n.DueBefore, dueAfter: n.DueAfter, search: n.Search}
	if err := n.checkDays(); err != nil {
		return f, err
	}
	switch n.Assignee {
	case "":
	case "me":
		f.assignee = &by.UserID
	case "none":
		f.unassigned = true
	default:
		id, err := ids.Parse(n.Assignee)
		if err != nil {
			return f, &errs.Error{Kind: errs.Malformed, Code: "invalid_request", Detail: "A parameter or header of the request is not valid.",
				Fields: []errs.Field{{Location: "query.assignee", Message: "must be a member's id, me or none"}}}
		}
		f.assignee = &id
	}
	return f, nil
}

// checkDays refuses the days that a format lets through and no calendar has.
func (n Narrowing) checkDays() error {
	var faults []errs.Field
	for name, day := range map[string]string{"due_after": n.DueAfter, "due_before": n.DueBefore} {
		if beforeCalendar(day) {
			faults = append(faults, errs.Field{Location: "query." + name, Message: noDay, Value: day})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &errs.Error{Kind: errs.Malformed, Code: "invalid_request", Detail: "A parameter or header of the request is not valid.", Fields: faults}
}

func (s *service) listInProject(ctx context.Context, by identity.Caller, in *listInProjectInput) (*api.List[Task], error) {
	f, err := in.filter(by)
	if err != nil {
		return nil, err
	}
	f.project = &in.ID
	return s.page(ctx, by, f, in.Position())
}

func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[Task], error) {
	f, err := in.filter(by)
	if err != nil {
		return nil, err
	}
	return s.page(ctx, by, f, in.Position())
}

func (s *service) page(ctx context.Context, by identity.Caller, f filter, at page.Position) (*api.List[Task], error) {
	var exists *db.Row[bool]
	var rows *db.Rows[row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		if f.project != nil {
			exists = projectExists(tx, *f.project)
		}
		rows = listTasks(tx, f, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if exists != nil {
		if _, err := exists.Value(); err != nil {
			return nil, err
		}
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(t row) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return t.UpdatedAt, t.ID
		}
		return t.CreatedAt, t.ID
	})
	results := make([]Task, len(cut))
	for i := range cut {
		results[i] = cut[i].Task
	}
	return api.NewList(results, next, previous), nil
}
