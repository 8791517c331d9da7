package activity

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// Change is one field before and after.
type Change struct {
	Old any `json:"old" doc:"The value before; null when there was none."`
	New any `json:"new" doc:"The value after; null when there is none."`
}

// Person is a member as nested objects show them.
type Person struct {
	ID        ids.ID `json:"id" format:"uuid" doc:"The member's user id."`
	Email     string `json:"email" format:"email" doc:"Their address."`
	FirstName string `json:"first_name" doc:"Their first name."`
	LastName  string `json:"last_name" doc:"Their last name."`
}

// Entry is one act on one object.
type Entry struct {
	ID        ids.ID            `json:"id" format:"uuid" doc:"The entry's id."`
	Action    string            `json:"action" doc:"What was done: created, updated, deleted, restored …"`
	Model     string            `json:"model" doc:"What it was done to: Project, Task …"`
	ObjectID  ids.ID            `json:"object_id" format:"uuid" doc:"Which one."`
	User      *Person           `json:"user" doc:"Who did it; null for the platform itself."`
	Changes   map[string]Change `json:"changes" doc:"The fields that changed."`
	RequestID string            `json:"request_id" doc:"The request that did it."`
	CreatedAt time.Time         `json:"created_at" doc:"When."`
}

var listSpec = api.Spec{
	ID: "list-activity", Method: http.MethodGet, Path: "/api/v1/activity/", Tag: "Activity",
	Summary:     "List what was done",
	Description: "Append-only. The latest comes first unless ordering says otherwise.",
	Permission:  identity.ActivityRead,
	ResponseExample: api.ListBody[Entry]{Results: []Entry{{
		ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073992"), Action: "updated", Model: "Task", ObjectID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073991"),
		User:    &Person{ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
		Changes: map[string]Change{"status": {Old: "todo", New: "done"}}, RequestID: "0192f0c1-7b7e-7cc3-98c4-dc0c0c073993",
		CreatedAt: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
	}}},
}

type listInput struct {
	api.PageInput
	Model    string    `query:"model" maxLength:"64" doc:"Only acts on this kind of object, such as Task."`
	ObjectID ids.ID    `query:"object_id" format:"uuid" doc:"Only acts on this object."`
	User     ids.ID    `query:"user" format:"uuid" doc:"Only what this member did."`
	Action   string    `query:"action" maxLength:"64" doc:"Only this action, such as deleted."`
	Since    time.Time `query:"since" doc:"Only what was done at this time or later (RFC 3339)."`
	Until    time.Time `query:"until" doc:"Only what was done before this time (RFC 3339)."`
}

func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[Entry], error) {
	at := in.Position()
	f := filter{model: in.Model, action: in.Action, object: in.ObjectID, user: in.User, since: in.Since, until: in.Until}
	var rows *db.Rows[Entry]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listEntries(tx, f, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	results, next, previous := page.Assemble(found, at, func(e Entry) (time.Time, ids.ID) { return e.CreatedAt, e.ID })
	return api.NewList(results, next, previous), nil
}
