package mailer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/job"
	"github.com/coditect/platform/shared/mail"
	"github.com/coditect/platform/shared/mail/link"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/worker"
)

// moment is a time as people read it, where they are.
func moment(t time.Time, zone string) string {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC
	}
	return t.In(loc).Format("Monday, 2 January 2006 at 15:04 MST")
}

// day is a date (YYYY-MM-DD) as people read it.
func day(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return t.Format("Mon, 2 Jan 2006")
}

const becauseAccount = "You get this mail because somebody used your address at Coditect. If it was not you, you need do nothing."

func becauseMember(org string) string {
	return "You get this mail as a member of " + mail.Line(org, 80) + "."
}

// personal is a mail with a link that was made for a person.
type personal struct {
	kind  identity.Kind
	table string // the kind in email_tokens
	page  string
	write func(l linkRow, url string) letter
}

func (s *service) personal(ctx context.Context, d worker.Delivery[queue.EmailToken], p personal) error {
	user := d.Envelope.UserID
	var found *db.Row[linkRow]
	err := db.ReadUser(ctx, s.db, identity.Principal{UserID: user}, func(tx *db.Tx) error {
		found = openLink(tx, d.Payload.EmailTokenID, p.table)
		return nil
	})
	if err != nil {
		return err
	}
	l, err := found.Value()
	if err != nil {
		return nothing(err, "the link")
	}
	url, err := s.secret(ctx, p.kind, user, d.Payload.EmailTokenID, l.hash, p.page)
	if err != nil {
		return err
	}
	out := p.write(l, url)
	out.to, out.footer = mail.Address{Name: l.firstName, Address: l.email}, becauseAccount
	return s.deliver(ctx, d, d.Envelope, []letter{out}, nil)
}

// secret derives a link's token again and gives the page it opens.
func (s *service) secret(ctx context.Context, kind identity.Kind, owner, id ids.ID, hash []byte, page string) (string, error) {
	ring, err := s.envelop.Get(ctx)
	if err != nil {
		return "", err
	}
	token, ok := link.Recover(ring, kind, owner, id, hash)
	if !ok {
		return "", worker.Permanent(errors.New("the key that made the link is gone"))
	}
	return s.cfg.page(page, "token", token.Reveal()), nil
}

func (s *service) verification(ctx context.Context, d worker.Delivery[queue.EmailToken]) error {
	return s.personal(ctx, d, personal{identity.EmailToken, "verify_email", "/verify-email", func(l linkRow, url string) letter {
		return letter{
			subject: "Verify your address", paragraphs: []string{"Welcome to Coditect. Please show us that this address is yours."},
			action: &action{"Verify my address", url}, after: []string{"The link works until " + moment(l.expiresAt, l.zone) + "."},
		}
	}})
}

func (s *service) passwordReset(ctx context.Context, d worker.Delivery[queue.EmailToken]) error {
	return s.personal(ctx, d, personal{identity.PasswordToken, "password_reset", "/reset-password", func(l linkRow, url string) letter {
		return letter{
			subject: "Choose a new password", paragraphs: []string{"Somebody asked for a new password for your account. If it was you, choose one here."},
			action: &action{"Choose a password", url},
			after:  []string{"The link works once, until " + moment(l.expiresAt, l.zone) + ". Your present password works until then."},
		}
	}})
}

func (s *service) emailChange(ctx context.Context, d worker.Delivery[queue.EmailToken]) error {
	return s.personal(ctx, d, personal{identity.EmailToken, "change_email", "/confirm-email", func(l linkRow, url string) letter {
		return letter{
			subject: "Confirm your new address", paragraphs: []string{"You asked to sign in with this address from now on. Confirm it while you are signed in."},
			action: &action{"Confirm the address", url}, after: []string{"The link works until " + moment(l.expiresAt, l.zone) + "."},
		}
	}})
}

// of is whom a tenant's rows are read for.
func of(e queue.Envelope) identity.Principal { return identity.Principal{TenantID: e.TenantID} }

func (s *service) invitation(ctx context.Context, d worker.Delivery[queue.Invitation]) error {
	var found *db.Row[invitation]
	var org *db.Row[organization]
	err := db.Read(ctx, s.db, of(d.Envelope), func(tx *db.Tx) error {
		found, org = openInvitation(tx, d.Payload.InvitationID), getOrganization(tx)
		return nil
	})
	if err != nil {
		return err
	}
	i, err := found.Value()
	if err != nil {
		return nothing(err, "the invitation")
	}
	o, err := org.Value()
	if err != nil {
		return nothing(err, "the organization")
	}
	url, err := s.secret(ctx, identity.InvitationToken, d.Envelope.TenantID, d.Payload.InvitationID, i.hash, "/accept-invitation")
	if err != nil {
		return err
	}
	who := "You are invited"
	if i.inviter != nil {
		who = mail.Line(*i.inviter, 80) + " invites you"
	}
	name := mail.Line(o.name, 80)
	return s.deliver(ctx, d, d.Envelope, []letter{{
		to: mail.Address{Name: i.firstName, Address: i.email}, subject: who + " to " + name,
		paragraphs: []string{who + " to join " + name + " as " + i.role + "."},
		action:     &action{"Accept the invitation", url},
		after:      []string{"The link works once, until " + moment(i.expiresAt, o.zone) + "."},
		footer:     "You get this mail because somebody at " + name + " entered your address. If you do not know them, you need do nothing.",
	}}, func(tx *db.Tx) error {
		noteInvited(tx, d.Payload.InvitationID)
		return nil
	})
}

func (s *service) taskAssigned(ctx context.Context, d worker.Delivery[queue.Assignment]) error {
	var found *db.Row[task]
	var who *db.Row[member]
	var org *db.Row[organization]
	err := db.Read(ctx, s.db, of(d.Envelope), func(tx *db.Tx) error {
		found, who, org = assignedTask(tx, d.Payload.TaskID, d.Payload.UserID), getMember(tx, d.Payload.UserID), getOrganization(tx)
		return nil
	})
	if err != nil {
		return err
	}
	t, err := found.Value()
	if err != nil {
		return nothing(err, "the assignment")
	}
	m, err := who.Value()
	if err != nil || !m.active {
		return errors.Join(nothing(err, "the member"), skipUnless(m.active, "the member has left"))
	}
	o, err := org.Value()
	if err != nil {
		return nothing(err, "the organization")
	}
	rows := []row{{"Project", mail.Line(t.project, 120)}}
	if t.due != nil {
		rows = append(rows, row{"Due", day(*t.due)})
	}
	return s.deliver(ctx, d, d.Envelope, []letter{{
		to: mail.Address{Name: m.firstName, Address: m.email}, subject: "A task for you: " + t.title,
		paragraphs: []string{"You were given a task: " + t.title}, rows: rows,
		action: &action{"Open the task", s.cfg.page("/tasks/" + d.Payload.TaskID.String())}, footer: becauseMember(o.name),
	}}, nil)
}

func skipUnless(ok bool, reason string) error {
	if ok {
		return nil
	}
	return worker.Skip(reason)
}

func (s *service) exportReady(ctx context.Context, d worker.Delivery[queue.Job]) error {
	var found *db.Row[job.Row]
	var org *db.Row[organization]
	err := db.Read(ctx, s.db, of(d.Envelope), func(tx *db.Tx) error {
		found, org = job.Get(tx, d.Payload.JobID, nil), getOrganization(tx)
		return nil
	})
	if err != nil {
		return err
	}
	j, err := found.Value()
	if err != nil || j.Status != "succeeded" || !j.Available(s.now()) {
		return errors.Join(nothing(err, "the export"), skipUnless(err != nil, "the export has no file"))
	}
	o, err := org.Value()
	if err != nil {
		return nothing(err, "the organization")
	}
	zone, err := s.zone(ctx, j.CreatedBy.ID, o)
	if err != nil {
		return err
	}
	return s.deliver(ctx, d, d.Envelope, []letter{{
		to: mail.Address{Name: j.CreatedBy.FirstName, Address: j.CreatedBy.Email}, subject: "Your export of " + o.name + " is ready",
		paragraphs: []string{"The export that you asked for is ready. You can fetch it while you are signed in."},
		rows:       []row{{"File", j.File.Filename}, {"Size", size(j.File.Bytes)}},
		action:     &action{"Fetch the export", s.cfg.page("/jobs/" + j.ID.String())},
		after:      []string{"The file is kept until " + moment(*j.ExpiresAt, zone) + "."}, footer: becauseMember(o.name),
	}}, nil)
}

// size is a number of bytes as people read it.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	}
	return fmt.Sprintf("%d.%d MB", n/1_000_000, n%1_000_000/100_000)
}

// zone is where a person is, or their organization where nobody knows.
func (s *service) zone(ctx context.Context, user ids.ID, o organization) (string, error) {
	h, err := s.habitsOf(ctx, user)
	if errors.Is(err, errs.ErrNotFound) {
		return o.zone, nil
	}
	return h.zone, err
}

// toOwners is a mail about money: for everybody who answers for it, with the
// times where they are.
func (s *service) toOwners(ctx context.Context, d delivery, e queue.Envelope, read func(tx *db.Tx) func(o organization, zone string) (letter, error)) error {
	var owners *db.Rows[member]
	var org *db.Row[organization]
	var write func(organization, string) (letter, error)
	err := db.Read(ctx, s.db, of(e), func(tx *db.Tx) error {
		owners, org, write = listOwners(tx), getOrganization(tx), read(tx)
		return nil
	})
	if err != nil {
		return err
	}
	o, err := org.Value()
	if err != nil {
		return nothing(err, "the organization")
	}
	people, err := owners.Value()
	if err != nil {
		return err
	}
	letters := make([]letter, len(people))
	for i, p := range people {
		zone, err := s.zone(ctx, p.id, o)
		if err != nil {
			return err
		}
		if letters[i], err = write(o, zone); err != nil {
			return err
		}
		letters[i].to, letters[i].footer = mail.Address{Name: p.firstName, Address: p.email}, "You get this mail as an owner of "+mail.Line(o.name, 80)+"."
	}
	return s.deliver(ctx, d, e, letters, nil)
}

// amount is money in minor units as people read it. All currencies of our
// prices have two decimals.
func amount(minor int64, currency string) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	return fmt.Sprintf("%s%d.%02d %s", sign, minor/100, minor%100, strings.ToUpper(currency))
}

func (s *service) paymentSucceeded(ctx context.Context, d worker.Delivery[queue.Invoice]) error {
	return s.toOwners(ctx, d, d.Envelope, func(tx *db.Tx) func(organization, string) (letter, error) {
		found := getInvoice(tx, d.Payload.InvoiceID)
		return func(o organization, _ string) (letter, error) {
			i, err := found.Value()
			if err != nil || i.status != "paid" {
				return letter{}, errors.Join(nothing(err, "the invoice"), skipUnless(err != nil, "the invoice is not paid"))
			}
			return letter{
				subject: "Receipt for " + o.name, paragraphs: []string{"Thank you. We received your payment."},
				rows: i.rows(i.paid), action: s.invoiceLink(i),
			}, nil
		}
	})
}

func (s *service) paymentFailed(ctx context.Context, d worker.Delivery[queue.Invoice]) error {
	return s.toOwners(ctx, d, d.Envelope, func(tx *db.Tx) func(organization, string) (letter, error) {
		found := getInvoice(tx, d.Payload.InvoiceID)
		return func(o organization, _ string) (letter, error) {
			i, err := found.Value()
			if err != nil || i.status != "open" {
				return letter{}, errors.Join(nothing(err, "the invoice"), skipUnless(err != nil, "nothing is owed any more"))
			}
			return letter{
				subject:    "A payment for " + o.name + " failed",
				paragraphs: []string{"We could not collect your payment. We will try again; please check your payment method, so that nothing is interrupted."},
				rows:       i.rows(i.due), action: &action{"Check the payment method", s.cfg.page("/billing")},
			}, nil
		}
	})
}

func (i invoice) rows(total int64) []row {
	rows := []row{{"Amount", amount(total, i.currency)}, {"Plan", i.plan}}
	if i.number != nil {
		rows = append(rows, row{"Invoice", *i.number})
	}
	return rows
}

func (s *service) invoiceLink(i invoice) *action {
	if i.hosted != nil && strings.HasPrefix(*i.hosted, "https://") {
		return &action{"See the invoice", *i.hosted}
	}
	return &action{"See the invoices", s.cfg.page("/billing")}
}

func (s *service) subscriptionCanceled(ctx context.Context, d worker.Delivery[queue.None]) error {
	return s.toOwners(ctx, d, d.Envelope, func(tx *db.Tx) func(organization, string) (letter, error) {
		found := periodEnd(tx)
		return func(o organization, zone string) (letter, error) {
			end, err := found.Value()
			if err != nil {
				return letter{}, nothing(err, "the subscription")
			}
			until := "Your plan ends now"
			if end != nil && end.After(s.now()) {
				until = "Your plan stays until " + moment(*end, zone)
			}
			return letter{
				subject:    "The subscription of " + o.name + " is canceled",
				paragraphs: []string{until + "; after that, the limits of the free plan apply. Nothing is deleted."},
				action:     &action{"See the plans", s.cfg.page("/billing")},
			}, nil
		}
	})
}

func (s *service) usageWarning(ctx context.Context, d worker.Delivery[queue.UsageWarning]) error {
	return s.toOwners(ctx, d, d.Envelope, func(tx *db.Tx) func(organization, string) (letter, error) {
		found := getWarning(tx, d.Payload)
		return func(o organization, _ string) (letter, error) {
			w, err := found.Value()
			if err != nil {
				return letter{}, nothing(err, "the warning")
			}
			if w.plan != w.now {
				return letter{}, worker.Skip("the organization has another plan by now")
			}
			return w.letter(o, d.Payload.Metric, d.Payload.Threshold, s.cfg.page("/billing")), nil
		}
	})
}

// letter says how much of a limit is used. Requests are of a month, storage of
// this moment.
func (w usageWarning) letter(o organization, metric string, threshold int, page string) letter {
	what, used, of := "API requests of "+w.period.Format("January 2006"), thousands(w.quantity), thousands(w.allowed)
	if metric == "storage_gb" {
		what, used, of = "storage", gibibytes(w.quantity), gibibytes(w.allowed)
	}
	name := mail.Line(o.name, 80)
	l := letter{
		subject:    fmt.Sprintf("%s has used %d %% of its %s", name, threshold, what),
		paragraphs: []string{fmt.Sprintf("%s has used %d %% of the %s that its plan includes.", name, threshold, what)},
		rows:       []row{{"Used", used}, {"Included", of}, {"Plan", w.planName}},
		action:     &action{"See the usage", page},
	}
	if threshold >= 100 {
		l.subject = name + " has used up its " + what
		l.paragraphs = []string{name + " has used all of the " + what + " that its plan includes."}
		if metric == "api_requests" && !w.metered {
			l.paragraphs = append(l.paragraphs, "Further requests are refused until "+w.period.AddDate(0, 1, 0).Format("2 January 2006")+", 00:00 UTC, or until the plan is upgraded. "+
				"Signing in, billing, the organization's settings and members, and exports go on.")
		}
	}
	l.after = []string{"A larger plan includes more. You get this mail once a month for each of 50, 80 and 100 %."}
	return l
}

// thousands is a number as people read it.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// gibibytes is a number of bytes as plans count them, to two places.
func gibibytes(n int64) string {
	hundredths := (n*100 + 1<<29) >> 30
	return fmt.Sprintf("%d.%02d GB", hundredths/100, hundredths%100)
}

func (s *service) habitsOf(ctx context.Context, user ids.ID) (habits, error) {
	var found *db.Row[habits]
	err := db.ReadUser(ctx, s.db, identity.Principal{UserID: user}, func(tx *db.Tx) error {
		found = getHabits(tx)
		return nil
	})
	if err != nil {
		return habits{}, err
	}
	return found.Value()
}

func (s *service) digest(ctx context.Context, d worker.Delivery[queue.Digest]) error {
	user := d.Payload.UserID
	h, err := s.habitsOf(ctx, user)
	if err != nil || !h.digests {
		return errors.Join(nothing(err, "the person"), skipUnless(err != nil, "summaries are switched off"))
	}
	var due *db.Rows[task]
	var who *db.Row[member]
	var org *db.Row[organization]
	err = db.Read(ctx, s.db, of(d.Envelope), func(tx *db.Tx) error {
		due, who, org = listDue(tx, user, d.Payload.Date), getMember(tx, user), getOrganization(tx)
		return nil
	})
	if err != nil {
		return err
	}
	m, err := who.Value()
	if err != nil || !m.active {
		return errors.Join(nothing(err, "the member"), skipUnless(err != nil, "the member has left"))
	}
	o, err := org.Value()
	if err != nil {
		return nothing(err, "the organization")
	}
	tasks, err := due.Value()
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return worker.Skip("there is nothing to tell")
	}
	ring, err := s.envelop.Get(ctx)
	if err != nil {
		return err
	}
	token := link.Unsubscribe(ring, s.now(), user, d.Envelope.TenantID).Reveal()
	return s.deliver(ctx, d, d.Envelope, []letter{s.summary(m, o, d.Payload.Date, tasks, token)}, nil)
}

func (s *service) summary(m member, o organization, date string, tasks []task, token string) letter {
	count, more := strconv.Itoa(len(tasks)), []string(nil)
	if len(tasks) > digestLength {
		tasks, count, more = tasks[:digestLength], "more than "+strconv.Itoa(digestLength), []string{"There are more; these are the most urgent."}
	}
	rows := make([]row, len(tasks))
	for i, t := range tasks {
		when := "today"
		if t.due != nil && *t.due < date {
			when = "since " + day(*t.due)
		}
		rows[i] = row{mail.Line(t.title, 120) + " · " + mail.Line(t.project, 80), when}
	}
	return letter{
		to: mail.Address{Name: m.firstName, Address: m.email}, subject: "Your day at " + o.name + ": " + count + " due",
		paragraphs: []string{"This is due on " + day(date) + "."}, rows: rows, after: more,
		action: &action{"See your tasks", s.cfg.page("/tasks", "assignee", "me")}, footer: becauseMember(o.name),
		stop: s.cfg.page("/unsubscribe", "token", token),
		headers: []mail.Header{
			{Name: "List-Unsubscribe", Value: "<" + s.cfg.endpoint("/api/v1/users/unsubscribe/?token="+token) + ">"},
			{Name: "List-Unsubscribe-Post", Value: "List-Unsubscribe=One-Click"}, // RFC 8058
		},
	}
}
