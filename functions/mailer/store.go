package mailer

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// reserved is what is known of an address before a mail to it.
type reserved struct {
	sent, suppressed bool
	recent           int // of the kind, within an hour, this one included
}

// reserve notes that a message is about to go to an address. The address's row
// is held, so that two messages to it are counted one after the other.
func (s *service) reserve(ctx context.Context, hash string, message ids.ID, kind string) (reserved, error) {
	var out reserved
	err := db.Keyed(ctx, s.db, hash, func(tx *db.Tx) error {
		db.Exec(tx, `insert into app.mail_recipients (address_hash) values ($1) on conflict (address_hash) do nothing`, hash)
		suppressed := db.One(tx, pgx.RowTo[bool], `select suppressed_at is not null from app.mail_recipients where address_hash = $1 for update`, hash)
		db.Exec(tx, `insert into app.mail_sends (address_hash, message_id, kind) values ($1, $2, $3) on conflict (address_hash, message_id) do nothing`, hash, message, kind)
		sent := db.One(tx, pgx.RowTo[bool], `select sent_at is not null from app.mail_sends where address_hash = $1 and message_id = $2`, hash, message)
		recent := db.One(tx, pgx.RowTo[int], `select count(*) from app.mail_sends
			where address_hash = $1 and kind = $2 and created_at > now() - interval '1 hour'`, hash, kind)
		tx.OnCommit(func() (err error) {
			if out.suppressed, err = suppressed.Value(); err != nil {
				return err
			}
			if out.sent, err = sent.Value(); err != nil {
				return err
			}
			out.recent, err = recent.Value()
			return err
		})
		return nil
	})
	return out, err
}

func (s *service) noteSent(ctx context.Context, hash string, message ids.ID) error {
	return db.Keyed(ctx, s.db, hash, func(tx *db.Tx) error {
		db.Exec(tx, `update app.mail_sends set sent_at = now() where address_hash = $1 and message_id = $2`, hash, message)
		return nil
	})
}

func (s *service) suppress(ctx context.Context, hash, reason string) error {
	return db.Keyed(ctx, s.db, hash, func(tx *db.Tx) error {
		db.Exec(tx, `update app.mail_recipients set suppressed_at = now(), reason = $2, updated_at = now() where address_hash = $1 and suppressed_at is null`, hash, reason)
		return nil
	})
}

// linkRow is a link that was made for a person, and the person.
type linkRow struct {
	hash      []byte
	email     string
	expiresAt time.Time
	firstName string
	zone      string
}

// openLink reads a link that can still be used.
func openLink(tx *db.Tx, id ids.ID, kind string) *db.Row[linkRow] {
	return db.One(tx, func(r pgx.CollectableRow) (l linkRow, err error) {
		err = r.Scan(&l.hash, &l.email, &l.expiresAt, &l.firstName, &l.zone)
		return l, err
	}, `select t.secret_hash, t.email, t.expires_at, p.first_name, p.timezone
		  from app.email_tokens t join app.profiles p on p.user_id = $1
		 where t.user_id = $1 and t.id = $2 and t.kind = $3 and t.used_at is null and t.voided_at is null and t.expires_at > now()`,
		tx.User(), id, kind)
}

// organization is the tenant a mail speaks of.
type organization struct{ name, zone string }

func getOrganization(tx *db.Tx) *db.Row[organization] {
	return db.One(tx, func(r pgx.CollectableRow) (o organization, err error) {
		err = r.Scan(&o.name, &o.zone)
		return o, err
	}, `select name, timezone from app.organizations where tenant_id = $1 and status <> 'deleted'`, tx.Tenant())
}

type invitation struct {
	hash             []byte
	email, firstName string
	role             string
	expiresAt        time.Time
	inviter          *string
}

// openInvitation reads an invitation that can still be accepted.
func openInvitation(tx *db.Tx, id ids.ID) *db.Row[invitation] {
	return db.One(tx, func(r pgx.CollectableRow) (i invitation, err error) {
		err = r.Scan(&i.hash, &i.email, &i.firstName, &i.role, &i.expiresAt, &i.inviter)
		return i, err
	}, `select i.secret_hash, i.email, i.first_name, coalesce(r.name, i.role), i.expires_at, nullif(trim(m.first_name || ' ' || m.last_name), '')
		  from app.invitations i
		  left join app.roles r on r.tenant_id = $1 and r.id = i.custom_role_id
		  left join app.memberships m on m.tenant_id = $1 and m.user_id = i.invited_by
		 where i.tenant_id = $1 and i.id = $2 and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()`, tx.Tenant(), id)
}

func noteInvited(tx *db.Tx, id ids.ID) {
	db.Exec(tx, `update app.invitations set sent_at = now(), sent_count = sent_count + 1 where tenant_id = $1 and id = $2`, tx.Tenant(), id)
}

// member is who gets a mail of a tenant.
type member struct {
	id               ids.ID
	email, firstName string
	active           bool
}

func getMember(tx *db.Tx, user ids.ID) *db.Row[member] {
	return db.One(tx, scanMember, `select user_id, email, first_name, is_active and left_at is null from app.memberships where tenant_id = $1 and user_id = $2`, tx.Tenant(), user)
}

func scanMember(r pgx.CollectableRow) (m member, err error) {
	err = r.Scan(&m.id, &m.email, &m.firstName, &m.active)
	return m, err
}

func listOwners(tx *db.Tx) *db.Rows[member] {
	return db.Many(tx, scanMember, `select user_id, email, first_name, true from app.memberships
		where tenant_id = $1 and role = 'owner' and is_active and left_at is null order by user_id`, tx.Tenant())
}

type task struct {
	title, project string
	due            *string
}

// assignedTask reads a task that is still the person's.
func assignedTask(tx *db.Tx, id, assignee ids.ID) *db.Row[task] {
	return db.One(tx, scanTask, `select t.title, p.name, t.due_date::text from app.tasks t
		  join app.projects p on p.tenant_id = $1 and p.id = t.project_id and p.deleted_at is null
		 where t.tenant_id = $1 and t.id = $2 and t.assignee_id = $3 and t.deleted_at is null`, tx.Tenant(), id, assignee)
}

func scanTask(r pgx.CollectableRow) (t task, err error) {
	err = r.Scan(&t.title, &t.project, &t.due)
	return t, err
}

// digestLength is how many tasks a summary names.
const digestLength = 20

// listDue reads what somebody has to do until a day, the most urgent first.
func listDue(tx *db.Tx, assignee ids.ID, day string) *db.Rows[task] {
	return db.Many(tx, scanTask, `select t.title, p.name, t.due_date::text from app.tasks t
		  join app.projects p on p.tenant_id = $1 and p.id = t.project_id and p.deleted_at is null and p.status = 'active'
		 where t.tenant_id = $1 and t.assignee_id = $2 and t.deleted_at is null and t.status <> 'done' and t.due_date <= $3::date
		 order by t.due_date, t.id limit $4`, tx.Tenant(), assignee, day, digestLength+1)
}

type habits struct {
	zone    string
	digests bool
}

func getHabits(tx *db.Tx) *db.Row[habits] {
	return db.One(tx, func(r pgx.CollectableRow) (h habits, err error) {
		err = r.Scan(&h.zone, &h.digests)
		return h, err
	}, `select timezone, digest_enabled from app.profiles where user_id = $1`, tx.User())
}

type invoice struct {
	number       *string
	currency     string
	due, paid    int64
	hosted       *string
	status, plan string
}

func getInvoice(tx *db.Tx, id ids.ID) *db.Row[invoice] {
	return db.One(tx, func(r pgx.CollectableRow) (i invoice, err error) {
		err = r.Scan(&i.number, &i.currency, &i.due, &i.paid, &i.hosted, &i.status, &i.plan)
		return i, err
	}, `select i.number, i.currency, i.amount_due, i.amount_paid, i.hosted_url, i.status, o.plan
		  from app.invoices i join app.organizations o on o.tenant_id = $1
		 where i.tenant_id = $1 and i.id = $2`, tx.Tenant(), id)
}

func periodEnd(tx *db.Tx) *db.Row[*time.Time] {
	return db.One(tx, pgx.RowTo[*time.Time], `select current_period_end from app.subscriptions where tenant_id = $1`, tx.Tenant())
}

// usageWarning is a threshold that was come to, and the plan now.
type usageWarning struct {
	plan, now, planName string
	metered             bool
	period              time.Time
	quantity, allowed   int64
}

func getWarning(tx *db.Tx, of queue.UsageWarning) *db.Row[usageWarning] {
	return db.One(tx, func(r pgx.CollectableRow) (w usageWarning, err error) {
		err = r.Scan(&w.plan, &w.now, &w.planName, &w.metered, &w.period, &w.quantity, &w.allowed)
		return w, err
	}, `select w.plan, o.plan, p.name, p.metered, w.period, w.quantity, w.allowed
		  from app.usage_warnings w
		  join app.organizations o on o.tenant_id = $1
		  join app.plans p on p.id = o.plan
		 where w.tenant_id = $1 and w.metric = $2 and w.period = $3::date and w.threshold = $4`, tx.Tenant(), of.Metric, of.Period, of.Threshold)
}
