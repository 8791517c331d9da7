package users

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/sessions"
)

var (
	errLastOwner = errs.New(errs.Conflict, "last_owner", "You are the last owner of an organization. Give it to somebody, or delete it, before you go.")
	errJoined    = errs.New(errs.Conflict, "try_again", "You joined an organization just now. Try again.")
)

var deleteMeSpec = api.Spec{
	ID: "delete-me", Method: http.MethodPost, Path: "/api/v1/users/me/delete/", Tag: "Users",
	Summary: "Delete one's account",
	Description: "Leaves every organization, ends every session, and closes the account at once; its data is erased after 30 days, until when its address is kept. " +
		"The last owner of an organization that is not deleted cannot go: nothing happens then.",
	Permission: identity.SignedIn, Status: http.StatusAccepted,
	Errors:         []errs.Error{*errLastOwner},
	RequestExample: deleteMeBody{Confirm: "ada@example.com"},
}

type deleteMeBody struct {
	Confirm string `json:"confirm" minLength:"1" maxLength:"254" doc:"One's own address, so that nobody goes by accident."`
}

type deleteMeInput struct {
	Body deleteMeBody
}

func (s *service) deleteMe(ctx context.Context, by identity.Caller, in *deleteMeInput) (*api.Empty, error) {
	// A repeat comes from somebody who is no more.
	if err := db.Replayed(ctx, s.db, by.Principal); err != nil {
		return nil, err
	}
	var row *db.Row[credentials]
	var joined *db.Rows[ids.ID]
	err := db.ReadUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		row, joined = readCredentials(tx), tenantsOf(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	who, found := row.Found()
	if !found {
		return nil, identity.ErrTokenInvalid
	}
	if identity.NormalizeEmail(in.Body.Confirm) != who.email {
		return nil, errs.InvalidField("body.confirm", "is not your address")
	}
	tenants, err := joined.Value()
	if err != nil {
		return nil, err
	}
	var rows *db.Rows[ids.ID]
	err = db.SpanEach(ctx, s.db, db.SpanDelete, by.Principal, tenants, func(tx *db.Tx) error {
		tx.Explain(deleteBroken)
		leaveTenant(tx)
		tx.Record(activity.Entry{Action: "left", Model: "Membership", ObjectID: by.UserID, Changes: activity.Changes{
			"is_active": {Old: true, New: false}, "reason": {New: "account_deleted"},
		}})
		tx.Enqueue(queue.AccessChanged.Message(by.UserID.String(), queue.Access{UserID: by.UserID}))
		return nil
	}, func(tx *db.Tx) error {
		tx.Explain(deleteBroken)
		closeAccount(tx)
		voidLinks(tx, "password_reset", "verify_email", "change_email")
		rows = endSessions(tx, "account_deleted")
		tx.RecordUser("account_deleted", activity.Changes{})
		return nil
	})
	if err != nil {
		return nil, err
	}
	ended, err := rows.Value()
	if err != nil {
		return nil, err
	}
	sessions.Announce(ctx, s.cache, s.log, s.cfg.Sessions.AccessLife, ended...)
	for _, tenant := range tenants {
		s.access.DropMember(ctx, tenant, by.UserID)
	}
	return &api.Empty{}, nil
}
