package identity

import (
	"net/netip"

	"github.com/coditect/platform/shared/ids"
)

// Access is what a person may do in one tenant at this moment: the membership,
// not the token, is its source.
type Access struct {
	// Role is the built-in role's name, or the custom role's.
	Role         string
	Permissions  Set
	Plan         string
	TenantStatus string // active, suspended or deleted
}

// The states of a tenant.
const (
	TenantActive    = "active"
	TenantSuspended = "suspended"
	TenantDeleted   = "deleted"
)

// Caller is who an operation acts for, with what they may do here and now and
// where they call from. Operations get it as an argument.
type Caller struct {
	Principal
	Access
	// IP is the client's address as the edge saw it. It is the zero Addr when
	// the request did not come through the edge.
	IP        netip.Addr
	UserAgent string
}

// May reports whether the caller holds p in the tenant.
func (c Caller) May(p Permission) bool { return c.Permissions.Has(p) }

// MayOn reports whether the caller holds any, or holds own and is one of the
// object's owners (its creator, its owner).
func (c Caller) MayOn(any, own Permission, owners ...ids.ID) bool {
	if c.May(any) {
		return true
	}
	if !c.May(own) {
		return false
	}
	for _, o := range owners {
		if o == c.UserID && o != ids.Nil {
			return true
		}
	}
	return false
}
