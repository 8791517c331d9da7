// Package stripewebhook is the function that Stripe tells what happened. It
// asks for no token: a signature over the body as it was sent says who speaks.
// In the cloud it has an ingress of its own; on a laptop the router passes its
// path on like any other.
//
// It does as little as it can, so that Stripe has its answer at once: an event
// is stored, once by its id, together with a message for functions/stripeevents
// to look at its customer. What the event says is not believed beyond which
// customer it is about. Kinds of events that nothing depends on are stored and
// marked ignored. The event of a customer whom nobody has claimed yet (the claim
// may commit a moment later) waits for schedulers/billingsync.
package stripewebhook

import (
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/secrets"
)

// service is what the operations share.
type service struct {
	db      *db.DB
	secrets *secrets.Cached[[]string]
	now     func() time.Time
}

func (s *service) operations() []api.Operation {
	return []api.Operation{
		api.New(receiveSpec, s.receive),
	}
}

// Function describes the function without opening it, for the router's table
// and the OpenAPI document.
func Function() api.Function {
	return api.Function{Name: "stripewebhook", Operations: (&service{}).operations()}
}
