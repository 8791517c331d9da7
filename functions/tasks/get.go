package tasks

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
)

var getSpec = api.Spec{
	ID: "get-task", Method: http.MethodGet, Path: "/api/v1/tasks/{id}/", Tag: "Tasks",
	Summary:    "Get a task",
	Permission: identity.TasksRead, ResponseExample: example,
}

type getInput struct {
	api.ByID
}

func (s *service) get(ctx context.Context, by identity.Caller, in *getInput) (*api.Item[Task], error) {
	var found *db.Row[row]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getTask(tx, in.ID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	t, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(t.version, t.Task), nil
}
