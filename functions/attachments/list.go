package attachments

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

var listSpec = api.Spec{
	ID: "list-attachments", Method: http.MethodGet, Path: "/api/v1/tasks/{id}/attachments/", Tag: "Attachments",
	Summary:     "List a task's attachments",
	Description: "Pending ones too. Get one of them for the link to its file.",
	Permission:  identity.TasksRead, ResponseExample: api.ListBody[Attachment]{Results: []Attachment{readyExample()}},
}

type listInput struct {
	api.ByID
	api.PageInput
	Status string `query:"status" enum:"pending,ready" doc:"Only attachments in this state."`
}

func (s *service) list(ctx context.Context, by identity.Caller, in *listInput) (*api.List[Attachment], error) {
	var task *db.Row[bool]
	var rows *db.Rows[row]
	at := in.Position()
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		task, rows = taskExists(tx, in.ID), listAttachments(tx, in.ID, in.Status, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := task.Value(); err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(a row) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return a.UpdatedAt, a.ID
		}
		return a.CreatedAt, a.ID
	})
	results := make([]Attachment, len(cut))
	for i := range cut {
		results[i] = cut[i].Attachment
	}
	return api.NewList(results, next, previous), nil
}
