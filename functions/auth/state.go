package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/sessions"
)

var sessionStateSpec = api.Spec{
	ID: "session-state", Method: http.MethodGet, Path: "/internal/sessions/{user_id}/{session_id}/", Tag: "Internal",
	Summary:         "Tell whether a session lives",
	Description:     "The router asks when Redis does not know. A session that never was is a revoked one.",
	Permission:      identity.Internal,
	ResponseExample: SessionState{State: sessions.Live, ExpiresAt: &exampleTime},
}

// SessionState is what the database knows of a session.
type SessionState struct {
	State     string     `json:"state" enum:"live,revoked" doc:"Whether its tokens are to be accepted."`
	ExpiresAt *time.Time `json:"expires_at" doc:"When it ends at the latest; null for a session that never was."`
}

type sessionStateInput struct {
	UserID    ids.ID `path:"user_id" doc:"Whose session."`
	SessionID ids.ID `path:"session_id" doc:"The session's id."`
}

func (s *service) sessionState(ctx context.Context, by identity.Caller, in *sessionStateInput) (*api.Value[SessionState], error) {
	answer := SessionState{State: sessions.Revoked}
	if in.UserID == ids.Nil {
		return api.NewValue(answer), nil
	}
	var row *db.Row[truth]
	err := db.ReadUser(ctx, s.db, identity.Principal{UserID: in.UserID, RequestID: by.RequestID}, func(tx *db.Tx) error {
		row = sessionTruth(tx, in.SessionID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	t, found := row.Found()
	if !found {
		// Not remembered: ids that never were must not fill Redis.
		return api.NewValue(answer), nil
	}
	answer.ExpiresAt = &t.expires
	if !t.live {
		s.announce(ctx, in.SessionID)
		return api.NewValue(answer), nil
	}
	answer.State = sessions.Live
	// Only where nothing is: a session that ended since we looked stays ended.
	life := max(min(sessions.LiveLife, t.expires.Sub(s.now())), time.Second)
	if _, err := s.cache.SetNX(ctx, sessions.Key(in.SessionID), []byte(sessions.Live), life); err != nil && !errors.Is(err, cache.ErrUnavailable) {
		s.log.WarnContext(ctx, "a live session was not cached", "error", err)
	}
	return api.NewValue(answer), nil
}

// truth is a session's state in the database.
type truth struct {
	live    bool
	expires time.Time
}
