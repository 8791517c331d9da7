package tasks

import (
	"context"
	"fmt"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/listcache"
)

var bulkSpec = api.Spec{
	ID: "create-tasks", Method: http.MethodPost, Path: "/api/v1/projects/{id}/tasks/bulk/", Tag: "Tasks",
	Summary:     "Create many tasks in a project",
	Description: "All of them or none; the answer has them in the order of the request.",
	Permission:  identity.TasksWrite, Status: http.StatusCreated, MaxBody: 8 << 20,
	Errors:          []errs.Error{*errNotAssignable, *errProjectArchived},
	RequestExample:  bulkBody{Tasks: []createBody{{Title: "Check the guidance computer"}, {Title: "Pack", Priority: "low"}}},
	ResponseExample: Bulk{Results: []Task{example}},
}

type bulkBody struct {
	Tasks []createBody `json:"tasks" minItems:"1" maxItems:"500" doc:"Up to 500 tasks."`
}

type bulkInput struct {
	api.ByID
	Body bulkBody
}

// Bulk is what was created.
type Bulk struct {
	Results []Task `json:"results" doc:"The tasks, in the order of the request."`
}

func (s *service) bulk(ctx context.Context, by identity.Caller, in *bulkInput) (*api.Value[Bulk], error) {
	made := make([]Task, len(in.Body.Tasks))
	var faults []errs.Field
	for i, b := range in.Body.Tasks {
		if b.DueDate != nil && beforeCalendar(*b.DueDate) {
			faults = append(faults, errs.Field{Location: fmt.Sprintf("body.tasks[%d].due_date", i), Message: noDay})
		}
		made[i] = b.task(in.ID, by.UserID)
	}
	if len(faults) > 0 {
		return nil, errs.InvalidFields(faults...)
	}
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		requireOpenProject(tx, in.ID)
		var members []ids.ID
		known := map[ids.ID]bool{}
		for _, t := range made {
			if id := assigneeID(t); id != nil && !known[*id] {
				known[*id] = true
				members = append(members, *id)
			}
		}
		people := assignableAll(tx, members)
		stamps := insertTasks(tx, made)
		var counts tally
		for _, t := range made {
			counts = counts.add(t.Status, 1)
			tx.Record(activity.Created("Task", t.ID, row{Task: t}.values()))
			if id := assigneeID(t); id != nil {
				tell(tx, t.ID, *id)
			}
		}
		countTasks(tx, in.ID, made[0].ID, counts)
		tx.OnCommit(func() error { return fill(made, people, stamps) })
		return nil
	})
	if err != nil {
		return nil, at(err, "body.tasks")
	}
	s.lists.Drop(ctx, listcache.Projects, by.TenantID)
	return api.NewValue(Bulk{Results: made}), nil
}

// fill adds what only the database knows.
func fill(tasks []Task, people *db.Rows[Person], stamps *db.Rows[stamped]) error {
	found, err := people.Value()
	if err != nil {
		return err
	}
	byID := make(map[ids.ID]Person, len(found))
	for _, p := range found {
		byID[p.ID] = p
	}
	times, err := stamps.Value()
	if err != nil {
		return err
	}
	created := make(map[ids.ID]stamped, len(times))
	for _, s := range times {
		created[s.id] = s
	}
	for i := range tasks {
		t := &tasks[i]
		t.CreatedAt, t.UpdatedAt = created[t.ID].at, created[t.ID].at
		if t.Assignee == nil {
			continue
		}
		p, ok := byID[t.Assignee.ID]
		if !ok {
			return errNotAssignable
		}
		t.Assignee = &p
	}
	return nil
}
