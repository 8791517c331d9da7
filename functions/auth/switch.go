package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

var switchTenantSpec = api.Spec{
	ID: "switch-tenant", Method: http.MethodPost, Path: "/api/v1/auth/switch-tenant/", Tag: "Auth",
	Summary: "Act in another organization",
	Description: "The session goes on with a new pair of tokens, for the organization named, which is the one that the next sign-in takes. " +
		"The refresh token of before is void; the access token of before still acts where it did until it expires.",
	Permission: identity.SignedIn, Essential: true, Sealed: true, Status: http.StatusOK,
	Errors:          []errs.Error{*errNotMember},
	RequestExample:  switchBody{TenantID: exampleSignedIn.Tenant.ID},
	ResponseExample: exampleSignedIn,
}

type switchBody struct {
	TenantID ids.ID `json:"tenant_id" format:"uuid" doc:"The organization to act in."`
}

type switchInput struct {
	Body switchBody
}

func (s *service) switchTenant(ctx context.Context, by identity.Caller, in *switchInput) (*api.Value[SignedIn], error) {
	if by.SessionID == ids.Nil {
		return nil, identity.ErrTokenInvalid // no session that could go on
	}
	var row *db.Row[account]
	err := db.ReadUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		row = readAccount(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	who, found := row.Found()
	if !found || !who.active {
		return nil, identity.ErrTokenInvalid
	}
	tenant, err := s.choose(ctx, &who, true, in.Body.TenantID)
	if err != nil {
		return nil, err
	}
	// What could fail once the old token is void is tried before.
	if _, err := s.keys.Get(ctx); err != nil {
		return nil, err
	}
	refresh := identity.NewOpaque(identity.RefreshToken, by.UserID, by.SessionID)
	var moved *db.Row[movedSession]
	err = db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		moved = moveSession(tx, by.SessionID, tenant.ID)
		replaceTokens(tx, refresh)
		noteTenant(tx, tenant.ID)
		tx.RecordUser("tenant_switched", activity.Changes{"tenant_id": {Old: optional(by.TenantID), New: tenant.ID}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	at, found := moved.Found()
	if !found {
		return nil, identity.ErrTokenInvalid
	}
	pair, err := s.issue(ctx, identity.Principal{
		UserID: by.UserID, SessionID: by.SessionID, TenantID: tenant.ID, Roles: []string{tenant.Role}, Email: who.Email, Name: who.name(),
	}, refresh, at.expires)
	if err != nil {
		return nil, err
	}
	return api.NewValue(signedIn(who.User, tenant, pair)), nil
}

// movedSession is what is known of a session that goes on elsewhere.
type movedSession struct{ expires time.Time }
