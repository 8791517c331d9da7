package users

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/mail/link"
)

var unsubscribeSpec = api.Spec{
	ID: "unsubscribe", Method: http.MethodPost, Path: "/api/v1/users/unsubscribe/", Tag: "Users",
	Summary: "Stop the daily summaries",
	Description: "What a mail program calls by itself when its reader unsubscribes (RFC 8058): the token in the address, which came with a " +
		"summary, is all it takes.",
	Public: true, Status: http.StatusNoContent, Errors: []errs.Error{*errLinkUnknown},
}

var errLinkUnknown = errs.New(errs.NotFound, "not_found", "There is no such resource.")

type unsubscribeInput struct {
	Token string `query:"token" required:"true" minLength:"1" maxLength:"512" doc:"The token of the link."`
}

// unsubscribe takes a token for proof that a summary was read. It can do no
// more than switch summaries off, so it neither expires nor is used up.
func (s *service) unsubscribe(ctx context.Context, by identity.Caller, in *unsubscribeInput) (*api.Empty, error) {
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	user, ok := link.Unsubscribing(ring, in.Token)
	if !ok {
		return nil, errLinkUnknown
	}
	return &api.Empty{}, db.WriteUser(ctx, s.db, identity.Principal{UserID: user, RequestID: by.RequestID, ClientIP: by.ClientIP}, func(tx *db.Tx) error {
		stopped, err := stopDigests(tx).Await(ctx)
		if err != nil {
			return err
		}
		if stopped == 0 {
			tx.Unchanged()
			return nil
		}
		tx.RecordUser("summaries_stopped", activity.Changes{"digest_enabled": {New: false}})
		return nil
	})
}
