package stripewebhook

import (
	"context"
	"errors"
	"net/http"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/payment/signature"
	"github.com/coditect/platform/shared/queue"
)

// maxBody is the largest event, in bytes.
const maxBody = 256 << 10

var errEvent = errs.New(errs.Malformed, "invalid_event", "The body is not an event.")

var receiveSpec = api.Spec{
	ID: "receive-stripe-event", Method: http.MethodPost, Path: "/api/v1/webhooks/stripe/", Tag: "Webhooks",
	Summary:     "Take an event of Stripe",
	Description: "Signed by Stripe over the body as it is (`Stripe-Signature`). An event is taken once by its id; what it leads to follows.",
	Public:      true, Status: http.StatusOK, MaxBody: maxBody, Accepts: []string{"application/json"},
	RequestExample: map[string]any{
		"id": "evt_1PGnkL2eZvKYlo2C0example", "object": "event", "type": "invoice.payment_succeeded", "api_version": "2023-10-16", "created": 1_800_000_000,
		"data": map[string]any{"object": map[string]any{"id": "in_1PGnkL2eZvKYlo2C0example", "object": "invoice", "customer": "cus_example"}},
	},
	Errors: []errs.Error{*signature.Err, *errEvent}, ResponseExample: Received{Received: true},
}

// Received is the answer to Stripe.
type Received struct {
	Received bool `json:"received" doc:"true: the event is kept."`
}

type receiveInput struct {
	Signature string `header:"Stripe-Signature" maxLength:"4096" doc:"Time and signatures, as Stripe writes them."`
	RawBody   []byte
}

func (s *service) receive(ctx context.Context, _ identity.Caller, in *receiveInput) (*api.Value[Received], error) {
	secrets, err := s.secrets.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := signature.Verify(in.RawBody, in.Signature, secrets, s.now()); err != nil {
		return nil, err
	}
	e, ok := parse(in.RawBody)
	if !ok {
		return nil, errEvent
	}
	if err := s.store(ctx, e, in.RawBody); err != nil && !errors.Is(err, errKnown) {
		return nil, err // Stripe sends it again
	}
	return api.NewValue(Received{Received: true}), nil
}

// store keeps the event and, where its tenant is known, leaves the message in
// the same transaction.
func (s *service) store(ctx context.Context, e event, body []byte) error {
	customer, status := e.customer(), "received"
	if !handled[e.Type] || customer == "" {
		status = "ignored"
	}
	tenant := ids.Nil
	if status == "received" {
		var owner *db.Row[ids.ID]
		if err := db.Lookup(ctx, s.db, func(tx *db.Tx) error { owner = claimant(tx, customer); return nil }); err != nil {
			return err
		}
		tenant, _ = owner.Found()
	}
	insert := func(tx *db.Tx) {
		tx.Explain(broken)
		db.Claim(tx, e.ID)
		insertEvent(tx, e, customer, tenant, status, body)
	}
	if tenant == ids.Nil {
		return db.Keyed(ctx, s.db, e.ID, func(tx *db.Tx) error { insert(tx); return nil })
	}
	return db.Note(ctx, s.db, identity.Principal{TenantID: tenant}, func(tx *db.Tx) error {
		insert(tx)
		tx.Enqueue(queue.BillingEvent.Message(customer, queue.StripeEvent{EventID: e.ID}))
		return nil
	})
}
