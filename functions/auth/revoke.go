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

var revokeSpec = api.Spec{
	ID: "revoke-sessions", Method: http.MethodPost, Path: "/api/v1/auth/revoke/", Tag: "Auth",
	Summary:     "Sign out everywhere",
	Description: "Ends every session of the person, this one included.",
	Permission:  identity.SignedIn, Essential: true, Status: http.StatusOK,
	ResponseExample: Revoked{Revoked: 3},
}

// Revoked says how many sessions were ended.
type Revoked struct {
	Revoked int `json:"revoked" minimum:"0" doc:"How many sessions were ended."`
}

func (s *service) revoke(ctx context.Context, by identity.Caller, _ *struct{}) (*api.Value[Revoked], error) {
	var rows *db.Rows[ids.ID]
	err := db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = endAllSessions(tx, "revoked")
		tx.RecordUser("sessions_revoked", activity.Changes{})
		return nil
	})
	if err != nil {
		return nil, err
	}
	ended, err := rows.Value()
	if err != nil {
		return nil, err
	}
	s.announce(ctx, ended...)
	return api.NewValue(Revoked{Revoked: len(ended)}), nil
}
