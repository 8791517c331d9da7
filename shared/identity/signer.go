package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coditect/platform/shared/ids"
)

// Audience is the aud of every access token for this platform.
const Audience = "coditect-api"

// A Signer issues access tokens: ES256, named by the key's kid, of type at+jwt
// (RFC 9068). Only auth holds one.
type Signer struct {
	keys   KeySource
	issuer string
	now    func() time.Time
}

// NewSigner makes a Signer whose tokens say issuer.
func NewSigner(keys KeySource, issuer string) *Signer {
	return &Signer{keys: keys, issuer: issuer, now: time.Now}
}

// Access issues a token for p that holds for ttl, and says when it ends. The
// times, the issuer and a missing TokenID of p are filled in; a zero tenant is
// left out of the token. Errors: kind errs.Unavailable when the keys are not to
// be had, plain when p names no user or session.
func (s *Signer) Access(ctx context.Context, p Principal, ttl time.Duration) (token string, expires time.Time, err error) {
	if p.UserID == ids.Nil || p.SessionID == ids.Nil || ttl < time.Second {
		return "", time.Time{}, errors.New("identity: an access token needs a user, a session and a lifetime")
	}
	set, err := s.keys.Get(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	now := s.now().Truncate(time.Second)
	key := set.Current(now)
	expires = now.Add(ttl).Truncate(time.Second)
	c := issued{
		Issuer: s.issuer, Audience: Audience, Subject: p.UserID.String(), Session: p.SessionID.String(),
		Email: p.Email, Name: p.Name, Roles: p.Roles, ID: p.TokenID,
		IssuedAt: now.Unix(), Expires: expires.Unix(),
	}
	if p.HasTenant() {
		c.Tenant = p.TenantID.String()
	}
	if c.Roles == nil {
		c.Roles = []string{}
	}
	if c.ID == "" {
		c.ID = ids.New().String()
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	t.Header["typ"] = "at+jwt"
	t.Header["kid"] = key.ID
	token, err = t.SignedString(key.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("identity: sign: %w", err)
	}
	return token, expires.UTC(), nil
}
