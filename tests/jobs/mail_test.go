package jobs_test

import (
	"sync/atomic"
	"testing"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/mailbox"
)

// Mail, from the message to the server's answer and the note of it. Only where
// the answer was lost does the server get a mail twice, under one Message-ID:
// no sender can know better.
var mailPoints = []point{
	{name: "mailer, before it reserves", victim: "mailer", link: "mailer sql", when: before, sees: []string{"insert into app.mail_sends"}},
	{name: "mailer, after it reserved", victim: "mailer", link: "mailer sql", when: after, sees: []string{"insert into app.mail_sends", "commit"}},
	{name: "mailer, before the server has the mail", victim: "mailer", link: "smtp", when: before, sees: []string{"DATA"}},
	{name: "mailer, after the server took the mail", victim: "mailer", link: "smtp", when: after, sees: []string{"DATA"}},
	{name: "mailer, before it notes that it was taken", victim: "mailer", link: "mailer sql", when: before, sees: []string{"update app.mail_sends"}},
	{name: "mailer, after it noted that it was taken", victim: "mailer", link: "mailer sql", when: after, sees: []string{"update app.mail_sends", "commit"}},
	{name: "mailer, before the message is recorded", victim: "mailer", link: "mailer sql", when: before, sees: []string{effect, "commit"}},
}

// mailing is what a mailer is told.
func mailing(server string) map[string]string {
	return map[string]string{
		"MAIL_URL": server, "MAIL_FROM": "Coditect <hello@coditect.example>", "DEPLOYMENT_ENVIRONMENT": "local", "APP_URL": "https://app.example.com",
	}
}

// staged is the platform with a mail server, and three mails to write.
func staged(t *testing.T, p point) (*stage, *mailbox.Box, *atomic.Bool, string) {
	t.Helper()
	s := newStage(t, p)
	box, err := mailbox.Open("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	down := &atomic.Bool{}
	s.add("mailer", "mailer", mailing("smtp://"+s.mailProxy(t, box.Addr(), down)+"?tls=none"))
	s.addQueues("relay")
	project, who := s.project(), s.Member(t, s.owner.TenantID, "member")
	for range 3 {
		task := ids.New()
		s.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, assignee_id, created_by) values ($1, $2, $3, 'Task', $4, $5)`,
			s.owner.TenantID, task, project, who.UserID, s.owner.UserID)
		s.leave(queue.MailTaskAssigned.Message("", queue.Assignment{TaskID: task, UserID: who.UserID}))
	}
	return s, box, down, who.Email
}

// distinct counts mails by their Message-ID.
func distinct(box *mailbox.Box, to string) (mails, names int) {
	seen := map[string]bool{}
	got := box.Messages(to)
	for _, m := range got {
		seen[m.MessageID] = true
	}
	return len(got), len(seen)
}

func TestMail(t *testing.T) {
	t.Parallel()
	for _, p := range mailPoints {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, box, _, to := staged(t, p)
			s.begin()
			took := s.wait()
			// All three may be between the server's answer and the note of it when
			// their process dies, which is then one more copy of each. Nothing else
			// makes one: attempts follow one another, and what is slow is no reason.
			if mails, names := distinct(box, to); names != 3 || mails > 6 {
				t.Errorf("%d mails, %d different ones", mails, names)
			}
			t.Logf("resumed and done after %s", took)
		})
	}
}

// TestMailServerDown holds that mail waits while its server does not answer,
// uncounted, and goes out when it is back.
func TestMailServerDown(t *testing.T) {
	t.Parallel()
	s, box, down, to := staged(t, point{})
	down.Store(true)
	s.begin()
	deferred := func() (n int) {
		s.Scan(t, `select count(*) from app.outbox where done_at is null and last_error <> '' and attempts = 0`, nil, &n)
		return n
	}
	if err := until(func() bool { return deferred() == 3 }); err != nil {
		t.Fatalf("%v: %d mails wait", err, deferred())
	}
	down.Store(false)
	s.wait()
	if mails, names := distinct(box, to); mails != 3 || names != 3 {
		t.Errorf("%d mails, %d different ones", mails, names)
	}
}
