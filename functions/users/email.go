package users

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

var (
	errWrongPassword = &errs.Error{
		Kind: errs.Invalid, Code: "wrong_password", Detail: "The password is wrong.",
		Fields: []errs.Field{{Location: "body.password", Message: "is wrong"}},
	}
	errNoPassword = errs.New(errs.Conflict, "no_password", "This account has no password. Ask for a password reset to choose one.")
	errEmailTaken = errs.New(errs.Conflict, "email_taken", "There is an account with this email address already.")
	// errLink is the one refusal of a link, as that of functions/auth is.
	errLink = &errs.Error{
		Kind: errs.Invalid, Code: "link_invalid", Detail: "The link is not valid, or not any more. Ask for another.",
		Fields: []errs.Field{{Location: "body.token", Message: "is not valid, or not any more"}},
	}
)

// changeLife is how long the link in the mail to the new address works.
const changeLife = 24 * time.Hour

var changeEmailSpec = api.Spec{
	ID: "change-email", Method: http.MethodPost, Path: "/api/v1/users/me/email/", Tag: "Users",
	Summary: "Change one's address",
	Description: "A link goes to the new address; nothing changes until it is confirmed, within 24 hours. The answer is the same for an address " +
		"that has an account already: only who reads its mail is told. Asking again voids the links of before.",
	Permission: identity.SignedIn, Status: http.StatusAccepted,
	Errors:         []errs.Error{*errWrongPassword, *errNoPassword, *ratelimit.ErrTooManyAttempts},
	RequestExample: changeEmailBody{Email: "ada.lovelace@example.com", Password: "difference-engine-2"},
}

type changeEmailBody struct {
	Email    string `json:"email" minLength:"3" maxLength:"254" doc:"The new address."`
	Password string `json:"password" minLength:"1" maxLength:"1024" doc:"One's password."`
}

type changeEmailInput struct {
	Body changeEmailBody
}

func (s *service) changeEmail(ctx context.Context, by identity.Caller, in *changeEmailInput) (*api.Empty, error) {
	email := identity.NormalizeEmail(in.Body.Email)
	if fault := identity.EmailFault(email); fault != "" {
		return nil, errs.InvalidField("body.email", fault)
	}
	// A repeat is answered, however much of the budgets is left.
	if err := db.Replayed(ctx, s.db, by.Principal); err != nil {
		return nil, err
	}
	_, err := s.proofs.Proof(ctx, by.UserID.String(), by.SessionID.String(),
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "email-change", Limit: s.cfg.EmailChanges, Window: time.Hour}, Key: by.UserID.String()},
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "email-change-email", Limit: s.cfg.EmailChangeAddress, Window: time.Hour}, Key: ratelimit.AccountKey(email)})
	if err != nil {
		return nil, err
	}
	who, err := s.prove(ctx, by, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if email == who.email {
		return nil, errs.InvalidField("body.email", "is your address already")
	}
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	token := link.New(ring, s.now(), identity.EmailToken, by.UserID, ids.New())
	err = db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(emailBroken)
		requirePassword(tx, who.hash)
		voidLinks(tx, "change_email")
		insertChange(tx, token, email, changeLife)
		tx.RecordUser("email_change_requested", activity.Changes{})
		tx.EnqueueUser(queue.MailEmailChange.Message(by.UserID.String(), queue.EmailToken{UserID: by.UserID, EmailTokenID: token.ID}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}

// prover is a person whose password is asked for once more.
type prover struct{ email, hash string }

// prove checks the password of who is signed in.
func (s *service) prove(ctx context.Context, by identity.Caller, password string) (prover, error) {
	var row *db.Row[credentials]
	err := db.ReadUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		row = readCredentials(tx)
		return nil
	})
	if err != nil {
		return prover{}, err
	}
	c, found := row.Found()
	switch {
	case !found:
		return prover{}, identity.ErrTokenInvalid
	case c.hash == nil:
		return prover{}, errNoPassword
	}
	match, _, err := s.hasher.Verify(ctx, *c.hash, password)
	switch {
	case err != nil:
		return prover{}, err
	case !match:
		return prover{}, errWrongPassword
	}
	return prover{c.email, *c.hash}, nil
}

var confirmEmailSpec = api.Spec{
	ID: "confirm-email-change", Method: http.MethodPost, Path: "/api/v1/users/me/email/confirm/", Tag: "Users",
	Summary: "Confirm one's new address",
	Description: "Takes the token of the link that was mailed to it. It works once, for who asked for it. From then on the new address is the one to sign in with; " +
		"open links to reset the password, sent to the old one, are void. An address that got an account meanwhile is 409.",
	Permission: identity.SignedIn, Status: http.StatusNoContent,
	Errors:         []errs.Error{*errLink, *errEmailTaken},
	RequestExample: confirmEmailBody{Token: "ev_AZLwwXt-fMOYxNwMDAc5jw.AZLwwXt-fMOYxNwMDAc5kA.tR2cS0m1Yw9vQ3xkq8h5bG7nPz4uJ6eLdFaKiXoVrTs"},
}

type confirmEmailBody struct {
	Token string `json:"token" minLength:"1" maxLength:"1024" doc:"The token of the link."`
}

type confirmEmailInput struct {
	Body confirmEmailBody
}

func (s *service) confirmEmail(ctx context.Context, by identity.Caller, in *confirmEmailInput) (*api.Empty, error) {
	token, err := identity.ParseOpaque(identity.EmailToken, in.Body.Token)
	if err != nil || token.Owner != by.UserID {
		return nil, errLink
	}
	err = db.WriteUser(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(emailBroken)
		before := lockEmail(tx)
		email, err := useChange(tx, token).Await(ctx)
		if errors.Is(err, errs.ErrNotFound) {
			return errLink
		}
		if err != nil {
			return err
		}
		old, err := before.Value()
		if err != nil {
			return gone(err)
		}
		moveEmail(tx, old, email)
		voidLinks(tx, "password_reset", "verify_email", "change_email")
		tx.RecordUser("email_changed", activity.Changes{"email": {Old: old, New: email}})
		tx.EnqueueUser(queue.ProfileChanged.Message(by.UserID.String(), queue.Person{UserID: by.UserID}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}
