package tenants_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

const base = "/api/v1/tenants/"

type fixture struct {
	*functest.Env
	handler http.Handler
	owner   functest.Person
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	return &fixture{e, e.Open(t, tenants.Open), e.Tenant(t)}
}

func (f *fixture) do(t *testing.T, who functest.Person, method, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: path, Token: who.Token, Body: body, Header: h})
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	f.Scan(t, sql, args, &n)
	return n
}

func TestCreate(t *testing.T) {
	f := setup(t)
	who := f.Person(t)
	made := f.do(t, who, http.MethodPost, base, map[string]any{"name": "Acme", "subdomain": "acme"}, "X-Request-Id", "make").Want(t, http.StatusCreated)
	for path, want := range map[string]any{"name": "Acme", "subdomain": "acme", "status": "active", "plan": "free"} {
		if got := made.Get(t, path); got != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	if made.Header.Get("Location") != base+"me/" || made.Header.Get("ETag") == "" {
		t.Errorf("Location %q, ETag %q", made.Header.Get("Location"), made.Header.Get("ETag"))
	}
	tenant := made.String(t, "id")
	for what, sql := range map[string]string{
		"membership": `select count(*) from app.memberships where tenant_id = $1 and role = 'owner' and is_active and first_name = 'Test'`,
		"own side":   `select count(*) from app.user_tenants where tenant_id = $1 and left_at is null`,
		"settings":   `select count(*) from app.tenant_settings where tenant_id = $1`,
		"host":       `select count(*) from app.host_claims where tenant_id = $1 and host = 'acme' and kind = 'subdomain' and held_until is null`,
		"event":      `select count(*) from app.user_events where changes->'tenant_id'->>'new' = $1::uuid::text and action = 'tenant_created' and request_id = 'make'`,
	} {
		if n := f.count(t, sql, tenant); n != 1 {
			t.Errorf("%s: %d rows", what, n)
		}
	}
	if n := f.count(t, `select count(*) from app.activity where tenant_id = $1 and user_id = $2 and request_id = 'make'`, tenant, who.UserID); n != 2 {
		t.Errorf("%d rows of activity, want the organization's and the membership's", n)
	}
	for role, set := range identity.SeedRoles() {
		var have []string
		f.Scan(t, `select permissions from app.roles where tenant_id = $1 and name = $2`, []any{tenant, role}, &have)
		if !slices.Equal(have, set.Strings()) {
			t.Errorf("role %s: %v", role, have)
		}
	}
	id := ids.Must(tenant)
	who.TenantID = id
	who.Token = f.Token(t, who.Principal)
	me := f.do(t, who, http.MethodGet, base+"me/", nil).Want(t, http.StatusOK)
	if string(me.Body) != string(made.Body) || me.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("creating gave %s, reading %s", made.Body, me.Body)
	}
	f.do(t, who, http.MethodGet, base+"me/", nil, "If-None-Match", me.Header.Get("ETag")).Want(t, http.StatusNotModified)

	deleted := f.Person(t)
	f.SQL(t, `delete from app.users where user_id = $1`, deleted.UserID)
	f.do(t, deleted, http.MethodPost, base, map[string]any{"name": "Ghost", "subdomain": "ghost"}).WantCode(t, http.StatusUnauthorized, "token_invalid")
	f.do(t, functest.Person{}, http.MethodPost, base, map[string]any{"name": "x", "subdomain": "nobody"}).Want(t, http.StatusUnauthorized)
}

func TestValidation(t *testing.T) {
	f := setup(t)
	n := 0
	with := func(name string, value any) map[string]any {
		n++
		body := map[string]any{"name": "Acme", "subdomain": fmt.Sprint("acme-", n)}
		if body[name] = value; value == "-" {
			delete(body, name)
		}
		return body
	}
	for _, r := range []struct {
		name  string
		body  any
		fault string
	}{
		{"shortest name", with("name", "x"), ""}, {"longest name", with("name", strings.Repeat("é", 255)), ""},
		{"name too long", with("name", strings.Repeat("é", 256)), "body.name"}, {"empty name", with("name", ""), "body.name"},
		{"no name", with("name", "-"), "body.name"}, {"null name", with("name", nil), "body.name"}, {"name of another type", with("name", 1), "body.name"},
		{"shortest subdomain", with("subdomain", "abc"), ""}, {"longest subdomain", with("subdomain", strings.Repeat("a", 63)), ""},
		{"digits", with("subdomain", "123"), ""}, {"inner dashes", with("subdomain", "a--b-c"), ""},
		{"subdomain too short", with("subdomain", "ab"), "body.subdomain"}, {"subdomain too long", with("subdomain", strings.Repeat("a", 64)), "body.subdomain"},
		{"no subdomain", with("subdomain", "-"), "body.subdomain"}, {"null subdomain", with("subdomain", nil), "body.subdomain"},
		{"empty subdomain", with("subdomain", ""), "body.subdomain"}, {"capitals", with("subdomain", "Acme"), "body.subdomain"},
		{"dash first", with("subdomain", "-abc"), "body.subdomain"}, {"dash last", with("subdomain", "abc-"), "body.subdomain"},
		{"a dot", with("subdomain", "a.bc"), "body.subdomain"}, {"underscore", with("subdomain", "a_bc"), "body.subdomain"},
		{"a space", with("subdomain", "a bc"), "body.subdomain"}, {"umlaut", with("subdomain", "größe"), "body.subdomain"},
		{"encoded umlaut", with("subdomain", "xn--grsse-kva"), "body.subdomain"}, {"trailing newline", with("subdomain", "acme\n"), "body.subdomain"},
		{"www", with("subdomain", "www"), "body.subdomain"}, {"api", with("subdomain", "api"), "body.subdomain"}, {"admin", with("subdomain", "admin"), "body.subdomain"},
		{"app", with("subdomain", "app"), "body.subdomain"}, {"mail", with("subdomain", "mail"), "body.subdomain"},
		{"unknown member", with("plan", "pro"), "body.plan"}, {"status", with("status", "active"), "body.status"}, {"an array", `[]`, "body"}, {"null", `null`, "body"},
	} {
		want := http.StatusCreated
		if r.fault != "" {
			want = http.StatusUnprocessableEntity
		}
		got := f.do(t, f.Person(t), http.MethodPost, base, r.body)
		if got.Status != want || r.fault != "" && !strings.Contains(string(got.Body), `"location":"`+r.fault) {
			t.Errorf("%s: %d, want %d with %q: %s", r.name, got.Status, want, r.fault, got.Body)
		}
	}
	for name, body := range map[string]string{"not JSON": `{`, "twice": `{"name":"x","name":"y","subdomain":"zzz"}`, "no body": ``} {
		if got := f.do(t, f.owner, http.MethodPost, base, body); got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	for _, query := range []string{"page_size=0", "page_size=201", "ordering=name", "cursor=x", "role=owner", "status=active"} {
		f.do(t, f.owner, http.MethodGet, base+"?"+query, nil).Want(t, http.StatusBadRequest)
	}
}

// TestSubdomainTaken holds who may have a name that was somebody's.
func TestSubdomainTaken(t *testing.T) {
	f := setup(t)
	claim := func(name, held string) {
		f.SQL(t, `insert into app.host_claims (host, kind, tenant_id, held_until) values ($1, 'subdomain', $2, `+held+`)`, name, f.owner.TenantID)
	}
	claim("taken", "null")
	claim("held", "now() + interval '1 hour'")
	claim("free-again", "now() - interval '1 second'")
	for name, status := range map[string]int{"taken": 409, "held": 409, "free-again": 201} {
		who := f.Person(t)
		got := f.do(t, who, http.MethodPost, base, map[string]any{"name": "x", "subdomain": name}).Want(t, status)
		if status == http.StatusConflict {
			got.WantCode(t, status, "subdomain_taken")
			if n := f.count(t, `select count(*) from app.organizations where created_by = $1`, who.UserID); n != 0 {
				t.Errorf("%s: %d organizations stayed behind", name, n)
			}
		} else if n := f.count(t, `select count(*) from app.host_claims where host = $1 and held_until is null and tenant_id = $2`, name, got.String(t, "id")); n != 1 {
			t.Errorf("%s was not taken over", name)
		}
	}
	statuses := make(chan int)
	for range 5 {
		who := f.Person(t)
		go func() {
			statuses <- f.do(t, who, http.MethodPost, base, map[string]any{"name": "x", "subdomain": "race"}).Status
		}()
	}
	seen := map[int]int{}
	for range 5 {
		seen[<-statuses]++
	}
	if seen[201] != 1 || seen[409] != 4 {
		t.Errorf("a race for one name: %v", seen)
	}
}

func TestIdempotency(t *testing.T) {
	f := setup(t)
	who, other := f.Person(t), f.Person(t)
	body := map[string]any{"name": "Acme", "subdomain": "acme"}
	first := f.do(t, who, http.MethodPost, base, body, "Idempotency-Key", "k").Want(t, http.StatusCreated)
	again := f.do(t, who, http.MethodPost, base, body, "Idempotency-Key", "k").Want(t, http.StatusCreated)
	if string(first.Body) != string(again.Body) || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the repeat gave %s", again.Body)
	}
	f.do(t, who, http.MethodPost, base, map[string]any{"name": "Acme 2", "subdomain": "acme"}, "Idempotency-Key", "k").WantCode(t, http.StatusUnprocessableEntity, "idempotency_key_reused")
	// The key is the person's, whichever organization their token names.
	who.TenantID = ids.Must(first.String(t, "id"))
	who.Token = f.Token(t, who.Principal)
	f.do(t, who, http.MethodPost, base, body, "Idempotency-Key", "k").Want(t, http.StatusCreated)
	f.do(t, other, http.MethodPost, base, body, "Idempotency-Key", "k").WantCode(t, http.StatusConflict, "subdomain_taken")
	f.SQL(t, `delete from app.host_claims where host = 'acme'`)
	f.do(t, other, http.MethodPost, base, body, "Idempotency-Key", "k").WantCode(t, http.StatusConflict, "subdomain_taken")
	f.SQL(t, `update app.user_idempotency_keys set expires_at = now()`)
	f.do(t, other, http.MethodPost, base, body, "Idempotency-Key", "k").Want(t, http.StatusCreated)
}

func TestList(t *testing.T) {
	f := setup(t)
	who := f.Person(t)
	join := func(role, then string) ids.ID {
		tenant := f.Tenant(t).TenantID
		var custom *ids.ID
		stored := role
		if role == "manager" {
			stored, custom = "custom", new(ids.ID)
			f.Scan(t, `select id from app.roles where tenant_id = $1 and name = 'manager'`, []any{tenant}, custom)
		}
		f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, custom_role_id, is_active, joined_at) values ($1, $2, $3, $4, $5, true, now())`, tenant, who.UserID, who.Email, stored, custom)
		f.SQL(t, `insert into app.user_tenants (user_id, tenant_id) values ($1, $2)`, who.UserID, tenant)
		if then != "" {
			f.SQL(t, then, tenant)
		}
		return tenant
	}
	if got := f.do(t, who, http.MethodGet, base, nil).Want(t, http.StatusOK); !strings.Contains(string(got.Body), `"results":[]`) {
		t.Errorf("no organization: %s", got.Body)
	}
	want := map[string]string{
		join("viewer", "").String():  "viewer",
		join("owner", "").String():   "owner",
		join("manager", "").String(): "manager",
		join("member", `update app.organizations set status = 'suspended' where tenant_id = $1`).String(): "member",
	}
	join("member", `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`)
	join("member", `update app.memberships set is_active = false where tenant_id = $1 and role = 'member'`)
	join("member", `update app.memberships set is_active = false, left_at = now() where tenant_id = $1 and role = 'member'`)
	join("member", `update app.user_tenants set left_at = now() where tenant_id = $1`)
	for _, query := range []string{"", "ordering=created_at", "ordering=updated_at", "ordering=-updated_at&page_size=1", "page_size=1", "page_size=3"} {
		got := map[string]string{}
		for path := base + "?" + query; path != ""; {
			var list struct {
				Results []struct{ ID, Role, Status string }
				Next    *string
			}
			f.do(t, who, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
			for _, r := range list.Results {
				got[r.ID] = r.Role
			}
			path = ""
			if list.Next != nil {
				path = *list.Next
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	next := f.do(t, who, http.MethodGet, base+"?page_size=1", nil).String(t, "next")
	f.do(t, f.owner, http.MethodGet, next, nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
}

func TestCurrent(t *testing.T) {
	f := setup(t)
	for _, role := range []string{"viewer", "member", "developer", "manager", "admin", "owner"} {
		if got := f.do(t, f.Member(t, f.owner.TenantID, role), http.MethodGet, base+"me/", nil).Want(t, http.StatusOK); got.String(t, "id") != f.owner.TenantID.String() {
			t.Errorf("%s reads %s", role, got.Body)
		}
	}
	suspended, deleted := f.Tenant(t), f.Tenant(t)
	f.SQL(t, `update app.organizations set status = 'suspended' where tenant_id = $1`, suspended.TenantID)
	f.SQL(t, `update app.organizations set status = 'deleted', deleted_at = now() where tenant_id = $1`, deleted.TenantID)
	if got := f.do(t, suspended, http.MethodGet, base+"me/", nil).Want(t, http.StatusOK); got.String(t, "status") != "suspended" {
		t.Errorf("suspended: %s", got.Body)
	}
	f.do(t, deleted, http.MethodGet, base+"me/", nil).WantCode(t, http.StatusForbidden, "tenant_deleted")
	f.do(t, f.Person(t), http.MethodGet, base+"me/", nil).WantCode(t, http.StatusForbidden, "no_tenant")
	stranger := f.Person(t)
	stranger.TenantID = f.owner.TenantID
	stranger.Token = f.Token(t, stranger.Principal)
	f.do(t, stranger, http.MethodGet, base+"me/", nil).WantCode(t, http.StatusForbidden, "not_a_member")
}
