package auth

import (
	"context"
	"net/http"
	"strings"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/ratelimit"
)

var (
	errSignInRequired = errs.New(errs.Unauthenticated, "sign_in_required", "There is an account with the invited address. Accept the invitation signed in to it, or with its password.")
	errWrongAccount   = errs.New(errs.Forbidden, "wrong_account", "The invitation is for another address than that of the account you are signed in to.")
	errAccountClosed  = errs.New(errs.Conflict, "account_closed", "The account with the invited address was closed. The address can have a new one once its data has been erased.")
	errAccountChanged = errs.New(errs.Conflict, "try_again", "The account with the invited address changed just now. Try again.")
	errAlreadyMember  = errs.New(errs.Conflict, "already_member", "You are a member of this organization already.")
	errMembersOfPlan  = errs.New(errs.Payment, "plan_limit", "The organization's plan has no room for another member. Ask who invited you.")
	errSuspended      = errs.New(errs.Forbidden, "tenant_suspended", "The organization is suspended.")
	errTenantDeleted  = errs.New(errs.Forbidden, "tenant_deleted", "The organization has been deleted.")
)

// The path is one of functions/users. The operation is here since it hands out
// tokens, and the keys that sign them are this function's alone: whoever breaks
// into another finds none.
var acceptSpec = api.Spec{
	ID: "accept-invitation", Method: http.MethodPost, Path: "/api/v1/users/invitations/accept/", Tag: "Invitations",
	Summary: "Accept an invitation",
	Description: "Takes the token of the mailed link: it works once, for the address it was mailed to and no other, and shows that the address is the caller's. " +
		"Without an account, password makes one; the names are those of the invitation when they are left out. Who has an account sends its access token or its password; " +
		"signed in to another one, they are refused. An account whose address was never verified could be anybody's: its password, sessions and open links are void before it joins, " +
		"and the password sent is its new one. The invitation holds while who sent it may still give its role. Who left comes back with what they did. " +
		"With an Idempotency-Key, a repeat of the same request within 24 hours is given the first answer again.",
	Public: true, IdempotencyKey: true, Sealed: true, Status: http.StatusOK,
	Errors: []errs.Error{
		*errLink, *errSignInRequired, *errCredentials, *errWrongAccount, *errSuspended, *errTenantDeleted, *errMembersOfPlan, *errAlreadyMember,
		*errAccountClosed, *errAccountChanged, *ratelimit.ErrTooManyAttempts,
	},
	RequestExample: acceptBody{
		Token: string(identity.InvitationToken) + exampleLink, Password: "difference-engine-2", FirstName: "Grace", LastName: "Hopper",
	},
	ResponseExample: exampleSignedIn,
}

type acceptBody struct {
	Token     string `json:"token" minLength:"1" maxLength:"1024" doc:"The token of the link."`
	Password  string `json:"password,omitempty" minLength:"1" maxLength:"1024" doc:"That of the account with the address, or the one that a new account is to have."`
	FirstName string `json:"first_name,omitempty" minLength:"1" maxLength:"150" doc:"The first name of a new account."`
	LastName  string `json:"last_name,omitempty" minLength:"1" maxLength:"150" doc:"The last name of a new account."`
}

type acceptInput struct {
	Body acceptBody
}

// invitation is what deciding about an acceptance takes of it.
type invitation struct {
	hash                       []byte
	email, firstName, lastName string
	role                       string
	open                       bool
	acceptedBy                 *ids.ID
	member                     *ids.ID // the id of who comes, if they have no account
	tenantStatus               string
	// held tells that who sent it may still give its role.
	held bool
}

// arrival is who accepts an invitation, and what becomes of their account.
type arrival struct {
	registration // of a new account; of another its address and names
	token        identity.Opaque
	invitation   invitation
	account      *account // nil for a new one
	// void tells that the account's address was never verified: whoever made it
	// need not be who is here, so that nothing of theirs may open it any longer.
	void bool
	// proof is the hash that the password matched, session the one that the
	// access token is of: one of the two, for an account that is verified.
	proof   string
	session ids.ID
	rehash  string
}

func (s *service) accept(ctx context.Context, by identity.Caller, in *acceptInput) (*api.Value[SignedIn], error) {
	if err := s.chargeLink(ctx, by); err != nil {
		return nil, err
	}
	token, err := identity.ParseOpaque(identity.InvitationToken, in.Body.Token)
	if err != nil {
		return nil, errLink
	}
	i, err := s.invitation(ctx, token)
	if err != nil {
		return nil, err
	}
	a, err := s.arrive(ctx, by, in.Body, token, i)
	if err != nil {
		return nil, err
	}
	session := s.newSession(by, a.Principal, nil)
	pair, err := s.issue(ctx, a.Principal, session.refresh, session.expires)
	if err != nil {
		return nil, err
	}
	joined, err := s.join(ctx, a, session)
	if err != nil {
		return nil, err
	}
	return api.NewValue(signedIn(joined.user, &joined.tenant, pair)), nil
}

// invitation reads the one that a token is of. Only the whole token finds it:
// to all else the answer is the same.
func (s *service) invitation(ctx context.Context, token identity.Opaque) (invitation, error) {
	var found *db.Row[invitation]
	err := db.Read(ctx, s.db, identity.Principal{TenantID: token.Owner}, func(tx *db.Tx) error {
		found = readInvitation(tx, token.ID)
		return nil
	})
	if err != nil {
		return invitation{}, err
	}
	i, ok := found.Found()
	switch {
	case !ok || !token.Matches(i.hash):
		return i, errLink
	case i.acceptedBy != nil:
		// It may be this very request that accepted it.
		if err := db.Replayed(ctx, s.db, identity.Principal{UserID: *i.acceptedBy}); err != nil {
			return i, err
		}
		return i, errLink
	case !i.open || !i.held:
		return i, errLink
	case i.tenantStatus == identity.TenantSuspended:
		return i, errSuspended
	case i.tenantStatus != identity.TenantActive:
		return i, errTenantDeleted
	}
	return i, nil
}

// arrive settles as whom the invitation is accepted. Holding its token shows
// that one reads the address's mail, which is enough to make an account or to
// take over one that nobody ever showed to be theirs, and no more: an account
// that somebody did show to be theirs must be shown to be the caller's, too.
func (s *service) arrive(ctx context.Context, by identity.Caller, b acceptBody, token identity.Opaque, i invitation) (arrival, error) {
	a := arrival{token: token, invitation: i}
	who, _, err := s.find(ctx, i.email, "")
	if err != nil {
		return a, err
	}
	a.account = who
	switch {
	case by.UserID != ids.Nil && (who == nil || who.ID != by.UserID):
		return a, errWrongAccount
	case who != nil && !who.active:
		return a, errAccountClosed
	case who == nil || !who.EmailVerified:
		err = s.begin(ctx, by, b, &a)
	default:
		err = s.recognize(ctx, by, b, &a)
	}
	name := strings.TrimSpace(a.firstName + " " + a.lastName)
	a.Principal = identity.Principal{
		UserID: a.UserID, TenantID: token.Owner, SessionID: ids.New(), Email: i.email, Name: name,
		Roles: []string{i.role}, RequestID: by.RequestID, ClientIP: by.ClientIP,
	}
	a.email = i.email
	return a, err
}

// begin is for an account that is to be made, or made anew.
func (s *service) begin(ctx context.Context, by identity.Caller, b acceptBody, a *arrival) (err error) {
	var faults []errs.Field
	name := func(location, given, known string) string {
		if given == "" {
			return known
		}
		return line(location, given, 1, 150, &faults)
	}
	a.firstName, a.lastName = a.invitation.firstName, a.invitation.lastName
	switch who := a.account; {
	case who != nil:
		a.UserID, a.void, a.firstName, a.lastName = who.ID, true, who.FirstName, who.LastName
		if b.Password == "" && by.UserID == ids.Nil {
			return errSignInRequired
		}
	case a.invitation.member != nil:
		// Known before, so that one request sent twice at once is one person's.
		a.UserID = *a.invitation.member
	default:
		a.UserID = ids.New()
	}
	a.firstName, a.lastName = name("body.first_name", b.FirstName, a.firstName), name("body.last_name", b.LastName, a.lastName)
	if b.Password == "" && a.account == nil {
		faults = append(faults, errs.Field{Location: "body.password", Message: "is required for a new account"})
	} else if fault := identity.PasswordFault(b.Password, a.invitation.email); b.Password != "" && fault != "" {
		faults = append(faults, errs.Field{Location: "body.password", Message: fault})
	}
	if len(faults) > 0 {
		return errs.InvalidFields(faults...)
	}
	if b.Password != "" {
		a.passwordHash, err = s.hasher.Hash(ctx, b.Password)
	}
	return err
}

// recognize is for an account that is somebody's. An access token that came
// along is the account's own by now; otherwise the password is tried as it is
// to sign in, and charged to the same budgets.
func (s *service) recognize(ctx context.Context, by identity.Caller, b acceptBody, a *arrival) (err error) {
	who := a.account
	a.UserID, a.firstName, a.lastName = who.ID, who.FirstName, who.LastName
	if by.UserID != ids.Nil {
		a.session = by.SessionID
		return nil
	}
	if b.Password == "" || who.passwordHash == nil {
		return errSignInRequired
	}
	if _, err := s.signIn.Attempt(ctx, by.IP, who.Email, s.knows(by, who.Email)); err != nil {
		return err
	}
	a.proof = *who.passwordHash
	a.rehash, err = s.verify(ctx, who, b.Password)
	return err
}

// join writes everything in one transaction.
func (s *service) join(ctx context.Context, a arrival, session newSession) (registered, error) {
	var out registered
	var ended *db.Rows[ids.ID]
	err := db.Span(ctx, s.db, db.SpanAccept, a.Principal, func(tx *db.Tx) error {
		tx.Explain(acceptBroken)
		lockPlaces(tx)
		requireOpen(tx, a.token)
		requirePlace(tx)
		useInvitation(tx, a)
		event := "signed_in"
		switch {
		case a.account == nil:
			event = "registered"
			claimEmail(tx, a.email)
			insertUser(tx, a.registration)
			verifyAddress(tx)
		case a.void:
			requireUnverified(tx, a.email)
			voidLinks(tx, linkVerify, linkReset, linkChange)
			dropForeign(tx)
			replacePassword(tx, a.passwordHash)
			verifyAddress(tx)
			ended = endAllSessions(tx, "invitation_accepted")
			if a.firstName != a.account.FirstName || a.lastName != a.account.LastName {
				rename(tx, a.firstName, a.lastName)
				tx.EnqueueUser(queue.ProfileChanged.Message(a.UserID.String(), queue.Person{UserID: a.UserID}))
			}
		default:
			requireAccount(tx, a.email)
			if a.proof != "" {
				requirePassword(tx, a.proof)
			}
			if a.session != ids.Nil {
				requireSession(tx, a.session)
			}
			if a.rehash != "" {
				updatePassword(tx, a.rehash)
			}
		}
		joinTenant(tx)
		insertSession(tx, session)
		at := noteSignIn(tx, a.TenantID)
		user, tenant := readAccount(tx), membership(tx)

		tx.Record(activity.Entry{Action: "accepted", Model: "Invitation", ObjectID: a.token.ID})
		tx.Record(activity.Entry{Action: "joined", Model: "Membership", ObjectID: a.UserID, Changes: activity.Changes{
			"role": {New: a.invitation.role}, "is_active": {Old: false, New: true},
		}})
		tx.RecordUser(event, activity.Changes{"session_id": {New: a.SessionID}})
		tx.RecordUser("invitation_accepted", activity.Changes{"tenant_id": {New: a.TenantID}})
		tx.Enqueue(queue.AccessChanged.Message("", queue.Access{UserID: a.UserID}))
		tx.OnCommit(func() error {
			who, err := user.Value()
			if err != nil {
				return err
			}
			out.user = who.User
			if out.tenant, err = tenant.Value(); err != nil {
				return err
			}
			t, err := at.Value()
			out.user.LastLogin = &t
			return err
		})
		return nil
	})
	if err != nil {
		return out, err
	}
	s.access.DropMember(ctx, a.TenantID, a.UserID)
	if ended != nil {
		all, err := ended.Value()
		if err != nil {
			return out, err
		}
		s.announce(ctx, all...)
	}
	return out, nil
}
