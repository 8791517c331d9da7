package identity

import (
	"context"
	"strings"
)

type principalKey struct{}

// NewContext carries p from the token's check to where an operation is called;
// from there on it is an argument.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext gives the principal that NewContext put there.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// Bearer takes the token out of an Authorization header (RFC 6750, 2.1). No
// header, and one of another scheme, is "": no token.
func Bearer(authorization string) string {
	const scheme = "bearer "
	if len(authorization) <= len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return ""
	}
	return strings.Trim(authorization[len(scheme):], " ")
}
