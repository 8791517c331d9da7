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
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/ratelimit"
)

var requestResetSpec = api.Spec{
	ID: "request-password-reset", Method: http.MethodPost, Path: "/api/v1/auth/password-reset/", Tag: "Auth",
	Summary: "Ask for a link to choose a new password",
	Description: "The answer is the same, in the same time, whether or not there is an account. If there is, a link goes to its address: " +
		"it works once, for an hour. Asking again leaves earlier links as they are.",
	Public: true, Status: http.StatusAccepted,
	Errors:         []errs.Error{*ratelimit.ErrTooManyAttempts},
	RequestExample: resetBody{Email: "ada@example.com"},
}

type resetBody struct {
	Email string `json:"email" minLength:"3" maxLength:"254" doc:"The address of the account."`
}

type resetInput struct {
	Body resetBody
}

func (s *service) requestReset(ctx context.Context, by identity.Caller, in *resetInput) (*api.Empty, error) {
	email := identity.NormalizeEmail(in.Body.Email)
	if fault := identity.EmailFault(email); fault != "" {
		return nil, errs.InvalidField("body.email", fault)
	}
	err := s.charge(ctx,
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "reset-ip", Limit: s.cfg.ResetIP, Window: time.Minute}, Key: ratelimit.AddressKey(by.IP)},
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "reset-email", Limit: s.cfg.ResetEmail, Window: time.Hour}, Key: ratelimit.AccountKey(email)})
	if err != nil {
		return nil, err
	}
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	err = db.Keyed(ctx, s.db, email, func(tx *db.Tx) error {
		id, err := claimedBy(tx, email).Await(ctx)
		switch {
		case errors.Is(err, errs.ErrNotFound):
			// An event and a message are left all the same: a commit that
			// writes takes longer than one that does not. The mailer finds no
			// link and skips it.
			id = nobody
		case err != nil:
			return err
		}
		if err := tx.As(identity.Principal{UserID: id, RequestID: by.RequestID, ClientIP: by.ClientIP}); err != nil {
			return err
		}
		token := link.New(ring, s.now(), identity.PasswordToken, id, ids.New())
		insertReset(tx, token, email, resetLife)
		tx.RecordUser("password_reset_requested", activity.Changes{})
		tx.EnqueueUser(queue.MailPasswordReset.Message(id.String(), queue.EmailToken{UserID: id, EmailTokenID: token.ID}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}

var confirmResetSpec = api.Spec{
	ID: "confirm-password-reset", Method: http.MethodPost, Path: "/api/v1/auth/password-reset/confirm/", Tag: "Auth",
	Summary: "Choose a new password by a mailed link",
	Description: "The link works once. Every session of the person ends, and their other links stop working. Who was mailed the link has " +
		"shown that the address is theirs: an address that was not verified is from now on, and whatever else had been made to open the account before is void.",
	Public: true, Status: http.StatusNoContent,
	Errors:         []errs.Error{*errLink, *ratelimit.ErrTooManyAttempts},
	RequestExample: confirmResetBody{Token: string(identity.PasswordToken) + exampleLink, Password: "difference-engine-3"},
}

type confirmResetBody struct {
	Token    string `json:"token" minLength:"1" maxLength:"1024" doc:"The token of the link."`
	Password string `json:"password" minLength:"8" maxLength:"128" doc:"Not only digits, not a common password, not the email address."`
}

type confirmResetInput struct {
	Body confirmResetBody
}

func (s *service) confirmReset(ctx context.Context, by identity.Caller, in *confirmResetInput) (*api.Empty, error) {
	if err := s.chargeLink(ctx, by); err != nil {
		return nil, err
	}
	token, err := identity.ParseOpaque(identity.PasswordToken, in.Body.Token)
	if err != nil {
		return nil, errLink
	}
	p := identity.Principal{UserID: token.Owner, RequestID: by.RequestID, ClientIP: by.ClientIP}
	// Read before it is used: a password that may not be chosen must not cost
	// the link, and hashing must not hold a connection.
	var row *db.Row[string]
	err = db.ReadUser(ctx, s.db, p, func(tx *db.Tx) error {
		row = readLink(tx, linkReset, token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	email, found := row.Found()
	if !found {
		return nil, errLink
	}
	if fault := identity.PasswordFault(in.Body.Password, email); fault != "" {
		return nil, errs.InvalidField("body.password", fault)
	}
	hash, err := s.hasher.Hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	var rows *db.Rows[ids.ID]
	err = db.WriteUser(ctx, s.db, p, func(tx *db.Tx) error {
		if _, err := useLink(tx, linkReset, token).Await(ctx); err != nil {
			return noLink(err)
		}
		voidLinks(tx, linkReset, linkVerify, linkChange)
		dropForeign(tx)
		setPassword(tx, hash)
		verifyAddress(tx)
		rows = endAllSessions(tx, "password_reset")
		tx.RecordUser("password_reset", activity.Changes{})
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
