// Package auth is the function that knows who somebody is: it registers
// people, signs them in and out, accepts invitations, hands out and renews
// tokens, and tells the router whether a session still lives.
//
// A session is a row of its owner; its refresh tokens form a chain in which
// each is derived from the one before, so that a chain cannot fork (see
// refresh.go). Access tokens are not stored anywhere: a session that ended is
// announced in Redis, and the database is the truth behind it.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// Whatever ends sessions announces them (see sessions.go). `make generate`
// then updates the router's table and the OpenAPI document.
package auth

import (
	"log/slog"
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ratelimit"
	"github.com/coditect/platform/shared/secrets"
)

// service is what the operations share.
type service struct {
	cfg    Config
	db     *db.DB
	cache  *cache.Client
	access *access.Resolver
	// limits guard registration; signIn guards sign-in and refresh.
	limits *ratelimit.Limiter
	signIn *ratelimit.SignIn
	hasher *identity.Hasher
	signer *identity.Signer
	keys   identity.KeySource
	// ring derives refresh tokens and the secrets of mailed links.
	ring secrets.KeyRing
	log  *slog.Logger
	now  func() time.Time
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(registerSpec, s.register),
		api.New(loginSpec, s.login),
		api.New(refreshSpec, s.refresh),
		api.New(logoutSpec, s.logout),
		api.New(revokeSpec, s.revoke),
		api.New(verifyEmailSpec, s.verifyEmail),
		api.New(requestResetSpec, s.requestReset),
		api.New(confirmResetSpec, s.confirmReset),
		api.New(changePasswordSpec, s.changePassword),
		api.New(switchTenantSpec, s.switchTenant),
		api.New(listSessionsSpec, s.listSessions),
		api.New(deleteSessionSpec, s.deleteSession),
		api.New(acceptSpec, s.accept),
		api.New(jwksSpec, s.jwks),
		api.New(sessionStateSpec, s.sessionState),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "auth", Operations: (&service{}).operations()}
}
