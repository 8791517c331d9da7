package tenants_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/secrets"
)

const settings = me + "settings/"

// provider is a configuration with a secret.
func provider(domains ...string) map[string]any {
	return map[string]any{
		"sso_enabled": true, "sso_provider": "okta",
		"sso_config": map[string]any{"issuer": "https://acme.okta.com", "client_id": "abc", "client_secret": "hush hush", "domains": domains},
	}
}

// verified gives the owner a domain that is verified.
func (f *fixture) verified(t *testing.T, name string) string {
	t.Helper()
	id := f.add(t, f.owner, name)
	f.verify(t, f.owner, id).Want(t, http.StatusOK)
	return id
}

func TestSettings(t *testing.T) {
	f := setup(t)
	viewer, admin := f.Member(t, f.owner.TenantID, "viewer"), f.Member(t, f.owner.TenantID, "admin")
	fresh := f.do(t, viewer, http.MethodGet, settings, nil).Want(t, http.StatusOK)
	want := `{"features":{},"limits":{"members":10,"active_projects":50,"storage_bytes":1073741824,"api_requests_per_month":100000,"requests_per_minute":300},` +
		`"preferences":{},"sso_enabled":false,"sso_provider":null,"sso_config":null}`
	if strings.TrimSpace(string(fresh.Body)) != want {
		t.Errorf("fresh settings are %s", fresh.Body)
	}
	f.do(t, viewer, http.MethodPatch, settings, map[string]any{}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.do(t, viewer, http.MethodPut, settings, map[string]any{}).WantCode(t, http.StatusForbidden, "permission_denied")

	put := f.do(t, admin, http.MethodPut, settings, map[string]any{
		"features": map[string]any{"beta": true, "old": 1}, "preferences": map[string]any{"theme": map[string]any{"dark": true, "accent": "red"}},
	}, "If-Match", fresh.Header.Get("ETag"), "X-Request-Id", "put").Want(t, http.StatusOK)
	f.do(t, admin, http.MethodPut, settings, map[string]any{}, "If-Match", fresh.Header.Get("ETag")).Want(t, http.StatusPreconditionFailed)
	patched := f.do(t, admin, http.MethodPatch, settings, `{"features": {"old": null, "new": false}, "preferences": {"theme": {"accent": null}, "n": 12345678901234567890}}`).Want(t, http.StatusOK)
	var got struct{ Features, Preferences map[string]any }
	patched.Into(t, &got)
	if !reflect.DeepEqual(got.Features, map[string]any{"beta": true, "new": false}) || !reflect.DeepEqual(got.Preferences["theme"], map[string]any{"dark": true}) || !strings.Contains(string(patched.Body), "12345678901234567890") {
		t.Errorf("patched: %s", patched.Body)
	}
	read := f.do(t, viewer, http.MethodGet, settings, nil).Want(t, http.StatusOK)
	if string(read.Body) != string(patched.Body) || read.Header.Get("ETag") != patched.Header.Get("ETag") || read.Header.Get("ETag") == put.Header.Get("ETag") {
		t.Errorf("read %s, patched %s", read.Body, patched.Body)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'put' and model = 'Settings' and action = 'updated' and object_id = $1 and user_id = $2
		and changes->'features'->'old' = '{}' and changes->'features'->'new'->'beta' = 'true'`, f.owner.TenantID, admin.UserID); n != 1 {
		t.Errorf("%d rows of activity", n)
	}
	before := f.count(t, `select count(*) from app.activity`)
	f.do(t, admin, http.MethodPatch, settings, map[string]any{"sso_enabled": false, "features": map[string]any{"beta": true}}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.activity`); n != before {
		t.Error("activity for no change")
	}
	// What is left out of a replacement becomes its default.
	if got := f.do(t, admin, http.MethodPut, settings, map[string]any{}).Want(t, http.StatusOK); strings.TrimSpace(string(got.Body)) != want {
		t.Errorf("replaced by nothing: %s", got.Body)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	f := setup(t)
	f.verified(t, "acme.com")
	f.add(t, f.owner, "waits.com")
	long := strings.Repeat("x", 65)
	many := map[string]any{}
	for i := range 101 {
		many[strings.Repeat("a", i+1)[:min(i+1, 60)]+string(rune('a'+i%26))+string(rune('a'+i/26))] = 1
	}
	for name, c := range map[string]struct {
		body  any
		fault string
	}{
		"limits":               {`{"limits": {"members": 1000}}`, "body"},
		"unknown":              {`{"plan": "enterprise"}`, "body"},
		"features no object":   {`{"features": []}`, "body.features"},
		"features null":        {`{"features": null}`, "body.features"},
		"long name":            {map[string]any{"features": map[string]any{long: 1}}, "body.features"},
		"empty name":           {map[string]any{"preferences": map[string]any{"": 1}}, "body.preferences"},
		"too many":             {map[string]any{"preferences": many}, "body.preferences"},
		"too large":            {map[string]any{"preferences": map[string]any{"x": strings.Repeat("y", 17<<10)}}, "body.preferences"},
		"numbers that unfold":  {`{"preferences": {"x": [` + strings.Repeat("1e300,", 100) + `1]}}`, "body.preferences"},
		"enabled without":      {`{"sso_enabled": true}`, "body.sso_provider"},
		"enabled unconfigured": {`{"sso_enabled": true, "sso_provider": "okta"}`, "body.sso_config"},
		"unknown provider":     {`{"sso_provider": "myspace"}`, "body.sso_provider"},
		"config alone":         {`{"sso_config": {"issuer": "https://idp.example.com", "client_id": "x"}}`, "body.sso_provider"},
		"foreign domain":       {provider("other.com"), "body.sso_config.domains"},
		"unverified domain":    {provider("waits.com"), "body.sso_config.domains"},
		"no domain":            {provider("acme"), "body.sso_config.domains[0]"},
		"empty secret":         {`{"sso_provider": "oidc", "sso_config": {"issuer": "https://idp.example.com", "client_id": "x", "client_secret": ""}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := c.body
			if text, ok := body.(string); ok {
				body = text
			}
			for _, method := range []string{http.MethodPut, http.MethodPatch} {
				r := f.do(t, f.owner, method, settings, body).Want(t, http.StatusUnprocessableEntity)
				if !strings.Contains(string(r.Body), `"`+c.fault) {
					t.Errorf("%s: %s", method, r.Body)
				}
			}
		})
	}
	f.do(t, f.owner, http.MethodPatch, settings, provider("ACME.com", "acme.com")).Want(t, http.StatusOK)
}

// TestTrapT36IssuersArePublic holds that nobody can name an issuer that we would
// find among ourselves when we ask it for its keys.
func TestTrapT36IssuersArePublic(t *testing.T) {
	f := setup(t)
	for _, issuer := range []string{
		"http://idp.example.com", "https://", "idp.example.com", "https://user@idp.example.com", "https://idp.example.com?x=1", "https://idp.example.com#x", "https://idp.example.com?",
		"https://127.0.0.1", "https://[::1]/", "https://localhost", "https://metadata.google.internal", "https://idp", "https://printer.local", "javascript:alert(1)", "https://169.254.169.254/latest",
		"https://2130706433", "https://idp.example.com.", "https://idp.example.com\\@evil.com",
	} {
		f.do(t, f.owner, http.MethodPatch, settings, map[string]any{"sso_provider": "oidc", "sso_config": map[string]any{"issuer": issuer, "client_id": "x"}}).
			Want(t, http.StatusUnprocessableEntity)
	}
}

// TestTrapT12DomainsAreProven holds that an organization's provider speaks for
// addresses of domains that the organization has shown to be its own, and of no
// others: not of another organization's, nor of one that was lost.
func TestTrapT12DomainsAreProven(t *testing.T) {
	f := setup(t)
	other := f.Tenant(t)
	theirs := f.add(t, other, "theirs.com")
	f.verify(t, other, theirs).Want(t, http.StatusOK)
	mine := f.verified(t, "mine.com")
	f.do(t, f.owner, http.MethodPut, settings, provider("mine.com", "theirs.com")).Want(t, http.StatusUnprocessableEntity)
	f.do(t, f.owner, http.MethodPut, settings, provider("sub.mine.com")).Want(t, http.StatusUnprocessableEntity)
	f.do(t, f.owner, http.MethodPut, settings, provider("mine.com")).Want(t, http.StatusOK)
	f.SQL(t, `update app.tenant_hosts set verified_at = null where id = $1`, mine) // as the daily look does
	f.Redis.FlushAll()
	if got := f.do(t, f.owner, http.MethodGet, settings, nil).Want(t, http.StatusOK); strings.Contains(string(got.Body), "mine.com") {
		t.Errorf("a domain that was lost still counts: %s", got.Body)
	}
	f.do(t, f.owner, http.MethodPatch, settings, map[string]any{"sso_config": map[string]any{"domains": []string{"mine.com"}}}).Want(t, http.StatusUnprocessableEntity)
}

// TestClientSecret holds that the secret is written and never read: not in an
// answer, in Redis, in activity, or in clear in the database; and that nobody
// gets it by pointing the configuration at a provider of their own.
func TestClientSecret(t *testing.T) {
	f := setup(t)
	id := f.verified(t, "acme.com")
	made := f.do(t, f.owner, http.MethodPut, settings, provider("acme.com"), "X-Request-Id", "secret").Want(t, http.StatusOK)
	if made.Get(t, "sso_config.has_client_secret") != true || made.Get(t, "sso_config.domains.0") != "acme.com" {
		t.Errorf("configured: %s", made.Body)
	}
	read := f.do(t, f.owner, http.MethodGet, settings, nil).Want(t, http.StatusOK)
	for what, text := range map[string]string{"the answer": string(made.Body), "reading": string(read.Body), "Redis": f.Redis.Dump()} {
		if strings.Contains(text, "hush") || strings.Contains(text, "client_secret\":\"") {
			t.Errorf("%s tells it: %s", what, text)
		}
	}
	var told string
	f.Scan(t, `select changes::text from app.activity where request_id = 'secret'`, nil, &told)
	if strings.Contains(told, "hush") || !strings.Contains(told, `"sso_config.client_secret": {"new": "[hidden]", "old": null}`) {
		t.Errorf("activity tells %s", told)
	}
	sealed := func() (out []byte) {
		t.Helper()
		f.Scan(t, `select client_secret from app.sso_connections where tenant_id = $1`, []any{f.owner.TenantID}, &out)
		return out
	}
	connection := func() (out string) {
		t.Helper()
		f.Scan(t, `select id::text from app.sso_connections where tenant_id = $1`, []any{f.owner.TenantID}, &out)
		return out
	}
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	box := secrets.NewBox(keyRing{ring})
	plain, err := box.Open(t.Context(), sealed(), secrets.Binding{Purpose: secrets.SSOClientSecret, Tenant: f.owner.TenantID})
	if err != nil || string(plain) != "hush hush" {
		t.Errorf("it opens as %q (%v)", plain, err)
	}
	if _, err := box.Open(t.Context(), sealed(), secrets.Binding{Purpose: secrets.SSOClientSecret, Tenant: f.Tenant(t).TenantID}); err == nil {
		t.Error("it opens as another organization's")
	}
	first := connection()
	patch := func(config map[string]any) functest.Response {
		t.Helper()
		return f.do(t, f.owner, http.MethodPatch, settings, map[string]any{"sso_config": config}).Want(t, http.StatusOK)
	}
	// Left out it stays, with another client id too.
	if patch(map[string]any{"client_id": "def"}).Get(t, "sso_config.has_client_secret") != true || connection() != first {
		t.Error("a change of something else lost the secret, or the connection")
	}
	// A replacement without it keeps it, as nobody can read it to send it again.
	replaced := provider("acme.com")
	delete(replaced["sso_config"].(map[string]any), "client_secret")
	if f.do(t, f.owner, http.MethodPut, settings, replaced).Want(t, http.StatusOK).Get(t, "sso_config.has_client_secret") != true {
		t.Error("a replacement lost the secret")
	}
	// Another provider does not get it, and knows nobody yet.
	f.SQL(t, `insert into app.sso_identities (tenant_id, connection_id, subject, user_id, email) values ($1, $2, 'sub', $3, 'x@acme.com')`, f.owner.TenantID, first, f.owner.UserID)
	if patch(map[string]any{"issuer": "https://evil.example.com"}).Get(t, "sso_config.has_client_secret") != false || connection() == first {
		t.Error("another issuer got the secret, or the identities")
	}
	if n := f.count(t, `select count(*) from app.sso_identities where tenant_id = $1`, f.owner.TenantID); n != 0 {
		t.Error("another issuer speaks for people of the one before")
	}
	if patch(map[string]any{"client_secret": "second"}).Get(t, "sso_config.has_client_secret") != true || patch(map[string]any{"client_secret": nil}).Get(t, "sso_config.has_client_secret") != false || sealed() != nil {
		t.Error("null does not forget it")
	}
	// A domain that is not the organization's any more is not listed, whoever took it away.
	f.do(t, f.owner, http.MethodDelete, domains+id+"/", nil).Want(t, http.StatusNoContent)
	if got, _ := json.Marshal(f.do(t, f.owner, http.MethodGet, settings, nil).Want(t, http.StatusOK).Get(t, "sso_config.domains")); string(got) != "[]" {
		t.Errorf("domains are %s", got)
	}
	f.do(t, f.owner, http.MethodPatch, settings, map[string]any{"sso_enabled": false, "sso_config": nil}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.sso_connections where tenant_id = $1`, f.owner.TenantID); n != 0 {
		t.Error("the connection is still there")
	}
}

type keyRing struct{ ring *secrets.Ring }

func (k keyRing) Get(context.Context) (*secrets.Ring, error) { return k.ring, nil }

// TestSettingsCache holds that settings are remembered for five minutes, that a
// write is seen at once at every instance, that another plan has other limits,
// and that nothing depends on Redis.
func TestSettingsCache(t *testing.T) {
	f := setup(t)
	there := f.Open(t, tenants.Open)
	at := func(h http.Handler) string {
		t.Helper()
		return f.Do(t, h, functest.Request{Method: http.MethodGet, Path: settings, Token: f.owner.Token}).Want(t, http.StatusOK).String(t, "preferences.v")
	}
	write := func(v string) {
		t.Helper()
		f.do(t, f.owner, http.MethodPatch, settings, map[string]any{"preferences": map[string]any{"v": v}}).Want(t, http.StatusOK)
	}
	write("one")
	f.Redis.FlushAll() // whatever a write keeps from being remembered
	if at(there) != "one" {
		t.Error("not one")
	}
	key := "set:" + f.owner.TenantID.String()
	if ttl := f.Redis.TTL(key); ttl <= 0 || ttl > 300e9 {
		t.Errorf("remembered for %s", ttl)
	}
	f.SQL(t, `update app.tenant_settings set preferences = '{"v": "behind"}' where tenant_id = $1`, f.owner.TenantID)
	if at(there) != "one" || at(f.handler) != "one" {
		t.Error("not remembered")
	}
	write("two")
	if at(there) != "two" || at(f.handler) != "two" {
		t.Error("a write is not seen at once")
	}
	f.Redis.FlushAll()
	at(there)
	f.SQL(t, `update app.organizations set plan = 'pro' where tenant_id = $1`, f.owner.TenantID)
	f.Redis.Del("ten:" + f.owner.TenantID.String())
	pro := f.Open(t, tenants.Open) // which has not heard of the old plan
	if got := f.Do(t, pro, functest.Request{Method: http.MethodGet, Path: settings, Token: f.owner.Token}).Want(t, http.StatusOK); got.Get(t, "limits.members") != 100.0 {
		t.Errorf("limits of the old plan: %s", got.Body)
	}
	f.Redis.Close()
	write("three")
	if at(there) != "three" {
		t.Error("without Redis an old value is shown")
	}
}

// TestSettingsRace lets many change the settings at once: no change is lost.
func TestSettingsRace(t *testing.T) {
	f := setup(t)
	var all sync.WaitGroup
	const writers = 12
	for i := range writers {
		all.Go(func() {
			name := string(rune('a' + i))
			if r := f.do(t, f.owner, http.MethodPatch, settings, map[string]any{"features": map[string]any{name: true}}); r.Status != http.StatusOK {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	all.Wait()
	var got struct{ Features map[string]any }
	f.do(t, f.owner, http.MethodGet, settings, nil).Want(t, http.StatusOK).Into(t, &got)
	if len(got.Features) != writers {
		t.Errorf("%d of %d changes are there", len(got.Features), writers)
	}
}
