package tenants

import (
	"context"
	"net/http"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/subdomain"
)

var replaceSpec = api.Spec{
	ID: "replace-current-tenant", Method: http.MethodPut, Path: "/api/v1/tenants/me/", Tag: "Tenants",
	Summary:     "Replace the present organization",
	Description: "A subdomain that is given up leads nowhere at once and is kept from others for 30 days.",
	Permission:  identity.TenantWrite, Essential: true, Errors: []errs.Error{*errSubdomainTaken},
	RequestExample: createBody{Name: "Acme", Subdomain: "acme"}, ResponseExample: example,
}

var updateSpec = api.Spec{
	ID: "update-current-tenant", Method: http.MethodPatch, Path: "/api/v1/tenants/me/", Tag: "Tenants",
	Summary:     "Change the present organization",
	Description: "A JSON merge patch (RFC 7396). A subdomain that is given up leads nowhere at once and is kept from others for 30 days.",
	Permission:  identity.TenantWrite, Essential: true, Errors: []errs.Error{*errSubdomainTaken},
	RequestExample: map[string]any{"name": "Acme Corporation"}, ResponseExample: example,
}

type replaceInput struct {
	api.IfMatch
	Body createBody
}

type updateBody struct {
	Name      api.Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"255" doc:"What it is called."`
	Subdomain api.Optional[string] `json:"subdomain,omitzero" minLength:"3" maxLength:"63" doc:"a–z, 0–9 and -, not at an end, not reserved."`
}

type updateInput struct {
	api.IfMatch
	Body updateBody `contentType:"application/merge-patch+json"`
}

func (s *service) replace(ctx context.Context, by identity.Caller, in *replaceInput) (*api.Item[Organization], error) {
	return s.change(ctx, by, in.IfMatch, func(o *Organization) { o.Name, o.Subdomain = in.Body.Name, in.Body.Subdomain })
}

func (s *service) update(ctx context.Context, by identity.Caller, in *updateInput) (*api.Item[Organization], error) {
	return s.change(ctx, by, in.IfMatch, func(o *Organization) {
		o.Name = in.Body.Name.Or(o.Name)
		o.Subdomain = in.Body.Subdomain.Or(o.Subdomain)
	})
}

// change reads the organization under a lock, lets edit change it, and writes
// it. Another subdomain is another claim, on another node it may be.
func (s *service) change(ctx context.Context, by identity.Caller, match api.IfMatch, edit func(*Organization)) (*api.Item[Organization], error) {
	var after row
	err := db.Span(ctx, s.db, db.SpanHost, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		before, err := lockOrganization(tx).Await(ctx)
		if err != nil {
			return err
		}
		after = before
		edit(&after.Organization)
		moved := after.Subdomain != before.Subdomain
		if fault := subdomain.Fault(after.Subdomain); moved && fault != "" {
			return errs.InvalidField("body.subdomain", fault)
		}
		if err := match.Check(before.version); err != nil {
			return err
		}
		diff := activity.Diff(before.values(), after.values())
		if len(diff) == 0 {
			tx.Unchanged()
			return nil
		}
		if moved {
			moveSubdomain(tx, before.Subdomain, after.Subdomain)
		}
		changed := updateOrganization(tx, after.Organization)
		tx.Record(activity.Updated("Organization", by.TenantID, diff))
		tx.OnCommit(func() error {
			after, err = changed.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.NewItem(after.version, after.Organization), nil
}

// values is what activity tells of an organization.
func (r row) values() map[string]any {
	return map[string]any{"name": r.Name, "subdomain": r.Subdomain}
}
