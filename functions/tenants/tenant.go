package tenants

import (
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// Organization is a tenant as clients see it.
type Organization struct {
	ID        ids.ID    `json:"id" format:"uuid" doc:"The organization's id."`
	Name      string    `json:"name" minLength:"1" maxLength:"255" doc:"What it is called."`
	Subdomain string    `json:"subdomain" minLength:"3" maxLength:"63" doc:"It is reached at this name under the platform's domain."`
	Status    string    `json:"status" enum:"active,suspended,deleted" doc:"A suspended organization can only read itself and its billing."`
	Plan      string    `json:"plan" doc:"The plan that its limits come from."`
	CreatedAt time.Time `json:"created_at" doc:"When it was created."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

// Mine is an organization with what its reader is in it.
type Mine struct {
	Organization
	Role string `json:"role" doc:"The reader's role in it."`
}

// row is an organization as the database has it.
type row struct {
	Organization
	version int64
	role    string
}

var errSubdomainTaken = errs.New(errs.Conflict, "subdomain_taken", "This subdomain is taken.")

var example = Organization{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c073980"), Name: "Acme", Subdomain: "acme", Status: "active", Plan: "free",
	CreatedAt: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
}
