// Package identity knows who somebody is: passwords, the keys that sign access
// tokens and the tokens themselves, opaque tokens that are stored as hashes, the
// [Principal] that a token names, and the [Permission]s that roles consist of.
//
// What somebody may do is not decided here: see shared/access. A new permission
// goes into permissions.go and, by a migration, into app.permissions; a new kind
// of opaque token into opaque.go.
package identity

import (
	"time"

	"github.com/coditect/platform/shared/ids"
)

// Principal is who a request acts for, as its access token says. It carries no
// rights: those come from the membership (see shared/access), since a token
// outlives a change of role.
type Principal struct {
	UserID ids.ID
	// TenantID is zero for a person without an organization.
	TenantID  ids.ID
	SessionID ids.ID
	Email     string
	Name      string
	// Roles informs clients. Nothing in the platform decides by it.
	Roles     []string
	TokenID   string
	Issuer    string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// RequestID is the request being served; activity rows keep it.
	RequestID string
	// ClientIP is the address that the request came from, as text, or empty:
	// events of the person keep it.
	ClientIP string
}

// HasTenant reports whether the principal acts inside an organization.
func (p Principal) HasTenant() bool { return p.TenantID != ids.Nil }

// InTenant is the same person acting inside another organization.
func (p Principal) InTenant(id ids.ID) Principal {
	p.TenantID = id
	return p
}
