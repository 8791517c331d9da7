package auth

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// newSession is a session that is about to be written.
type newSession struct {
	id, tenant ids.ID
	refresh    identity.Opaque
	ip         string
	userAgent  string
	remember   *bool
	expires    time.Time
}

// newSession makes the session that p names, for a caller.
func (s *service) newSession(by identity.Caller, p identity.Principal, remember *bool) newSession {
	n := newSession{
		id: p.SessionID, tenant: p.TenantID, refresh: identity.NewOpaque(identity.RefreshToken, p.UserID, p.SessionID),
		userAgent: printable(by.UserAgent), remember: remember,
		expires: s.now().Add(s.cfg.life(remember)).UTC().Truncate(time.Microsecond),
	}
	if by.IP.IsValid() {
		n.ip = by.IP.Unmap().WithZone("").String()
	}
	return n
}

// What Redis says of a session. The router reads it on every request and asks
// sessionState when there is nothing.
const (
	stateLive    = "live"
	stateRevoked = "revoked"
)

func sessionKey(id ids.ID) string { return "sess:" + id.String() }

const (
	// liveLife bounds how long Redis may call a session live: should it be out
	// of reach at the moment a session ends, that is how long its access token
	// can go on once Redis is back.
	liveLife = 2 * time.Minute
	// revokedSlack covers the leeway of verifiers and the clocks of other
	// instances.
	revokedSlack = time.Minute
)

// announce tells Redis that sessions have ended. It overwrites, and outlives
// every access token of theirs; a reader who looked before the end only fills
// what is empty. It is best effort: the database is the truth. A request with an
// Idempotency-Key gets here just before its commit; should that fail, a session
// that goes on has lost its access tokens, which errs on the safe side.
func (s *service) announce(ctx context.Context, ended ...ids.ID) {
	if len(ended) == 0 {
		return
	}
	// The client may be gone; its session has ended all the same.
	ctx = context.WithoutCancel(ctx)
	err := s.cache.Pipeline(ctx, func(p redis.Pipeliner) {
		for _, id := range ended {
			p.Set(ctx, sessionKey(id), stateRevoked, s.cfg.AccessLife+revokedSlack)
		}
	})
	if err != nil {
		s.log.ErrorContext(ctx, "the end of a session did not reach Redis", "sessions", len(ended), "within", liveLife.String(), "error", err)
	}
}
