package tasks

import (
	"context"
	"errors"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

var assignSpec = api.Spec{
	ID: "assign-task", Method: http.MethodPost, Path: "/api/v1/tasks/{id}/assign/", Tag: "Tasks",
	Summary:     "Give a task to somebody, or to nobody",
	Description: "The assignee is told by email, unless it is the caller.",
	Permission:  identity.TasksWrite, Status: http.StatusOK,
	Errors:          []errs.Error{*errNotAssignable, *errProjectArchived},
	RequestExample:  assignBody{UserID: new(ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073981"))},
	ResponseExample: example,
}

type assignBody struct {
	UserID *ids.ID `json:"user_id" nullable:"true" format:"uuid" doc:"An active member who may hold tasks; null for nobody."`
}

type assignInput struct {
	api.ByID
	api.IfMatch
	Body assignBody
}

func (s *service) assign(ctx context.Context, by identity.Caller, in *assignInput) (*api.Item[Task], error) {
	item, err := s.change(ctx, by, in.ID, in.IfMatch, func(t *Task) { t.Assignee = person(t.Assignee, in.Body.UserID) })
	return item, at(err, "body.user_id")
}

// at says where in its body an operation names the member who may not hold
// tasks.
func at(err error, location string) error {
	if !errors.Is(err, errNotAssignable) {
		return err
	}
	e := *errNotAssignable
	e.Fields = []errs.Field{{Location: location, Message: errNotAssignable.Fields[0].Message}}
	return e.WithCause(err)
}

// tell leaves a message for the assignee, unless they did it themselves. The
// mailer skips it when it is no longer true.
func tell(tx *db.Tx, task, assignee ids.ID) {
	if assignee != tx.User() {
		tx.Enqueue(queue.MailTaskAssigned.Message(task.String(), queue.Assignment{TaskID: task, UserID: assignee}))
	}
}
