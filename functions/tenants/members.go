package tenants

import (
	"context"
	"errors"
	"net/http"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

var (
	errLastOwner = errs.New(errs.Conflict, "last_owner", "An organization always has an owner: transfer it to somebody first.")
	errNoOwner   = errs.New(errs.Forbidden, "permission_denied", "Your role does not allow this.")
	errNotActive = errs.InvalidField("body.user_id", "is not another active member of the organization")
)

var transferSpec = api.Spec{
	ID: "transfer-tenant", Method: http.MethodPost, Path: "/api/v1/tenants/me/transfer/", Tag: "Tenants",
	Summary:     "Give the organization to another member",
	Description: "They become an owner; the caller stays as an admin.",
	Permission:  identity.TenantOwn, Essential: true, Status: http.StatusOK,
	RequestExample: transferBody{UserID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073981")}, ResponseExample: example,
}

type transferBody struct {
	UserID ids.ID `json:"user_id" format:"uuid" doc:"An active member."`
}

type transferInput struct {
	Body transferBody
}

func (s *service) transfer(ctx context.Context, by identity.Caller, in *transferInput) (*api.Item[Organization], error) {
	to := in.Body.UserID
	if to == by.UserID {
		return nil, errNotActive
	}
	var found *db.Row[row]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		both, err := lockMembers(tx, by.UserID, to).Await(ctx)
		if err != nil {
			return err
		}
		var giver, taker *member
		for i := range both {
			switch both[i].user {
			case by.UserID:
				giver = &both[i]
			case to:
				taker = &both[i]
			}
		}
		switch {
		case taker == nil:
			return errNotActive
		case giver == nil || giver.role != identity.RoleOwner:
			// They were one when the request came in, and no longer are.
			return errNoOwner
		}
		setRole(tx, to, identity.RoleOwner)
		setRole(tx, by.UserID, identity.RoleAdmin)
		for _, c := range []struct {
			who      ids.ID
			old, new string
		}{{to, taker.role, identity.RoleOwner}, {by.UserID, identity.RoleOwner, identity.RoleAdmin}} {
			tx.Record(activity.Updated("Membership", c.who, activity.Changes{"role": {Old: c.old, New: c.new}}))
			tx.Enqueue(queue.AccessChanged.Message("", queue.Access{UserID: c.who}))
		}
		found = getOrganization(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.access.DropMember(ctx, by.TenantID, to, by.UserID)
	o, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(o.version, o.Organization), nil
}

var leaveSpec = api.Spec{
	ID: "leave-tenant", Method: http.MethodPost, Path: "/api/v1/tenants/me/leave/", Tag: "Tenants",
	Summary:     "Leave the organization",
	Description: "What one did stays. The last owner cannot leave.",
	Permission:  identity.Member, Essential: true, Status: http.StatusNoContent,
	Errors: []errs.Error{*errLastOwner},
}

type leaveInput struct{}

// leave locks the owners, so that of two who go at the same time one stays.
func (s *service) leave(ctx context.Context, by identity.Caller, _ *leaveInput) (*api.Empty, error) {
	err := db.Span(ctx, s.db, db.SpanLeave, by.Principal, func(tx *db.Tx) error {
		queued := lockMembers(tx, by.UserID)
		owners, err := lockOwners(tx).Await(ctx)
		if err != nil {
			return err
		}
		if me, err := queued.Value(); err != nil || len(me) == 0 {
			return errors.Join(err, access.ErrNotMember) // removed since their rights were read
		}
		if len(owners) == 1 && owners[0] == by.UserID {
			return errLastOwner
		}
		endMembership(tx)
		tx.Record(activity.Entry{Action: "left", Model: "Membership", ObjectID: by.UserID, Changes: activity.Changes{"is_active": {Old: true, New: false}}})
		tx.RecordUser("tenant_left", activity.Changes{"tenant_id": {Old: by.TenantID.String()}})
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{UserID: by.UserID}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.access.DropMember(ctx, by.TenantID, by.UserID)
	return &api.Empty{}, nil
}
