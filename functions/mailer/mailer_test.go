package mailer

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/mailbox"
)

type fixture struct {
	*functest.Env
	handler http.Handler
	box     *mailbox.Box
	owner   functest.Person
	ring    *secrets.Ring
}

func setup(t *testing.T, opts ...mailbox.Option) *fixture {
	t.Helper()
	t.Parallel()
	e := functest.New(t)
	box, err := mailbox.Open("127.0.0.1:0", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	e.Vars["MAIL_URL"], e.Vars["MAIL_FROM"] = box.URL(), "Coditect <hello@coditect.example>"
	e.Vars["DEPLOYMENT_ENVIRONMENT"], e.Vars["APP_URL"] = "local", "https://app.example.com"
	ring, err := secrets.ParseRing([]byte(e.Vars["ENVELOPE_KEYS"]))
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{e, e.Open(t, Open), box, e.Tenant(t), ring}
}

// mail delivers a message and gives what arrived for an address.
func (f *fixture) mail(t *testing.T, tenant, user ids.ID, m outbox.Message, to string) []mailbox.Message {
	t.Helper()
	f.Deliver(t, f.handler, "mailer", f.Enqueue(t, tenant, user, m), 1).Want(t, http.StatusOK)
	return f.box.Messages(to)
}

func (f *fixture) state(t *testing.T, table string, id ids.ID) (done, dead bool, reason string) {
	t.Helper()
	f.Scan(t, `select done_at is not null, dead_at is not null, coalesce(last_error, '') from app.`+table+` where id = $1`, []any{id}, &done, &dead, &reason)
	return done, dead, reason
}

// token makes a row of a link and gives its message.
func (f *fixture) token(t *testing.T, user ids.ID, table, email string, kind identity.Kind) (ids.ID, string) {
	t.Helper()
	id := ids.New()
	made := link.New(f.ring, time.Now(), kind, user, id)
	f.SQL(t, `insert into app.email_tokens (user_id, id, kind, secret_hash, email, expires_at) values ($1, $2, $3, $4, $5, now() + interval '1 day')`,
		user, id, table, made.Hash(), email)
	return id, made.Reveal()
}

var href = regexp.MustCompile(`href="([^"]+)"`)

// Each link leads to its page with the token whose hash the row has; used,
// voided and expired ones are not sent.
func TestLinks(t *testing.T) {
	f := setup(t)
	for name, c := range map[string]struct {
		table, page string
		kind        identity.Kind
		message     func(queue.EmailToken) outbox.Message
	}{
		"verification": {"verify_email", "/verify-email", identity.EmailToken, func(p queue.EmailToken) outbox.Message { return queue.MailVerification.Message("", p) }},
		"reset":        {"password_reset", "/reset-password", identity.PasswordToken, func(p queue.EmailToken) outbox.Message { return queue.MailPasswordReset.Message("", p) }},
		"change":       {"change_email", "/confirm-email", identity.EmailToken, func(p queue.EmailToken) outbox.Message { return queue.MailEmailChange.Message("", p) }},
	} {
		t.Run(name, func(t *testing.T) {
			who := f.Person(t)
			f.SQL(t, `update app.profiles set timezone = 'Asia/Tokyo' where user_id = $1`, who.UserID)
			to := name + "@example.com"
			id, secret := f.token(t, who.UserID, c.table, to, c.kind)
			got := f.mail(t, ids.Nil, who.UserID, c.message(queue.EmailToken{UserID: who.UserID, EmailTokenID: id}), to)
			if len(got) != 1 {
				t.Fatalf("%d mails", len(got))
			}
			want := "https://app.example.com" + c.page + "?token=" + secret
			if links := href.FindStringSubmatch(got[0].HTML); links == nil || strings.ReplaceAll(links[1], "&#43;", "+") != want || !strings.Contains(got[0].Text, want) {
				t.Errorf("leads to %v, want %s\n%s", links, want, got[0].Text)
			}
			if !strings.Contains(got[0].Text, "JST") {
				t.Errorf("the time is not the reader's own:\n%s", got[0].Text)
			}
			for column, how := range map[string]string{"used_at": "now()", "voided_at": "now()", "expires_at": "now() - interval '1 second'"} {
				id, _ := f.token(t, who.UserID, c.table, column+to, c.kind)
				f.SQL(t, `update app.email_tokens set `+column+` = `+how+` where id = $1`, id)
				m := c.message(queue.EmailToken{UserID: who.UserID, EmailTokenID: id})
				if got := f.mail(t, ids.Nil, who.UserID, m, column+to); len(got) != 0 {
					t.Errorf("%s: sent all the same", column)
				}
				if done, _, _ := f.state(t, "user_outbox", m.ID); !done {
					t.Errorf("%s: not recorded as done", column)
				}
			}
		})
	}
}

const evil = `<script>alert(1)</script>` + "\r\nBcc: all@example.com"

func TestInvitation(t *testing.T) {
	f := setup(t)
	f.SQL(t, `update app.organizations set name = $2 where tenant_id = $1`, f.owner.TenantID, `Ünïted & <b>Co</b>`)
	invite := func(email, first string) (ids.ID, string) {
		id := ids.New()
		made := link.New(f.ring, time.Now(), identity.InvitationToken, f.owner.TenantID, id)
		f.SQL(t, `insert into app.invitations (tenant_id, id, email, first_name, role, secret_hash, invited_by, expires_at) values ($1, $2, $3, $4, 'admin', $5, $6, now() + interval '7 days')`,
			f.owner.TenantID, id, email, first, made.Hash(), f.owner.UserID)
		return id, made.Reveal()
	}
	id, secret := invite("ada@example.com", evil[:40])
	got := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailInvitation.Message("", queue.Invitation{InvitationID: id}), "ada@example.com")
	if len(got) != 1 || got[0].Subject != "Test User invites you to Ünïted & <b>Co</b>" && !strings.HasSuffix(got[0].Subject, "invites you to Ünïted & <b>Co</b>") {
		t.Fatalf("%d mails: %+v", len(got), got)
	}
	if m := got[0]; strings.Contains(m.HTML, "<script") || strings.Contains(m.HTML, "<b>Co") || !strings.Contains(m.HTML, "&lt;b&gt;Co") || !strings.Contains(m.Text, "accept-invitation?token="+secret) || strings.Contains(strings.ToLower(m.Raw), "\nbcc:") {
		t.Errorf("not safe:\n%s\n%s", m.HTML, m.Text)
	}
	var sent int
	f.Scan(t, `select sent_count from app.invitations where id = $1`, []any{id}, &sent)
	if sent != 1 {
		t.Errorf("noted as sent %d times", sent)
	}
	revoked, _ := invite("bob@example.com", "Bob")
	f.SQL(t, `update app.invitations set revoked_at = now() where id = $1`, revoked)
	if got := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailInvitation.Message("", queue.Invitation{InvitationID: revoked}), "bob@example.com"); len(got) != 0 {
		t.Error("a revoked invitation was sent")
	}
	// A hash that no key of ours made: a dead letter, not a wrong link.
	id, _ = invite("eve@example.com", "Eve")
	f.SQL(t, `update app.invitations set secret_hash = '\x00' where id = $1`, id)
	m := queue.MailInvitation.Message("", queue.Invitation{InvitationID: id})
	f.mail(t, f.owner.TenantID, ids.Nil, m, "")
	if _, dead, _ := f.state(t, "outbox", m.ID); !dead {
		t.Error("not a dead letter")
	}
}

func (f *fixture) task(t *testing.T, title string, assignee ids.ID, due string) ids.ID {
	t.Helper()
	project, id := ids.New(), ids.New()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by) values ($1, $2, 'Apollo', $3, $3)`, f.owner.TenantID, project, f.owner.UserID)
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, assignee_id, due_date, created_by) values ($1, $2, $3, $4, $5, nullif($6, '')::date, $7)`,
		f.owner.TenantID, id, project, title, assignee, due, f.owner.UserID)
	return id
}

func TestTaskAssigned(t *testing.T) {
	f := setup(t)
	ann := f.Member(t, f.owner.TenantID, "member")
	id := f.task(t, evil, ann.UserID, "2027-03-01")
	of := func(who functest.Person) outbox.Message {
		return queue.MailTaskAssigned.Message("", queue.Assignment{TaskID: id, UserID: who.UserID})
	}
	got := f.mail(t, f.owner.TenantID, ids.Nil, of(ann), ann.Email)
	if len(got) != 1 || !strings.Contains(got[0].Text, "Mon, 1 Mar 2027") || !strings.Contains(got[0].Text, "Apollo") || strings.Contains(got[0].HTML, "<script") || strings.ContainsAny(got[0].Subject, "\r\n") {
		t.Fatalf("%+v", got)
	}
	if got := f.mail(t, f.owner.TenantID, ids.Nil, of(f.owner), f.owner.Email); len(got) != 0 {
		t.Error("sent to one who does not hold the task")
	}
	f.SQL(t, `update app.memberships set is_active = false, left_at = now() where user_id = $1`, ann.UserID)
	if got := f.mail(t, f.owner.TenantID, ids.Nil, of(ann), ann.Email); len(got) != 1 {
		t.Error("sent to one who has left")
	}
}

func TestDigest(t *testing.T) {
	f := setup(t)
	ann := f.Member(t, f.owner.TenantID, "member")
	today := "2027-03-02"
	of := func() outbox.Message {
		return queue.MailDigest.Message("", queue.Digest{UserID: ann.UserID, Date: today})
	}
	if got := f.mail(t, f.owner.TenantID, ids.Nil, of(), ann.Email); len(got) != 0 {
		t.Error("a summary of nothing")
	}
	f.task(t, "Late", ann.UserID, "2027-03-01")
	f.task(t, "Today", ann.UserID, today)
	f.task(t, "Tomorrow", ann.UserID, "2027-03-03")
	f.task(t, "Somebody else's", f.owner.UserID, today)
	got := f.mail(t, f.owner.TenantID, ids.Nil, of(), ann.Email)
	if len(got) != 1 || !strings.Contains(got[0].Text, "Late · Apollo (since Mon, 1 Mar 2027)") || !strings.Contains(got[0].Text, "Today · Apollo (today)") ||
		strings.Contains(got[0].Text, "Tomorrow") || strings.Contains(got[0].Text, "Somebody") || !strings.Contains(got[0].Subject, "2 due") {
		t.Fatalf("%+v", got)
	}
	for _, header := range []string{"List-Unsubscribe: <https://app.example.com/api/v1/users/unsubscribe/?token=", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"} {
		if !strings.Contains(strings.ReplaceAll(got[0].Raw, "\r\n ", " "), header) {
			t.Errorf("no header %s in\n%s", header, got[0].Raw)
		}
	}
	f.SQL(t, `update app.profiles set digest_enabled = false where user_id = $1`, ann.UserID)
	if got := f.mail(t, f.owner.TenantID, ids.Nil, of(), ann.Email); len(got) != 1 {
		t.Error("sent although switched off")
	}
}

func TestMoney(t *testing.T) {
	f := setup(t)
	second := f.Member(t, f.owner.TenantID, "owner")
	f.SQL(t, `update app.profiles set timezone = 'Pacific/Kiritimati' where user_id = $1`, second.UserID)
	id := ids.New()
	f.SQL(t, `insert into app.invoices (tenant_id, id, stripe_invoice_id, number, status, currency, amount_due, amount_paid) values ($1, $2, 'in_1', 'A-7', 'open', 'usd', 2905, 0)`, f.owner.TenantID, id)
	f.mail(t, f.owner.TenantID, ids.Nil, queue.MailPaymentSucceeded.Message("", queue.Invoice{InvoiceID: id}), "")
	if got := f.box.Messages(""); len(got) != 0 {
		t.Error("a receipt for what is not paid")
	}
	f.mail(t, f.owner.TenantID, ids.Nil, queue.MailPaymentFailed.Message("", queue.Invoice{InvoiceID: id}), "")
	for _, who := range []functest.Person{f.owner, second} {
		if got := f.box.Messages(who.Email); len(got) != 1 || !strings.Contains(got[0].Text, "29.05 USD") {
			t.Errorf("%s got %+v", who.Email, got)
		}
	}
	f.SQL(t, `update app.invoices set status = 'paid', amount_paid = 2905, hosted_url = 'https://pay.example.com/1' where id = $1`, id)
	got := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailPaymentSucceeded.Message("", queue.Invoice{InvoiceID: id}), second.Email)
	if len(got) != 2 || !strings.Contains(got[0].Text+got[1].Text, "https://pay.example.com/1") {
		t.Errorf("the receipt: %+v", got)
	}
	f.SQL(t, `insert into app.subscriptions (tenant_id, stripe_customer_id, plan, status, current_period_end) values ($1, 'cus_1', 'pro', 'active', '2030-01-31T12:00:00Z')`, f.owner.TenantID)
	got = f.mail(t, f.owner.TenantID, ids.Nil, queue.MailSubscriptionCanceled.Message("", queue.None{}), f.owner.Email)
	if len(got) != 3 || !strings.Contains(got[0].Text+got[2].Text, "Thursday, 31 January 2030 at 12:00 UTC") {
		t.Errorf("the cancellation: %+v", got)
	}
	// Each where they are.
	if got := f.box.Messages(second.Email); len(got) != 3 || !strings.Contains(got[0].Text+got[2].Text, "Friday, 1 February 2030 at 02:00 +14") {
		t.Errorf("the cancellation, at the other side of the date line: %+v", got)
	}
	for n, want := range map[int64]string{0: "0.00 EUR", 5: "0.05 EUR", -1234: "-12.34 EUR", 100000000: "1000000.00 EUR"} {
		if got := amount(n, "eur"); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

// Owners are told how much is used, unless the plan is another by now.
func TestUsageWarnings(t *testing.T) {
	f := setup(t)
	second := f.Member(t, f.owner.TenantID, "owner")
	warn := func(metric string, threshold int, quantity, allowed int64) []mailbox.Message {
		t.Helper()
		f.SQL(t, `insert into app.usage_warnings (tenant_id, metric, period, threshold, plan, quantity, allowed) values ($1, $2, '2026-11-01', $3, 'free', $4, $5)`,
			f.owner.TenantID, metric, threshold, quantity, allowed)
		return f.mail(t, f.owner.TenantID, ids.Nil, queue.MailUsageWarning.Message("", queue.UsageWarning{Metric: metric, Period: "2026-11-01", Threshold: threshold}), second.Email)
	}
	got := warn("api_requests", 80, 80_123, 100_000)
	if len(got) != 1 || !strings.Contains(got[0].Subject, "has used 80 % of its API requests of November 2026") {
		t.Fatalf("%+v", got)
	}
	for _, body := range []string{got[0].Text, got[0].HTML} {
		if !strings.Contains(body, "80,123") || !strings.Contains(body, "100,000") || !strings.Contains(body, "https://app.example.com/billing") {
			t.Errorf("%s", body)
		}
	}
	if n := len(f.box.Messages(f.owner.Email)); n != 1 {
		t.Errorf("the other owner has %d", n)
	}
	got = warn("storage_gb", 100, 1<<30+1<<27, 1<<30)
	if len(got) != 2 || !strings.Contains(got[0].Text+got[1].Text, "1.13 GB") || !strings.Contains(got[0].Subject+got[1].Subject, "has used up its storage") {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got[0].Text+got[1].Text, "refused") {
		t.Errorf("storage does not refuse requests: %+v", got)
	}
	got = warn("api_requests", 100, 100_000, 100_000)
	if len(got) != 3 || !strings.Contains(got[0].Text+got[1].Text+got[2].Text, "refused until 1 December 2026, 00:00 UTC") {
		t.Errorf("%+v", got)
	}
	f.SQL(t, `update app.organizations set plan = 'pro' where tenant_id = $1`, f.owner.TenantID)
	f.SQL(t, `delete from app.usage_warnings where tenant_id = $1 and metric = 'api_requests' and threshold = 100`, f.owner.TenantID)
	if got := warn("api_requests", 100, 100_000, 100_000); len(got) != 3 {
		t.Errorf("told of a plan that is no more: %+v", got)
	}
	if got := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailUsageWarning.Message("", queue.UsageWarning{Metric: "api_requests", Period: "2020-01-01", Threshold: 50}), second.Email); len(got) != 3 {
		t.Errorf("told of what never was: %+v", got)
	}
	// On a plan that is metered nothing is refused.
	f.SQL(t, `update app.usage_warnings set plan = 'pro' where tenant_id = $1`, f.owner.TenantID)
	paid := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailUsageWarning.Message("", queue.UsageWarning{Metric: "api_requests", Period: "2026-11-01", Threshold: 100}), second.Email)
	if len(paid) != 4 || strings.Count(paid[0].Text+paid[1].Text+paid[2].Text+paid[3].Text, "refused until") != 1 {
		t.Errorf("%+v", paid)
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestExportReady(t *testing.T) {
	f := setup(t)
	put := func(status string) ids.ID {
		id := ids.New()
		f.SQL(t, `insert into app.jobs (tenant_id, id, kind, status, progress, params, result, created_by, finished_at, expires_at)
			values ($1, $2, 'export', $3, 100, '{"format":"json"}', case when $3 = 'succeeded' then
			'{"object_key":"k","filename":"export.zip","content_type":"application/zip","bytes":1234567,"rows":3}'::jsonb end, $4, now(), now() + interval '7 days')`,
			f.owner.TenantID, id, status, f.owner.UserID)
		return id
	}
	f.SQL(t, `update app.profiles set timezone = 'Asia/Tokyo' where user_id = $1`, f.owner.UserID)
	if got := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailExportReady.Message("", queue.Job{JobID: put("canceled")}), ""); len(got) != 0 {
		t.Error("told of an export without a file")
	}
	got := f.mail(t, f.owner.TenantID, ids.Nil, queue.MailExportReady.Message("", queue.Job{JobID: put("succeeded")}), f.owner.Email)
	if len(got) != 1 || !strings.Contains(got[0].Text, "export.zip") || !strings.Contains(got[0].Text, "1.2 MB") || !strings.Contains(got[0].Text, "JST") {
		t.Errorf("%+v", got)
	}
}

// What the server says decides; nothing is sent twice, or too often.
func TestServer(t *testing.T) {
	f := setup(t)
	verify := func(to string) (outbox.Message, functest.Person) {
		who := f.Person(t)
		id, _ := f.token(t, who.UserID, "verify_email", to, identity.EmailToken)
		return queue.MailVerification.Message("", queue.EmailToken{UserID: who.UserID, EmailTokenID: id}), who
	}
	for _, fault := range []mailbox.Fault{mailbox.Down, mailbox.Temporary} {
		f.box.Misbehave(fault, "")
		m, who := verify(string(fault) + "@example.com")
		env := f.Enqueue(t, ids.Nil, who.UserID, m)
		f.Deliver(t, f.handler, "mailer", env, 1).Want(t, http.StatusOK)
		if done, dead, reason := f.state(t, "user_outbox", m.ID); done || dead || reason == "" {
			t.Errorf("%s: done %v, dead %v, %q", fault, done, dead, reason)
		}
		f.box.Misbehave(mailbox.Healthy, "")
		f.Deliver(t, f.handler, "mailer", env, 1).Want(t, http.StatusOK)
		f.Deliver(t, f.handler, "mailer", env, 1).Want(t, http.StatusOK)
		if got := f.box.Messages(string(fault) + "@example.com"); len(got) != 1 {
			t.Errorf("%s: %d mails when it was back", fault, len(got))
		}
	}
	// No such mailbox: a dead letter, and nothing goes there again.
	f.box.Misbehave(mailbox.Permanent, "")
	m, who := verify("nobody@example.com")
	f.mail(t, ids.Nil, who.UserID, m, "")
	if _, dead, _ := f.state(t, "user_outbox", m.ID); !dead {
		t.Error("not a dead letter")
	}
	f.box.Misbehave(mailbox.Healthy, "")
	m, who = verify("Nobody@example.com")
	if got := f.mail(t, ids.Nil, who.UserID, m, "nobody@example.com"); len(got) != 0 {
		t.Error("sent to an address that does not exist")
	}
	// A refusal of the message is not one of the address.
	f.box.Misbehave(mailbox.Policy, "")
	m, who = verify("somebody@example.com")
	f.mail(t, ids.Nil, who.UserID, m, "")
	f.box.Misbehave(mailbox.Healthy, "")
	m, who = verify("somebody@example.com")
	if got := f.mail(t, ids.Nil, who.UserID, m, "somebody@example.com"); len(got) != 1 {
		t.Errorf("%d mails after a refusal by policy", len(got))
	}
	// A mailer that died after the server's 250 sends again, under the same id.
	m, who = verify("twice@example.com")
	env := f.Enqueue(t, ids.Nil, who.UserID, m)
	f.Deliver(t, f.handler, "mailer", env, 1).Want(t, http.StatusOK)
	f.SQL(t, `update app.user_outbox set done_at = null where id = $1`, m.ID)
	f.SQL(t, `delete from app.user_processed where message_id = $1`, m.ID)
	f.SQL(t, `update app.mail_sends set sent_at = null where message_id = $1`, m.ID)
	f.Deliver(t, f.handler, "mailer", env, 2).Want(t, http.StatusOK)
	got := f.box.Messages("twice@example.com")
	if len(got) != 2 || messageID(got[0]) != messageID(got[1]) || messageID(got[0]) == "" {
		t.Errorf("%d mails, ids %v", len(got), got)
	}
}

var idHeader = regexp.MustCompile(`(?im)^message-id:\s*(\S+)`)

func messageID(m mailbox.Message) string {
	if found := idHeader.FindStringSubmatch(m.Raw); found != nil {
		return found[1]
	}
	return ""
}

func TestCap(t *testing.T) {
	f := setup(t)
	f.Vars["MAIL_PER_HOUR"] = "3"
	f.handler = f.Open(t, Open)
	for range 5 {
		who := f.Person(t)
		id, _ := f.token(t, who.UserID, "password_reset", "victim@example.com", identity.PasswordToken)
		f.mail(t, ids.Nil, who.UserID, queue.MailPasswordReset.Message("", queue.EmailToken{UserID: who.UserID, EmailTokenID: id}), "")
	}
	if got := f.box.Messages("victim@example.com"); len(got) != 3 {
		t.Errorf("%d mails within an hour", len(got))
	}
	f.SQL(t, `update app.mail_sends set created_at = now() - interval '61 minutes'`)
	who := f.Person(t)
	id, _ := f.token(t, who.UserID, "password_reset", "victim@example.com", identity.PasswordToken)
	if got := f.mail(t, ids.Nil, who.UserID, queue.MailPasswordReset.Message("", queue.EmailToken{UserID: who.UserID, EmailTokenID: id}), "victim@example.com"); len(got) != 4 {
		t.Errorf("%d mails an hour later", len(got))
	}
}

// A mail whose answer never comes is sent as often as its message has attempts,
// and no more: each may be a copy.
func TestCopiesAreBounded(t *testing.T) {
	f := setup(t, mailbox.WithTaken(func(conn net.Conn) { _ = conn.Close() }))
	const to = "a@example.com"
	who := f.Person(t)
	id, _ := f.token(t, who.UserID, "verify_email", to, identity.EmailToken)
	m := queue.MailVerification.Message("", queue.EmailToken{UserID: who.UserID, EmailTokenID: id})
	env := f.Enqueue(t, ids.Nil, who.UserID, m)
	for attempt, status := range []int{500, 500, 500, 200, 200} {
		f.Deliver(t, f.handler, "mailer", env, attempt+1).Want(t, status)
	}
	got := f.box.Messages(to)
	if len(got) != 4 {
		t.Errorf("%d copies", len(got))
	}
	for _, c := range got {
		if c.MessageID != got[0].MessageID {
			t.Errorf("a copy has another name: %s, %s", c.MessageID, got[0].MessageID)
		}
	}
	if _, dead, reason := f.state(t, "user_outbox", m.ID); !dead || !strings.Contains(reason, "did not say") {
		t.Errorf("given up %v: %s", dead, reason)
	}
}

// Time that ends with the server's answer costs no copy: what was taken is noted
// all the same.
func TestTakenIsNoted(t *testing.T) {
	f := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cfg, err := config.Load[settings](config.Map(f.Vars))
	if err != nil {
		t.Fatal(err)
	}
	access, err := config.Load[db.Config](config.Map(f.Vars))
	if err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(access, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	sent := 0
	s := &service{db: d, log: slog.New(slog.DiscardHandler), cfg: cfg, now: time.Now, sender: senderFunc(func(context.Context, mail.Message) error {
		sent++
		stop()
		return nil
	})}
	l := letter{to: mail.Address{Address: "a@example.com"}, subject: "Hello", paragraphs: []string{"Hello"}}
	e := queue.Envelope{ID: ids.New(), Kind: queue.MailTaskAssigned.Kind}
	if err := s.send(ctx, e, l); err != nil {
		t.Error(err)
	}
	if err := s.send(t.Context(), e, l); err != nil || sent != 1 {
		t.Errorf("sent %d times: %v", sent, err)
	}
}

type senderFunc func(context.Context, mail.Message) error

func (f senderFunc) Send(ctx context.Context, m mail.Message) error { return f(ctx, m) }
