package auth

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

var (
	errWrongPassword = &errs.Error{
		Kind: errs.Invalid, Code: "wrong_password", Detail: "The present password is wrong.",
		Fields: []errs.Field{{Location: "body.current_password", Message: "is wrong"}},
	}
	errNoPassword = errs.New(errs.Conflict, "no_password", "This account has no password. Ask for a password reset to choose one.")
)

var changePasswordSpec = api.Spec{
	ID: "change-password", Method: http.MethodPost, Path: "/api/v1/auth/password/", Tag: "Auth",
	Summary:     "Change one's password",
	Description: "Ends the person's other sessions, and voids links to reset the password or to change the address that are still open.",
	Permission:  identity.SignedIn, Essential: true, Status: http.StatusNoContent,
	Errors:         []errs.Error{*errWrongPassword, *errNoPassword, *ratelimit.ErrTooManyAttempts},
	RequestExample: changePasswordBody{Current: "difference-engine-2", New: "difference-engine-3"},
}

type changePasswordBody struct {
	Current string `json:"current_password" minLength:"1" maxLength:"1024" doc:"The password as it is."`
	New     string `json:"new_password" minLength:"8" maxLength:"128" doc:"Not only digits, not a common password, not the email address."`
}

type changePasswordInput struct {
	Body changePasswordBody
}

func (s *service) changePassword(ctx context.Context, by identity.Caller, in *changePasswordInput) (*api.Empty, error) {
	// A repeat would find that the present password is another by now.
	if err := db.Replayed(ctx, s.db, by.Principal); err != nil {
		return nil, err
	}
	if _, err := s.signIn.Proof(ctx, by.UserID.String(), by.SessionID.String()); err != nil {
		return nil, err
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
	switch {
	case !found || !who.active:
		return nil, identity.ErrTokenInvalid
	case who.passwordHash == nil:
		return nil, errNoPassword
	}
	if fault := identity.PasswordFault(in.Body.New, who.Email); fault != "" {
		return nil, errs.InvalidField("body.new_password", fault)
	}
	if match, _, err := s.hasher.Verify(ctx, *who.passwordHash, in.Body.Current); err != nil {
		return nil, err
	} else if !match {
		return nil, errWrongPassword
	}
	hash, err := s.hasher.Hash(ctx, in.Body.New)
	if err != nil {
		return nil, err
	}
	var rows *db.Rows[ids.ID]
	err = db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(passwordBroken)
		requirePassword(tx, *who.passwordHash)
		updatePassword(tx, hash)
		voidLinks(tx, linkReset, linkChange)
		rows = endOtherSessions(tx, by.SessionID, "password_changed")
		tx.RecordUser("password_changed", activity.Changes{})
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
	return &api.Empty{}, nil
}
