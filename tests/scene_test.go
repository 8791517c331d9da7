package tests

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/domain"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	maillink "github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/payment/paytest"
	"github.com/coditect/platform/shared/secrets"
	standin "github.com/coditect/platform/shared/standin/stripe"
	"github.com/coditect/platform/tests/platform"
)

// public lists every operation that a client can reach. The exercises of this
// package run over it, so that an operation cannot be added without them.
func public(t *testing.T) []api.Operation {
	t.Helper()
	var out []api.Operation
	for _, f := range all.Functions() {
		for _, op := range f.Operations {
			if op.Permission != identity.Internal {
				out = append(out, op)
			}
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d operations", len(out))
	}
	return out
}

// scene is one tenant with something of every kind in it, made behind the
// product's back.
type scene struct {
	*platform.Platform
	owner functest.Person
	was   map[ids.ID]standing
	// What paths name, by what their pattern begins with. The deleted ones are
	// for restore.
	project, deletedProject, task, deletedTask, comment, session, job, attachment, upload ids.ID
	// member is a colleague whose role gives nothing, role another such role that
	// nobody has: whoever may change either at all may change these.
	member, role ids.ID
	// invitation is to the member's role.
	invitation ids.ID
	// domain is verified and waiting is not, though its record is there.
	domain, waiting ids.ID
	method          string // a card, at Stripe too
}

func stage(t testing.TB, p *platform.Platform) *scene {
	t.Helper()
	platform.Stripe(t, p.Env)
	s := &scene{Platform: p, owner: p.Tenant(t)}
	// Of a plan without limits that the exercises could reach.
	s.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, s.owner.TenantID)
	s.objects(t, s.owner)
	return s
}

// objects makes the things of a scene anew, as somebody's own, who is again
// what they were: some operations end just that.
func (s *scene) objects(t testing.TB, of functest.Person) {
	t.Helper()
	s.reinstate(t, of)
	for _, id := range []*ids.ID{&s.project, &s.deletedProject, &s.task, &s.deletedTask, &s.comment, &s.session, &s.job, &s.attachment, &s.upload, &s.domain, &s.waiting} {
		*id = ids.New()
	}
	for _, id := range []ids.ID{s.project, s.deletedProject} {
		s.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, $3, $4, $4)`,
			of.TenantID, id, secretOf(of.TenantID), of.UserID)
	}
	for _, id := range []ids.ID{s.task, s.deletedTask} {
		s.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by) values ($1, $2, $3, $4, $5)`,
			of.TenantID, id, s.project, secretOf(of.TenantID), of.UserID)
	}
	s.SQL(t, `insert into app.comments (tenant_id, id, task_id, author_id, content) values ($1, $2, $3, $4, $5)`,
		of.TenantID, s.comment, s.task, of.UserID, secretOf(of.TenantID))
	s.SQL(t, `update app.projects set deleted_at = now(), deletion_id = $3 where tenant_id = $1 and id = $2`, of.TenantID, s.deletedProject, ids.New())
	s.SQL(t, `update app.tasks set deleted_at = now(), deletion_id = $3 where tenant_id = $1 and id = $2`, of.TenantID, s.deletedTask, ids.New())
	s.SQL(t, `insert into app.sessions (user_id, session_id, expires_at) values ($1, $2, now() + interval '1 day')`, of.UserID, s.session)
	s.SQL(t, `insert into app.activity (tenant_id, id, action, model, object_id, user_id, request_id) values ($1, $2, 'created', 'Task', $3, $4, $5)`,
		of.TenantID, ids.New(), s.task, of.UserID, secretOf(of.TenantID))
	// Earlier ones end: an organization exports itself once at a time, and a person has so many jobs.
	s.SQL(t, `update app.jobs set status = 'canceled', finished_at = now() where tenant_id = $1 and finished_at is null`, of.TenantID)
	s.SQL(t, `insert into app.jobs (tenant_id, id, kind, status, params, error, created_by) values ($1, $2, 'report', 'running', '{"format":"csv"}', $3, $4)`,
		of.TenantID, s.job, secretOf(of.TenantID), of.UserID)
	for id, verified := range map[ids.ID]bool{s.domain: true, s.waiting: false} {
		s.bring(t, of, id, verified)
	}
	for id, status := range map[ids.ID]string{s.attachment: "ready", s.upload: "pending"} {
		s.attach(t, of, id, status)
	}
	s.method = s.card(t)
	s.colleague(t)
	s.invitation, _ = s.invited(t, of.UserID, ids.New().String()+"@example.com")
}

// invited makes an invitation to the role that gives nothing, and gives the
// token of its link.
func (s *scene) invited(t testing.TB, by ids.ID, email string) (ids.ID, string) {
	t.Helper()
	s.room(t)
	token := maillink.New(s.ring(t), time.Now(), identity.InvitationToken, s.owner.TenantID, ids.New())
	s.SQL(t, `insert into app.invitations (tenant_id, id, email, role, custom_role_id, member_id, secret_hash, invited_by, expires_at, first_name)
		select $1, $2, $3, 'custom', r.id, $4, $5, $6, now() + interval '7 days', $7 from app.roles r where r.tenant_id = $1 and r.name = 'nothing'`,
		s.owner.TenantID, token.ID, email, ids.New(), token.Hash(), by, secretOf(s.owner.TenantID))
	return token.ID, token.Reveal()
}

// room makes the plan one that has it for everybody who comes.
func (s *scene) room(t testing.TB) {
	t.Helper()
	s.SQL(t, `update app.organizations set plan = 'enterprise' where tenant_id = $1`, s.owner.TenantID)
}

// spare is the name of the role that nobody has.
func (s *scene) spare() string { return "spare: " + secretOf(s.owner.TenantID) }

// colleague makes the member and the role of the scene as they are to be.
func (s *scene) colleague(t testing.TB) {
	t.Helper()
	tenant := s.owner.TenantID
	if s.member == ids.Nil {
		s.role = ids.New()
		s.SQL(t, `insert into app.roles (tenant_id, id, name) values ($1, $2, 'nothing')`, tenant, ids.New())
		s.member = s.Member(t, tenant, "nothing").UserID
	}
	s.SQL(t, `insert into app.roles (tenant_id, id, name) values ($1, $2, $3)
		on conflict (tenant_id, id) do update set name = excluded.name, permissions = '{}'`, tenant, s.role, s.spare())
	s.SQL(t, `update app.memberships m set role = 'custom', custom_role_id = r.id, is_active = true, left_at = null, first_name = $3
		from app.roles r where r.tenant_id = $1 and r.name = 'nothing' and m.tenant_id = $1 and m.user_id = $2`, tenant, s.member, secretOf(tenant))
	s.SQL(t, `update app.user_tenants set left_at = null where user_id = $1 and tenant_id = $2`, s.member, tenant)
	s.SQL(t, `insert into app.sessions (user_id, session_id, tenant_id, expires_at) values ($1, $2, $3, now() + interval '1 day')`, s.member, ids.New(), tenant)
	s.SQL(t, `delete from app.roles where tenant_id = $1 and name like 'made %'`, tenant)
}

// bring gives the tenant a domain whose record is in the zone. Earlier ones go:
// there may be so many.
func (s *scene) bring(t testing.TB, of functest.Person, id ids.ID, verified bool) {
	t.Helper()
	s.SQL(t, `delete from app.tenant_hosts where tenant_id = $1 and (verified_at is not null) = $2`, of.TenantID, verified)
	name, token := id.String()+".example.com", secretOf(of.TenantID)
	s.SQL(t, `insert into app.tenant_hosts (tenant_id, id, domain, verification_token, verified_at, is_primary) values ($1, $2, $3, $4, case when $5 then now() end, $5)`,
		of.TenantID, id, name, token, verified)
	if verified {
		s.SQL(t, `insert into app.host_claims (host, kind, tenant_id) values ($1, 'domain', $2)`, name, of.TenantID)
	}
	at, value := domain.Record(name, token)
	s.DNS.SetTXT(at, value)
}

// standing is what somebody is in the scene's tenant.
type standing struct {
	role   string
	custom *ids.ID
}

// reinstate undoes what an operation did to the tenant and to somebody in it.
func (s *scene) reinstate(t testing.TB, of functest.Person) {
	t.Helper()
	if s.was == nil {
		s.was = map[ids.ID]standing{}
	}
	was, known := s.was[of.UserID]
	if !known {
		s.Scan(t, `select role, custom_role_id from app.memberships where tenant_id = $1 and user_id = $2`, []any{of.TenantID, of.UserID}, &was.role, &was.custom)
		s.was[of.UserID] = was
		return
	}
	s.SQL(t, `update app.memberships set role = $3, custom_role_id = $4, is_active = true, left_at = null where tenant_id = $1 and user_id = $2`,
		of.TenantID, of.UserID, was.role, was.custom)
	s.SQL(t, `update app.user_tenants set left_at = null where user_id = $1 and tenant_id = $2`, of.UserID, of.TenantID)
	s.SQL(t, `update app.organizations set status = 'active', deleted_at = null, deleted_by = null, erase_after = null
		where tenant_id = $1 and erase_after is not null`, of.TenantID)
}

// signIn gives the owner a session that nothing has ended.
func (s *scene) signIn(t testing.TB) {
	t.Helper()
	s.owner.SessionID = ids.New()
	s.SQL(t, `insert into app.sessions (user_id, session_id, expires_at) values ($1, $2, now() + interval '1 day')`, s.owner.UserID, s.owner.SessionID)
	s.owner.Token = s.Token(t, s.owner.Principal)
}

// secretOf is a text that only a tenant's own rows hold.
func secretOf(tenant ids.ID) string { return "secret of " + tenant.String() }

// request is one that succeeds for the scene's owner.
func (s *scene) request(t testing.TB, op api.Operation) functest.Request {
	t.Helper()
	in := functest.Request{Method: op.Method, Path: s.path(t, op), Token: s.owner.Token}
	if op.RequestExample != nil {
		in.Body = op.RequestExample
	}
	if op.Method == http.MethodPatch {
		in.Header = map[string]string{"Content-Type": "application/merge-patch+json"}
	}
	in.Internal = op.Permission == identity.Internal
	switch op.ID {
	case "register":
		in.Body = registration(ids.New().String() + "@example.com")
	case "login":
		email := ids.New().String() + "@example.com"
		s.register(t, email).Want(t, http.StatusCreated)
		in.Body = map[string]any{"email": email, "password": password}
	case "refresh":
		made := s.register(t, ids.New().String()+"@example.com").Want(t, http.StatusCreated)
		in.Body = map[string]any{"refresh_token": made.String(t, "refresh_token")}
	case "logout":
		in.Body = map[string]any{}
	case "verify-email":
		in.Body = map[string]any{"token": s.mailed(t, s.newcomer(t), identity.EmailToken, "verify_email")}
	case "request-password-reset":
		in.Body = map[string]any{"email": s.newcomer(t)}
	case "confirm-password-reset":
		email := s.newcomer(t)
		s.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/password-reset/", Body: map[string]any{"email": email}}).Want(t, http.StatusAccepted)
		in.Body = map[string]any{"token": s.mailed(t, email, identity.PasswordToken, "password_reset"), "password": password + " 2"}
	case "unsubscribe":
		ring, err := secrets.ParseRing([]byte(s.Vars["ENVELOPE_KEYS"]))
		if err != nil {
			t.Fatal(err)
		}
		s.SQL(t, `update app.profiles set digest_enabled = true where user_id = $1`, s.owner.UserID)
		in.Path += "?token=" + maillink.Unsubscribe(ring, time.Now(), s.owner.UserID, s.owner.TenantID).Reveal()
	case "change-password":
		s.equip(t)
		in.Body = map[string]any{"current_password": password, "new_password": password + " 2"}
	case "switch-tenant":
		s.signIn(t) // only a session that lives can go on
		in.Token = s.owner.Token
		in.Body = map[string]any{"tenant_id": s.owner.TenantID}
	case "change-email":
		s.equip(t)
		in.Body = map[string]any{"email": ids.New().String() + "@example.com", "password": password}
	case "confirm-email-change":
		token := maillink.New(s.ring(t), time.Now(), identity.EmailToken, s.owner.UserID, ids.New())
		s.SQL(t, `insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at) values ($1, $2, 'change_email', $3, $4, now() + interval '1 hour')`,
			s.owner.UserID, token.ID, token.Hash(), token.ID.String()+"@example.com")
		in.Body = map[string]any{"token": token.Reveal()}
	case "create-member":
		s.room(t)
		in.Body = map[string]any{"email": ids.New().String() + "@example.com", "first_name": "Grace", "last_name": "Hopper", "role": "nothing"}
	case "invite":
		s.room(t)
		in.Body = map[string]any{"email": ids.New().String() + "@example.com", "role": "nothing"}
	case "accept-invitation":
		_, token := s.invited(t, s.owner.UserID, ids.New().String()+"@example.com")
		in.Token, in.Body = "", map[string]any{"token": token, "password": password, "first_name": "Grace", "last_name": "Hopper"}
	case "delete-me":
		going := s.Member(t, s.owner.TenantID, identity.RoleMember) // the owner may not
		in.Token, in.Body = going.Token, map[string]any{"confirm": going.Email}
	case "create-domain":
		in.Body = map[string]any{"domain": ids.New().String() + ".example.com"}
	case "update-domain":
		in.Body = map[string]any{"is_primary": false}
	case "assign-task":
		in.Body = map[string]any{"user_id": s.owner.UserID}
	case "update-member":
		in.Body = map[string]any{"role": s.spare()}
	case "create-role", "replace-role": // nobody gives what they do not hold
		in.Body = map[string]any{"name": "made " + ids.New().String(), "permissions": []string{}}
	case "transfer-tenant":
		in.Body = map[string]any{"user_id": s.Member(t, s.owner.TenantID, "admin").UserID}
	case "leave-tenant":
		s.Member(t, s.owner.TenantID, "owner") // the last one may not
	case "delete-tenant":
		var subdomain string
		s.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{s.owner.TenantID}, &subdomain)
		in.Body = map[string]any{"confirm": subdomain}
	case "subscribe", "add-payment-method":
		s.pays(t, "nothing")
		if op.ID == "subscribe" {
			in.Body = map[string]any{"plan": "pro", "interval": "month", "payment_method_id": "pm_card_visa"}
		} else {
			in.Body = map[string]any{"payment_method_id": "pm_card_visa"}
		}
	case "receive-stripe-event":
		body := fmt.Sprintf(`{"id":"evt_%s","type":"invoice.payment_succeeded","created":1800000000,"data":{"object":{"object":"invoice","customer":%q}}}`, ids.New(), s.customer(t))
		in.Body, in.Header = body, map[string]string{"Stripe-Signature": standin.Sign([]byte(body), paytest.WebhookSecret, time.Now())}
	case "change-plan", "cancel-subscription":
		s.pays(t, "pro")
	case "resume-subscription":
		s.pays(t, "canceling")
	case "create-tenant":
		in.Body = map[string]any{"name": "Acme", "subdomain": "acme-" + strings.ReplaceAll(ids.New().String(), "-", "")}
	}
	return in
}

const password = "correct horse battery"

func registration(email string) map[string]any {
	return map[string]any{
		"email": email, "password": password, "first_name": "Ada", "last_name": "Lovelace",
		"subdomain": "r" + strings.ReplaceAll(ids.New().String(), "-", ""),
	}
}

func (s *scene) register(t testing.TB, email string) functest.Response {
	t.Helper()
	return s.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/register/", Body: registration(email)})
}

// path fills an operation's pattern with the scene's objects. A pattern that
// it does not know fails the test: a new kind of object belongs into objects.
func (s *scene) path(t testing.TB, op api.Operation) string {
	t.Helper()
	if !strings.Contains(op.Path, "{") {
		return op.Path
	}
	var id ids.ID
	switch {
	case strings.HasPrefix(op.Path, "/api/v1/projects/{id}/restore/"):
		id = s.deletedProject
	case strings.HasPrefix(op.Path, "/api/v1/projects/{id}/"):
		id = s.project
	case strings.HasPrefix(op.Path, "/api/v1/tasks/{id}/restore/"):
		id = s.deletedTask
	case strings.HasPrefix(op.Path, "/api/v1/tasks/{id}/"):
		id = s.task
	case strings.HasPrefix(op.Path, "/api/v1/comments/{id}/"):
		id = s.comment
	case strings.HasPrefix(op.Path, "/api/v1/jobs/{id}/"):
		id = s.job
	case strings.HasPrefix(op.Path, "/api/v1/attachments/{id}/complete/"):
		id = s.upload
	case strings.HasPrefix(op.Path, "/api/v1/attachments/{id}/"):
		id = s.attachment
	case strings.HasPrefix(op.Path, "/api/v1/users/invitations/{id}/"):
		id = s.invitation
	case strings.HasPrefix(op.Path, "/api/v1/users/{id}/"):
		id = s.member
	case strings.HasPrefix(op.Path, "/api/v1/roles/{id}/"):
		id = s.role
	case strings.HasPrefix(op.Path, "/api/v1/tenants/me/domains/{id}/verify/"):
		id = s.waiting
	case strings.HasPrefix(op.Path, "/api/v1/tenants/me/domains/{id}/"):
		id = s.domain
	case strings.HasPrefix(op.Path, "/api/v1/auth/sessions/{id}/"):
		id = s.session
	case strings.HasPrefix(op.Path, "/api/v1/billing/payment-method/{id}/"):
		return strings.ReplaceAll(op.Path, "{id}", s.method)
	case strings.HasPrefix(op.Path, "/internal/sessions/{user_id}/{session_id}/"):
		return strings.NewReplacer("{user_id}", s.owner.UserID.String(), "{session_id}", s.owner.SessionID.String()).Replace(op.Path)
	case strings.HasPrefix(op.Path, "/internal/hosts/{host}/"):
		// The name as it is now, and routing: operations before may have changed it, or deleted the tenant.
		var host string
		s.Scan(t, `select subdomain from app.organizations where tenant_id = $1`, []any{s.owner.TenantID}, &host)
		s.SQL(t, `update app.host_claims set held_until = null where host = $1`, host)
		return strings.ReplaceAll(op.Path, "{host}", host)
	case strings.HasPrefix(op.Path, "/internal/limits/{id}/"):
		id = s.owner.TenantID
	default:
		t.Fatalf("the scene has nothing for %s", op.Path)
	}
	return strings.ReplaceAll(op.Path, "{id}", id.String())
}

// named names a subtest.
func named(op api.Operation) string { return fmt.Sprintf("%s %s", op.Method, op.ID) }

// tenantBound reports whether an operation acts inside an organization.
func tenantBound(op api.Operation) bool {
	return !op.Public && op.Permission != identity.SignedIn && op.Permission != identity.Internal
}
