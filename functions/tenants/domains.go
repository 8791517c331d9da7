package tenants

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// A domain is added, shown to be one's own by a record in its zone, and looked at
// again each day (schedulers/domaincheck). It leads here only while it is
// verified: that is when the organization holds its claim, which nobody else can
// hold meanwhile, and which is kept from others for a while when it ends.

// maxDomains is how many an organization may have, verified or not.
const maxDomains = 50

// holdDeleted is for how long a domain that was given up is kept from others:
// longer than any router remembers whose it was.
const holdDeleted = 24 * time.Hour

// Domain is a domain of an organization, as clients see it.
type Domain struct {
	ID           ids.ID       `json:"id" format:"uuid" doc:"The domain's id."`
	Domain       string       `json:"domain" minLength:"4" maxLength:"253" doc:"Its name, in lower case."`
	IsPrimary    bool         `json:"is_primary" doc:"Whether it is the one to show; at most one is."`
	Verified     bool         `json:"verified" doc:"Whether it leads to the organization. It is looked at daily, and lost after a week without its record."`
	VerifiedAt   *time.Time   `json:"verified_at" doc:"When it was verified; null while it is not."`
	Verification Verification `json:"verification" doc:"The record that shows whose it is. It has to stay."`
	CreatedAt    time.Time    `json:"created_at" doc:"When it was added."`
	UpdatedAt    time.Time    `json:"updated_at" doc:"When it last changed."`
}

// Verification is a DNS record.
type Verification struct {
	Type  string `json:"type" enum:"TXT" doc:"The type of the record."`
	Name  string `json:"name" doc:"Its whole name."`
	Value string `json:"value" doc:"Its text."`
}

// host is a domain as the database has it.
type host struct {
	Domain
	token   string
	version int64
}

var (
	errDomainExists = errs.New(errs.Conflict, "domain_exists", "The organization has this domain already.")
	errDomainTaken  = errs.New(errs.Conflict, "domain_taken", "Another organization uses this domain, or did until recently.")
	errManyDomains  = errs.New(errs.Conflict, "too_many_domains", "The organization has as many domains as it may have: delete one first.")
	errNotVerified  = errs.New(errs.Conflict, "domain_not_verified",
		"The record is not there. What was added to a zone may take its time to be seen: try again later.")
	errNoAnswer = errs.New(errs.Conflict, "domain_not_verified",
		"The servers of the domain did not answer, so that nothing is known of its record. Try again later.")
	errUnverified = errs.New(errs.Conflict, "domain_not_verified", "Only a domain that is verified can be the primary one.")
)

func exampleDomain() Domain {
	d := Domain{
		ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c0739c1"), Domain: "work.acme.com", CreatedAt: example.CreatedAt, UpdatedAt: example.CreatedAt,
		Verification: Verification{Type: "TXT"},
	}
	d.Verification.Name, d.Verification.Value = domain.Record(d.Domain, "EXAMPLEEXAMPLEEXAMPLEEXAMP")
	return d
}

func exampleVerified(primary bool) Domain {
	d := exampleDomain()
	at := d.CreatedAt.Add(time.Hour)
	d.Verified, d.VerifiedAt, d.UpdatedAt, d.IsPrimary = true, &at, at, primary
	return d
}

const domainsPath = "/api/v1/tenants/me/domains/"

var listDomainsSpec = api.Spec{
	ID: "list-domains", Method: http.MethodGet, Path: domainsPath, Tag: "Domains",
	Summary: "List the organization's domains", Permission: identity.TenantWrite, Essential: true,
	ResponseExample: api.ListBody[Domain]{Results: []Domain{exampleVerified(true)}},
}

type listDomainsInput struct {
	api.PageInput
}

func (s *service) listDomains(ctx context.Context, by identity.Caller, in *listDomainsInput) (*api.List[Domain], error) {
	at := in.Position()
	var rows *db.Rows[host]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		rows = listHosts(tx, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(h host) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return h.UpdatedAt, h.ID
		}
		return h.CreatedAt, h.ID
	})
	results := make([]Domain, len(cut))
	for i := range cut {
		results[i] = cut[i].Domain
	}
	return api.NewList(results, next, previous), nil
}

var createDomainSpec = api.Spec{
	ID: "create-domain", Method: http.MethodPost, Path: domainsPath, Tag: "Domains",
	Summary: "Add a domain",
	Description: "It leads nowhere yet. Add the TXT record of `verification` to its zone, leave it there, and verify the domain. " +
		"One that is not verified within 30 days is dropped.",
	Permission: identity.TenantWrite, Essential: true, Status: http.StatusCreated,
	Errors:         []errs.Error{*errDomainExists, *errManyDomains},
	RequestExample: createDomainBody{Domain: "work.acme.com"}, ResponseExample: exampleDomain(),
}

type createDomainBody struct {
	Domain string `json:"domain" minLength:"4" maxLength:"254" doc:"A whole domain, in its encoded form (xn--…) if it is an international one."`
}

type createDomainInput struct {
	Body createDomainBody
}

func (s *service) createDomain(ctx context.Context, by identity.Caller, in *createDomainInput) (*api.Item[Domain], error) {
	name, fault := domain.Clean(in.Body.Domain)
	if fault == "" && domain.Within(name, s.cfg.BaseDomain) {
		fault = "is the platform's own"
	}
	if fault != "" {
		return nil, errs.InvalidField("body.domain", fault)
	}
	id := ids.New()
	var made *db.Row[host]
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(domainsBroken)
		lockTenant(tx)
		requireFewHosts(tx)
		made = insertHost(tx, id, name, rand.Text())
		tx.Record(activity.Created("Domain", id, map[string]any{"domain": name}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	h, err := made.Value()
	if err != nil {
		return nil, err
	}
	return api.Created(domainsPath+id.String()+"/", h.version, h.Domain), nil
}

var getDomainSpec = api.Spec{
	ID: "get-domain", Method: http.MethodGet, Path: domainsPath + "{id}/", Tag: "Domains",
	Summary: "Get a domain", Permission: identity.TenantWrite, Essential: true, ResponseExample: exampleDomain(),
}

type domainInput struct {
	api.ByID
}

func (s *service) getDomain(ctx context.Context, by identity.Caller, in *domainInput) (*api.Item[Domain], error) {
	h, err := s.readHost(ctx, by, in.ID)
	if err != nil {
		return nil, err
	}
	return api.NewItem(h.version, h.Domain), nil
}

func (s *service) readHost(ctx context.Context, by identity.Caller, id ids.ID) (host, error) {
	var found *db.Row[host]
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		found = getHost(tx, id)
		return nil
	})
	if err != nil {
		return host{}, err
	}
	return found.Value()
}

var verifyDomainSpec = api.Spec{
	ID: "verify-domain", Method: http.MethodPost, Path: domainsPath + "{id}/verify/", Tag: "Domains",
	Summary: "Verify a domain",
	Description: "Looks its TXT record up. From then on the domain leads to the organization, within a minute everywhere, for as long as the record is there: " +
		"it is looked at daily, and after a week without it the domain is not verified any more. A domain that another organization has is refused; so is one " +
		"that it lost within the last 30 days, or gave up within the last day.",
	Permission: identity.TenantWrite, Essential: true, Status: http.StatusOK,
	Errors:          []errs.Error{*errNotVerified, *errDomainTaken},
	ResponseExample: exampleVerified(false),
}

func (s *service) verifyDomain(ctx context.Context, by identity.Caller, in *domainInput) (*api.Item[Domain], error) {
	h, err := s.readHost(ctx, by, in.ID)
	if err != nil {
		return nil, err
	}
	if h.Verified {
		return api.NewItem(h.version, h.Domain), nil
	}
	// No transaction is open while the DNS is asked.
	switch answer, err := domain.Look(ctx, s.dns, h.Domain.Domain, h.token); answer {
	case domain.Present:
	case domain.Absent:
		return nil, errNotVerified
	default:
		return nil, errNoAnswer.WithCause(err)
	}
	err = db.Span(ctx, s.db, db.SpanHost, by.Principal, func(tx *db.Tx) error {
		tx.Explain(domainsBroken)
		before, err := lockHost(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if before.Verified { // another request was faster, which is as good
			h = before
			tx.Unchanged()
			return nil
		}
		claimHost(tx, before.Domain.Domain)
		changed := verifyHost(tx, in.ID)
		tx.Record(activity.Updated("Domain", in.ID, activity.Changes{"verified": {Old: false, New: true}}))
		tx.OnCommit(func() error {
			h, err = changed.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.dropSettings(ctx, by.TenantID)
	return api.NewItem(h.version, h.Domain), nil
}

var updateDomainSpec = api.Spec{
	ID: "update-domain", Method: http.MethodPatch, Path: domainsPath + "{id}/", Tag: "Domains",
	Summary:     "Make a domain the primary one, or not",
	Description: "A JSON merge patch (RFC 7396). The one that was the primary domain before is not any more.",
	Permission:  identity.TenantWrite, Essential: true, Errors: []errs.Error{*errUnverified},
	RequestExample: map[string]any{"is_primary": true}, ResponseExample: exampleVerified(true),
}

type updateDomainInput struct {
	api.ByID
	api.IfMatch
	Body struct {
		IsPrimary api.Optional[bool] `json:"is_primary,omitzero" doc:"Whether it is the one to show."`
	} `contentType:"application/merge-patch+json"`
}

func (s *service) updateDomain(ctx context.Context, by identity.Caller, in *updateDomainInput) (*api.Item[Domain], error) {
	var after host
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		// One change of the primary domain at a time: each would see the other's
		// as it was.
		lockTenant(tx)
		present := primaryHost(tx)
		before, err := lockHost(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if err := in.IfMatch.Check(before.version); err != nil {
			return err
		}
		after = before
		after.IsPrimary = in.Body.IsPrimary.Or(before.IsPrimary)
		switch {
		case after.IsPrimary == before.IsPrimary:
			tx.Unchanged()
			return nil
		case after.IsPrimary && !before.Verified:
			return errUnverified
		}
		if other, found := present.Found(); found && after.IsPrimary {
			setPrimary(tx, other, false)
			tx.Record(activity.Updated("Domain", other, activity.Changes{"is_primary": {Old: true, New: false}}))
		}
		changed := setPrimary(tx, in.ID, after.IsPrimary)
		tx.Record(activity.Updated("Domain", in.ID, activity.Changes{"is_primary": {Old: before.IsPrimary, New: after.IsPrimary}}))
		tx.OnCommit(func() error {
			after, err = changed.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.NewItem(after.version, after.Domain), nil
}

var deleteDomainSpec = api.Spec{
	ID: "delete-domain", Method: http.MethodDelete, Path: domainsPath + "{id}/", Tag: "Domains",
	Summary: "Delete a domain",
	Description: "It leads nowhere from then on, within a minute everywhere. The organization may add it again at once; others can verify it after a day. " +
		"Sign-in by SSO does not take people of it any more.",
	Permission: identity.TenantWrite, Essential: true, Status: http.StatusNoContent,
}

type deleteDomainInput struct {
	api.ByID
	api.IfMatch
}

func (s *service) deleteDomain(ctx context.Context, by identity.Caller, in *deleteDomainInput) (*api.Empty, error) {
	err := db.Span(ctx, s.db, db.SpanHost, by.Principal, func(tx *db.Tx) error {
		h, err := lockHost(tx, in.ID).Await(ctx)
		if err != nil {
			return err
		}
		if err := in.IfMatch.Check(h.version); err != nil {
			return err
		}
		deleteHost(tx, in.ID)
		if h.Verified {
			holdHost(tx, h.Domain.Domain, holdDeleted)
		}
		tx.Record(activity.Deleted("Domain", in.ID, activity.Changes{
			"domain": {Old: h.Domain.Domain, New: nil}, "verified": {Old: h.Verified, New: nil}, "is_primary": {Old: h.IsPrimary, New: nil},
		}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.dropSettings(ctx, by.TenantID)
	return &api.Empty{}, nil
}
