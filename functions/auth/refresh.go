package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
)

var refreshSpec = api.Spec{
	ID: "refresh", Method: http.MethodPost, Path: "/api/v1/auth/refresh/", Tag: "Auth",
	Summary: "Trade a refresh token for a new pair",
	Description: "The token is spent. Within 10 seconds it may be sent again, as by a client that lost the answer or by two tabs at once, " +
		"and brings the same successor. Later use of a spent token ends the session, since one of its two holders has stolen it.",
	Public: true, Sealed: true, Status: http.StatusOK,
	Errors:          []errs.Error{*errToken, *errReused, *ratelimit.ErrTooManyAttempts},
	RequestExample:  refreshBody{RefreshToken: exampleTokens.RefreshToken},
	ResponseExample: exampleTokens,
}

type refreshBody struct {
	RefreshToken string `json:"refresh_token" minLength:"1" maxLength:"8192" doc:"The refresh token last received."`
}

type refreshInput struct {
	Body refreshBody
}

// spent is a refresh token and its session after an attempt to spend it.
type spent struct {
	// late says that it was spent longer ago than is forgiven.
	late bool
	// live says that its session has not ended and its person may sign in.
	live      bool
	expires   time.Time
	tenant    *ids.ID
	successor []byte // the hash of the token it was traded for
	user      User
}

func (s *service) refresh(ctx context.Context, by identity.Caller, in *refreshInput) (*api.Value[Tokens], error) {
	token, err := identity.ParseOpaque(identity.RefreshToken, in.Body.RefreshToken)
	if err != nil {
		// Charged all the same: guessing at the form is guessing.
		if _, limited := s.signIn.Refresh(ctx, by.IP, "malformed:"+ratelimit.AddressKey(by.IP)); limited != nil {
			return nil, limited
		}
		return nil, errToken
	}
	if _, err := s.signIn.Refresh(ctx, by.IP, token.ID.String()); err != nil {
		return nil, err
	}
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	// What could fail after the token is spent is tried before.
	if _, err := s.keys.Get(ctx); err != nil {
		return nil, err
	}
	p := identity.Principal{UserID: token.Owner, SessionID: token.ID, RequestID: by.RequestID, ClientIP: by.ClientIP}
	next := token.Successor(ring.Current(s.now()).Bytes)
	var row *db.Row[spent]
	err = db.WriteUser(ctx, s.db, p, func(tx *db.Tx) error {
		spendToken(tx, token)
		insertSuccessor(tx, token, next)
		touchSession(tx, token.ID)
		row = readSpent(tx, token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	state, found := row.Found()
	switch {
	case !found:
		return nil, errToken
	case state.late:
		if state.live {
			s.endStolen(ctx, p)
		}
		return nil, errReused
	case !state.live:
		return nil, errToken
	}
	if next, err = successor(ring, token, state.successor); err != nil {
		return nil, err
	}
	p.Email, p.Name = state.user.Email, state.user.name()
	if state.tenant != nil {
		p = s.withRole(ctx, p.InTenant(*state.tenant))
	}
	pair, err := s.issue(ctx, p, next, state.expires)
	if err != nil {
		return nil, err
	}
	return api.NewValue(pair), nil
}

var errForeignRing = errs.Wrap(errors.New("auth: no key of the ring derives the stored successor"),
	errs.Unavailable, "try_again", "The token cannot be renewed at this moment. Try again.").WithRetry(time.Second)

// successor finds the token that the database knows the hash of. It is another
// key's when the ring turned between two uses of one token.
func successor(ring *secrets.Ring, token identity.Opaque, hash []byte) (identity.Opaque, error) {
	for _, k := range ring.Keys() {
		if next := token.Successor(k.Bytes); next.Matches(hash) {
			return next, nil
		}
	}
	return identity.Opaque{}, errForeignRing
}

// withRole adds what the token tells its client about the person's role. Who
// is no member any more goes on without an organization. Nothing is decided by
// it, so not knowing it is no reason to fail: the old token is spent already.
func (s *service) withRole(ctx context.Context, p identity.Principal) identity.Principal {
	access, err := s.access.Resolve(ctx, p)
	switch {
	case errs.KindOf(err) == errs.Forbidden:
		return p.InTenant(ids.Nil)
	case err != nil:
		s.log.WarnContext(ctx, "a token was issued without its role", "error", err)
	default:
		p.Roles = []string{access.Role}
	}
	return p
}

// endStolen ends a session one of whose tokens two parties hold. It is a
// transaction of its own, since the answer to the request is a refusal.
func (s *service) endStolen(ctx context.Context, p identity.Principal) {
	ctx = context.WithoutCancel(ctx)
	err := db.WriteUser(ctx, s.db, p, func(tx *db.Tx) error {
		endSession(tx, p.SessionID, "token_reused")
		tx.RecordUser("session_ended", activity.Changes{"session_id": {Old: p.SessionID}, "reason": {New: "token_reused"}})
		return nil
	})
	if err != nil {
		s.log.ErrorContext(ctx, "a session with a stolen token could not be ended", "session_id", p.SessionID, "error", err)
		return
	}
	s.log.WarnContext(ctx, "a spent refresh token was used again", "user_id", p.UserID, "session_id", p.SessionID)
	s.announce(ctx, p.SessionID)
}
