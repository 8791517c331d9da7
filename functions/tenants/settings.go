package tenants

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// settingsLife is how long Redis remembers settings; a write drops them.
const settingsLife = 5 * time.Minute

// Settings are those of an organization, as clients see them.
type Settings struct {
	Features    api.Object `json:"features" doc:"Switches of features, by name."`
	Limits      PlanLimits `json:"limits" doc:"What the plan allows."`
	Preferences api.Object `json:"preferences" doc:"Whatever clients want to keep for everybody in the organization."`
	SSOEnabled  bool       `json:"sso_enabled" doc:"Whether people sign in with the organization's own identity provider."`
	SSOProvider *string    `json:"sso_provider" doc:"Which one: google, azure, okta or oidc; null without."`
	SSOConfig   *SSOConfig `json:"sso_config" doc:"How it is reached; null without."`
}

// PlanLimits are what the plan allows. What is null has no limit.
type PlanLimits struct {
	Members             *int64 `json:"members" doc:"People in the organization, invited ones included."`
	ActiveProjects      *int64 `json:"active_projects" doc:"Projects that are neither archived nor deleted."`
	StorageBytes        *int64 `json:"storage_bytes" doc:"Bytes of attachments."`
	APIRequestsPerMonth *int64 `json:"api_requests_per_month" doc:"Requests of a calendar month."`
	RequestsPerMinute   *int64 `json:"requests_per_minute" doc:"Requests of all its people in a minute."`
}

// SSOConfig is how the identity provider is reached, without its secret.
type SSOConfig struct {
	Issuer          string   `json:"issuer" format:"uri" maxLength:"2048" doc:"The provider's issuer."`
	ClientID        string   `json:"client_id" minLength:"1" maxLength:"512" doc:"Our id at the provider."`
	HasClientSecret bool     `json:"has_client_secret" doc:"Whether a secret is stored. It is never shown."`
	Domains         []string `json:"domains" nullable:"false" doc:"Whose addresses sign in this way: verified domains of the organization. One that loses its verification is not among them any more."`
}

func exampleSettings() Settings {
	limit := func(n int64) *int64 { return &n }
	provider := "okta"
	return Settings{
		Features: api.Object{"beta_reports": true}, Preferences: api.Object{"week_starts_on": "monday"},
		Limits:     PlanLimits{limit(100), limit(1000), limit(107374182400), limit(5000000), limit(3000)},
		SSOEnabled: true, SSOProvider: &provider,
		SSOConfig: &SSOConfig{Issuer: "https://acme.okta.com", ClientID: "0oa1b2c3d4", HasClientSecret: true, Domains: []string{"acme.com"}},
	}
}

var getSettingsSpec = api.Spec{
	ID: "get-settings", Method: http.MethodGet, Path: "/api/v1/tenants/me/settings/", Tag: "Settings",
	Summary:     "Get the organization's settings",
	Description: "They may be remembered for five minutes; what is written is seen at once. The secret of sso_config is never shown.",
	Permission:  identity.Member, Essential: true, ResponseExample: exampleSettings(),
}

// remembered is what Redis keeps of settings: no secret is part of it.
type remembered struct {
	Plan     string
	Version  int64
	Settings Settings
}

func settingsKey(tenant ids.ID) string { return "set:" + tenant.String() }

func (s *service) getSettings(ctx context.Context, by identity.Caller, _ *currentInput) (*api.Item[Settings], error) {
	key := settingsKey(by.TenantID)
	kept, found, err := s.cache.Get(ctx, key)
	s.cached(ctx, err)
	var r remembered
	// Of another plan the limits are another plan's.
	if found && json.Unmarshal(kept, &r) == nil && r.Plan == by.Plan {
		return api.NewItem(r.Version, r.Settings), nil
	}
	var queued storedSettings
	err = db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		queued = readSettings(tx)
		return nil
	})
	if err != nil {
		return nil, err
	}
	stored, err := queued.value()
	if err != nil {
		return nil, err
	}
	if !found {
		text, err := json.Marshal(remembered{stored.plan, stored.version, stored.Settings()})
		if err != nil {
			return nil, err
		}
		s.cached(ctx, s.cache.Fill(ctx, key, text, settingsLife))
	}
	return api.NewItem(stored.version, stored.Settings()), nil
}

// cached logs what is wrong with the cache itself; that it is down was logged
// once.
func (s *service) cached(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, cache.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		s.log.WarnContext(ctx, "settings were not remembered", "error", err)
	}
}

// dropSettings forgets what is remembered. Whoever read before the commit cannot
// bring it back. Where Redis cannot be told, other instances may go on with the
// old settings until their time is over.
func (s *service) dropSettings(ctx context.Context, tenant ids.ID) {
	if err := s.cache.Drop(context.WithoutCancel(ctx), settingsKey(tenant)); err != nil {
		s.log.ErrorContext(ctx, "changed settings may be seen late", "within", settingsLife, "error", err)
	}
}
