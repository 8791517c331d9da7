package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/page"
)

// Verifier tells whose a token is. An error is an *errs.Error: Unauthenticated
// for a token that does not hold, Unavailable when keys cannot be had.
type Verifier interface {
	Verify(ctx context.Context, raw string) (identity.Principal, error)
}

// Access tells what a person may do in the tenant of their token. Who is no
// member gets an *errs.Error of kind Forbidden.
type Access interface {
	Resolve(ctx context.Context, p identity.Principal) (identity.Access, error)
}

// Hop tells whether a request was signed by another part of the platform, and
// the client's address as the edge saw it.
type Hop interface {
	Verify(r *http.Request) (client netip.Addr, err error)
}

// Deps is what the chain asks others. A piece that is nil fails closed: what
// needs it is refused.
type Deps struct {
	Verifier Verifier
	Access   Access
	Hop      Hop
	Cursors  *page.Codec
	// Sealer encrypts the stored answers of Sealed operations.
	Sealer idempotency.Sealer
	Logger *slog.Logger
	// Timeout bounds a request; 0 is 25 s, below the platform's own limits so
	// that the client reads a problem and not a broken connection.
	Timeout time.Duration
	// BodyTimeout bounds the arrival of the body; 0 is 10 s.
	BodyTimeout time.Duration
	// CheckResponses makes an answer that the document does not describe a
	// 500 that says why. For tests.
	CheckResponses bool
}

func (d Deps) withDefaults() *Deps {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Timeout == 0 {
		d.Timeout = 25 * time.Second
	}
	if d.BodyTimeout == 0 {
		d.BodyTimeout = 10 * time.Second
	}
	return &d
}
