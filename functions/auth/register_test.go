package auth_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/secrets"
)

func TestRegisterLeaves(t *testing.T) {
	f := setup(t)
	r := f.post(t, "register/", "", with(person("ada@example.com"), "organization_name", "Engines", "subdomain", "engines"),
		"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0").Want(t, http.StatusCreated)
	me := f.claims(t, r)
	for _, c := range []struct {
		what, sql string
		arg       any
		want      int
	}{
		{"email claim", `select count(*) from app.email_claims where email = 'ada@example.com' and user_id = $1`, me.UserID, 1},
		{"host claim", `select count(*) from app.host_claims where host = 'engines' and kind = 'subdomain' and tenant_id = $1 and held_until is null`, me.TenantID, 1},
		{"credentials", `select count(*) from app.credentials where user_id = $1 and password_hash like '$argon2id$%'`, me.UserID, 1},
		{"profile", `select count(*) from app.profiles where user_id = $1 and first_name = 'Ada' and last_name = 'Lovelace'`, me.UserID, 1},
		{"state", `select count(*) from app.user_state where user_id = $1 and last_tenant_id is not null and last_login_at is not null`, me.UserID, 1},
		{"user's tenant", `select count(*) from app.user_tenants where user_id = $1 and left_at is null`, me.UserID, 1},
		{"settings", `select count(*) from app.tenant_settings where tenant_id = $1`, me.TenantID, 1},
		{"owner", `select count(*) from app.memberships where tenant_id = $1 and role = 'owner' and is_active and joined_at is not null`, me.TenantID, 1},
		{"roles", `select count(*) from app.roles where tenant_id = $1 and name in ('developer', 'manager')`, me.TenantID, 2},
		{"session", `select count(*) from app.sessions where session_id = $1 and device = 'Firefox on Linux' and remember is null and ip like '198.18.%'`, me.SessionID, 1},
		{"activity", `select count(*) from app.activity where tenant_id = $1 and action = 'created' and model in ('Organization', 'Membership')`, me.TenantID, 2},
		{"event", `select count(*) from app.user_events where user_id = $1 and action = 'registered'`, me.UserID, 1},
		{"the daily summary", `select count(*) from app.profiles where user_id = $1 and next_digest_at between now() and now() + interval '25 hours'`, me.UserID, 1},
		{"mail", `select count(*) from app.user_outbox where user_id = $1 and kind = 'mail.verification'`, me.UserID, 1},
		{"email token", `select count(*) from app.email_tokens where user_id = $1 and kind = 'verify_email' and email = 'ada@example.com' and expires_at > now()`, me.UserID, 1},
	} {
		if got := f.count(t, c.sql, c.arg); got != c.want {
			t.Errorf("%s: %d rows, want %d", c.what, got, c.want)
		}
	}
	var permissions []string
	f.Scan(t, `select permissions from app.roles where tenant_id = $1 and name = 'manager'`, []any{me.TenantID}, &permissions)
	if !slices.Equal(permissions, identity.SeedRoles()["manager"].Strings()) {
		t.Errorf("manager may %v", permissions)
	}
}

// The message holds ids only, and they are enough for who holds the ring.
func TestTrapT20bVerificationSecretIsDerived(t *testing.T) {
	f := setup(t)
	me := f.claims(t, f.register(t, "derived@example.com"))
	var payload string
	var user, token ids.ID
	f.Scan(t, `select payload::text, (payload->>'user_id')::uuid, (payload->>'email_token_id')::uuid from app.user_outbox where user_id = $1`,
		[]any{me.UserID}, &payload, &user, &token)
	if strings.Contains(payload, "@") || user != me.UserID {
		t.Errorf("message %s", payload)
	}
	var hash []byte
	f.Scan(t, `select secret_hash from app.email_tokens where user_id = $1 and id = $2`, []any{user, token}, &hash)
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	link := identity.Opaque{Kind: identity.EmailToken, Owner: user, ID: token}.Successor(ring.Keys()[0].Bytes)
	if !link.Matches(hash) {
		t.Error("the mailer cannot derive the link")
	}
	if (identity.Opaque{Kind: identity.EmailToken, Owner: user, ID: token}).Matches(hash) {
		t.Error("the ids alone open the account")
	}
}

func TestRegisterRefuses(t *testing.T) {
	f := setup(t, "REGISTER_LIMIT_EMAIL_PER_HOUR", "1000")
	f.post(t, "register/", "", with(person("taken@example.com"), "subdomain", "taken")).Want(t, http.StatusCreated)
	for name, c := range map[string]struct {
		body   object
		status int
		code   string
		at     string
	}{
		"email taken":            {person("taken@example.com"), 409, "email_taken", ""},
		"email taken, upper":     {person("TAKEN@Example.COM"), 409, "email_taken", ""},
		"both taken":             {with(person("taken@example.com"), "subdomain", "taken"), 409, "email_taken", ""},
		"subdomain taken":        {with(person("new@example.com"), "subdomain", "taken"), 409, "subdomain_taken", ""},
		"subdomain reserved":     {with(person("new@example.com"), "subdomain", "www"), 422, "validation_failed", "body.subdomain"},
		"subdomain upper":        {with(person("new@example.com"), "subdomain", "Acme"), 422, "validation_failed", "body.subdomain"},
		"subdomain short":        {with(person("new@example.com"), "subdomain", "ab"), 422, "validation_failed", "body.subdomain"},
		"no email":               {with(person("x"), "email", nil), 422, "validation_failed", "body.email"},
		"email without at":       {person("ada.example.com"), 422, "validation_failed", "body.email"},
		"email with a name":      {person("Ada <ada@example.com>"), 422, "validation_failed", "body.email"},
		"email of a host":        {person("ada@localhost"), 422, "validation_failed", "body.email"},
		"email too long":         {person(strings.Repeat("a", 250) + "@example.com"), 422, "validation_failed", "body.email"},
		"email outside ASCII":    {person("adä@example.com"), 422, "validation_failed", "body.email"},
		"password short":         {with(person("new@example.com"), "password", "short"), 422, "validation_failed", "body.password"},
		"password digits":        {with(person("new@example.com"), "password", "8372910465"), 422, "validation_failed", "body.password"},
		"password common":        {with(person("new@example.com"), "password", "password123"), 422, "validation_failed", "body.password"},
		"password is the email":  {with(person("new@example.com"), "password", "new@example.com"), 422, "validation_failed", "body.password"},
		"password long":          {with(person("new@example.com"), "password", strings.Repeat("aB3-", 33)), 422, "validation_failed", "body.password"},
		"first name blank":       {with(person("new@example.com"), "first_name", "   "), 422, "validation_failed", "body.first_name"},
		"first name long":        {with(person("new@example.com"), "first_name", strings.Repeat("x", 151)), 422, "validation_failed", "body.first_name"},
		"last name missing":      {with(person("new@example.com"), "last_name", ""), 422, "validation_failed", "body.last_name"},
		"last name of two lines": {with(person("new@example.com"), "last_name", "a\r\nBcc: b"), 422, "validation_failed", "body.last_name"},
		"organization too long":  {with(person("new@example.com"), "organization_name", strings.Repeat("x", 256)), 422, "validation_failed", "body.organization_name"},
		"unknown field":          {with(person("new@example.com"), "role", "owner"), 422, "validation_failed", "body.role"},
	} {
		r := f.post(t, "register/", "", c.body)
		if r.Status != c.status || r.String(t, "code") != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, r.Status, r.Body, c.status, c.code)
			continue
		}
		if c.at != "" && !strings.Contains(string(r.Body), c.at) {
			t.Errorf("%s: %s does not name %s", name, r.Body, c.at)
		}
		if c.at == "body.password" && strings.Contains(string(r.Body), c.body["password"].(string)) {
			t.Errorf("%s: the password is echoed", name)
		}
	}
	if n := f.count(t, `select count(*) from app.users`); n != 1 {
		t.Errorf("%d users after refusals, want 1", n)
	}
	if n := f.count(t, `select count(*) from app.organizations`); n != 1 {
		t.Errorf("%d organizations after refusals, want 1", n)
	}
}

func TestRegisterDerives(t *testing.T) {
	f := setup(t)
	first := f.register(t, "one@example.com")
	if got := first.String(t, "tenant.name"); got != "Ada Lovelace’s organization" {
		t.Errorf("name %q", got)
	}
	if got := first.String(t, "tenant.subdomain"); got != "ada-lovelace" {
		t.Errorf("subdomain %q", got)
	}
	second := f.register(t, "two@example.com")
	if got := second.String(t, "tenant.subdomain"); !strings.HasPrefix(got, "ada-lovelace-") {
		t.Errorf("second subdomain %q", got)
	}
	named := f.post(t, "register/", "", with(person("three@example.com"), "organization_name", "Analytical Engines Ltd.")).Want(t, http.StatusCreated)
	if got := named.String(t, "tenant.subdomain"); got != "analytical-engines-ltd" {
		t.Errorf("subdomain %q", got)
	}
	long := f.post(t, "register/", "", with(person("four@example.com"), "first_name", strings.Repeat("x", 150), "last_name", strings.Repeat("y", 150))).Want(t, http.StatusCreated)
	if got := []rune(long.String(t, "tenant.name")); len(got) != 255 {
		t.Errorf("a name of %d characters", len(got))
	}
}

func TestRegisterHeldSubdomain(t *testing.T) {
	f := setup(t)
	tenant := f.Tenant(t).TenantID
	f.SQL(t, `insert into app.host_claims (host, kind, tenant_id, held_until) values ('held', 'subdomain', $1, now() + interval '1 day'), ('lapsed', 'subdomain', $1, now() - interval '1 day')`, tenant)
	f.post(t, "register/", "", with(person("a@example.com"), "subdomain", "held")).WantCode(t, http.StatusConflict, "subdomain_taken")
	f.post(t, "register/", "", with(person("a@example.com"), "subdomain", "lapsed")).Want(t, http.StatusCreated)
}

func TestRegisterIdempotent(t *testing.T) {
	f := setup(t)
	const key = "Idempotency-Key"
	body := person("once@example.com")
	first := f.post(t, "register/", "", body, key, "k1").Want(t, http.StatusCreated)
	again := f.post(t, "register/", "", body, key, "k1").Want(t, http.StatusCreated)
	if string(first.Body) != string(again.Body) || again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("repeat: %v %s", again.Header, again.Body)
	}
	f.post(t, "register/", "", with(body, "first_name", "Augusta"), key, "k1").WantCode(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
	f.post(t, "register/", "", body, key, "k2").WantCode(t, http.StatusConflict, "email_taken")
	f.post(t, "register/", "", body).WantCode(t, http.StatusConflict, "email_taken")
	var stored []byte
	f.Scan(t, `select body from app.user_idempotency_keys where user_id = $1`, []any{first.String(t, "user.id")}, &stored)
	if strings.Contains(string(stored), "access_token") || len(stored) == 0 {
		t.Error("the stored answer is in clear")
	}
	// The tokens of the repeat work.
	f.post(t, "refresh/", "", object{"refresh_token": again.String(t, "refresh_token")}).Want(t, http.StatusOK)
}

func TestRegisterRace(t *testing.T) {
	for name, key := range map[string]string{"without a key": "", "with a key": "race"} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			answers := make([]functest.Response, 8)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() {
					header := []string{}
					if key != "" {
						header = []string{"Idempotency-Key", key}
					}
					answers[i] = f.post(t, "register/", "", person("race@example.com"), header...)
				})
			}
			all.Wait()
			made := 0
			bodies := map[string]bool{}
			for _, a := range answers {
				switch {
				case a.Status == http.StatusCreated:
					made++
					bodies[string(a.Body)] = true
				case a.Status != http.StatusConflict:
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
			if key == "" && made != 1 || key != "" && len(bodies) != 1 {
				t.Errorf("%d made, %d different answers", made, len(bodies))
			}
			if n := f.count(t, `select count(*) from app.organizations`); n != 1 {
				t.Errorf("%d organizations", n)
			}
		})
	}
}

func TestRegisterLimits(t *testing.T) {
	f := setup(t, "REGISTER_LIMIT_IP_PER_MINUTE", "2")
	try := func(ip, email string) functest.Response {
		return f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "register/", Body: with(person(email), "password", "short")})
	}
	// Refused by the schema before it is charged.
	try("203.0.113.5", "a@example.com").Want(t, http.StatusUnprocessableEntity)
	ok := func(ip, email string) functest.Response {
		return f.from(t, ip, functest.Request{Method: http.MethodPost, Path: base + "register/", Body: person(email)})
	}
	ok("203.0.113.5", "a@example.com").Want(t, http.StatusCreated)
	ok("203.0.113.5", "a@example.com").Want(t, http.StatusConflict)
	if r := ok("203.0.113.5", "b@example.com").WantCode(t, http.StatusTooManyRequests, "too_many_attempts"); r.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	ok("203.0.113.6", "b@example.com").Want(t, http.StatusCreated)
}
