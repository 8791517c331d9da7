package users_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/users"
	"github.com/coditect/platform/shared/digest"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

const me = "/api/v1/users/me/"

type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Open(t, users.Open), e.Tenant(t)}
}

func (f *fixture) do(t *testing.T, who functest.Person, method string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: me, Token: who.Token, Body: body, Header: h})
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

func TestMe(t *testing.T) {
	f := setup(t)
	f.SQL(t, `update app.user_state set last_login_at = '2026-03-01T12:00:00+02' where user_id = $1`, f.owner.UserID)
	got := f.do(t, f.owner, http.MethodGet, nil).Want(t, http.StatusOK)
	for path, want := range map[string]any{
		"id": f.owner.UserID.String(), "email": f.owner.Email, "email_verified": true, "first_name": "Test", "last_name": "Person", "avatar_url": "", "bio": "",
		"timezone": "UTC", "role": "owner", "tenant_id": f.owner.TenantID.String(), "last_login": "2026-03-01T10:00:00Z",
	} {
		if v := got.Get(t, path); v != want {
			t.Errorf("%s is %v, want %v", path, v, want)
		}
	}
	f.do(t, f.owner, http.MethodGet, nil, "If-None-Match", got.Header.Get("ETag")).Want(t, http.StatusNotModified)

	for role, set := range map[string]identity.Set{"developer": identity.SeedRoles()["developer"], "manager": identity.SeedRoles()["manager"]} {
		who := f.Member(t, f.owner.TenantID, role)
		var p struct {
			Role        string
			Permissions []string
		}
		f.do(t, who, http.MethodGet, nil).Want(t, http.StatusOK).Into(t, &p)
		if p.Role != role || !slices.Equal(p.Permissions, set.Strings()) {
			t.Errorf("%s: %v", role, p)
		}
	}

	left := f.Member(t, f.owner.TenantID, "admin")
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, left.UserID)
	for name, who := range map[string]functest.Person{"without an organization": f.Person(t), "who left theirs": left} {
		p := f.do(t, who, http.MethodGet, nil).Want(t, http.StatusOK)
		if p.Get(t, "role") != nil || p.Get(t, "tenant_id") != nil || !strings.Contains(string(p.Body), `"permissions":[]`) || p.Get(t, "last_login") != nil {
			t.Errorf("a person %s is %s", name, p.Body)
		}
		f.do(t, who, http.MethodPatch, map[string]any{"bio": name}).Want(t, http.StatusOK)
	}
	suspended := f.Tenant(t)
	f.SQL(t, `update app.organizations set status = 'suspended' where tenant_id = $1`, suspended.TenantID)
	f.do(t, suspended, http.MethodGet, nil).Want(t, http.StatusOK)

	unverified := f.Person(t)
	f.SQL(t, `update app.users set email_verified_at = null where user_id = $1`, unverified.UserID)
	f.SQL(t, `delete from app.user_state where user_id = $1`, unverified.UserID)
	if p := f.do(t, unverified, http.MethodGet, nil).Want(t, http.StatusOK); p.Get(t, "email_verified") != false {
		t.Errorf("unverified: %s", p.Body)
	}
	deleted := f.Person(t)
	f.SQL(t, `update app.users set deleted_at = now() where user_id = $1`, deleted.UserID)
	f.do(t, deleted, http.MethodGet, nil).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.do(t, deleted, http.MethodPatch, map[string]any{"bio": "x"}).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.do(t, functest.Person{}, http.MethodGet, nil).Want(t, http.StatusUnauthorized)
}

func TestChange(t *testing.T) {
	f := setup(t)
	first := f.do(t, f.owner, http.MethodGet, nil)
	full := map[string]any{"first_name": "Ada", "last_name": "Lovelace", "avatar_url": "https://example.com/a.png", "bio": "Analyst.", "timezone": "Europe/London"}
	put := f.do(t, f.owner, http.MethodPut, full, "If-Match", first.Header.Get("ETag"), "X-Request-Id", "put").Want(t, http.StatusOK)
	for name, want := range full {
		if got := put.Get(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if read := f.do(t, f.owner, http.MethodGet, nil); string(read.Body) != string(put.Body) || read.Header.Get("ETag") != put.Header.Get("ETag") {
		t.Errorf("PUT answered %s %s, GET %s %s", put.Body, put.Header.Get("ETag"), read.Body, read.Header.Get("ETag"))
	}
	if put.Header.Get("X-Coditect-Outbox") != "1" || f.count(t, `select count(*) from app.user_outbox where kind = 'profile.changed' and user_id = $1`, f.owner.UserID) != 1 {
		t.Error("memberships are not told of the change")
	}
	var changes, action string
	f.Scan(t, `select action, changes->'first_name'->>'old' || '>' || (changes->'first_name'->>'new') from app.user_events where request_id = 'put'`, nil, &action, &changes)
	if action != "profile_updated" || changes != "Test>Ada" {
		t.Errorf("recorded %s %s", action, changes)
	}
	f.do(t, f.owner, http.MethodPatch, map[string]any{"bio": "x"}, "If-Match", first.Header.Get("ETag")).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	f.do(t, f.owner, http.MethodPut, full, "If-Match", first.Header.Get("ETag")).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	for _, same := range []any{full, map[string]any{}} {
		got := f.do(t, f.owner, http.MethodPatch, same, "X-Request-Id", "same").Want(t, http.StatusOK)
		if got.Header.Get("ETag") != put.Header.Get("ETag") || got.Header.Get("X-Coditect-Outbox") != "" {
			t.Error("a change of nothing made something")
		}
	}
	if n := f.count(t, `select count(*) from app.user_events where request_id = 'same'`); n != 0 {
		t.Errorf("%d events of nothing", n)
	}
	bare := f.do(t, f.owner, http.MethodPut, map[string]any{"first_name": "A", "last_name": "B"}).Want(t, http.StatusOK)
	if bare.String(t, "timezone") != "UTC" || bare.String(t, "bio") != "" || bare.String(t, "avatar_url") != "" {
		t.Errorf("PUT kept what was left out: %s", bare.Body)
	}
	// An address that changed elsewhere makes the version stale, too.
	f.SQL(t, `update app.users set version = version + 1 where user_id = $1`, f.owner.UserID)
	f.do(t, f.owner, http.MethodPatch, map[string]any{"bio": "x"}, "If-Match", bare.Header.Get("ETag")).Want(t, http.StatusPreconditionFailed)
	if n := f.count(t, `select count(*) from app.profiles where bio <> ''`); n != 0 {
		t.Error("a refused change was written")
	}
}

// TestValidation holds every rule, at its border and one beyond.
func TestValidation(t *testing.T) {
	f := setup(t)
	long := func(n int) string { return strings.Repeat("é", n) }
	with := func(name string, value any) map[string]any {
		body := map[string]any{"first_name": "A", "last_name": "B"}
		body[name] = value
		return body
	}
	type rule struct {
		name  string
		body  any
		fault string
		patch bool // PATCH takes it all the same
	}
	rules := []rule{
		{name: "longest bio", body: with("bio", long(5000))},
		{name: "bio too long", body: with("bio", long(5001)), fault: "body.bio"},
		{name: "no bio", body: with("bio", "")},
		{name: "null bio", body: with("bio", nil), fault: "body.bio"},
		{name: "no picture", body: with("avatar_url", "")},
		{name: "picture by http", body: with("avatar_url", "http://example.com/a.png?b=c")},
		{name: "longest picture address", body: with("avatar_url", "https://example.com/"+strings.Repeat("x", 2048-20))},
		{name: "picture address too long", body: with("avatar_url", "https://example.com/"+strings.Repeat("x", 2049-20)), fault: "body.avatar_url"},
		{name: "null picture", body: with("avatar_url", nil), fault: "body.avatar_url"},
		{name: "null time zone", body: with("timezone", nil), fault: "body.timezone"},
		{name: "time zone too long", body: with("timezone", strings.Repeat("x", 65)), fault: "body.timezone"},
		{name: "the address is not changed here", body: with("email", "x@example.com"), fault: "body.email"},
		{name: "nor is the role", body: with("role", "owner"), fault: "body.role"},
		{name: "nor permissions", body: with("permissions", []string{}), fault: "body.permissions"},
		{name: "unknown member", body: with("colour", "red"), fault: "body.colour"},
		{name: "an array", body: `[]`, fault: "body"},
		{name: "null", body: `null`, fault: "body"},
	}
	for _, name := range []string{"first_name", "last_name"} {
		rules = append(rules,
			rule{name: "shortest " + name, body: with(name, "x")}, rule{name: "longest " + name, body: with(name, long(150))},
			rule{name: name + " too long", body: with(name, long(151)), fault: "body." + name}, rule{name: "empty " + name, body: with(name, ""), fault: "body." + name},
			rule{name: "null " + name, body: with(name, nil), fault: "body." + name}, rule{name: name + " of another type", body: with(name, 1), fault: "body." + name})
	}
	rules = append(rules, rule{name: "no last_name", body: map[string]any{"first_name": "x"}, fault: "body.last_name", patch: true},
		rule{name: "no first_name", body: map[string]any{"last_name": "x"}, fault: "body.first_name", patch: true})
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Etc/GMT+12"} {
		rules = append(rules, rule{name: "zone " + zone, body: with("timezone", zone)})
	}
	for _, zone := range []string{"Local", "Mars/Olympus", "Europe", "../etc/passwd", "/etc/passwd", "+02:00", "europe/berlin ", "UTC\n"} {
		rules = append(rules, rule{name: "no zone " + zone, body: with("timezone", zone), fault: "body.timezone"})
	}
	for _, address := range []string{"javascript:alert(1)", "data:image/png;base64,AA==", "//example.com/a.png", "example.com/a.png", "ftp://example.com/a", "https://", "https://user:secret@example.com/", "http://[::1", " https://example.com/"} {
		rules = append(rules, rule{name: "no picture " + address, body: with("avatar_url", address), fault: "body.avatar_url"})
	}
	for _, r := range rules {
		for _, method := range []string{http.MethodPut, http.MethodPatch} {
			want := http.StatusOK
			if r.fault != "" && !(r.patch && method == http.MethodPatch) {
				want = http.StatusUnprocessableEntity
			}
			got := f.do(t, f.owner, method, r.body)
			if got.Status != want {
				t.Errorf("%s %s: %d, want %d: %s", method, r.name, got.Status, want, got.Body)
			} else if want != http.StatusOK && !strings.Contains(string(got.Body), `"location":"`+r.fault) {
				t.Errorf("%s %s does not name %s: %s", method, r.name, r.fault, got.Body)
			}
		}
	}
	// An empty zone is one that is left out for PUT, and none for PATCH.
	f.do(t, f.owner, http.MethodPatch, map[string]any{"timezone": ""}).Want(t, http.StatusUnprocessableEntity)
	both := f.do(t, f.owner, http.MethodPatch, map[string]any{"timezone": "x", "avatar_url": "x"}).Want(t, http.StatusUnprocessableEntity)
	if both.String(t, "errors.0.location") == both.String(t, "errors.1.location") {
		t.Errorf("two faults were not both named: %s", both.Body)
	}
}

// TestRacingChanges holds that changes of one version have one winner, and that
// those without a version all count.
func TestRacingChanges(t *testing.T) {
	f := setup(t)
	tag := f.do(t, f.owner, http.MethodGet, nil).Header.Get("ETag")
	statuses := make(chan int)
	for i := range 5 {
		go func() {
			statuses <- f.do(t, f.owner, http.MethodPatch, map[string]any{"bio": strings.Repeat("x", i+1)}, "If-Match", tag).Status
		}()
	}
	seen := map[int]int{}
	for range 5 {
		seen[<-statuses]++
	}
	if seen[200] != 1 || seen[412] != 4 {
		t.Errorf("%v", seen)
	}
}

// TestNobodyElse holds that a token opens its own person alone.
func TestNobodyElse(t *testing.T) {
	f := setup(t)
	other := f.Tenant(t)
	f.do(t, f.owner, http.MethodPatch, map[string]any{"bio": "mine"}).Want(t, http.StatusOK)
	if got := f.do(t, other, http.MethodGet, nil).Want(t, http.StatusOK); got.String(t, "bio") != "" {
		t.Errorf("another's profile: %s", got.Body)
	}
	nobody := other
	nobody.UserID = ids.New()
	nobody.Token = f.Token(t, nobody.Principal)
	f.do(t, nobody, http.MethodGet, nil).Want(t, http.StatusUnauthorized)
}

// Moving to another zone moves the daily summary, unless it is due already or
// not wanted.
func TestMovingMovesTheSummary(t *testing.T) {
	f := setup(t)
	next := func() string {
		var at *time.Time
		f.Scan(t, `select next_digest_at from app.profiles where user_id = $1`, []any{f.owner.UserID}, &at)
		if at == nil {
			return "never"
		}
		return at.UTC().Format(time.RFC3339)
	}
	move := func(zone string) {
		f.do(t, f.owner, http.MethodPatch, map[string]any{"timezone": zone}).Want(t, http.StatusOK)
	}
	for _, zone := range []string{"Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"} {
		before := digest.Next(time.Now(), zone)
		move(zone)
		if got, after := next(), digest.Next(time.Now(), zone); got != before.Format(time.RFC3339) && got != after.Format(time.RFC3339) {
			t.Errorf("in %s the next is due at %s, want %s", zone, got, after)
		}
	}
	f.SQL(t, `update app.profiles set next_digest_at = '2026-01-02T08:00:00Z' where user_id = $1`, f.owner.UserID)
	move("Europe/Berlin")
	if got := next(); got != "2026-01-02T08:00:00Z" {
		t.Errorf("what was due is now due at %s", got)
	}
	f.SQL(t, `update app.profiles set next_digest_at = null, digest_enabled = false where user_id = $1`, f.owner.UserID)
	move("Asia/Tokyo")
	if got := next(); got != "never" {
		t.Errorf("who wants none is due at %s", got)
	}
}
