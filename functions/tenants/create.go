package tenants

import (
	"context"
	"errors"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/subdomain"
)

var createSpec = api.Spec{
	ID: "create-tenant", Method: http.MethodPost, Path: "/api/v1/tenants/", Tag: "Tenants",
	Summary:     "Create an organization",
	Description: "The caller becomes its owner. Their token still names the organization it was made for.",
	Permission:  identity.SignedIn, Status: http.StatusCreated,
	Errors:          []errs.Error{*errSubdomainTaken},
	RequestExample:  createBody{Name: "Acme", Subdomain: "acme"},
	ResponseExample: example,
}

type createBody struct {
	Name      string `json:"name" minLength:"1" maxLength:"255" doc:"What it is called."`
	Subdomain string `json:"subdomain" minLength:"3" maxLength:"63" doc:"a–z, 0–9 and -, not at an end, not reserved."`
}

type createInput struct {
	Body createBody
}

func (s *service) create(ctx context.Context, by identity.Caller, in *createInput) (*api.Item[Organization], error) {
	if fault := subdomain.Fault(in.Body.Subdomain); fault != "" {
		return nil, errs.InvalidField("body.subdomain", fault)
	}
	person, err := s.person(ctx, by.Principal)
	if err != nil {
		return nil, err
	}
	tenant := ids.New()
	var made *db.Row[row]
	err = db.Span(ctx, s.db, db.SpanCreateTenant, by.Principal.InTenant(tenant), func(tx *db.Tx) error {
		tx.Explain(broken)
		insertOrganization(tx, in.Body.Name, in.Body.Subdomain)
		insertOwner(tx, person)
		made = getOrganization(tx)
		tx.Record(activity.Created("Organization", tenant, map[string]any{"name": in.Body.Name, "subdomain": in.Body.Subdomain}))
		tx.Record(activity.Created("Membership", by.UserID, map[string]any{"role": identity.RoleOwner}))
		tx.RecordUser("tenant_created", activity.Changes{"tenant_id": {New: tenant.String()}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	o, err := made.Value()
	if err != nil {
		return nil, err
	}
	return api.Created("/api/v1/tenants/me/", o.version, o.Organization), nil
}

// person is what a membership repeats of its person. It is read before the
// transaction, from the person's own shard.
func (s *service) person(ctx context.Context, by identity.Principal) (person, error) {
	var found *db.Row[person]
	err := db.ReadUser(ctx, s.db, by, func(tx *db.Tx) error {
		found = getPerson(tx)
		return nil
	})
	if err != nil {
		return person{}, err
	}
	p, err := found.Value()
	if errors.Is(err, errs.ErrNotFound) {
		return p, identity.ErrTokenInvalid.WithCause(err) // a token of somebody who is no more
	}
	return p, err
}
