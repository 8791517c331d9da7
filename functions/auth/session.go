package auth

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/sessions"
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
	return newSession{
		id: p.SessionID, tenant: p.TenantID, refresh: identity.NewOpaque(identity.RefreshToken, p.UserID, p.SessionID),
		userAgent: printable(by.UserAgent), remember: remember, ip: by.ClientIP,
		expires: s.now().Add(s.cfg.life(remember)).UTC().Truncate(time.Microsecond),
	}
}

// announce tells every part of the platform that sessions have ended.
func (s *service) announce(ctx context.Context, ended ...ids.ID) {
	sessions.Announce(ctx, s.cache, s.log, s.cfg.AccessLife, ended...)
}
