package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// Session is one device on which a person is signed in.
type Session struct {
	ID         ids.ID    `json:"id" format:"uuid" doc:"The session's id."`
	Device     string    `json:"device" doc:"A guess at the device, from its User-Agent."`
	IP         string    `json:"ip" doc:"The address it signed in from; empty when unknown."`
	UserAgent  string    `json:"user_agent" doc:"What it calls itself."`
	CreatedAt  time.Time `json:"created_at" doc:"When it signed in."`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it last renewed its tokens."`
	Current    bool      `json:"current" doc:"Whether it is the one asking."`
}

var exampleSession = Session{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073992"), Device: "Firefox on Linux", IP: "203.0.113.7",
	UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
	CreatedAt: exampleTime, LastSeenAt: exampleTime, Current: true,
}

var listSessionsSpec = api.Spec{
	ID: "list-sessions", Method: http.MethodGet, Path: "/api/v1/auth/sessions/", Tag: "Auth",
	Summary:     "List the devices one is signed in on",
	Description: "Only sessions that live. updated_at orders by last_seen_at.",
	Permission:  identity.SignedIn, Essential: true,
	ResponseExample: api.ListBody[Session]{Results: []Session{exampleSession}},
}

type listSessionsInput struct {
	api.PageInput
}

func (s *service) listSessions(ctx context.Context, by identity.Caller, in *listSessionsInput) (*api.List[Session], error) {
	at := in.Position()
	var rows *db.Rows[Session]
	err := db.ReadUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = liveSessions(tx, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	results, next, previous := page.Assemble(found, at, func(s Session) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return s.LastSeenAt, s.ID
		}
		return s.CreatedAt, s.ID
	})
	for i := range results {
		results[i].Current = results[i].ID == by.SessionID
	}
	return api.NewList(results, next, previous), nil
}

var deleteSessionSpec = api.Spec{
	ID: "delete-session", Method: http.MethodDelete, Path: "/api/v1/auth/sessions/{id}/", Tag: "Auth",
	Summary:     "Sign a device out",
	Description: "Its tokens are refused within 5 seconds.",
	Permission:  identity.SignedIn, Essential: true, Status: http.StatusNoContent,
}

type deleteSessionInput struct {
	api.ByID
}

func (s *service) deleteSession(ctx context.Context, by identity.Caller, in *deleteSessionInput) (*api.Empty, error) {
	err := db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		if _, err := endSession(tx, in.ID, "deleted").Await(ctx); err != nil {
			return err
		}
		tx.RecordUser("session_ended", activity.Changes{"session_id": {Old: in.ID}, "reason": {New: "deleted"}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.announce(ctx, in.ID)
	return &api.Empty{}, nil
}
