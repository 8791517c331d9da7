package tenants

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// connection is the identity provider of a tenant. There is one: another issuer
// gets a row, and so an id, of its own, since that is what people's identities at
// the provider hang on.
type connection struct {
	id       ids.ID
	issuer   string
	clientID string
	secret   []byte // sealed
	domains  []string
}

// stored is what the database has of the settings.
type stored struct {
	settingsValues
	version int64
	plan    string
	limits  PlanLimits
	// present are the domains of the connection that are verified at present.
	present []string
}

// Settings is what clients see.
func (s stored) Settings() Settings {
	out := Settings{Features: s.features, Limits: s.limits, Preferences: s.preferences, SSOEnabled: s.enabled, SSOProvider: s.provider}
	if c := s.sso; c != nil {
		out.SSOConfig = &SSOConfig{Issuer: c.issuer, ClientID: c.clientID, HasClientSecret: c.secret != nil, Domains: append([]string{}, c.domains...)}
	}
	return out
}

// storedSettings are the queued halves of [stored].
type storedSettings struct {
	settings   *db.Row[stored]
	connection *db.Row[connection]
}

func (q storedSettings) value() (stored, error) {
	s, err := q.settings.Value()
	if err != nil {
		return s, err
	}
	c, err := q.connection.Value()
	switch {
	case err == nil:
		s.sso, s.present = &c, slices.Clone(c.domains)
	case errs.KindOf(err) != errs.NotFound:
		return s, err
	}
	return s, nil
}

// readSettings reads the settings with the plan's limits. Of the connection's
// domains only those count that are verified now: one that was lost does not
// speak for anybody's address any more, whoever took it away.
func readSettings(tx *db.Tx) storedSettings {
	return storedSettings{
		db.One(tx, scanSettings, `
			select s.features, s.preferences, s.sso_enabled, s.sso_provider, s.version, o.plan,
			       p.max_members, p.max_projects, p.max_storage_bytes, p.api_requests_per_month, p.requests_per_minute
			  from app.tenant_settings s join app.organizations o on o.tenant_id = $1 join app.plans p on p.id = o.plan
			 where s.tenant_id = $1`, tx.Tenant()),
		db.One(tx, func(r pgx.CollectableRow) (c connection, err error) {
			err = r.Scan(&c.id, &c.issuer, &c.clientID, &c.secret, &c.domains)
			return c, err
		}, `
			select c.id, c.issuer, c.client_id, c.client_secret,
			       array(select h.domain from app.tenant_hosts h
			              where h.tenant_id = $1 and h.domain = any(c.domains) and h.verified_at is not null order by h.domain)
			  from app.sso_connections c where c.tenant_id = $1 order by c.created_at, c.id limit 1`, tx.Tenant()),
	}
}

func scanSettings(r pgx.CollectableRow) (s stored, err error) {
	var features, preferences []byte
	err = r.Scan(&features, &preferences, &s.enabled, &s.provider, &s.version, &s.plan,
		&s.limits.Members, &s.limits.ActiveProjects, &s.limits.StorageBytes, &s.limits.APIRequestsPerMonth, &s.limits.RequestsPerMinute)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(bytes.TrimSpace(features), &s.features); err != nil {
		return s, err
	}
	return s, json.Unmarshal(bytes.TrimSpace(preferences), &s.preferences)
}

// lockSettings lets one change of the settings go at a time.
func lockSettings(tx *db.Tx) {
	db.Exec(tx, `select 1 from app.tenant_settings where tenant_id = $1 for update`, tx.Tenant())
}

// verifiedAmong gives the domains of a list that are verified domains of the
// tenant, and keeps them so until the commit.
func verifiedAmong(tx *db.Tx, domains []string) *db.Rows[string] {
	if domains == nil {
		domains = []string{}
	}
	return db.Many(tx, pgx.RowTo[string], `select h.domain from app.tenant_hosts h
		where h.tenant_id = $1 and h.domain = any($2::text[]) and h.verified_at is not null order by h.id for share`, tx.Tenant(), domains)
}

func writeSettings(tx *db.Tx, s stored) *db.Row[int64] {
	return db.One(tx, pgx.RowTo[int64], `update app.tenant_settings as s set features = $2, preferences = $3, sso_enabled = $4, sso_provider = $5,
		       version = s.version + 1, updated_at = now()
		where s.tenant_id = $1 returning s.version`, tx.Tenant(), text(s.features), text(s.preferences), s.enabled, s.provider)
}

// text is JSON as a parameter.
func text(o api.Object) string {
	b, err := json.Marshal(o)
	if err != nil {
		return "{}" // what was read as JSON is written as JSON
	}
	return string(b)
}

// writeConnection makes the tenant's connection what it is to be. That of another
// issuer goes, and with it what tied people to it.
func writeConnection(tx *db.Tx, before *connection, after *stored) {
	c := after.sso
	if before != nil && (c == nil || c.id != before.id) {
		db.Exec(tx, `delete from app.sso_connections where tenant_id = $1 and id = $2`, tx.Tenant(), before.id)
	}
	if c == nil {
		return
	}
	if c.id == ids.Nil {
		c.id = ids.New()
		db.Exec(tx, `insert into app.sso_connections (tenant_id, id, provider, issuer, client_id, client_secret, domains, is_enabled)
			values ($1, $2, $3, $4, $5, $6, $7, $8)`, tx.Tenant(), c.id, after.provider, c.issuer, c.clientID, c.secret, c.domains, after.enabled)
		return
	}
	db.Exec(tx, `update app.sso_connections set provider = $3, client_id = $4, client_secret = $5, domains = $6, is_enabled = $7,
		       version = version + 1, updated_at = now()
		where tenant_id = $1 and id = $2`, tx.Tenant(), c.id, after.provider, c.clientID, c.secret, c.domains, after.enabled)
}
