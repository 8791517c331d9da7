// Package billing is the function that serves what an organization pays for:
// plans, its subscription and how that changes, cards, invoices, usage.
//
// Stripe is the truth and is asked only by what changes something: all reading
// is from our rows, so that it goes on while Stripe is down. A change (change.go)
// has the organization's subscription to itself for as long as it takes, looks
// at what Stripe has now, acts, looks again and writes that down. Its calls
// carry Idempotency-Keys made of the request's own. Where it dies in between,
// the next change, or the webhook, finds at Stripe what was done and takes it
// over: nothing is charged twice, and nothing that was paid for is lost.
//
// To add an operation, write a file of its own with its input, its output and
// its act, give it a line in operations, and put its statements into store.go.
// `make generate` then updates the router's table and the OpenAPI document.
package billing

import (
	"time"

	"github.com/coditect/platform/shared/access"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/payment"
)

// service is what the operations share.
type service struct {
	db     *db.DB
	redis  *cache.Client
	access *access.Resolver
	stripe *payment.Client
	now    func() time.Time
	// at is told of each labelled point around a call to Stripe; tests end the
	// process there.
	at func(point string)
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(plansSpec, s.plans),
		api.New(subscriptionSpec, s.subscription),
		api.New(subscribeSpec, s.subscribe),
		api.New(upgradeSpec, s.upgrade),
		api.New(cancelSpec, s.cancel),
		api.New(resumeSpec, s.resume),
		api.New(addMethodSpec, s.addMethod),
		api.New(listMethodsSpec, s.listMethods),
		api.New(deleteMethodSpec, s.deleteMethod),
		api.New(invoicesSpec, s.invoices),
		api.New(usageSpec, s.usage),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "billing", Operations: (&service{}).operations()}
}
