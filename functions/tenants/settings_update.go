package tenants

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/secrets"
)

const settingsRules = " `limits` is the plan's and cannot be sent. `client_secret` is written and never read: left out, it stays for as long as the issuer does, null forgets it. " +
	"Another issuer is another provider: what tied its people to the one before is forgotten. `domains` are verified domains of the organization."

var replaceSettingsSpec = api.Spec{
	ID: "replace-settings", Method: http.MethodPut, Path: "/api/v1/tenants/me/settings/", Tag: "Settings",
	Summary: "Replace the organization's settings", Description: "What is left out becomes its default." + settingsRules,
	Permission: identity.TenantWrite, Essential: true,
	RequestExample: replaceSettingsBody{
		Features: api.Object{"beta_reports": true}, Preferences: api.Object{"week_starts_on": "monday"},
	},
	ResponseExample: exampleSettings(),
}

var updateSettingsSpec = api.Spec{
	ID: "update-settings", Method: http.MethodPatch, Path: "/api/v1/tenants/me/settings/", Tag: "Settings",
	Summary: "Change the organization's settings", Description: "A JSON merge patch (RFC 7396)." + settingsRules,
	Permission: identity.TenantWrite, Essential: true,
	RequestExample: map[string]any{"preferences": map[string]any{"week_starts_on": "sunday", "theme": nil}}, ResponseExample: exampleSettings(),
}

type replaceSettingsBody struct {
	Features    api.Object                     `json:"features,omitempty" doc:"Switches of features, by name."`
	Preferences api.Object                     `json:"preferences,omitempty" doc:"Whatever clients want to keep for everybody in the organization."`
	SSOEnabled  bool                           `json:"sso_enabled,omitempty" doc:"Whether people sign in with the organization's own identity provider."`
	SSOProvider *string                        `json:"sso_provider,omitempty" nullable:"true" enum:"google,azure,okta,oidc" doc:"Which one; null for none."`
	SSOConfig   api.Nullable[replaceSSOConfig] `json:"sso_config,omitzero" doc:"How it is reached; null for none."`
}

type replaceSSOConfig struct {
	Issuer       string               `json:"issuer" minLength:"1" maxLength:"2048" doc:"The provider's issuer: an https address."`
	ClientID     string               `json:"client_id" minLength:"1" maxLength:"512" doc:"Our id at the provider."`
	ClientSecret api.Nullable[string] `json:"client_secret,omitzero" minLength:"1" maxLength:"4096" doc:"Our secret at the provider. It is never shown again."`
	Domains      []string             `json:"domains,omitempty" nullable:"false" maxItems:"100" doc:"Whose addresses sign in this way."`
}

type replaceSettingsInput struct {
	api.IfMatch
	Body replaceSettingsBody
}

type updateSettingsBody struct {
	Features    api.Optional[api.Object]      `json:"features,omitzero" doc:"Merged with what is there."`
	Preferences api.Optional[api.Object]      `json:"preferences,omitzero" doc:"Merged with what is there."`
	SSOEnabled  api.Optional[bool]            `json:"sso_enabled,omitzero" doc:"Whether people sign in with the organization's own identity provider."`
	SSOProvider api.Nullable[string]          `json:"sso_provider,omitzero" enum:"google,azure,okta,oidc" doc:"Which one; null for none."`
	SSOConfig   api.Nullable[updateSSOConfig] `json:"sso_config,omitzero" doc:"Merged with what is there; null for none."`
}

type updateSSOConfig struct {
	Issuer       api.Optional[string]   `json:"issuer,omitzero" minLength:"1" maxLength:"2048" doc:"The provider's issuer: an https address."`
	ClientID     api.Optional[string]   `json:"client_id,omitzero" minLength:"1" maxLength:"512" doc:"Our id at the provider."`
	ClientSecret api.Nullable[string]   `json:"client_secret,omitzero" minLength:"1" maxLength:"4096" doc:"Our secret at the provider. It is never shown again."`
	Domains      api.Optional[[]string] `json:"domains,omitzero" maxItems:"100" doc:"Whose addresses sign in this way."`
}

type updateSettingsInput struct {
	api.IfMatch
	Body updateSettingsBody `contentType:"application/merge-patch+json"`
}

// secretChange is what becomes of the stored secret.
type secretChange struct {
	set    bool   // to sealed, or to nothing
	sealed []byte // nil forgets it
}

func (s *service) replaceSettings(ctx context.Context, by identity.Caller, in *replaceSettingsInput) (*api.Item[Settings], error) {
	var secret api.Nullable[string]
	var domains []string
	b := in.Body
	config := b.SSOConfig.Or(nil)
	if config != nil {
		secret, domains = config.ClientSecret, config.Domains
	}
	return s.changeSettings(ctx, by, in.IfMatch, secret, domains, func(v *settingsValues) {
		v.features, v.preferences, v.enabled, v.provider, v.sso = b.Features, b.Preferences, b.SSOEnabled, b.SSOProvider, nil
		if config != nil {
			v.sso = &connection{issuer: config.Issuer, clientID: config.ClientID, domains: config.Domains}
		}
	})
}

func (s *service) updateSettings(ctx context.Context, by identity.Caller, in *updateSettingsInput) (*api.Item[Settings], error) {
	b := in.Body
	return s.changeSettings(ctx, by, in.IfMatch, b.SSOConfig.V.ClientSecret, b.SSOConfig.V.Domains.V, func(v *settingsValues) {
		v.features = v.features.Merge(b.Features.V)
		v.preferences = v.preferences.Merge(b.Preferences.V)
		v.enabled = b.SSOEnabled.Or(v.enabled)
		v.provider = b.SSOProvider.Or(v.provider)
		switch {
		case !b.SSOConfig.Set:
		case b.SSOConfig.Null:
			v.sso = nil
		default:
			var c connection
			if v.sso != nil {
				c = *v.sso
			}
			c.issuer, c.clientID, c.domains = b.SSOConfig.V.Issuer.Or(c.issuer), b.SSOConfig.V.ClientID.Or(c.clientID), b.SSOConfig.V.Domains.Or(c.domains)
			v.sso = &c
		}
	})
}

// settingsValues are what a client may write, besides the secret.
type settingsValues struct {
	features, preferences api.Object
	enabled               bool
	provider              *string
	sso                   *connection
}

// changeSettings reads the settings under a lock, lets edit change them, and
// writes them. secret is what the client said about the client secret, and
// domains those it named.
func (s *service) changeSettings(ctx context.Context, by identity.Caller, match api.IfMatch, secret api.Nullable[string], domains []string, edit func(*settingsValues)) (*api.Item[Settings], error) {
	change := secretChange{set: secret.Set}
	if secret.Set && !secret.Null {
		// Before the transaction: the keys may have to be fetched.
		sealed, err := s.box.Seal(ctx, []byte(secret.V), secrets.Binding{Purpose: secrets.SSOClientSecret, Tenant: by.TenantID})
		if err != nil {
			return nil, err
		}
		change.sealed = sealed
	}
	named, fault := cleanDomains(domains)
	if fault != nil {
		return nil, fault
	}
	var after stored
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		lockSettings(tx)
		queued := readSettings(tx)
		verified, err := verifiedAmong(tx, named).Await(ctx)
		if err != nil {
			return err
		}
		before, err := queued.value()
		if err != nil {
			return err
		}
		after = before
		values := before.settingsValues
		edit(&values)
		values.normalize(before.sso)
		after.settingsValues = values
		if err := after.check(verified); err != nil {
			return err
		}
		if err := match.Check(before.version); err != nil {
			return err
		}
		diff := activity.Diff(before.told(), after.told())
		secretDiff := after.settle(before.sso, change)
		if secretDiff != nil {
			diff["sso_config.client_secret"] = *secretDiff
		}
		if len(diff) == 0 {
			tx.Unchanged()
			return nil
		}
		writeConnection(tx, before.sso, &after)
		changed := writeSettings(tx, after)
		tx.Record(activity.Updated("Settings", by.TenantID, diff))
		tx.OnCommit(func() error {
			after.version, err = changed.Value()
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.dropSettings(ctx, by.TenantID)
	return api.NewItem(after.version, after.Settings()), nil
}

// cleanDomains are the domains in their one form, without repeats.
func cleanDomains(given []string) ([]string, error) {
	var out []string
	var faults []errs.Field
	for i, d := range given {
		name, fault := domain.Clean(d)
		if fault != "" {
			faults = append(faults, errs.Field{Location: fmt.Sprintf("body.sso_config.domains[%d]", i), Message: fault})
			continue
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, errs.InvalidFields(faults...)
}

// normalize gives values the form in which they are stored and compared. What was
// the connection's before and was not spoken of stays.
func (v *settingsValues) normalize(before *connection) {
	if v.features == nil {
		v.features = api.Object{}
	}
	if v.preferences == nil {
		v.preferences = api.Object{}
	}
	if v.sso == nil {
		return
	}
	c := *v.sso
	c.issuer = strings.TrimSpace(c.issuer)
	c.domains, _ = cleanDomains(c.domains)
	if c.domains == nil {
		c.domains = []string{}
	}
	slices.Sort(c.domains)
	c.id, c.secret = ids.Nil, nil
	if before != nil && before.issuer == c.issuer {
		c.id, c.secret = before.id, before.secret
	}
	v.sso = &c
}

// Bounds of what clients may keep in settings.
const (
	maxMembers = 100
	maxName    = 64       // characters
	maxObject  = 16 << 10 // bytes of JSON
)

// check refuses values that do not go together, or belong to nobody. verified
// are the domains that were named and are the organization's.
func (s stored) check(verified []string) error {
	var faults []errs.Field
	fault := func(field, message string) {
		faults = append(faults, errs.Field{Location: "body." + field, Message: message})
	}
	for name, o := range map[string]api.Object{"features": s.features, "preferences": s.preferences} {
		if message := objectFault(o); message != "" {
			fault(name, message)
		}
	}
	switch {
	case s.provider == nil && s.enabled:
		fault("sso_provider", "must be set for SSO to be enabled")
	case s.provider == nil && s.sso != nil:
		fault("sso_provider", "must be set where there is a configuration")
	case s.sso == nil && s.enabled:
		fault("sso_config", "must be set for SSO to be enabled")
	}
	if c := s.sso; c != nil {
		if message := issuerFault(c.issuer); message != "" {
			fault("sso_config.issuer", message)
		}
		if c.clientID == "" {
			fault("sso_config.client_id", "must be set")
		}
		for _, d := range c.domains {
			// Whoever says whose addresses sign in here must have shown that the
			// domain is theirs: else one organization's provider speaks for
			// another's people.
			if !slices.Contains(verified, d) && !slices.Contains(s.present, d) {
				fault("sso_config.domains", d+" is not a verified domain of the organization")
			}
		}
	}
	slices.SortFunc(faults, func(a, b errs.Field) int { return strings.Compare(a.Location, b.Location) })
	return errs.InvalidFields(faults...)
}

func objectFault(o api.Object) string {
	if len(o) > maxMembers {
		return fmt.Sprintf("must have at most %d members", maxMembers)
	}
	for name := range o {
		if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
			return fmt.Sprintf("must have names of 1 to %d characters", maxName)
		}
	}
	if text, err := json.Marshal(o); err != nil || len(text)+unfolded(map[string]any(o)) > maxObject {
		return fmt.Sprintf("must take at most %d bytes", maxObject)
	}
	return ""
}

// unfolded is how much longer numbers with an exponent get where they are stored:
// with all their zeros.
func unfolded(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			n += unfolded(member)
		}
	case []any:
		for _, member := range v {
			n += unfolded(member)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), "eE") {
			n = len(strconv.FormatFloat(f, 'f', -1, 64))
		}
	}
	return n
}

// issuerFault says what is wrong with an issuer: an https address of a public
// name, which is compared letter by letter (OpenID Connect Core §3.1.3.7).
func issuerFault(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(issuer, "#") {
		return "must be an https address without a query, a fragment or a user"
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return "must name a host, not an address"
	}
	if _, fault := domain.Clean(host); fault != "" || len(host) > 0 && host[len(host)-1] == '.' {
		return "must name a public host"
	}
	for _, private := range []string{"localhost", "local", "internal", "home.arpa"} {
		if domain.Within(strings.ToLower(host), private) {
			return "must name a public host"
		}
	}
	return ""
}

// told are the values that activity compares, without the secret.
func (s stored) told() map[string]any {
	told := map[string]any{
		"features": s.features, "preferences": s.preferences, "sso_enabled": s.enabled, "sso_provider": nil,
		"sso_config.issuer": nil, "sso_config.client_id": nil, "sso_config.domains": nil,
	}
	if s.provider != nil {
		told["sso_provider"] = *s.provider
	}
	if c := s.sso; c != nil {
		told["sso_config.issuer"], told["sso_config.client_id"], told["sso_config.domains"] = c.issuer, c.clientID, append([]string{}, c.domains...)
	}
	return told
}

// settle decides what becomes of the secret, and tells how that is recorded: that
// it changed, and never what it is.
func (s *stored) settle(before *connection, change secretChange) *activity.Change {
	had := before != nil && before.secret != nil
	if s.sso != nil && change.set {
		s.sso.secret = change.sealed
	}
	has := s.sso != nil && s.sso.secret != nil
	if had == has && !(has && change.set) {
		return nil
	}
	shown := func(there bool) any {
		if there {
			return activity.Hidden
		}
		return nil
	}
	return &activity.Change{Old: shown(had), New: shown(has)}
}
