package users_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/functions/users"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/secrets"
)

const (
	invitePath  = "/api/v1/users/invite/"
	invitations = "/api/v1/users/invitations/"
)

func (f *fixture) invite(t *testing.T, who functest.Person, email, role string) functest.Response {
	t.Helper()
	return f.ask(t, who, http.MethodPost, invitePath, map[string]any{"email": email, "role": role})
}

func named(email, role string) map[string]any {
	return map[string]any{"email": email, "first_name": " Grace ", "last_name": "Hopper", "role": role}
}

func TestInvite(t *testing.T) {
	f := setup(t)
	r := f.invite(t, f.owner, " Grace@Example.com ", "manager").Want(t, http.StatusCreated)
	id := r.String(t, "id")
	for path, want := range map[string]any{
		"email": "grace@example.com", "role": "manager", "status": "pending", "first_name": "", "invited_by.id": f.owner.UserID.String(), "sent_at": nil,
	} {
		if got := r.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	expires, err := time.Parse(time.RFC3339, r.String(t, "expires_at"))
	if left := time.Until(expires); err != nil || left < 7*24*time.Hour-time.Minute || left > 7*24*time.Hour {
		t.Errorf("expires in %s: %v", left, err)
	}
	if r.Header.Get("Location") != invitations+id+"/" || r.Header.Get("ETag") == "" || r.Header.Get("X-Coditect-Outbox") != "1" {
		t.Errorf("headers %v", r.Header)
	}
	got := f.ask(t, f.owner, http.MethodGet, r.Header.Get("Location"), nil).Want(t, http.StatusOK)
	if string(got.Body) != string(r.Body) || got.Header.Get("ETag") != r.Header.Get("ETag") {
		t.Errorf("read %s, made %s", got.Body, r.Body)
	}
	if list := f.ask(t, f.owner, http.MethodGet, invitations, nil).Want(t, http.StatusOK); list.String(t, "results.0.id") != id {
		t.Errorf("listed %s", list.Body)
	}
	// The mailer can make the link of what is stored, nobody else.
	m := f.Pending(t, "mail.invitation")
	if len(m) != 1 || string(m[0].Payload) != `{"invitation_id":"`+id+`"}` && string(m[0].Payload) != `{"invitation_id": "`+id+`"}` {
		t.Errorf("messages %v", m)
	}
	var hash []byte
	f.Scan(t, `select secret_hash from app.invitations where id = $1`, []any{id}, &hash)
	ring, err := secrets.ParseRing([]byte(f.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := link.Recover(ring, identity.InvitationToken, f.owner.TenantID, ids.Must(id), hash); !ok {
		t.Error("the mailer cannot make the link")
	}
	var action, changes string
	f.Scan(t, `select action, changes->'role'->>'new' from app.activity where model = 'Invitation' and object_id = $1 and user_id = $2`, []any{id, f.owner.UserID}, &action, &changes)
	if action != "created" || changes != "manager" {
		t.Errorf("recorded %s %s", action, changes)
	}
	// It is no member.
	if n := f.count(t, `select count(*) from app.memberships`); n != 1 {
		t.Errorf("%d members", n)
	}
}

func TestCreateMember(t *testing.T) {
	f := setup(t)
	r := f.ask(t, f.owner, http.MethodPost, members, named("grace@example.com", "Developer")).Want(t, http.StatusCreated)
	for path, want := range map[string]any{
		"email": "grace@example.com", "role": "developer", "is_active": false, "joined_at": nil, "first_name": "Grace", "last_name": "Hopper",
	} {
		if got := r.Get(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	at := r.Header.Get("Location")
	if at != members+r.String(t, "id")+"/" {
		t.Errorf("at %s", at)
	}
	if got := f.ask(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK); string(got.Body) != string(r.Body) {
		t.Errorf("read %s, made %s", got.Body, r.Body)
	}
	list := f.ask(t, f.owner, http.MethodGet, members+"?is_active=false", nil).Want(t, http.StatusOK)
	if list.String(t, "results.0.id") != r.String(t, "id") {
		t.Errorf("listed %s", list.Body)
	}
	i := f.ask(t, f.owner, http.MethodGet, invitations, nil).Want(t, http.StatusOK)
	if i.String(t, "results.0.first_name") != "Grace" || i.String(t, "results.0.role") != "developer" || len(f.Pending(t, "mail.invitation")) != 1 {
		t.Errorf("the invitation is %s", i.Body)
	}
	if n := f.count(t, `select count(*) from app.activity where request_id <> '' and (model, action) in (('Membership', 'created'), ('Invitation', 'created'))`); n != 2 {
		t.Errorf("%d activities", n)
	}
	// A role that changes while they wait is the invitation's, and who is removed is not invited.
	f.ask(t, f.owner, http.MethodPatch, at, map[string]any{"role": "viewer"}).Want(t, http.StatusOK)
	if i := f.ask(t, f.owner, http.MethodGet, invitations, nil); i.String(t, "results.0.role") != "viewer" {
		t.Errorf("the invitation is %s", i.Body)
	}
	f.ask(t, f.owner, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
	if i := f.ask(t, f.owner, http.MethodGet, invitations, nil); !strings.Contains(string(i.Body), `"results":[]`) {
		t.Errorf("the invitation is %s", i.Body)
	}
	f.ask(t, f.owner, http.MethodPost, members, named("grace@example.com", "viewer")).Want(t, http.StatusCreated)
}

func TestInviteValidates(t *testing.T) {
	f := setup(t)
	for name, body := range map[string]map[string]any{
		"no address":     named("", "member"),
		"two addresses":  named("a@example.com,b@example.com", "member"),
		"with a name":    named("Grace <grace@example.com>", "member"),
		"beyond ASCII":   named("grâce@example.com", "member"),
		"a header":       named("a@example.com\nBcc: b@example.com", "member"),
		"too long":       named(strings.Repeat("a", 250)+"@example.com", "member"),
		"no role":        named("grace@example.com", ""),
		"unknown role":   named("grace@example.com", "king"),
		"blank name":     {"email": "grace@example.com", "first_name": "  ", "last_name": "Hopper", "role": "member"},
		"a name's lines": {"email": "grace@example.com", "first_name": "Grace", "last_name": "a\nb", "role": "member"},
		"no last name":   {"email": "grace@example.com", "first_name": "Grace", "role": "member"},
	} {
		f.ask(t, f.owner, http.MethodPost, members, body).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
		if _, both := body["last_name"]; both && body["first_name"] == " Grace " {
			f.invite(t, f.owner, body["email"].(string), body["role"].(string)).WantCode(t, http.StatusUnprocessableEntity, "validation_failed")
		}
		if n := f.count(t, `select count(*) from app.invitations`); n != 0 {
			t.Fatalf("%s: invited", name)
		}
	}
}

// TestTrapT19InvitingTellsNothing: the answer for an address is the same
// whether or not it has an account, and whichever.
func TestTrapT19InvitingTellsNothing(t *testing.T) {
	f := setup(t)
	known, closed := f.Person(t), f.Person(t)
	f.SQL(t, `update app.users set is_active = false, deleted_at = now() where user_id = $1`, closed.UserID)
	shape := func(r functest.Response, email string) string {
		text := strings.ReplaceAll(string(r.Body), email, "ADDRESS")
		var fields map[string]any
		r.Into(t, &fields)
		for _, name := range []string{"id", "expires_at", "created_at"} {
			if v, is := fields[name].(string); is {
				text = strings.ReplaceAll(text, v, name)
			}
		}
		return fmt.Sprint(r.Status, text)
	}
	for _, path := range []string{invitePath, members} {
		said := map[string]bool{}
		for _, email := range []string{known.Email, closed.Email, ids.New().String() + "@example.com"} {
			body := map[string]any{"email": email, "role": "member"}
			if path == members {
				body = named(email, "member")
			}
			said[shape(f.ask(t, f.owner, http.MethodPost, path, body).Want(t, http.StatusCreated), email)] = true
			f.SQL(t, `update app.invitations set revoked_at = now()`)
			f.SQL(t, `update app.memberships set left_at = now() where joined_at is null`)
		}
		if len(said) != 1 {
			t.Errorf("%s answers in %d ways: %v", path, len(said), said)
		}
	}
}

// TestTrapT11NobodyInvitesAbove: to a role that holds more than who invites.
func TestTrapT11NobodyInvitesAbove(t *testing.T) {
	f := setup(t)
	role := ids.New()
	f.SQL(t, `insert into app.roles (tenant_id, id, name, permissions) values ($1, $2, 'recruiter', '{members:read,members:write,projects:read}'),
		($1, $3, 'reader', '{projects:read}'), ($1, $4, 'writer', '{projects:read,projects:write}')`, f.owner.TenantID, role, ids.New(), ids.New())
	admin, recruiter, manager := f.Member(t, f.owner.TenantID, "admin"), f.Member(t, f.owner.TenantID, "recruiter"), f.Member(t, f.owner.TenantID, "manager")
	n := 0
	email := func() string { n++; return fmt.Sprintf("invited%d@example.com", n) }
	for _, c := range []struct {
		name   string
		by     functest.Person
		role   string
		status int
		code   string
	}{
		{"an owner's owner", f.owner, "owner", http.StatusCreated, ""},
		{"an admin's owner", admin, "owner", http.StatusForbidden, "permission_not_held"},
		{"an admin's admin", admin, "admin", http.StatusCreated, ""},
		{"a recruiter's reader", recruiter, "reader", http.StatusCreated, ""},
		{"a recruiter's recruiter", recruiter, "recruiter", http.StatusCreated, ""},
		{"a recruiter's writer", recruiter, "writer", http.StatusForbidden, "permission_not_held"},
		{"a recruiter's viewer", recruiter, "viewer", http.StatusForbidden, "permission_not_held"},
		{"a recruiter's admin", recruiter, "admin", http.StatusForbidden, "permission_not_held"},
		{"a manager's viewer", manager, "viewer", http.StatusForbidden, "permission_denied"},
	} {
		r := f.invite(t, c.by, email(), c.role)
		if r.Status != c.status {
			t.Errorf("%s: %d %s", c.name, r.Status, r.Body)
		} else if c.code != "" {
			r.WantCode(t, c.status, c.code)
		}
	}
	// One made by another may not be passed off as one's own, or withdrawn.
	high := f.invite(t, f.owner, email(), "admin").Want(t, http.StatusCreated).Header.Get("Location")
	f.ask(t, recruiter, http.MethodPost, high+"resend/", nil).WantCode(t, http.StatusForbidden, "permission_not_held")
	f.ask(t, recruiter, http.MethodDelete, high, nil).WantCode(t, http.StatusForbidden, "permission_not_held")
	// What counts is what they hold now, not what was remembered of them.
	f.SQL(t, `update app.memberships set role = 'viewer' where user_id = $1`, admin.UserID)
	f.invite(t, admin, email(), "viewer").WantCode(t, http.StatusForbidden, "permission_denied")
	f.ask(t, admin, http.MethodPost, high+"resend/", nil).WantCode(t, http.StatusForbidden, "permission_denied")
	f.ask(t, admin, http.MethodDelete, high, nil).WantCode(t, http.StatusForbidden, "permission_denied")
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, admin.UserID)
	f.invite(t, admin, email(), "viewer").WantCode(t, http.StatusForbidden, "not_a_member")
}

func TestInviteConflicts(t *testing.T) {
	f := setup(t)
	there, deactivated, left := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member")
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, deactivated.UserID)
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, left.UserID)
	for _, who := range []functest.Person{there, deactivated} {
		f.invite(t, f.owner, strings.ToUpper(who.Email), "viewer").WantCode(t, http.StatusConflict, "already_member")
		f.ask(t, f.owner, http.MethodPost, members, named(who.Email, "viewer")).WantCode(t, http.StatusConflict, "already_member")
	}
	first := f.invite(t, f.owner, left.Email, "viewer").Want(t, http.StatusCreated)
	f.invite(t, f.owner, left.Email, "viewer").WantCode(t, http.StatusConflict, "already_invited")
	f.ask(t, f.owner, http.MethodPost, members, named(left.Email, "viewer")).WantCode(t, http.StatusConflict, "already_invited")

	waiting := f.ask(t, f.owner, http.MethodPost, members, named("grace@example.com", "viewer")).Want(t, http.StatusCreated)
	f.ask(t, f.owner, http.MethodPost, members, named("grace@example.com", "viewer")).WantCode(t, http.StatusConflict, "already_invited")
	// One that expired gives way, and the membership that waited with it.
	f.SQL(t, `update app.invitations set expires_at = now()`)
	f.invite(t, f.owner, left.Email, "viewer").Want(t, http.StatusCreated)
	again := f.ask(t, f.owner, http.MethodPost, members, named("grace@example.com", "member")).Want(t, http.StatusCreated)
	f.ask(t, f.owner, http.MethodGet, first.Header.Get("Location"), nil).WantCode(t, http.StatusNotFound, "not_found")
	f.ask(t, f.owner, http.MethodGet, waiting.Header.Get("Location"), nil).WantCode(t, http.StatusNotFound, "not_found")
	f.ask(t, f.owner, http.MethodGet, again.Header.Get("Location"), nil).Want(t, http.StatusOK)
	if n := f.count(t, `select count(*) from app.invitations where revoked_at is null`); n != 2 {
		t.Errorf("%d open invitations", n)
	}
	// Another organization's invitations and members are nobody's business here.
	f.invite(t, f.Tenant(t), there.Email, "viewer").Want(t, http.StatusCreated)
}

func TestResend(t *testing.T) {
	f := setup(t)
	admin := f.Member(t, f.owner.TenantID, "admin")
	at := f.invite(t, f.owner, "grace@example.com", "viewer").Want(t, http.StatusCreated).Header.Get("Location")
	f.SQL(t, `update app.invitations set expires_at = now() - interval '1 day', sent_at = now() - interval '8 days', secret_hash = '\x00'`)
	if r := f.ask(t, f.owner, http.MethodGet, invitations+"?status=expired", nil).Want(t, http.StatusOK); r.String(t, "results.0.status") != "expired" {
		t.Errorf("listed %s", r.Body)
	}
	before := f.ask(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK)
	r := f.ask(t, admin, http.MethodPost, at+"resend/", nil).Want(t, http.StatusOK)
	expires, err := time.Parse(time.RFC3339, r.String(t, "expires_at"))
	if left := time.Until(expires); err != nil || left < 7*24*time.Hour-time.Minute || r.String(t, "status") != "pending" || r.String(t, "invited_by.id") != admin.UserID.String() {
		t.Errorf("sent again: %s", r.Body)
	}
	if r.Header.Get("ETag") == before.Header.Get("ETag") || len(f.Pending(t, "mail.invitation")) != 2 || f.count(t, `select count(*) from app.invitations where length(secret_hash) = 32`) != 1 {
		t.Errorf("%v, messages %v", r.Header, f.Pending(t, "mail.invitation"))
	}
	if n := f.count(t, `select count(*) from app.activity where model = 'Invitation' and action = 'resent' and user_id = $1`, admin.UserID); n != 1 {
		t.Errorf("%d activities", n)
	}
	f.SQL(t, `insert into app.memberships (tenant_id, user_id, email, joined_at) values ($1, $2, 'grace@example.com', now())`, f.owner.TenantID, ids.New())
	f.ask(t, admin, http.MethodPost, at+"resend/", nil).WantCode(t, http.StatusConflict, "already_member")
	for name, sql := range map[string]string{
		"accepted": `update app.invitations set accepted_at = now(), revoked_at = null`, "withdrawn": `update app.invitations set accepted_at = null, revoked_at = now()`,
	} {
		f.SQL(t, sql)
		for _, r := range []functest.Response{
			f.ask(t, f.owner, http.MethodPost, at+"resend/", nil), f.ask(t, f.owner, http.MethodDelete, at, nil), f.ask(t, f.owner, http.MethodGet, at, nil),
		} {
			if r.Status != http.StatusNotFound {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
	}
}

func TestWithdraw(t *testing.T) {
	f := setup(t)
	r := f.ask(t, f.owner, http.MethodPost, members, named("grace@example.com", "viewer")).Want(t, http.StatusCreated)
	list := f.ask(t, f.owner, http.MethodGet, invitations, nil)
	at := invitations + list.String(t, "results.0.id") + "/"
	tag := f.ask(t, f.owner, http.MethodGet, at, nil).Header.Get("ETag")
	f.ask(t, f.owner, http.MethodPost, at+"resend/", nil).Want(t, http.StatusOK)
	f.ask(t, f.owner, http.MethodDelete, at, nil, "If-Match", tag).WantCode(t, http.StatusPreconditionFailed, "precondition_failed")
	f.ask(t, f.owner, http.MethodDelete, at, nil, "X-Request-Id", "withdraw").Want(t, http.StatusNoContent)
	f.ask(t, f.owner, http.MethodDelete, at, nil).WantCode(t, http.StatusNotFound, "not_found")
	f.ask(t, f.owner, http.MethodGet, r.Header.Get("Location"), nil).WantCode(t, http.StatusNotFound, "not_found")
	if n := f.count(t, `select count(*) from app.activity where model = 'Invitation' and action = 'deleted' and request_id = 'withdraw' and changes->'email'->>'old' = 'grace@example.com'`); n != 1 {
		t.Errorf("%d activities", n)
	}
	f.invite(t, f.owner, "grace@example.com", "viewer").Want(t, http.StatusCreated)
}

// TestPlaces: the plan has so many, and none is given twice.
func TestPlaces(t *testing.T) {
	f := setup(t)
	for range 4 {
		f.Member(t, f.owner.TenantID, "viewer") // with the owner, half of the free plan's ten
	}
	deactivated := f.Member(t, f.owner.TenantID, "viewer")
	f.SQL(t, `update app.memberships set is_active = false where user_id = $1`, deactivated.UserID)
	var mu sync.Mutex
	said := map[int]int{}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			email := fmt.Sprintf("invited%d@example.com", i)
			r := f.invite(t, f.owner, email, "viewer")
			if i%2 == 0 {
				r = f.ask(t, f.owner, http.MethodPost, members, named("also-"+email, "viewer"))
			}
			mu.Lock()
			defer mu.Unlock()
			said[r.Status]++
		})
	}
	wg.Wait()
	if n := f.count(t, `select count(*) from app.invitations`); n != 5 || said[http.StatusCreated] > 5 || said[http.StatusPaymentRequired] == 0 {
		t.Fatalf("%d invitations: %v", n, said)
	}
	f.invite(t, f.owner, "one-more@example.com", "viewer").WantCode(t, http.StatusPaymentRequired, "plan_limit")
	again := members + deactivated.UserID.String() + "/"
	f.ask(t, f.owner, http.MethodPatch, again, map[string]any{"is_active": true}).WantCode(t, http.StatusPaymentRequired, "plan_limit")
	f.ask(t, f.owner, http.MethodPatch, again, map[string]any{"role": "member"}).Want(t, http.StatusOK)
	list := f.ask(t, f.owner, http.MethodGet, invitations, nil)
	first, second := invitations+list.String(t, "results.0.id")+"/", invitations+list.String(t, "results.1.id")+"/"
	// Sending again takes no second place; what expired or was withdrawn gives its place up.
	f.ask(t, f.owner, http.MethodPost, first+"resend/", nil).Want(t, http.StatusOK)
	f.SQL(t, `update app.invitations set expires_at = now() where id = $1`, list.String(t, "results.0.id"))
	f.invite(t, f.owner, "one-more@example.com", "viewer").Want(t, http.StatusCreated)
	f.ask(t, f.owner, http.MethodPost, first+"resend/", nil).WantCode(t, http.StatusPaymentRequired, "plan_limit")
	f.ask(t, f.owner, http.MethodDelete, second, nil).Want(t, http.StatusNoContent)
	f.ask(t, f.owner, http.MethodPost, first+"resend/", nil).Want(t, http.StatusOK)
	f.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, f.owner.TenantID)
	f.invite(t, f.owner, "unlimited@example.com", "viewer").Want(t, http.StatusCreated)
	f.ask(t, f.owner, http.MethodPatch, again, map[string]any{"is_active": true}).Want(t, http.StatusOK)
}

// TestTrapT18InvitationLimits: nobody is flooded, by one organization or many,
// and no organization floods.
func TestTrapT18InvitationLimits(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	e.Vars["INVITE_LIMIT_EMAIL_PER_DAY"], e.Vars["INVITE_LIMIT_FREE_PER_DAY"], e.Vars["INVITE_LIMIT_PER_DAY"] = "3", "5", "7"
	f := &fixture{e, e.Open(t, users.Open), e.Tenant(t)}
	for range 2 {
		f.invite(t, f.Tenant(t), "victim@example.com", "viewer").Want(t, http.StatusCreated)
	}
	at := f.invite(t, f.owner, "Victim@example.com", "viewer").Want(t, http.StatusCreated).Header.Get("Location")
	r := f.ask(t, f.owner, http.MethodPost, at+"resend/", nil).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.invite(t, f.Tenant(t), "victim@example.com", "viewer").WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	for i := range 4 {
		f.invite(t, f.owner, fmt.Sprintf("invited%d@example.com", i), "viewer").Want(t, http.StatusCreated)
	}
	f.invite(t, f.owner, "one-more@example.com", "viewer").WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	paid := f.Tenant(t)
	f.SQL(t, `update app.organizations set plan = 'pro' where tenant_id = $1`, paid.TenantID)
	for i := range 7 {
		f.invite(t, paid, fmt.Sprintf("others%d@example.com", i), "viewer").Want(t, http.StatusCreated)
	}
	f.invite(t, paid, "one-more@example.com", "viewer").WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	for _, name := range []string{"INVITE_LIMIT_EMAIL_PER_DAY", "INVITE_LIMIT_FREE_PER_DAY", "INVITE_LIMIT_PER_DAY"} {
		vars := maps.Clone(e.Vars)
		vars[name] = "0"
		if _, err := users.Open(t.Context(), config.Map(vars)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s = 0: %v", name, err)
		}
	}
	// Without Redis the process holds them.
	f.Redis.Close()
	for i := range 3 {
		f.ask(t, f.Tenant(t), http.MethodPost, members, named("other-victim@example.com", "viewer"), "X-Request-Id", fmt.Sprint(i)).Want(t, http.StatusCreated)
	}
	f.invite(t, f.Tenant(t), "other-victim@example.com", "viewer").WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
}

// TestRepeatsCostNothing: who repeats a request with its key is answered what the
// first one was, also when that took the last of a budget; another request of
// theirs is not.
func TestRepeatsCostNothing(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	for _, name := range []string{"INVITE_LIMIT_EMAIL_PER_DAY", "EMAIL_CHANGE_LIMIT_PER_HOUR", "EMAIL_CHANGE_LIMIT_EMAIL_PER_HOUR"} {
		e.Vars[name] = "1"
	}
	f := &fixture{e, e.Open(t, users.Open), e.Tenant(t)}
	f.equip(t, f.owner)
	sent := f.invite(t, f.owner, "sent@example.com", "viewer").Want(t, http.StatusCreated).Header.Get("Location")
	e.Redis.FlushAll()
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
	}{
		"invite":       {members + "invite/", body{"email": "invited@example.com", "role": "viewer"}, http.StatusCreated},
		"add":          {members, named("added@example.com", "viewer"), http.StatusCreated},
		"resend":       {sent + "resend/", nil, http.StatusOK},
		"change-email": {members + "me/email/", body{"email": "changed@example.com", "password": password}, http.StatusAccepted},
	} {
		ask := func(key string) functest.Response {
			return f.ask(t, f.owner, http.MethodPost, c.path, c.body, "Idempotency-Key", key)
		}
		first := ask("first-"+name).Want(t, c.status)
		for range 2 {
			again := ask("first-"+name).Want(t, c.status)
			if again.Header.Get("Idempotent-Replayed") != "true" || !bytes.Equal(again.Body, first.Body) {
				t.Errorf("%s: a repeat is answered %s instead of %s", name, again.Body, first.Body)
			}
		}
		ask("second-"+name).WantCode(t, http.StatusTooManyRequests, "too_many_attempts")
	}
}

// TestInviteOnce: a request that is repeated makes one invitation and one mail.
func TestInviteOnce(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	e.Vars["INVITE_LIMIT_EMAIL_PER_DAY"], e.Vars["INVITE_LIMIT_FREE_PER_DAY"] = "100", "200"
	f := &fixture{e, e.Open(t, users.Open), e.Tenant(t)}
	for path, body := range map[string]any{
		invitePath: map[string]any{"email": "grace@example.com", "role": "viewer"}, members: named("ada@example.com", "viewer"),
	} {
		var mu sync.Mutex
		bodies := map[string]bool{}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				r := f.ask(t, f.owner, http.MethodPost, path, body, "Idempotency-Key", "once")
				mu.Lock()
				defer mu.Unlock()
				if r.Status == http.StatusCreated {
					bodies[string(r.Body)] = true
				} else if r.Status != http.StatusConflict {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			})
		}
		wg.Wait()
		if len(bodies) != 1 {
			t.Errorf("%s: %d answers", path, len(bodies))
		}
	}
	if n := f.count(t, `select count(*) from app.invitations`); n != 2 || len(f.Pending(t, "mail.invitation")) != 2 {
		t.Errorf("%d invitations", n)
	}
}

func TestInvitationsPage(t *testing.T) {
	f := setup(t)
	f.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, f.owner.TenantID)
	want := map[string]bool{}
	for i := range 7 {
		want[f.invite(t, f.owner, fmt.Sprintf("invited%d@example.com", i), "viewer").Want(t, http.StatusCreated).String(t, "id")] = true
	}
	for _, order := range []string{"created_at", "-created_at", "updated_at", "-updated_at"} {
		seen := map[string]bool{}
		path := invitations + "?page_size=3&status=pending&ordering=" + order
		for path != "" {
			var p struct {
				Results []struct{ ID string }
				Next    *string
			}
			f.ask(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &p)
			for _, i := range p.Results {
				if seen[i.ID] || !want[i.ID] {
					t.Errorf("%s: %s came again, or is not ours", order, i.ID)
				}
				seen[i.ID] = true
			}
			path = ""
			if p.Next != nil {
				path = *p.Next
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%s: %d of %d", order, len(seen), len(want))
		}
	}
	f.ask(t, f.owner, http.MethodGet, invitations+"?status=accepted", nil).Want(t, http.StatusBadRequest)
}
