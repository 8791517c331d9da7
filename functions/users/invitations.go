package users

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/ratelimit"
)

// Inviter is the member who answers for an invitation.
type Inviter struct {
	ID        ids.ID `json:"id" format:"uuid" doc:"The member's id."`
	Email     string `json:"email" format:"email" doc:"Their address."`
	FirstName string `json:"first_name" doc:"Their first name."`
	LastName  string `json:"last_name" doc:"Their last name."`
}

// Invitation is one that can be accepted, or could be if it were sent again.
// Its secret is in the mail alone.
type Invitation struct {
	ID        ids.ID     `json:"id" format:"uuid" doc:"The invitation's id."`
	Email     string     `json:"email" format:"email" doc:"The only address that can accept it."`
	FirstName string     `json:"first_name" doc:"The first name it was made with; empty without one."`
	LastName  string     `json:"last_name" doc:"The last name it was made with; empty without one."`
	Role      string     `json:"role" doc:"The role of who accepts it: a built-in one, or one of the organization's own."`
	Status    string     `json:"status" enum:"pending,expired" doc:"Whether it can be accepted."`
	InvitedBy *Inviter   `json:"invited_by" doc:"Who answers for it; null for the platform's operator."`
	ExpiresAt time.Time  `json:"expires_at" doc:"Until when it can be accepted."`
	SentAt    *time.Time `json:"sent_at" doc:"When it was last mailed; null before that."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
}

// invitationRow is an invitation as the database has it.
type invitationRow struct {
	Invitation
	version   int64
	updatedAt time.Time
	member    *ids.ID
	grade     grade
}

// The states of an open invitation.
const (
	statusPending = "pending"
	statusExpired = "expired"
)

var exampleInvitation = Invitation{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073993"), Email: "grace@example.com", Role: "manager", Status: statusPending,
	InvitedBy: &Inviter{ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
	ExpiresAt: time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC), CreatedAt: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC),
}

var listInvitationsSpec = api.Spec{
	ID: "list-invitations", Method: http.MethodGet, Path: "/api/v1/users/invitations/", Tag: "Invitations",
	Summary:         "List the open invitations",
	Description:     "Those that nobody accepted and nobody withdrew; expired ones too, which can be sent again.",
	Permission:      identity.MembersWrite,
	ResponseExample: api.ListBody[Invitation]{Results: []Invitation{exampleInvitation}},
}

type listInvitationsInput struct {
	api.PageInput
	Status string `query:"status" enum:"pending,expired" doc:"Only invitations in this state."`
}

func (s *service) listInvitations(ctx context.Context, by identity.Caller, in *listInvitationsInput) (*api.List[Invitation], error) {
	at := in.Position()
	var rows *db.Rows[invitationRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listInvitations(tx, in.Status, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(i invitationRow) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return i.updatedAt, i.ID
		}
		return i.CreatedAt, i.ID
	})
	results := make([]Invitation, len(cut))
	for i := range cut {
		results[i] = cut[i].Invitation
	}
	return api.NewList(results, next, previous), nil
}

var getInvitationSpec = api.Spec{
	ID: "get-invitation", Method: http.MethodGet, Path: "/api/v1/users/invitations/{id}/", Tag: "Invitations",
	Summary:    "Get an open invitation",
	Permission: identity.MembersWrite, ResponseExample: exampleInvitation,
}

type getInvitationInput struct {
	api.ByID
}

func (s *service) getInvitation(ctx context.Context, by identity.Caller, in *getInvitationInput) (*api.Item[Invitation], error) {
	var found *db.Row[invitationRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getInvitation(tx, in.ID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	i, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewItem(i.version, i.Invitation), nil
}

var deleteInvitationSpec = api.Spec{
	ID: "delete-invitation", Method: http.MethodDelete, Path: "/api/v1/users/invitations/{id}/", Tag: "Invitations",
	Summary:     "Withdraw an invitation",
	Description: "Its link works no more, and a membership that waited for its person ends. Nobody withdraws an invitation to a role that gives more than they hold.",
	Permission:  identity.MembersWrite, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotHeld, *access.ErrNotMember},
}

type deleteInvitationInput struct {
	api.ByID
	api.IfMatch
}

func (s *service) deleteInvitation(ctx context.Context, by identity.Caller, in *deleteInvitationInput) (*api.Empty, error) {
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		mine := getGrade(tx)
		i, err := lockInvitation(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if err := mayInvite(mine, i.grade); err != nil {
			return err
		}
		if err := in.IfMatch.Check(i.version); err != nil {
			return err
		}
		withdraw(tx, i)
		tx.Record(activity.Deleted("Invitation", in.ID, activity.Changes{"email": {Old: i.Email}, "role": {Old: i.Role}}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}

var resendInvitationSpec = api.Spec{
	ID: "resend-invitation", Method: http.MethodPost, Path: "/api/v1/users/invitations/{id}/resend/", Tag: "Invitations",
	Summary: "Mail an invitation again",
	Description: "It can be accepted for another 7 days. From now on the caller answers for it: an invitation holds while who sent it may still give its role. " +
		"Of several mails, the link of the last one works.",
	Permission: identity.MembersWrite, Status: http.StatusOK,
	Errors:          []errs.Error{*errNotHeld, *access.ErrNotMember, *errMembersOfPlan, *errAlreadyMember, *ratelimit.ErrTooManyAttempts},
	ResponseExample: exampleInvitation,
}

type resendInvitationInput struct {
	api.ByID
}

func (s *service) resendInvitation(ctx context.Context, by identity.Caller, in *resendInvitationInput) (*api.Item[Invitation], error) {
	// A repeat is answered, however much of the budgets is left, and whatever
	// became of the invitation.
	if err := db.ReplayedTenant(ctx, s.db, by.Principal); err != nil {
		return nil, err
	}
	// Whom it goes to is read first: a budget is charged outside of transactions.
	before, err := s.getInvitation(ctx, by, &getInvitationInput{ByID: in.ByID})
	if err != nil {
		return nil, err
	}
	if err := s.chargeInvitation(ctx, by, before.Body.Email); err != nil {
		return nil, err
	}
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	token := link.New(ring, s.now(), identity.InvitationToken, by.TenantID, in.ID)
	var after *db.Row[invitationRow]
	err = db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(inviteBroken)
		lockPlaces(tx)
		mine := getGrade(tx)
		i, err := lockInvitation(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if err := mayInvite(mine, i.grade); err != nil {
			return err
		}
		requireNoMember(tx, i.Email)
		if i.Status == statusExpired { // it gave its place up
			requirePlace(tx)
		}
		rearmInvitation(tx, token, inviteLife)
		after = getInvitation(tx, in.ID)
		tx.Record(activity.Entry{Action: "resent", Model: "Invitation", ObjectID: in.ID})
		tx.Enqueue(queue.MailInvitation.Message(in.ID.String(), queue.Invitation{InvitationID: in.ID}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	i, err := after.Value()
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "internal", "The invitation was sent but could not be read.")
	}
	return api.NewItem(i.version, i.Invitation), nil
}
