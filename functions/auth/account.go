package auth

import (
	"context"
	"strings"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// User is a person as they see themselves.
type User struct {
	ID            ids.ID     `json:"id" format:"uuid" doc:"The person's id."`
	Email         string     `json:"email" format:"email" doc:"Their address, in lower case."`
	EmailVerified bool       `json:"email_verified" doc:"Whether they have shown that the address is theirs."`
	FirstName     string     `json:"first_name" doc:"Their first name."`
	LastName      string     `json:"last_name" doc:"Their last name."`
	AvatarURL     string     `json:"avatar_url" doc:"A picture of theirs, or empty."`
	Bio           string     `json:"bio" doc:"What they say about themselves."`
	Timezone      string     `json:"timezone" doc:"An IANA name."`
	DateJoined    time.Time  `json:"date_joined" doc:"When they registered."`
	LastLogin     *time.Time `json:"last_login" doc:"When they last signed in."`
}

func (u User) name() string { return strings.TrimSpace(u.FirstName + " " + u.LastName) }

// Tenant is the organization that a token acts in.
type Tenant struct {
	ID        ids.ID    `json:"id" format:"uuid" doc:"The organization's id."`
	Name      string    `json:"name" doc:"What it is called."`
	Subdomain string    `json:"subdomain" doc:"Its name under the platform's domain."`
	Status    string    `json:"status" enum:"active,suspended,deleted" doc:"A suspended organization can only be looked at and paid for."`
	Plan      string    `json:"plan" doc:"The plan it is on."`
	Role      string    `json:"role" doc:"The person's role in it."`
	CreatedAt time.Time `json:"created_at" doc:"When it was created."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

// Tokens is a pair of tokens.
type Tokens struct {
	AccessToken  string `json:"access_token" doc:"A JWT for the Authorization header."`
	RefreshToken string `json:"refresh_token" doc:"Good for one new pair. Each pair brings another."`
	TokenType    string `json:"token_type" enum:"Bearer" doc:"How the access token is sent."`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds until the access token ends."`
}

// SignedIn is the answer to who has just signed in.
type SignedIn struct {
	User         User    `json:"user" doc:"Who has signed in."`
	Tenant       *Tenant `json:"tenant" doc:"The organization the token acts in; null for a person without one."`
	AccessToken  string  `json:"access_token" doc:"A JWT for the Authorization header."`
	RefreshToken string  `json:"refresh_token" doc:"Good for one new pair. Each pair brings another."`
	TokenType    string  `json:"token_type" enum:"Bearer" doc:"How the access token is sent."`
	ExpiresIn    int     `json:"expires_in" doc:"Seconds until the access token ends."`
}

func signedIn(u User, t *Tenant, pair Tokens) SignedIn {
	return SignedIn{User: u, Tenant: t, AccessToken: pair.AccessToken, RefreshToken: pair.RefreshToken, TokenType: pair.TokenType, ExpiresIn: pair.ExpiresIn}
}

// The answers that refuse a person. A wrong address, a wrong password and an
// account that is closed are one and the same.
var (
	errCredentials = errs.New(errs.Unauthenticated, "invalid_credentials", "The email address or the password is wrong.")
	errNotMember   = errs.New(errs.Forbidden, "not_a_member", "You are not an active member of this organization.")
	errToken       = errs.New(errs.Unauthenticated, "token_invalid", "The refresh token is not valid.")
	errReused      = errs.New(errs.Unauthenticated, "token_reused", "The refresh token was used before. The session has been ended: sign in again.")
)

// issue makes the pair for a session that lives until ends. An access token
// never outlives its session.
func (s *service) issue(ctx context.Context, by identity.Principal, refresh identity.Opaque, ends time.Time) (Tokens, error) {
	life := max(min(s.cfg.AccessLife, ends.Sub(s.now())), time.Second)
	access, _, err := s.signer.Access(ctx, by, life)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{AccessToken: access, RefreshToken: refresh.Reveal(), TokenType: "Bearer", ExpiresIn: int(life / time.Second)}, nil
}

var (
	exampleTime = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

	exampleTokens = Tokens{
		AccessToken:  "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkyZjBjMSJ9.c2lnbmF0dXJl",
		RefreshToken: "rt_AZLwwXt-fMOYxNwMDAc5jw.AZLwwXt-fMOYxNwMDAc5kA.tR2cS0m1Yw9vQ3xkq8h5bG7nPz4uJ6eLdFaKiXoVrTs",
		TokenType:    "Bearer", ExpiresIn: 3600,
	}

	exampleSignedIn = signedIn(
		User{
			ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"), Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace",
			Timezone: "UTC", DateJoined: exampleTime, LastLogin: &exampleTime,
		},
		&Tenant{
			ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073991"), Name: "Analytical Engines", Subdomain: "analytical-engines",
			Status: identity.TenantActive, Plan: "free", Role: identity.RoleOwner, CreatedAt: exampleTime, UpdatedAt: exampleTime,
		},
		exampleTokens)
)
