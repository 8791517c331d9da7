package auth

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/subdomain"
)

var (
	errEmailTaken     = errs.New(errs.Conflict, "email_taken", "There is an account with this email address already.")
	errSubdomainTaken = errs.New(errs.Conflict, "subdomain_taken", "This subdomain belongs to another organization.")
)

var registerSpec = api.Spec{
	ID: "register", Method: http.MethodPost, Path: "/api/v1/auth/register/", Tag: "Auth",
	Summary: "Register a person with an organization",
	Description: "Creates the person, an organization that they own, and a session. Without organization_name the organization is named after " +
		"the person; without subdomain one is derived. A mail asks them to verify the address. " +
		"With an Idempotency-Key, a repeat of the same request within 24 hours is given the first answer again.",
	Public: true, IdempotencyKey: true, Sealed: true, Status: http.StatusCreated,
	Errors: []errs.Error{*errEmailTaken, *errSubdomainTaken, *ratelimit.ErrTooManyAttempts},
	RequestExample: registerBody{
		Email: "ada@example.com", Password: "difference-engine-2", FirstName: "Ada", LastName: "Lovelace",
		OrganizationName: "Analytical Engines", Subdomain: "analytical-engines",
	},
	ResponseExample: exampleSignedIn,
}

type registerBody struct {
	Email            string `json:"email" minLength:"3" maxLength:"254" doc:"Where we write to, and what they sign in with."`
	Password         string `json:"password" minLength:"8" maxLength:"128" doc:"Not only digits, not a common password, not the email address."`
	FirstName        string `json:"first_name" minLength:"1" maxLength:"150" doc:"Their first name."`
	LastName         string `json:"last_name" minLength:"1" maxLength:"150" doc:"Their last name."`
	OrganizationName string `json:"organization_name,omitempty" minLength:"1" maxLength:"255" doc:"What their organization is called."`
	Subdomain        string `json:"subdomain,omitempty" minLength:"3" maxLength:"63" doc:"Its name under the platform's domain: a–z, 0–9 and -, unique."`
}

type registerInput struct {
	Body registerBody
}

// registration is a checked request with the ids of what it makes.
type registration struct {
	identity.Principal // the new owner, in the new organization and session

	email, firstName, lastName string
	passwordHash               string
	organization, subdomain    string
	derived                    bool // the subdomain is ours to choose
	verification               identity.Opaque
}

func (s *service) register(ctx context.Context, by identity.Caller, in *registerInput) (*api.Value[SignedIn], error) {
	r, err := s.plan(ctx, by, in.Body)
	if err != nil {
		return nil, err
	}
	if r.passwordHash, err = s.hasher.Hash(ctx, in.Body.Password); err != nil {
		return nil, err
	}
	ring, err := s.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	r.verification = link.New(ring, s.now(), identity.EmailToken, r.UserID, ids.New())
	session := s.newSession(by, r.Principal, nil)
	pair, err := s.issue(ctx, r.Principal, session.refresh, session.expires)
	if err != nil {
		return nil, err
	}
	answer, err := s.create(ctx, r, session)
	if err != nil {
		return nil, s.taken(ctx, r.email, err)
	}
	return api.NewValue(signedIn(answer.user, &answer.tenant, pair)), nil
}

// plan checks the request and charges its budget.
func (s *service) plan(ctx context.Context, by identity.Caller, b registerBody) (registration, error) {
	r := registration{email: identity.NormalizeEmail(b.Email)}
	err := s.charge(ctx,
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "register-ip", Limit: s.cfg.RegisterIP, Window: time.Minute}, Key: ratelimit.AddressKey(by.IP)},
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "register-email", Limit: s.cfg.RegisterEmail, Window: time.Hour}, Key: ratelimit.AccountKey(r.email)})
	if err != nil {
		return r, err
	}
	var faults []errs.Field
	if fault := identity.EmailFault(r.email); fault != "" {
		faults = append(faults, errs.Field{Location: "body.email", Message: fault})
	}
	if fault := identity.PasswordFault(b.Password, r.email); fault != "" {
		faults = append(faults, errs.Field{Location: "body.password", Message: fault})
	}
	r.firstName = line("body.first_name", b.FirstName, 1, 150, &faults)
	r.lastName = line("body.last_name", b.LastName, 1, 150, &faults)
	if b.OrganizationName != "" {
		r.organization = line("body.organization_name", b.OrganizationName, 1, 255, &faults)
	}
	if b.Subdomain != "" {
		if fault := subdomain.Fault(b.Subdomain); fault != "" {
			faults = append(faults, errs.Field{Location: "body.subdomain", Message: fault, Value: b.Subdomain})
		}
	}
	if len(faults) > 0 {
		return r, errs.InvalidFields(faults...)
	}
	name := strings.TrimSpace(r.firstName + " " + r.lastName)
	r.subdomain, r.derived = b.Subdomain, b.Subdomain == ""
	if r.derived {
		r.subdomain = subdomain.Derive(firstOf(r.organization, name))
	}
	if r.organization == "" {
		const suffix = "’s organization"
		r.organization = truncate(name, 255-len([]rune(suffix))) + suffix
	}
	r.Principal = identity.Principal{
		UserID: ids.New(), TenantID: ids.New(), SessionID: ids.New(), Email: r.email, Name: name,
		Roles: []string{identity.RoleOwner}, RequestID: by.RequestID, ClientIP: by.ClientIP,
	}
	return r, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// registered is what the database made of a registration.
type registered struct {
	user   User
	tenant Tenant
}

// create writes everything in one transaction, which costs one round trip, and
// one more for each subdomain that is tried when it is ours to choose.
func (s *service) create(ctx context.Context, r registration, session newSession) (registered, error) {
	var out registered
	err := db.Span(ctx, s.db, db.SpanRegister, r.Principal, func(tx *db.Tx) error {
		tx.Explain(registerBroken)
		claimEmail(tx, r.email)
		host, err := claimHost(ctx, tx, r.subdomain, r.derived)
		if err != nil {
			return err
		}
		user := insertUser(tx, r)
		tenant := insertOrganization(tx, r.organization, host)
		insertOwner(tx, r)
		insertSession(tx, session)
		state := noteSignIn(tx, r.TenantID)
		insertLink(tx, linkVerify, r.verification, r.email, verifyLife)

		tx.Record(activity.Created("Organization", r.TenantID, map[string]any{"name": r.organization, "subdomain": host, "plan": "free"}))
		tx.Record(activity.Created("Membership", r.UserID, map[string]any{"role": identity.RoleOwner}))
		tx.RecordUser("registered", activity.Changes{"session_id": {New: r.SessionID}})
		tx.EnqueueUser(queue.MailVerification.Message(r.UserID.String(), queue.EmailToken{UserID: r.UserID, EmailTokenID: r.verification.ID}))
		tx.OnCommit(func() error {
			var err error
			if out.user, err = user.Value(); err != nil {
				return err
			}
			if out.tenant, err = tenant.Value(); err != nil {
				return err
			}
			at, err := state.Value()
			out.user.LastLogin = &at
			return err
		})
		return nil
	})
	return out, err
}

// taken settles what a taken address means. With an Idempotency-Key it may be
// this very request's own: whom an anonymous request is from is known only now.
func (s *service) taken(ctx context.Context, email string, err error) error {
	if errs.CodeOf(err) != errEmailTaken.Code || idempotency.Current(ctx) == nil {
		return err
	}
	var owner *db.Row[ids.ID]
	failure := db.Lookup(ctx, s.db, func(tx *db.Tx) error {
		owner = claimedBy(tx, email)
		return nil
	})
	if failure != nil {
		return failure
	}
	if id, found := owner.Found(); found {
		if replay := db.Replayed(ctx, s.db, identity.Principal{UserID: id}); replay != nil {
			return replay
		}
	}
	return err
}
