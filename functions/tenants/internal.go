package tenants

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/usage"
)

// What the router asks. It keeps the answers in its process: hosts for 60 s
// (absent ones 10 s), limits for 60 s.

var hostSpec = api.Spec{
	ID: "internal-host", Method: http.MethodGet, Path: "/internal/hosts/{host}/", Tag: "Internal",
	Summary:         "Whose a subdomain or a verified domain is",
	Permission:      identity.Internal,
	ResponseExample: Host{TenantID: example.ID},
}

// Host tells whose a host name is.
type Host struct {
	TenantID ids.ID `json:"tenant_id" format:"uuid" doc:"The tenant that the host routes to."`
}

type hostInput struct {
	Host string `path:"host" maxLength:"253" doc:"A subdomain's label, or a whole domain."`
}

func (s *service) host(ctx context.Context, _ identity.Caller, in *hostInput) (*api.Value[Host], error) {
	var found *db.Row[ids.ID]
	err := db.Lookup(ctx, s.db, func(tx *db.Tx) error {
		found = hostTenant(tx, strings.ToLower(in.Host))
		return nil
	})
	if err != nil {
		return nil, err
	}
	tenant, err := found.Value()
	if err != nil {
		return nil, err
	}
	return api.NewValue(Host{TenantID: tenant}), nil
}

var limitsSpec = api.Spec{
	ID: "internal-limits", Method: http.MethodGet, Path: "/internal/limits/{id}/", Tag: "Internal",
	Summary:         "What a tenant's plan allows at the edge",
	Permission:      identity.Internal,
	ResponseExample: Limits{Plan: "free", Status: "active", RequestsPerMinute: 300, APIRequestsPerMonth: 100_000, RequestsUsedUpUntil: new(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))},
}

// Limits are what the router enforces for a tenant. 0 is no limit.
type Limits struct {
	Plan                string `json:"plan" doc:"The tenant's plan."`
	Status              string `json:"status" enum:"active,suspended,deleted" doc:"The tenant's state."`
	RequestsPerMinute   int    `json:"requests_per_minute" minimum:"0" doc:"Requests a minute; 0 for any number."`
	APIRequestsPerMonth int64  `json:"api_requests_per_month" minimum:"0" doc:"Requests a month; 0 for any number."`
	// RequestsUsedUpUntil is nil for plans that go on beyond them.
	RequestsUsedUpUntil *time.Time `json:"requests_used_up_until" doc:"When the month's requests begin anew, where they are used up and end there; null where they are not."`
}

type limitsInput struct {
	api.ByID
}

func (s *service) limits(ctx context.Context, _ identity.Caller, in *limitsInput) (*api.Value[Limits], error) {
	if in.ID == ids.Nil {
		return nil, errs.ErrNotFound // to the database it would be a caller without a tenant
	}
	start, end := usage.Month(time.Now())
	var found *db.Row[limited]
	err := db.Read(ctx, s.db, identity.Principal{TenantID: in.ID}, func(tx *db.Tx) error {
		found = getLimits(tx, start, end)
		return nil
	})
	if err != nil {
		return nil, err
	}
	l, err := found.Value()
	if err != nil {
		return nil, err
	}
	if l.usedUp {
		l.RequestsUsedUpUntil = &end
	}
	return api.NewValue(l.Limits), nil
}

var healthSpec = api.Spec{
	ID: "internal-health", Method: http.MethodGet, Path: "/internal/health/", Tag: "Internal",
	Summary:         "Whether the database answers",
	Permission:      identity.Internal,
	ResponseExample: Health{Database: "ok"},
}

// Health tells whether the database answers.
type Health struct {
	Database string `json:"database" enum:"ok" doc:"ok; when it is not, the answer is 503."`
}

type healthInput struct{}

func (s *service) health(ctx context.Context, _ identity.Caller, _ *healthInput) (*api.Value[Health], error) {
	if err := s.db.Ping(ctx); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "unavailable", "The database does not answer.")
	}
	return api.NewValue(Health{Database: "ok"}), nil
}
