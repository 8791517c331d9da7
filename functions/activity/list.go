package activity

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
	Model    string `query:"model" minLength:"1" maxLength:"64" doc:"Only acts on this kind of object, such as Task."`
	ObjectID string `query:"object_id" format:"uuid" doc:"Only acts on this object."`
	User     string `query:"user" format:"uuid" doc:"Only what this member did."`
	Action   string `query:"action" minLength:"1" maxLength:"64" doc:"Only this action, such as deleted."`
	Since    string `query:"since" format:"date-time" doc:"Only what was done at this time or later (RFC 3339)."`
	Until    string `query:"until" format:"date-time" doc:"Only what was done before this time (RFC 3339)."`
}

// filter reads the parameters as text, since the zero of an id or a time is a
// value that a client may send and would pass for an absent one.
func (in *listInput) filter() (filter, error) {
	f := filter{model: in.Model, action: in.Action}
	var faults []errs.Field
	id := func(name, text string) *ids.ID {
		if text == "" {
			return nil
		}
		v, err := ids.Parse(text)
		if err != nil {
			faults = append(faults, errs.Field{Location: "query." + name, Message: "must be an id"})
		}
		return &v
	}
	at := func(name, text string) *time.Time {
		if text == "" {
			return nil
		}
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || v.UTC().Year() < 1 {
			faults = append(faults, errs.Field{Location: "query." + name, Message: "must be a time as RFC 3339 writes it"})
		}
		return &v
	}
	f.object, f.user = id("object_id", in.ObjectID), id("user", in.User)
	f.since, f.until = at("since", in.Since), at("until", in.Until)
	if len(faults) > 0 {
		return f, &errs.Error{Kind: errs.Malformed, Code: "invalid_request", Detail: "A parameter or header of the request is not valid.", Fields: faults}
	}
	return f, nil
}

func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[Entry], error) {
	at := in.Position()
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	var rows *db.Rows[Entry]
	err = db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
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
