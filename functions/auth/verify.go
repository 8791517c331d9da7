package auth

import (
	"context"
	"errors"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ratelimit"
)

var verifyEmailSpec = api.Spec{
	ID: "verify-email", Method: http.MethodPost, Path: "/api/v1/auth/verify-email/", Tag: "Auth",
	Summary:     "Show that an address is one's own",
	Description: "Takes the token of the link that was mailed after registration. It works once, for 72 hours, and only for the address it was sent to.",
	Public:      true, Status: http.StatusNoContent,
	Errors:         []errs.Error{*errLink, *ratelimit.ErrTooManyAttempts},
	RequestExample: linkBody{Token: string(identity.EmailToken) + exampleLink},
}

type linkBody struct {
	Token string `json:"token" minLength:"1" maxLength:"1024" doc:"The token of the link."`
}

type linkInput struct {
	Body linkBody
}

func (s *service) verifyEmail(ctx context.Context, by identity.Caller, in *linkInput) (*api.Empty, error) {
	if err := s.chargeLink(ctx, by); err != nil {
		return nil, err
	}
	token, err := identity.ParseOpaque(identity.EmailToken, in.Body.Token)
	if err != nil {
		return nil, errLink
	}
	p := identity.Principal{UserID: token.Owner, RequestID: by.RequestID, ClientIP: by.ClientIP}
	err = db.WriteUser(ctx, s.db, p, func(tx *db.Tx) error {
		if _, err := useLink(tx, linkVerify, token).Await(ctx); err != nil {
			return noLink(err)
		}
		verifyAddress(tx)
		tx.RecordUser("email_verified", activity.Changes{})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}

// noLink makes of a row that is not there a link that does not hold.
func noLink(err error) error {
	if errors.Is(err, errs.ErrNotFound) {
		return errLink
	}
	return err
}
