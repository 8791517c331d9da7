package users

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/coditect/platform/shared/access"
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
	errAlreadyMember  = errs.New(errs.Conflict, "already_member", "The organization has a member with this address.")
	errAlreadyInvited = errs.New(errs.Conflict, "already_invited", "There is an open invitation for this address. Send it again, or withdraw it.")
	errMembersOfPlan  = errs.New(errs.Payment, "plan_limit", "The plan has no room for another member: open invitations count. Remove or withdraw one, or upgrade the plan.")
)

// inviteLife is how long an invitation can be accepted, from when it was made
// or sent again.
const inviteLife = 7 * 24 * time.Hour

var createMemberSpec = api.Spec{
	ID: "create-member", Method: http.MethodPost, Path: "/api/v1/users/", Tag: "Members",
	Summary: "Add a member by name, who joins by the invitation that is mailed to them",
	Description: "The membership waits for its person: it cannot act, and holds its place in the plan. The answer is the same whether or not the address has an account. " +
		"Who has one keeps it, and its id becomes the member's when they accept. Nobody grants what they do not hold.",
	Permission: identity.MembersWrite, Status: http.StatusCreated,
	Errors:         []errs.Error{*errNotHeld, *access.ErrNotMember, *errMembersOfPlan, *errAlreadyMember, *errAlreadyInvited, *ratelimit.ErrTooManyAttempts},
	RequestExample: createMemberBody{Email: "grace@example.com", FirstName: "Grace", LastName: "Hopper", Role: "manager"},
	ResponseExample: Member{
		ID: exampleMember.ID, Email: exampleMember.Email, FirstName: exampleMember.FirstName, LastName: exampleMember.LastName, Role: exampleMember.Role,
	},
}

type createMemberBody struct {
	Email     string `json:"email" minLength:"3" maxLength:"254" doc:"Where the invitation goes."`
	FirstName string `json:"first_name" minLength:"1" maxLength:"150" doc:"Their first name."`
	LastName  string `json:"last_name" minLength:"1" maxLength:"150" doc:"Their last name."`
	Role      string `json:"role" minLength:"1" maxLength:"100" doc:"A built-in role, or one of the organization's own, by its name."`
}

type createMemberInput struct {
	Body createMemberBody
}

func (s *service) createMember(ctx context.Context, by identity.Caller, in *createMemberInput) (*api.Item[Member], error) {
	var faults []errs.Field
	o := offer{
		email: identity.NormalizeEmail(in.Body.Email), role: in.Body.Role, waits: true,
		firstName: line("body.first_name", in.Body.FirstName, &faults), lastName: line("body.last_name", in.Body.LastName, &faults),
	}
	var made *db.Row[memberRow]
	o, err := s.offer(ctx, by, o, faults, func(tx *db.Tx, o offer) { made = getMember(tx, o.member) })
	if err != nil {
		return nil, err
	}
	m, err := made.Value()
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "internal", "The member was added but could not be read.")
	}
	return api.Created("/api/v1/users/"+o.member.String()+"/", m.version, m.Member), nil
}

var inviteSpec = api.Spec{
	ID: "invite", Method: http.MethodPost, Path: "/api/v1/users/invite/", Tag: "Invitations",
	Summary: "Invite an address",
	Description: "A link is mailed to it, which works once, for 7 days. The answer is the same whether or not the address has an account. " +
		"An open invitation holds a place in the plan. Nobody grants what they do not hold.",
	Permission: identity.MembersWrite, Status: http.StatusCreated,
	Errors:          []errs.Error{*errNotHeld, *access.ErrNotMember, *errMembersOfPlan, *errAlreadyMember, *errAlreadyInvited, *ratelimit.ErrTooManyAttempts},
	RequestExample:  inviteBody{Email: "grace@example.com", Role: "manager"},
	ResponseExample: exampleInvitation,
}

type inviteBody struct {
	Email string `json:"email" minLength:"3" maxLength:"254" doc:"Where the invitation goes."`
	Role  string `json:"role" minLength:"1" maxLength:"100" doc:"A built-in role, or one of the organization's own, by its name."`
}

type inviteInput struct {
	Body inviteBody
}

func (s *service) invite(ctx context.Context, by identity.Caller, in *inviteInput) (*api.Item[Invitation], error) {
	o := offer{email: identity.NormalizeEmail(in.Body.Email), role: in.Body.Role}
	var made *db.Row[invitationRow]
	o, err := s.offer(ctx, by, o, nil, func(tx *db.Tx, o offer) { made = getInvitation(tx, o.token.ID) })
	if err != nil {
		return nil, err
	}
	i, err := made.Value()
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "internal", "The invitation was made but could not be read.")
	}
	return api.Created("/api/v1/users/invitations/"+o.token.ID.String()+"/", i.version, i.Invitation), nil
}

// offer is an invitation that is about to be made.
type offer struct {
	email, firstName, lastName, role string
	// waits tells that a membership waits for the person, which others see.
	waits bool
	// member is the id of who comes, if they have no account by then.
	member ids.ID
	token  identity.Opaque
	grade  grade
}

// offer makes the invitation, and the membership that waits if one does. Nobody
// looks whether the address has an account: so neither the answer nor its time
// can tell. read queues what the answer is made of.
func (s *service) offer(ctx context.Context, by identity.Caller, o offer, faults []errs.Field, read func(*db.Tx, offer)) (offer, error) {
	if fault := identity.EmailFault(o.email); fault != "" {
		faults = append(faults, errs.Field{Location: "body.email", Message: fault})
	}
	if err := errs.InvalidFields(faults...); err != nil {
		return o, err
	}
	// A repeat is answered, however much of the budgets is left.
	if err := db.ReplayedTenant(ctx, s.db, by.Principal); err != nil {
		return o, err
	}
	if err := s.chargeInvitation(ctx, by, o.email); err != nil {
		return o, err
	}
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return o, err
	}
	o.member, o.token = ids.New(), link.New(ring, s.now(), identity.InvitationToken, by.TenantID, ids.New())
	return o, db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(inviteBroken)
		// One at a time, so that two do not both find the last place free.
		lockPlaces(tx)
		wanted, mine := findRole(tx, api.Optional[string]{V: o.role, Set: true}), getGrade(tx)
		if err := db.Flush(ctx, tx); err != nil {
			return err
		}
		if o.grade, err = wanted.value(); err != nil {
			return err
		}
		if err := mayInvite(mine, o.grade); err != nil {
			return err
		}
		withdrawExpired(tx, o.email)
		requireStranger(tx, o.email)
		requirePlace(tx)
		if o.waits {
			insertWaiting(tx, o)
			tx.Record(activity.Created("Membership", o.member, map[string]any{"email": o.email, "role": o.grade.name, "is_active": false}))
		}
		insertInvitation(tx, o, inviteLife)
		tx.Record(activity.Created("Invitation", o.token.ID, map[string]any{"email": o.email, "role": o.grade.name}))
		tx.Enqueue(queue.MailInvitation.Message(o.token.ID.String(), queue.Invitation{InvitationID: o.token.ID}))
		read(tx, o)
		return nil
	})
}

// mayInvite refuses who may not invite, or not to a role that gives so much, as
// their membership is in this transaction.
func mayInvite(actor *db.Row[grade], to grade) error {
	mine, found := actor.Found()
	if !found {
		return access.ErrNotMember // deactivated or removed since their rights were read
	}
	return grant(mine.set, identity.MembersWrite, to.set)
}

// chargeInvitation takes one mail out of the address's budget, whoever writes
// to it, and one out of the organization's. The mailer counts what it sends
// once more, and goes on doing so without Redis.
func (s *service) chargeInvitation(ctx context.Context, by identity.Caller, email string) error {
	most := s.cfg.Invitations
	if by.Plan == freePlan {
		most = s.cfg.InvitationsFree
	}
	d := s.limits.Take(ctx,
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "invite-tenant", Limit: most, Window: 24 * time.Hour}, Key: by.TenantID.String()},
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "invite-email", Limit: s.cfg.InvitationsAddress, Window: 24 * time.Hour}, Key: ratelimit.AccountKey(email)})
	if !d.Allowed {
		return ratelimit.ErrTooManyAttempts.WithRetry(d.RetryAfter())
	}
	return nil
}

// freePlan is the plan that anybody has who registers: what it costs nothing to
// do is what strangers are written to with.
const freePlan = "free"

// line checks a name, which is shown, and mailed, as one line. It gives the
// text without surrounding space.
func line(location, text string, faults *[]errs.Field) string {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		*faults = append(*faults, errs.Field{Location: location, Message: "must not be blank"})
	case strings.ContainsFunc(text, unicode.IsControl):
		*faults = append(*faults, errs.Field{Location: location, Message: "must be one line of text"})
	}
	return text
}
