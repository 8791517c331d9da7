package auth

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

var logoutSpec = api.Spec{
	ID: "logout", Method: http.MethodPost, Path: "/api/v1/auth/logout/", Tag: "Auth",
	Summary: "Sign out",
	Description: "Ends the session of the access token, and that of the refresh token if it is the same person's. " +
		"Neither kind of token of theirs is accepted from then on.",
	Permission: identity.SignedIn, Essential: true, Status: http.StatusNoContent,
	RequestExample: logoutBody{RefreshToken: exampleTokens.RefreshToken},
}

type logoutBody struct {
	RefreshToken string `json:"refresh_token,omitempty" maxLength:"8192" doc:"A refresh token to end the session of as well."`
}

type logoutInput struct {
	Body *logoutBody
}

func (s *service) logout(ctx context.Context, by identity.Caller, in *logoutInput) (*api.Empty, error) {
	var other *identity.Opaque
	if in.Body != nil {
		// A token that is not one, or somebody else's, ends nothing: signing out
		// must not fail because of it.
		t, err := identity.ParseOpaque(identity.RefreshToken, in.Body.RefreshToken)
		if err == nil && t.Owner == by.UserID && t.ID != by.SessionID {
			other = &t
		}
	}
	var ended []ids.ID
	err := db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		ended = ended[:0]
		var also *db.Row[ids.ID]
		if by.SessionID != ids.Nil {
			// Told to Redis even if it had ended before: what Redis missed then.
			ended = append(ended, by.SessionID)
			endSession(tx, by.SessionID, "logout")
			tx.RecordUser("signed_out", activity.Changes{"session_id": {Old: by.SessionID}})
		}
		if other != nil {
			also = endSessionOf(tx, *other, "logout")
		}
		tx.OnCommit(func() error {
			if also != nil {
				if id, found := also.Found(); found {
					ended = append(ended, id)
				}
			}
			return nil
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.announce(ctx, ended...)
	return &api.Empty{}, nil
}
