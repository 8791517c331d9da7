package billing

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// Invoice is a bill, as clients see it.
type Invoice struct {
	ID          ids.ID     `json:"id" format:"uuid" doc:"The invoice's id."`
	Number      *string    `json:"number" doc:"The number on it."`
	Status      string     `json:"status" enum:"open,paid,uncollectible,void" doc:"open waits to be paid."`
	Currency    string     `json:"currency" doc:"Of the amounts, ISO 4217 in small letters."`
	AmountDue   int64      `json:"amount_due" doc:"What is to be paid, in minor units."`
	AmountPaid  int64      `json:"amount_paid" doc:"What was paid, in minor units."`
	HostedURL   *string    `json:"hosted_url" format:"uri" doc:"Stripe's page of it."`
	PDFURL      *string    `json:"pdf_url" format:"uri" doc:"The invoice as PDF."`
	PeriodStart *time.Time `json:"period_start" doc:"Since when what it is for was used."`
	PeriodEnd   *time.Time `json:"period_end" doc:"Until when."`
	IssuedAt    *time.Time `json:"issued_at" doc:"When it was issued."`
	PaidAt      *time.Time `json:"paid_at" doc:"When it was paid; null before."`
	CreatedAt   time.Time  `json:"created_at" doc:"When it was made."`
}

type invoiceRow struct {
	Invoice
	updatedAt time.Time
}

var exampleInvoice = Invoice{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c0739a1"), Number: new("A1B2C3D4-0001"), Status: "paid", Currency: "usd", AmountDue: 2900, AmountPaid: 2900,
	HostedURL: new("https://invoice.stripe.com/i/acct_1/test_1"), PDFURL: new("https://pay.stripe.com/invoice/acct_1/test_1/pdf"),
	PeriodStart: exampleRow.PeriodStart, PeriodEnd: exampleRow.PeriodEnd, IssuedAt: exampleRow.PeriodStart, PaidAt: exampleRow.PeriodStart, CreatedAt: *exampleRow.PeriodStart,
}

var invoicesSpec = api.Spec{
	ID: "list-invoices", Method: http.MethodGet, Path: "/api/v1/billing/invoices/", Tag: "Billing",
	Summary:    "List the invoices",
	Permission: identity.BillingRead, OpenWhenSuspended: true, Essential: true, ResponseExample: api.ListBody[Invoice]{Results: []Invoice{exampleInvoice}},
}

type invoicesInput struct {
	api.PageInput
}

func (s *service) invoices(ctx context.Context, by identity.Caller, in *invoicesInput) (*api.List[Invoice], error) {
	at := in.Position()
	var rows *db.Rows[invoiceRow]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listInvoices(tx, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(v invoiceRow) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return v.updatedAt, v.ID
		}
		return v.CreatedAt, v.ID
	})
	results := make([]Invoice, len(cut))
	for i, v := range cut {
		results[i] = v.Invoice
	}
	return api.NewList(results, next, previous), nil
}
