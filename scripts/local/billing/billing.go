// Package billing is the operator's command over what an organization pays for:
// it shows where it stands here and at Stripe and in what the two differ, has it
// looked at again, and has an event processed again. It changes nothing at
// Stripe, and nothing here but by messages that functions/stripeevents acts on,
// which writes down what Stripe has.
//
// To add a command, give it a line in Do and in [ErrUsage], and its page in
// docs/runbooks/billing.md, whose commands a test runs.
package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/payment"
	"github.com/coditect/platform/shared/plans"
	"github.com/coditect/platform/shared/queue"
)

// ErrUsage says that the command is not one of ours.
var ErrUsage = errors.New("usage: billing show SUBDOMAIN | show CUSTOMER | sync SUBDOMAIN | replay EVENT")

// Options say where things are.
type Options struct {
	// URL is of the database, as the role that crosses tenants.
	URL string
	// Stripe is asked by show; without it, Stripe's side is left out.
	Stripe *payment.Client
	Out    io.Writer
}

// Do carries a command out.
func Do(ctx context.Context, o Options, words []string) error {
	if len(words) != 2 || words[1] == "" {
		return ErrUsage
	}
	act, known := map[string]func(context.Context, *command, string) error{"show": show, "sync": sync, "replay": replay}[words[0]]
	if !known {
		return ErrUsage
	}
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return errors.New("SYSTEM_DATABASE_URL is no PostgreSQL address") // The parser's error quotes the password.
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect as the system role: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return act(ctx, &command{Options: o, conn: conn}, words[1])
}

type command struct {
	Options
	conn *pgx.Conn
}

// standing is where an organization stands here.
type standing struct {
	tenant              uuid.UUID
	name, status, plan  string
	customer            string // empty when it never needed Stripe
	subscription        string
	subscribed, state   string // plan and status of the subscription
	interval, pending   string
	periodEnd, pastDue  *time.Time
	cancels             bool
	syncedAt, busyUntil *time.Time
	claimed             *uuid.UUID // whose the customer is by its claim
}

const columns = `select o.tenant_id, o.name, o.status, o.plan, coalesce(s.stripe_customer_id, ''), coalesce(s.stripe_subscription_id, ''), coalesce(s.plan, ''),
	coalesce(s.status, ''), coalesce(s.interval, ''), coalesce(s.pending_plan || ' (' || s.pending_interval || ')', ''), s.current_period_end, s.past_due_since,
	coalesce(s.cancel_at_period_end, false), s.synced_at, s.busy_until
	from app.organizations o left join app.subscriptions s on s.tenant_id = o.tenant_id where o.tenant_id = $1`

// find reads an organization by its subdomain or, by a customer's id, that
// customer's. Not found is pgx.ErrNoRows.
func (c *command) find(ctx context.Context, name string) (s standing, err error) {
	lookup := `select tenant_id from app.organizations where subdomain = $1`
	if isCustomer(name) {
		lookup = `select tenant_id from app.subscriptions where stripe_customer_id = $1`
	}
	var id uuid.UUID
	if err := c.conn.QueryRow(ctx, lookup, name).Scan(&id); err != nil {
		return s, err
	}
	err = c.conn.QueryRow(ctx, columns, id).Scan(&s.tenant, &s.name, &s.status, &s.plan, &s.customer, &s.subscription, &s.subscribed, &s.state, &s.interval,
		&s.pending, &s.periodEnd, &s.pastDue, &s.cancels, &s.syncedAt, &s.busyUntil)
	if err != nil || s.customer == "" {
		return s, err
	}
	s.claimed, err = c.claim(ctx, s.customer)
	return s, err
}

func (c *command) claim(ctx context.Context, customer string) (*uuid.UUID, error) {
	var of uuid.UUID
	err := c.conn.QueryRow(ctx, `select tenant_id from app.stripe_customer_claims where customer_id = $1`, customer).Scan(&of)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // nobody's
	}
	return &of, err
}

func isCustomer(name string) bool { return strings.HasPrefix(name, "cus_") }

// show tells where an organization, or a customer of nobody's, stands.
func show(ctx context.Context, c *command, name string) error {
	s, err := c.find(ctx, name)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && isCustomer(name):
		fmt.Fprintf(c.Out, "%s is nobody's customer here\n", name)
		if err := c.stranger(ctx, name); err != nil {
			return err
		}
		return c.events(ctx, name)
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("there is no organization with the subdomain %q", name)
	case err != nil:
		return fmt.Errorf("look for %s: %w", name, err)
	}
	fmt.Fprintf(c.Out, "%s (%s) is %s, on the plan %s\n", s.name, s.tenant, s.status, s.plan)
	if s.customer == "" {
		fmt.Fprintln(c.Out, "It never needed Stripe: it has no customer there.")
		return nil
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "customer\t%s\n", s.customer)
	fmt.Fprintf(w, "subscription\t%s\n", or(s.subscription, "none"))
	fmt.Fprintf(w, "plan\t%s (%s), %s\n", s.subscribed, s.interval, s.state)
	if s.pending != "" {
		fmt.Fprintf(w, "then\t%s\n", s.pending)
	}
	fmt.Fprintf(w, "period ends\t%s%s\n", moment(s.periodEnd), map[bool]string{true: ", and the subscription with it"}[s.cancels])
	if s.pastDue != nil {
		fmt.Fprintf(w, "owes since\t%s, grace ends %s\n", moment(s.pastDue), moment(new(s.pastDue.Add(plans.Grace))))
	}
	fmt.Fprintf(w, "looked at\t%s\n", moment(s.syncedAt))
	if s.busyUntil != nil && s.busyUntil.After(time.Now()) {
		fmt.Fprintf(w, "busy until\t%s\n", moment(s.busyUntil))
	}
	if s.claimed == nil || *s.claimed != s.tenant {
		fmt.Fprintf(w, "claim\tthe customer's events do not find this organization\n")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := c.compare(ctx, s); err != nil {
		return err
	}
	if err := c.invoices(ctx, s.tenant); err != nil {
		return err
	}
	if err := c.events(ctx, s.customer); err != nil {
		return err
	}
	return c.messages(ctx, s.tenant)
}

func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

func moment(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// compare says in what we and Stripe differ.
func (c *command) compare(ctx context.Context, s standing) error {
	if c.Stripe == nil {
		fmt.Fprintln(c.Out, "\nStripe was not asked: STRIPE_SECRET_KEY is not set.")
		return nil
	}
	there, err := c.Stripe.Fetch(ctx, s.customer)
	if errors.Is(err, payment.ErrMissing) {
		fmt.Fprintf(c.Out, "\nStripe does not know %s: another account's, or of test mode.\n", s.customer)
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask Stripe about %s: %w", s.customer, err)
	}
	faults := differences(s, there)
	if len(faults) == 0 {
		fmt.Fprintln(c.Out, "\nStripe has the same.")
		return nil
	}
	fmt.Fprintln(c.Out, "\nStripe differs:")
	for _, f := range faults {
		fmt.Fprintln(c.Out, "  "+f)
	}
	return nil
}

// differences are what a look would mend, and what a person must.
func differences(s standing, there *payment.State) (out []string) {
	differs := func(what, here, at string) {
		if here != at {
			out = append(out, fmt.Sprintf("%s: %s here, %s there", what, or(here, "none"), or(at, "none")))
		}
	}
	differs("organization", s.tenant.String(), there.TenantID)
	if len(there.Others) > 0 {
		out = append(out, "more than one subscription goes on: also "+strings.Join(there.Others, " "))
	}
	sub := there.Subscription
	if sub == nil {
		differs("subscription", s.subscription, "")
		return out
	}
	differs("organization of the subscription", s.tenant.String(), sub.TenantID)
	differs("subscription", s.subscription, sub.ID)
	differs("plan", s.subscribed, sub.Plan)
	differs("status", s.state, sub.Status)
	differs("interval", s.interval, sub.Interval)
	differs("ends with the period", fmt.Sprint(s.cancels), fmt.Sprint(sub.CancelAtPeriodEnd))
	differs("period ends", moment(s.periodEnd), moment(&sub.End))
	want := payment.Row{Plan: sub.Plan, Status: sub.Status, PastDueSince: s.pastDue}.Effective(time.Now())
	if s.plan != want {
		out = append(out, fmt.Sprintf("the organization is on %s, and by its subscription would be on %s", s.plan, want))
	}
	return out
}

// stranger tells what Stripe says of a customer that nobody here has.
func (c *command) stranger(ctx context.Context, customer string) error {
	if c.Stripe == nil {
		fmt.Fprintln(c.Out, "Stripe was not asked: STRIPE_SECRET_KEY is not set.")
		return nil
	}
	there, err := c.Stripe.Fetch(ctx, customer)
	switch {
	case errors.Is(err, payment.ErrMissing):
		fmt.Fprintln(c.Out, "Stripe does not know it either.")
		return nil
	case err != nil:
		return fmt.Errorf("ask Stripe about %s: %w", customer, err)
	case there.TenantID == "":
		fmt.Fprintln(c.Out, "At Stripe it names no organization: somebody made it by hand, or another program did.")
		return nil
	}
	fmt.Fprintf(c.Out, "At Stripe it names the organization %s.\n", there.TenantID)
	return nil
}

// latest is how much of a list is shown.
const latest = 20

func (c *command) invoices(ctx context.Context, tenant uuid.UUID) error {
	return c.list(ctx, "INVOICE\tAT STRIPE\tSTATUS\tPAID\tDUE\tTRIES\tMADE",
		`select coalesce(number, ''), stripe_invoice_id, status, (amount_paid / 100)::text || '.' || lpad((amount_paid % 100)::text, 2, '0') || ' ' || currency,
			(amount_due / 100)::text || '.' || lpad((amount_due % 100)::text, 2, '0') || ' ' || currency, attempt_count::text, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
		   from app.invoices where tenant_id = $1 order by created_at desc, id limit $2`, tenant)
}

func (c *command) events(ctx context.Context, customer string) error {
	return c.list(ctx, "EVENT\tTYPE\tSTATUS\tTRIES\tCAME\tERROR",
		`select event_id, type, status, attempts::text, to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), coalesce(last_error, '')
		   from app.stripe_events where customer_id = $1 order by received_at desc, event_id limit $2`, customer)
}

func (c *command) messages(ctx context.Context, tenant uuid.UUID) error {
	return c.list(ctx, "MESSAGE\tKIND\tIS\tTRIES\tERROR",
		`select id::text, kind, case when dead_at is null then 'waiting' else 'dead' end, attempts::text, coalesce(last_error, '')
		   from app.outbox where tenant_id = $1 and kind like 'billing.%' and done_at is null order by created_at desc, id limit $2`, tenant)
}

// list prints the rows of a query of texts, under a head; nothing without rows.
func (c *command) list(ctx context.Context, head, sql string, of any) error {
	rows, err := c.conn.Query(ctx, sql, of, latest)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	n := 0
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			rows.Close()
			return err
		}
		if n++; n == 1 {
			fmt.Fprintln(w, "\n"+head)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = fmt.Sprint(v)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return w.Flush()
}

// sync leaves the message by which the organization's customer is looked at.
func sync(ctx context.Context, c *command, subdomain string) error {
	s, err := c.find(ctx, subdomain)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("there is no organization with the subdomain %q", subdomain)
	}
	if err != nil {
		return fmt.Errorf("look for %s: %w", subdomain, err)
	}
	if s.customer == "" {
		return fmt.Errorf("%s has no customer at Stripe: there is nothing to look at", subdomain)
	}
	if err := leave(ctx, c.conn, s.tenant, queue.BillingSync.Message(s.customer, queue.None{})); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "%s will be looked at\n", s.customer)
	return nil
}

type executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// leave puts a message into the outbox of a tenant; the relay's next run takes
// it.
func leave(ctx context.Context, tx executor, tenant uuid.UUID, m outbox.Message) error {
	payload, err := json.Marshal(m.Payload)
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	_, err = tx.Exec(ctx, `insert into app.outbox (tenant_id, id, kind, key, payload) values ($1, $2, $3, $4, $5::jsonb)`, tenant, m.ID, m.Kind, m.Key, string(payload))
	if err != nil {
		return fmt.Errorf("leave the message: %w", err)
	}
	return nil
}

// replay has an event processed again, whatever became of it. One whose customer
// is nobody's waits for it, as when it came.
func replay(ctx context.Context, c *command, event string) error {
	var kind, customer, status string
	err := c.conn.QueryRow(ctx, `select type, coalesce(customer_id, ''), status from app.stripe_events where event_id = $1`, event).Scan(&kind, &customer, &status)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("there is no event %s: it never came. Have Stripe send it again, or have its organization looked at (sync)", event)
	case err != nil:
		return fmt.Errorf("look for %s: %w", event, err)
	case status == "ignored":
		return fmt.Errorf("nothing here depends on events of the kind %s", kind)
	}
	of, err := c.claim(ctx, customer)
	if err != nil {
		return fmt.Errorf("whose %s is: %w", customer, err)
	}
	err = pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
		// received_at too: by it counts how long its customer is waited for.
		if _, err := tx.Exec(ctx, `update app.stripe_events set status = 'received', last_error = null, lease_until = null, processed_at = null, received_at = now()
			where event_id = $1`, event); err != nil {
			return err
		}
		if of == nil {
			return nil
		}
		return again(ctx, tx, *of, customer, event)
	})
	if err != nil {
		return fmt.Errorf("replay %s: %w", event, err)
	}
	if of == nil {
		fmt.Fprintf(c.Out, "%s waits: %s is nobody's customer\n", event, or(customer, "whoever it is about"))
		return nil
	}
	fmt.Fprintf(c.Out, "%s is due again\n", event)
	return nil
}

// again leaves an event's message, or revives the one that was given up.
func again(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, customer, event string) error {
	revived, err := tx.Exec(ctx, `update app.outbox set dead_at = null, attempts = 0, available_at = now(), lease_until = null, running_until = null, created_at = now()
		where tenant_id = $1 and kind = $2 and payload ->> 'event_id' = $3 and dead_at is not null and done_at is null`, tenant, queue.BillingEvent.Kind, event)
	if err != nil || revived.RowsAffected() > 0 {
		return err
	}
	return leave(ctx, tx, tenant, queue.BillingEvent.Message(customer, queue.StripeEvent{EventID: event}))
}
