package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/subdomain"
)

var loginSpec = api.Spec{
	ID: "login", Method: http.MethodPost, Path: "/api/v1/auth/login/", Tag: "Auth",
	Summary: "Sign in with a password",
	Description: "tenant names the organization to act in, by id or subdomain; without it, it is the one last used. " +
		"The session lasts 7 days, 30 with remember_me, 1 with remember_me false, however much it is used. " +
		"Attempts are limited by address, by account and by both; a network that the account was signed in from before has a budget of its own, so that strangers cannot lock anybody out. " +
		"An organization that does not exist and one that the person is no member of are the same 403, and only who knows the password sees it.",
	Public: true, Sealed: true, Status: http.StatusOK,
	Errors:          []errs.Error{*errCredentials, *errNotMember, *ratelimit.ErrTooManyAttempts},
	RequestExample:  loginBody{Email: "ada@example.com", Password: "difference-engine-2", Tenant: "analytical-engines"},
	ResponseExample: exampleSignedIn,
}

type loginBody struct {
	Email      string `json:"email" minLength:"1" maxLength:"254" doc:"The address they registered with."`
	Password   string `json:"password" minLength:"1" maxLength:"1024" doc:"Their password."`
	Tenant     string `json:"tenant,omitempty" minLength:"1" maxLength:"63" doc:"The organization to act in: its id or subdomain."`
	RememberMe *bool  `json:"remember_me,omitempty" doc:"Whether the session is to last longer, or shorter, than usual."`
}

type loginInput struct {
	Body loginBody
}

// account is what deciding about a sign-in takes of a person.
type account struct {
	User
	active       bool
	passwordHash *string
	lastTenant   *ids.ID
	tenants      []ids.ID
}

// maxTenants bounds how many organizations are tried, one after the other, for
// one that the person may act in.
const maxTenants = 50

func (s *service) login(ctx context.Context, by identity.Caller, in *loginInput) (*api.Value[SignedIn], error) {
	email := identity.NormalizeEmail(in.Body.Email)
	if _, err := s.signIn.Attempt(ctx, by.IP, email, s.knows(by, email)); err != nil {
		return nil, err
	}
	who, named, err := s.find(ctx, email, in.Body.Tenant)
	if err != nil {
		return nil, err
	}
	rehash, err := s.verify(ctx, who, in.Body.Password)
	if err != nil {
		return nil, err
	}
	tenant, err := s.choose(ctx, who, in.Body.Tenant != "", named)
	if err != nil {
		return nil, err
	}
	p := identity.Principal{UserID: who.ID, SessionID: ids.New(), Email: who.Email, Name: who.name(), RequestID: by.RequestID, ClientIP: by.ClientIP}
	if tenant != nil {
		p.TenantID, p.Roles = tenant.ID, []string{tenant.Role}
	}
	session := s.newSession(by, p, in.Body.RememberMe)
	pair, err := s.issue(ctx, p, session.refresh, session.expires)
	if err != nil {
		return nil, err
	}
	err = db.WriteUser(ctx, s.db, p, func(tx *db.Tx) error {
		tx.Explain(loginBroken)
		requirePassword(tx, *who.passwordHash)
		if rehash != "" {
			updatePassword(tx, rehash)
		}
		insertSession(tx, session)
		at := noteSignIn(tx, p.TenantID)
		tx.RecordUser("signed_in", activity.Changes{"session_id": {New: p.SessionID}})
		tx.OnCommit(func() error {
			t, err := at.Value()
			who.LastLogin = &t
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.NewValue(signedIn(who.User, tenant, pair)), nil
}

// find reads the account of an address, and the organization that a sign-in
// names, in two round trips. An address without an account costs the same two.
func (s *service) find(ctx context.Context, email, tenant string) (*account, ids.ID, error) {
	named, err := ids.Parse(tenant)
	bySubdomain := tenant != "" && err != nil
	var host *db.Row[ids.ID]
	var row *db.Row[account]
	var tenants *db.Rows[ids.ID]
	err = db.Lookup(ctx, s.db, func(tx *db.Tx) error {
		if label := strings.ToLower(tenant); bySubdomain && subdomain.Fault(label) == "" {
			host = hostOf(tx, label)
		}
		if email == "" {
			email = "-" // blank is no key to look for, and this is nobody's address
		}
		id, err := claimedBy(tx, email).Await(ctx)
		switch {
		case errors.Is(err, errs.ErrNotFound):
			id = ids.New() // nobody's
		case err != nil:
			return err
		}
		if err := tx.As(identity.Principal{UserID: id}); err != nil {
			return err
		}
		row, tenants = readAccount(tx), tenantsOf(tx, maxTenants)
		return nil
	})
	if err != nil {
		return nil, ids.Nil, err
	}
	if host != nil {
		named, _ = host.Found()
	}
	who, found := row.Found()
	if !found {
		return nil, named, nil
	}
	who.tenants, err = tenants.Value()
	return &who, named, err
}

// verify checks the password, with the same work for an account that is absent,
// closed or without a password as for any other. rehash replaces a hash whose
// parameters are outdated; it is empty when none is due.
func (s *service) verify(ctx context.Context, who *account, password string) (rehash string, err error) {
	refuse := func() (string, error) {
		if err := s.hasher.Dummy(ctx, password); err != nil {
			return "", err
		}
		return "", errCredentials
	}
	if who == nil || who.passwordHash == nil {
		return refuse()
	}
	match, outdated, err := s.hasher.Verify(ctx, *who.passwordHash, password)
	switch {
	case errs.KindOf(err) == errs.Unavailable:
		return "", err
	case err != nil:
		s.log.ErrorContext(ctx, "a stored password cannot be read", "user_id", who.ID, "error", err)
		return refuse()
	case !match || !who.active:
		return "", errCredentials
	case outdated:
		return s.hasher.Hash(ctx, password)
	}
	return "", nil
}

// choose picks the organization to act in. One that was named must be theirs;
// otherwise it is the one last used, or the first that is open, or a suspended
// one, whose owner must get in to settle what suspended it. Nil is none.
func (s *service) choose(ctx context.Context, who *account, explicit bool, named ids.ID) (*Tenant, error) {
	candidates := []ids.ID{named}
	if !explicit {
		candidates = who.tenants
		if last := who.lastTenant; last != nil && slices.Contains(candidates, *last) {
			candidates = append([]ids.ID{*last}, slices.DeleteFunc(slices.Clone(candidates), func(id ids.ID) bool { return id == *last })...)
		}
	} else if named == ids.Nil {
		return nil, errNotMember
	}
	var rows []*db.Row[Tenant]
	err := db.ReadEach(ctx, s.db, identity.Principal{UserID: who.ID}, candidates, func(tx *db.Tx) error {
		rows = append(rows, membership(tx))
		return nil
	})
	if err != nil {
		return nil, err
	}
	var fallback *Tenant
	for _, r := range rows {
		t, found := r.Found()
		switch {
		case !found:
		case explicit || t.Status == identity.TenantActive:
			return &t, nil
		case fallback == nil:
			fallback = &t
		}
	}
	if explicit {
		return nil, errNotMember
	}
	return fallback, nil
}
