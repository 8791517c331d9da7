package tenants

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/queue"
)

var deleteSpec = api.Spec{
	ID: "delete-tenant", Method: http.MethodPost, Path: "/api/v1/tenants/me/delete/", Tag: "Tenants",
	Summary: "Delete the organization",
	Description: "It is closed at once and erased after 30 days, until when its subdomain is nobody else's and an operator can " +
		"bring it back. `confirm` repeats the subdomain.",
	Permission: identity.TenantOwn, Essential: true, Status: http.StatusAccepted,
	RequestExample: deleteBody{Confirm: "acme"}, ResponseExample: deleted(example),
}

func deleted(o Organization) Organization {
	o.Status = "deleted"
	return o
}

type deleteBody struct {
	Confirm string `json:"confirm" minLength:"1" maxLength:"63" doc:"The organization's subdomain."`
}

type deleteInput struct {
	Body deleteBody
}

func (s *service) delete(ctx context.Context, by identity.Caller, in *deleteInput) (*api.Item[Organization], error) {
	var after row
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		before, err := lockOrganization(tx).Await(ctx)
		if err != nil {
			return err
		}
		if in.Body.Confirm != before.Subdomain {
			return errs.InvalidField("body.confirm", "is not the organization's subdomain")
		}
		changed := deleteOrganization(tx)
		tx.Record(activity.Deleted("Organization", by.TenantID, activity.Changes{"status": {Old: before.Status, New: "deleted"}}))
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{}))
		tx.Enqueue(queue.BillingClose.Message("", queue.None{})) // its subscription ends
		tx.OnCommit(func() error {
			after, err = changed.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.access.DropTenant(ctx, by.TenantID)
	return api.NewItem(after.version, after.Organization), nil
}
