package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are the parts of an access token. The names are matched exactly and
// may come once only: encoding/json alone would take "SUB" for "sub", and the
// last of two.
type claims struct {
	Issuer    string
	Audience  jwt.ClaimStrings
	Subject   string
	Tenant    string
	Session   string
	Email     string
	Name      string
	Roles     []string
	ID        string
	IssuedAt  *jwt.NumericDate
	ExpiresAt *jwt.NumericDate
	NotBefore *jwt.NumericDate
}

func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }

// UnmarshalJSON reads a token's payload. Claims that are not ours are ignored.
func (c *claims) UnmarshalJSON(data []byte) error {
	all, err := members(data)
	if err != nil {
		return err
	}
	// Ory Hydra puts the claims of a session below "ext" unless told otherwise.
	if ext, ok := all["ext"]; ok {
		inner, err := members(ext)
		if err != nil {
			return err
		}
		for _, name := range []string{"tenant_id", "roles", "email", "name", "sid"} {
			if v, ok := inner[name]; ok && all[name] == nil {
				all[name] = v
			}
		}
	}
	for name, into := range map[string]any{
		"iss": &c.Issuer, "aud": &c.Audience, "sub": &c.Subject, "tenant_id": &c.Tenant, "sid": &c.Session,
		"email": &c.Email, "name": &c.Name, "roles": &c.Roles, "jti": &c.ID,
		"iat": &c.IssuedAt, "exp": &c.ExpiresAt, "nbf": &c.NotBefore,
	} {
		if v, ok := all[name]; ok {
			if err := json.Unmarshal(v, into); err != nil {
				return fmt.Errorf("claim %s: %w", name, err)
			}
		}
	}
	return nil
}

var errObject = errors.New("not a JSON object with each name once")

// members splits a JSON object and refuses a repeated name.
func members(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errObject
	}
	out := make(map[string]json.RawMessage, 16)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errObject
		}
		name, ok := t.(string)
		if _, twice := out[name]; !ok || twice {
			return nil, errObject
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, errObject
		}
		out[name] = v
	}
	if _, err := dec.Token(); err != nil {
		return nil, errObject
	}
	return out, nil
}

// issued is the payload of a token of ours, in the order of the HTTP contract.
type issued struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	Tenant   string   `json:"tenant_id,omitempty"`
	Roles    []string `json:"roles"`
	Email    string   `json:"email"`
	Name     string   `json:"name"`
	Session  string   `json:"sid"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
}

func (c issued) GetIssuer() (string, error)             { return c.Issuer, nil }
func (c issued) GetSubject() (string, error)            { return c.Subject, nil }
func (c issued) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{c.Audience}, nil }
func (c issued) GetNotBefore() (*jwt.NumericDate, error) {
	return nil, nil //nolint:nilnil // the interface's way to say that there is none
}
func (c issued) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)), nil
}
func (c issued) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.Expires, 0)), nil
}
