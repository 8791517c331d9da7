package api

import (
	"net/http"
	"strings"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// maxToken bounds what is parsed as a token: a header of thousands of dots is
// an attack on the parser, not a token.
const maxToken = 8 << 10

var (
	errNoTenant   = errs.New(errs.Forbidden, "no_tenant", "The token names no organization.")
	errMismatch   = errs.New(errs.Forbidden, "tenant_mismatch", "The request and the token name different organizations.")
	errSuspended  = errs.New(errs.Forbidden, "tenant_suspended", "The organization is suspended.")
	errDeleted    = errs.New(errs.Forbidden, "tenant_deleted", "The organization has been deleted.")
	errPermission = errs.New(errs.Forbidden, "permission_denied", "Your role does not allow this.")
)

// checkHop believes the client's address from a signed hop only, and hides
// internal operations from everyone else.
func checkHop(d *Deps, next handle) handle {
	return func(c *call) error {
		internal := c.op.Permission == identity.Internal
		if d.Hop == nil {
			if internal {
				return errNoRoute
			}
			return next(c)
		}
		client, err := d.Hop.Verify(c.r)
		switch {
		case err == nil:
			c.client = client
			c.admitted = internal
		case internal:
			return errs.ErrNotFound.WithCause(err)
		}
		return next(c)
	}
}

// authenticate settles who calls. On a public operation a token that does not
// hold is as good as none: a stale one must not keep its owner from signing in.
func authenticate(d *Deps, next handle) handle {
	return func(c *call) error {
		c.caller.IP, c.caller.UserAgent = c.client, c.r.UserAgent()
		if c.op.Permission != identity.Internal {
			if err := c.identify(d); err != nil && !c.op.Public {
				return err
			}
		}
		c.caller.RequestID = c.requestID
		if c.client.IsValid() {
			c.caller.ClientIP = c.client.Unmap().WithZone("").String()
		}
		return next(c)
	}
}

func (c *call) identify(d *Deps) error {
	raw, err := bearer(c.r)
	if err != nil {
		return err
	}
	if d.Verifier == nil {
		return errMissing("Verifier")
	}
	p, err := d.Verifier.Verify(c.r.Context(), raw)
	if err != nil {
		return err
	}
	if p.UserID == ids.Nil {
		return identity.ErrTokenInvalid // a token of nobody
	}
	c.caller.Principal = p
	return nil
}

func bearer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0:
		return "", identity.ErrTokenMissing
	case len(values) > 1:
		return "", identity.ErrTokenInvalid // which of them another hop would take is anyone's guess
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", identity.ErrTokenMissing
	}
	token = strings.TrimSpace(token)
	if token == "" || len(token) > maxToken {
		return "", identity.ErrTokenInvalid
	}
	return token, nil
}

// admitTenant settles the caller's rights in the token's tenant.
func admitTenant(d *Deps, next handle) handle {
	return func(c *call) error {
		if !c.op.Public && c.op.Permission != identity.Internal {
			if named := c.r.Header.Get("X-Tenant-ID"); named != "" {
				if id, err := ids.Parse(named); err != nil || id != c.caller.TenantID {
					return errMismatch
				}
			}
		}
		if !c.op.needsTenant() {
			return next(c)
		}
		if !c.caller.HasTenant() {
			return errNoTenant
		}
		if d.Access == nil {
			return errMissing("Access")
		}
		access, err := d.Access.Resolve(c.r.Context(), c.caller.Principal)
		if err != nil {
			return err
		}
		switch access.TenantStatus {
		case identity.TenantActive:
		case identity.TenantSuspended:
			if !c.op.OpenWhenSuspended {
				return errSuspended
			}
		default: // deleted, and whatever a newer schema may add
			return errDeleted
		}
		c.caller.Access = access
		return next(c)
	}
}

// authorize is the one place that decides whether the operation may run.
func authorize(_ *Deps, next handle) handle {
	return func(c *call) error {
		switch p := c.op.Permission; {
		case c.op.Public, p == identity.SignedIn, p == identity.Member:
			c.admitted = true
		case p == identity.Internal: // settled by the hop
		case c.caller.May(p):
			c.admitted = true
		}
		if !c.admitted {
			return errPermission
		}
		return next(c)
	}
}
