package users_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/functions/users"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

const (
	members = "/api/v1/users/"
	roles   = "/api/v1/roles/"
)

func (f *fixture) ask(t *testing.T, who functest.Person, method, path string, body any, header ...string) functest.Response {
	t.Helper()
	h := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return f.Do(t, f.handler, functest.Request{Method: method, Path: path, Token: who.Token, Body: body, Header: h})
}

func at(who functest.Person) string { return members + who.UserID.String() + "/" }

// another is a process of its own, that remembers by itself.
func (f *fixture) another(t *testing.T) *fixture {
	t.Helper()
	return &fixture{f.Env, f.Open(t, users.Open), f.owner}
}

// waiting makes a membership that waits for its person, as an invitation does.
func (f *fixture) waiting(t *testing.T, role string) functest.Person {
	t.Helper()
	p := functest.Person{Principal: identity.Principal{UserID: ids.New(), TenantID: f.owner.TenantID}}
	p.Email = p.UserID.String() + "@example.com"
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, is_active) values ($1, $2, $3, $4, false)`, p.TenantID, p.UserID, p.Email, role)
	f.SQL(t, `insert into app.invitations (tenant_id, id, email, role, member_id, secret_hash, expires_at) values ($1, $2, $3, $4, $5, '\x00', now() + interval '7 days')`,
		p.TenantID, ids.New(), p.Email, role, p.UserID)
	return p
}

// here gives somebody a session in which they act in the organization.
func (f *fixture) here(t *testing.T, who functest.Person) functest.Person {
	t.Helper()
	who.SessionID = ids.New()
	f.SQL(t, `insert into app.sessions (user_id, session_id, tenant_id, expires_at) values ($1, $2, $3, now() + interval '7 days')`, who.UserID, who.SessionID, who.TenantID)
	who.Token = f.Token(t, who.Principal)
	return who
}

// changed counts the messages that say whose rights changed; ids.Nil is
// everybody's.
func (f *fixture) changed(t *testing.T, who ids.ID) int {
	t.Helper()
	if who == ids.Nil {
		return f.count(t, `select count(*) from app.outbox where kind = 'access.changed' and tenant_id = $1 and not payload ? 'user_id'`, f.owner.TenantID)
	}
	return f.count(t, `select count(*) from app.outbox where kind = 'access.changed' and tenant_id = $1 and payload->>'user_id' = $2::text`, f.owner.TenantID, who.String())
}

func emails(t *testing.T, r functest.Response) (out []string) {
	t.Helper()
	var list struct{ Results []struct{ Email string } }
	r.Want(t, http.StatusOK).Into(t, &list)
	for _, m := range list.Results {
		out = append(out, m.Email)
	}
	return out
}

func TestListMembers(t *testing.T) {
	f := setup(t)
	viewer := f.Member(t, f.owner.TenantID, "viewer")
	manager, inactive, gone := f.Member(t, f.owner.TenantID, "manager"), f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member")
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, inactive.UserID)
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, gone.UserID)
	f.SQL(t, `update app.memberships set first_name = 'Grace', last_name = 'O''Hopper_100%' where user_id = $1`, manager.UserID)
	pending := f.waiting(t, "member")
	f.Tenant(t) // with an owner that is nobody's business
	newest := []string{pending.Email, inactive.Email, manager.Email, viewer.Email, f.owner.Email}
	oldest := slices.Clone(newest)
	slices.Reverse(oldest)
	for query, want := range map[string][]string{
		"":                                   newest,
		"?ordering=created_at":               oldest,
		"?role=owner":                        {f.owner.Email},
		"?role=member":                       {pending.Email, inactive.Email},
		"?role=manager":                      {manager.Email},
		"?role=Manager":                      {manager.Email},
		"?role=nothing":                      nil,
		"?role=custom":                       nil,
		"?is_active=true":                    {manager.Email, viewer.Email, f.owner.Email},
		"?is_active=false":                   {pending.Email, inactive.Email},
		"?is_active=false&role=viewer":       nil,
		"?search=GRACE":                      {manager.Email},
		"?search=hopper+grace":               {manager.Email},
		"?search=" + url.QueryEscape("_1"):   {manager.Email},
		"?search=" + url.QueryEscape("100%"): {manager.Email},
		"?search=%25%25":                     nil,
		"?search=%5C":                        nil,
		"?search=" + viewer.Email:            {viewer.Email},
		"?search=test&is_active=true":        {viewer.Email, f.owner.Email},
	} {
		if got := emails(t, f.ask(t, viewer, http.MethodGet, members+query, nil)); !slices.Equal(got, want) {
			t.Errorf("%s gives %v, want %v", query, got, want)
		}
	}
	// Page by page, both ways.
	for _, ordering := range []string{"created_at", "-created_at", "updated_at", "-updated_at"} {
		whole := emails(t, f.ask(t, viewer, http.MethodGet, members+"?ordering="+ordering, nil))
		var walked []string
		next, last := any(members+"?page_size=2&ordering="+ordering), ""
		for next != nil {
			last = next.(string)
			page := f.ask(t, viewer, http.MethodGet, last, nil)
			walked = append(walked, emails(t, page)...)
			next = page.Get(t, "next")
		}
		if !slices.Equal(walked, whole) || len(whole) != len(newest) {
			t.Errorf("%s: walked %v of %v", ordering, walked, whole)
		}
		back := f.ask(t, viewer, http.MethodGet, f.ask(t, viewer, http.MethodGet, last, nil).String(t, "previous"), nil)
		if got := emails(t, back); !slices.Equal(got, whole[2:4]) {
			t.Errorf("%s: back to %v of %v", ordering, got, whole)
		}
	}
	for _, query := range []string{"?is_active=yes", "?is_active=", "?role=" + strings.Repeat("x", 101), "?ordering=email", "?name=x", "?cursor=x", "?page_size=0"} {
		f.ask(t, viewer, http.MethodGet, members+query, nil).Want(t, http.StatusBadRequest)
	}
}

func TestGetMember(t *testing.T) {
	f := setup(t)
	viewer, gone, stranger := f.Member(t, f.owner.TenantID, "viewer"), f.Member(t, f.owner.TenantID, "member"), f.Tenant(t)
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, gone.UserID)
	got := f.ask(t, viewer, http.MethodGet, at(f.owner), nil).Want(t, http.StatusOK)
	for path, want := range map[string]any{"id": f.owner.UserID.String(), "email": f.owner.Email, "first_name": "Test", "last_name": "Person", "role": "owner", "is_active": true} {
		if v := got.Get(t, path); v != want {
			t.Errorf("%s is %v, want %v", path, v, want)
		}
	}
	if !strings.HasSuffix(got.String(t, "joined_at"), "Z") {
		t.Errorf("%s", got.Body)
	}
	f.ask(t, viewer, http.MethodGet, at(f.owner), nil, "If-None-Match", got.Header.Get("ETag")).Want(t, http.StatusNotModified)
	if pending := f.ask(t, viewer, http.MethodGet, at(f.waiting(t, "member")), nil).Want(t, http.StatusOK); pending.Get(t, "joined_at") != nil || pending.Get(t, "is_active") != false {
		t.Errorf("who was invited: %s", pending.Body)
	}
	for _, who := range []functest.Person{gone, stranger, {Principal: identity.Principal{UserID: ids.New()}}, {}} {
		f.ask(t, viewer, http.MethodGet, at(who), nil).WantCode(t, http.StatusNotFound, "not_found")
	}
	// A path that has another meaning is not an id, whatever the method.
	f.ask(t, f.owner, http.MethodDelete, me, nil).WantCode(t, http.StatusMethodNotAllowed, "method_not_allowed")
}

func TestChangeMember(t *testing.T) {
	f := setup(t)
	admin, who := f.Member(t, f.owner.TenantID, "admin"), f.Member(t, f.owner.TenantID, "member")
	first := f.ask(t, admin, http.MethodGet, at(who), nil)
	f.ask(t, who, http.MethodGet, members, nil).Want(t, http.StatusOK) // their rights are remembered
	got := f.ask(t, admin, http.MethodPatch, at(who), body{"role": "Manager"}, "If-Match", first.Header.Get("ETag"), "X-Request-Id", "promoted").Want(t, http.StatusOK)
	if got.String(t, "role") != "manager" || got.Header.Get("X-Coditect-Outbox") != "1" {
		t.Errorf("%s %v", got.Body, got.Header)
	}
	if read := f.ask(t, admin, http.MethodGet, at(who), nil); string(read.Body) != string(got.Body) || read.Header.Get("ETag") != got.Header.Get("ETag") {
		t.Errorf("PATCH answered %s, GET %s", got.Body, read.Body)
	}
	for _, process := range []*fixture{f, f.another(t)} {
		if p := process.do(t, who, http.MethodGet, nil); p.String(t, "role") != "manager" || !strings.Contains(string(p.Body), "tasks:delete") {
			t.Errorf("their rights are %s", p.Body)
		}
	}
	var story string
	f.Scan(t, `select action || ' ' || (changes->'role'->>'old') || ' ' || (changes->'role'->>'new') || ' ' || user_id from app.activity
		where request_id = 'promoted' and model = 'Membership' and object_id = $1`, []any{who.UserID}, &story)
	if story != "updated member manager "+admin.UserID.String() || f.changed(t, who.UserID) != 1 {
		t.Errorf("%q and %d messages", story, f.changed(t, who.UserID))
	}
	f.ask(t, admin, http.MethodPatch, at(who), body{"role": "viewer"}, "If-Match", first.Header.Get("ETag")).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	for _, same := range []body{{}, {"role": "manager"}, {"is_active": true}} {
		if again := f.ask(t, admin, http.MethodPatch, at(who), same, "X-Request-Id", "same").Want(t, http.StatusOK); again.Header.Get("ETag") != got.Header.Get("ETag") {
			t.Errorf("%v made something", same)
		}
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'same'`); n != 0 || f.changed(t, who.UserID) != 1 {
		t.Errorf("%d activities of nothing", n)
	}
	for _, wrong := range []body{{"role": "nothing"}, {"role": "custom"}, {"role": ""}, {"role": nil}, {"is_active": nil}, {"is_active": "no"}, {"email": "x@example.com"}, {"role": strings.Repeat("x", 101)}} {
		f.ask(t, admin, http.MethodPatch, at(who), wrong).Want(t, http.StatusUnprocessableEntity)
	}
	for _, nobody := range []functest.Person{f.Tenant(t), {Principal: identity.Principal{UserID: ids.New()}}, {}} {
		for _, change := range []body{{"role": "viewer"}, {"is_active": false}} {
			f.ask(t, admin, http.MethodPatch, at(nobody), change).WantCode(t, http.StatusNotFound, "not_found")
		}
		f.ask(t, admin, http.MethodDelete, at(nobody), nil).WantCode(t, http.StatusNotFound, "not_found")
	}
	f.ask(t, f.Member(t, f.owner.TenantID, "manager"), http.MethodPatch, at(who), body{"role": "viewer"}).WantCode(t, http.StatusForbidden, "permission_denied")
}

// Somebody who is kept out, and let in again.
func TestDeactivate(t *testing.T) {
	f := setup(t)
	admin, who := f.Member(t, f.owner.TenantID, "admin"), f.here(t, f.Member(t, f.owner.TenantID, "member"))
	elsewhere := f.Tenant(t)
	f.SQL(t, `insert into app.sessions (user_id, session_id, tenant_id, expires_at) values ($1, $2, $3, now() + interval '1 day')`, who.UserID, ids.New(), elsewhere.TenantID)
	f.ask(t, who, http.MethodGet, members, nil).Want(t, http.StatusOK)
	if got := f.ask(t, admin, http.MethodPatch, at(who), body{"is_active": false}, "X-Request-Id", "out").Want(t, http.StatusOK); got.Get(t, "is_active") != false {
		t.Errorf("%s", got.Body)
	}
	for _, process := range []*fixture{f, f.another(t)} {
		process.ask(t, who, http.MethodGet, members, nil).WantCode(t, http.StatusForbidden, "not_a_member")
	}
	if n := f.count(t, `select count(*) from app.sessions where user_id = $1 and revoked_reason = 'member_deactivated' and tenant_id = $2`, who.UserID, who.TenantID); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if n := f.count(t, `select count(*) from app.sessions where user_id = $1 and revoked_at is null`, who.UserID); n != 2 {
		t.Errorf("%d sessions elsewhere", n)
	}
	if v, err := f.Redis.Get("sess:" + who.SessionID.String()); err != nil || v != "revoked" {
		t.Errorf("the session is %q, %v", v, err)
	}
	if n := f.count(t, `select count(*) from app.user_events where user_id = $1 and action = 'tenant_deactivated' and ip = ''`, who.UserID); n != 1 {
		t.Error("the person's own events do not tell")
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'out' and object_id = $1 and user_id = $2 and changes = '{"is_active": {"old": true, "new": false}}'`, who.UserID, admin.UserID); n != 1 || f.changed(t, who.UserID) != 1 {
		t.Errorf("%d activities, %d messages", n, f.changed(t, who.UserID))
	}
	// The organization is still theirs to see, and they come back as they were.
	if n := f.count(t, `select count(*) from app.user_tenants where user_id = $1 and tenant_id = $2 and left_at is null`, who.UserID, who.TenantID); n != 1 {
		t.Error("they left it")
	}
	f.ask(t, admin, http.MethodPatch, at(who), body{"is_active": true}).Want(t, http.StatusOK)
	f.ask(t, who, http.MethodGet, members, nil).Want(t, http.StatusOK)
	// Who has not come yet cannot be let in by anybody but themselves, and what they are invited to be follows.
	pending := f.waiting(t, "member")
	f.ask(t, admin, http.MethodPatch, at(pending), body{"is_active": true}).WantCode(t, http.StatusConflict, "not_joined")
	f.ask(t, admin, http.MethodPatch, at(pending), body{"is_active": false}).Want(t, http.StatusOK)
	f.ask(t, admin, http.MethodPatch, at(pending), body{"role": "manager"}).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.invitations i join app.roles r on r.tenant_id = i.tenant_id and r.id = i.custom_role_id where i.member_id = $1 and r.name = 'manager'`, pending.UserID); n != 1 {
		t.Error("the invitation is to another role")
	}
}

func TestRemove(t *testing.T) {
	f := setup(t)
	admin, who := f.Member(t, f.owner.TenantID, "admin"), f.here(t, f.Member(t, f.owner.TenantID, "developer"))
	f.ask(t, who, http.MethodGet, members, nil).Want(t, http.StatusOK)
	stale := f.ask(t, admin, http.MethodGet, at(who), nil).Header.Get("ETag")
	f.SQL(t, `update app.memberships set version = version + 1 where user_id = $1`, who.UserID)
	f.ask(t, admin, http.MethodDelete, at(who), nil, "If-Match", stale).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	fresh := f.ask(t, admin, http.MethodGet, at(who), nil).Header.Get("ETag")
	f.ask(t, admin, http.MethodDelete, at(who), nil, "If-Match", fresh, "X-Request-Id", "removed").Want(t, http.StatusNoContent)
	for _, process := range []*fixture{f, f.another(t)} {
		process.ask(t, who, http.MethodGet, members, nil).WantCode(t, http.StatusForbidden, "not_a_member")
	}
	f.ask(t, admin, http.MethodDelete, at(who), nil).WantCode(t, http.StatusNotFound, "not_found")
	f.ask(t, admin, http.MethodPatch, at(who), body{"role": "viewer"}).WantCode(t, http.StatusNotFound, "not_found")
	for side, sql := range map[string]string{ // each on a shard of its own
		"organization's": `select count(*) from app.memberships where tenant_id = $1 and user_id = $2 and not is_active and left_at is not null`,
		"person's":       `select count(*) from app.user_tenants where tenant_id = $1 and user_id = $2 and left_at is not null`,
	} {
		if n := f.count(t, sql, f.owner.TenantID, who.UserID); n != 1 {
			t.Errorf("the membership did not end on the %s side", side)
		}
	}
	if v, err := f.Redis.Get("sess:" + who.SessionID.String()); err != nil || v != "revoked" {
		t.Errorf("the session is %q, %v", v, err)
	}
	if n := f.count(t, `select count(*) from app.sessions where user_id = $1 and revoked_reason = 'member_removed'`, who.UserID); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if n := f.count(t, `select count(*) from app.user_events where user_id = $1 and action = 'tenant_removed' and changes->'tenant_id'->>'old' = $2::text`, who.UserID, f.owner.TenantID.String()); n != 1 {
		t.Error("the person's own events do not tell")
	}
	if n := f.count(t, `select count(*) from app.activity where request_id = 'removed' and action = 'deleted' and object_id = $1 and changes->'role'->>'old' = 'developer'`, who.UserID); n != 1 || f.changed(t, who.UserID) != 1 {
		t.Errorf("%d activities, %d messages", n, f.changed(t, who.UserID))
	}
	// Of who has not come yet, the invitation goes.
	pending := f.waiting(t, "member")
	f.ask(t, admin, http.MethodDelete, at(pending), nil).Want(t, http.StatusNoContent)
	if n := f.count(t, `select count(*) from app.invitations where member_id = $1 and revoked_at is not null`, pending.UserID); n != 1 {
		t.Error("the invitation stays open")
	}
	if n := f.count(t, `select count(*) from app.user_events where user_id = $1`, pending.UserID); n != 0 {
		t.Error("somebody who is nobody has events")
	}
	// Oneself, too.
	f.ask(t, admin, http.MethodDelete, at(admin), nil).Want(t, http.StatusNoContent)
	f.ask(t, admin, http.MethodGet, members, nil).WantCode(t, http.StatusForbidden, "not_a_member")
}

// TestTrapT11NobodyGrantsMoreThanTheyHold: not to others, not to themselves,
// not by way of a role; and nobody touches who holds more.
func TestTrapT11NobodyGrantsMoreThanTheyHold(t *testing.T) {
	f := setup(t)
	admin := f.Member(t, f.owner.TenantID, "admin")
	role := func(name string, set ...identity.Permission) functest.Person {
		f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, $3, $4)`, f.owner.TenantID, ids.New(), name, identity.NewSet(set...).Strings())
		return f.Member(t, f.owner.TenantID, name)
	}
	who := f.Member(t, f.owner.TenantID, "viewer")
	// People office: may change members, and nothing else.
	office, payer := role("office", identity.MembersRead, identity.MembersWrite), role("payer", identity.BillingWrite)
	_ = role("nothing")
	for name, tc := range map[string]struct {
		by, to functest.Person
		change any // nil removes
		status int
	}{
		"an admin makes an admin":                   {admin, who, body{"role": "admin"}, http.StatusOK},
		"an admin makes an owner":                   {admin, who, body{"role": "owner"}, http.StatusForbidden},
		"an admin makes themselves an owner":        {admin, admin, body{"role": "owner"}, http.StatusForbidden},
		"an admin gives a right they do not hold":   {admin, who, body{"role": "payer"}, http.StatusForbidden},
		"an admin demotes an owner":                 {admin, f.owner, body{"role": "viewer"}, http.StatusForbidden},
		"an admin deactivates an owner":             {admin, f.owner, body{"is_active": false}, http.StatusForbidden},
		"an admin removes an owner":                 {admin, f.owner, nil, http.StatusForbidden},
		"an admin removes who holds something more": {admin, payer, nil, http.StatusForbidden},
		"an admin deactivates who holds more":       {admin, payer, body{"is_active": false}, http.StatusForbidden},
		"the office promotes":                       {office, who, body{"role": "member"}, http.StatusForbidden},
		"the office demotes who holds more":         {office, who, body{"role": "nothing"}, http.StatusForbidden},
		"the office gives up its own":               {office, office, body{"role": "nothing"}, http.StatusOK},
	} {
		method := http.MethodPatch
		if tc.change == nil {
			method = http.MethodDelete
		}
		got := f.ask(t, tc.by, method, at(tc.to), tc.change)
		if got.Status != tc.status {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		} else if tc.status == http.StatusForbidden && got.String(t, "code") != "permission_not_held" && got.String(t, "code") != "permission_denied" {
			t.Errorf("%s: %s", name, got.Body)
		}
		f.SQL(t, `update app.memberships m set role = 'viewer', custom_role_id = null where user_id = $1`, who.UserID)
		f.SQL(t, `update app.memberships m set role = 'custom', custom_role_id = r.id from app.roles r where r.tenant_id = m.tenant_id and r.name = 'office' and m.user_id = $1`, office.UserID)
		f.Redis.FlushAll()
		f.handler = f.Open(t, users.Open)
	}
	// What the request was let in with is not what counts: rights taken meanwhile grant nothing.
	slow := f.another(t)
	slow.ask(t, admin, http.MethodGet, members, nil).Want(t, http.StatusOK)
	f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, admin.UserID)
	slow.ask(t, admin, http.MethodPatch, at(who), body{"role": "admin"}).WantCode(t, http.StatusForbidden, "permission_denied")
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, admin.UserID)
	slow.ask(t, admin, http.MethodPatch, at(who), body{"role": "admin"}).WantCode(t, http.StatusForbidden, "not_a_member")
	slow.ask(t, admin, http.MethodDelete, at(who), nil).WantCode(t, http.StatusForbidden, "not_a_member")
}

func TestLastOwner(t *testing.T) {
	f := setup(t)
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, role, is_active, joined_at) values ($1, $2, 'kept-out@example.com', 'owner', false, now())`, f.owner.TenantID, ids.New())
	out := func(by, who functest.Person) []functest.Response {
		return []functest.Response{
			f.ask(t, by, http.MethodPatch, at(who), body{"role": "admin"}),
			f.ask(t, by, http.MethodPatch, at(who), body{"is_active": false}),
			f.ask(t, by, http.MethodPatch, at(who), body{"role": "viewer", "is_active": false}),
			f.ask(t, by, http.MethodDelete, at(who), nil),
		}
	}
	for _, r := range out(f.owner, f.owner) {
		r.WantCode(t, http.StatusConflict, "last_owner")
	}
	f.ask(t, f.owner, http.MethodPatch, at(f.owner), body{"role": "owner", "is_active": true}).Want(t, http.StatusOK)
	second := f.Member(t, f.owner.TenantID, "owner")
	f.ask(t, second, http.MethodPatch, at(f.owner), body{"role": "member"}).Want(t, http.StatusOK)
	for _, r := range out(second, second) {
		r.WantCode(t, http.StatusConflict, "last_owner")
	}
	// Of two owners who throw one another, or themselves, out at the same moment, one stays.
	for i := range 6 {
		a, b := f.Member(t, f.owner.TenantID, "owner"), f.Member(t, f.owner.TenantID, "owner")
		f.SQL(t, `update app.memberships set role = 'viewer' where tenant_id = $1 and user_id <> all($2::uuid[])`, f.owner.TenantID, []string{a.UserID.String(), b.UserID.String()})
		f.Redis.FlushAll()
		f.handler = f.Open(t, users.Open)
		targets := [][2]functest.Person{{a, b}, {b, a}}
		if i%2 == 0 {
			targets = [][2]functest.Person{{a, a}, {b, b}}
		}
		var all sync.WaitGroup
		for n, pair := range targets {
			all.Go(func() {
				var r functest.Response
				if (i/2+n)%2 == 0 {
					r = f.ask(t, pair[0], http.MethodDelete, at(pair[1]), nil)
				} else {
					r = f.ask(t, pair[0], http.MethodPatch, at(pair[1]), body{"role": "viewer"})
				}
				if r.Status >= http.StatusInternalServerError {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			})
		}
		all.Wait()
		if n := f.count(t, `select count(*) from app.memberships where tenant_id = $1 and role = 'owner' and is_active and left_at is null`, f.owner.TenantID); n != 1 {
			t.Fatalf("%d owners are left", n)
		}
	}
}

// TestTrapT20dRemovalEndsAccess: who is removed has neither session nor right,
// also while Redis cannot be told; the message tells it later.
func TestTrapT20dRemovalEndsAccess(t *testing.T) {
	f := setup(t)
	f.Vars["REDIS_TIMEOUT"] = "500ms"
	who := f.here(t, f.Member(t, f.owner.TenantID, "member"))
	f.ask(t, who, http.MethodGet, members, nil).Want(t, http.StatusOK)
	f.Redis.SetError("LOADING Redis is loading the dataset in memory")
	f.ask(t, f.owner, http.MethodDelete, at(who), nil).Want(t, http.StatusNoContent)
	f.ask(t, who, http.MethodGet, members, nil).WantCode(t, http.StatusForbidden, "not_a_member")
	f.Redis.SetError("")
	if n := f.count(t, `select count(*) from app.sessions where user_id = $1 and session_id = $2 and revoked_at is not null`, who.UserID, who.SessionID); n != 1 || f.changed(t, who.UserID) != 1 {
		t.Errorf("%d sessions ended, %d messages", n, f.changed(t, who.UserID))
	}
}

// Edits of one member at the same moment: each with the version that it saw, so
// that one is taken and the others are told.
func TestRacingEditsOfAMember(t *testing.T) {
	f := setup(t)
	who := f.Member(t, f.owner.TenantID, "viewer")
	etag := f.ask(t, f.owner, http.MethodGet, at(who), nil).Header.Get("ETag")
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			statuses[i] = f.ask(t, f.owner, http.MethodPatch, at(who), body{"role": []string{"member", "admin", "manager", "developer"}[i%4]}, "If-Match", etag).Status
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if want := []int{200, 412, 412, 412, 412, 412, 412, 412}; fmt.Sprint(statuses) != fmt.Sprint(want) {
		t.Errorf("%v", statuses)
	}
}
