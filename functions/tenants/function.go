// Package tenants is the function that serves organizations: creating one, the
// ones a person is in, and the present one with its settings and its domains. It
// also tells the router, which has
// no database, whose a host name is, what a tenant's plan allows, and whether
// the database answers.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package tenants

import (
	"log/slog"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/secrets"
)

// service is what the operations share.
type service struct {
	cfg    Config
	db     *db.DB
	access *access.Resolver
	cache  *cache.Client
	// box seals what only sign-in by SSO reads again.
	box *secrets.Box
	// dns is asked whether a domain's record is there.
	dns domain.Resolver
	log *slog.Logger
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(createSpec, s.create),
		api.New(listSpec, s.list),
		api.New(currentSpec, s.current),
		api.New(replaceSpec, s.replace),
		api.New(updateSpec, s.update),
		api.New(transferSpec, s.transfer),
		api.New(deleteSpec, s.delete),
		api.New(leaveSpec, s.leave),
		api.New(getSettingsSpec, s.getSettings),
		api.New(replaceSettingsSpec, s.replaceSettings),
		api.New(updateSettingsSpec, s.updateSettings),
		api.New(listDomainsSpec, s.listDomains),
		api.New(createDomainSpec, s.createDomain),
		api.New(getDomainSpec, s.getDomain),
		api.New(verifyDomainSpec, s.verifyDomain),
		api.New(updateDomainSpec, s.updateDomain),
		api.New(deleteDomainSpec, s.deleteDomain),
		api.New(hostSpec, s.host),
		api.New(limitsSpec, s.limits),
		api.New(healthSpec, s.health),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "tenants", Operations: (&service{}).operations()}
}
