package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/telemetry"
	"github.com/coditect/platform/shared/trips"
)

// scope says whose rows a transaction sees.
type scope uint8

const (
	tenantScope scope = 1 << iota
	userScope
	systemScope
)

// Tx is a transaction that sees one tenant, one person, or (of [Span]) both.
// It is used by one goroutine and ends with the closure it was given to.
type Tx struct {
	db    *DB
	pool  *pgxpool.Pool
	by    identity.Principal
	other ids.ID // the person whose rows are in sight, when it is not who acts
	scope scope
	write bool
	// consumes tells that a message's consumer is at work: it may find that
	// there is nothing to change.
	consumes bool

	conn   *pgxpool.Conn
	begun  bool
	queue  []statement
	rules  Constraints
	err    error // the first failure; nothing is sent after it
	intact bool  // the closure says that it changed nothing
	broke  bool  // the connection failed, not the server's answer

	entries  []activity.Entry
	events   []event
	messages []outbox.Message
	mail     []outbox.Message // of the person, not of the tenant
	left     int              // messages that are written already, of earlier tenants
	after    []func() error
}

type statement struct {
	sql  string
	args []any
	read func(pgx.BatchResults) error
}

type event struct {
	kind string
	data activity.Changes
}

// Constraints says what breaking each constraint means to a client. Names are
// without the shard suffix that Citus adds.
type Constraints map[string]*errs.Error

// Explain tells the transaction what breaking its constraints means.
func (tx *Tx) Explain(rules Constraints) { tx.rules = rules }

// Tenant is the tenant whose rows the transaction sees.
func (tx *Tx) Tenant() ids.ID { return tx.by.TenantID }

// User is the person who acts.
func (tx *Tx) User() ids.ID { return tx.by.UserID }

// Person is whose own rows the transaction sees: who acts, or of [SpanOther]
// the other one.
func (tx *Tx) Person() ids.ID {
	if tx.other != ids.Nil {
		return tx.other
	}
	return tx.by.UserID
}

// Record notes what the transaction did to a tenant's object. Every [Write]
// must record something.
func (tx *Tx) Record(e activity.Entry) { tx.entries = append(tx.entries, e) }

// RecordUser notes what the transaction did to the [Tx.Person]'s own account.
func (tx *Tx) RecordUser(kind string, data activity.Changes) {
	tx.events = append(tx.events, event{kind, data})
}

// Enqueue leaves m to be delivered for the tenant if, and only if, the
// transaction commits.
func (tx *Tx) Enqueue(m outbox.Message) { tx.messages = append(tx.messages, m) }

// EnqueueUser does the same for the person (verification and reset mails have
// no tenant).
func (tx *Tx) EnqueueUser(m outbox.Message) { tx.mail = append(tx.mail, m) }

// OnCommit runs fn once the results of the closure's statements are there, to
// take them in. With an Idempotency-Key that is just before the commit.
func (tx *Tx) OnCommit(fn func() error) { tx.after = append(tx.after, fn) }

// Unchanged says that the closure found nothing to do, so that a write without
// activity is not a mistake. It gives up whatever was queued.
func (tx *Tx) Unchanged() {
	tx.intact = true
	tx.entries, tx.events, tx.messages, tx.mail, tx.queue = nil, nil, nil, nil, nil
}

// As makes the rest of the transaction act for by. Sign-in uses it: whom a
// transaction is for is known only after its first statement.
func (tx *Tx) As(by identity.Principal) error {
	if tx.scope&tenantScope != 0 && tx.begun {
		return errors.New("db: a transaction cannot change its tenant")
	}
	tx.by = by
	if tx.begun {
		tx.queue = append(tx.queue, exec(`select app.set_user($1)`, by.UserID))
	}
	return nil
}

func exec(sql string, args ...any) statement {
	return statement{sql: sql, args: args, read: func(b pgx.BatchResults) error { _, err := b.Exec(); return err }}
}

// start is what every transaction begins with.
func (tx *Tx) start() []statement {
	begin := "begin"
	if !tx.write {
		begin = "begin read only"
	}
	s := []statement{exec(begin)}
	if tx.scope&tenantScope != 0 {
		s = append(s, exec(`select app.set_tenant($1)`, tx.by.TenantID))
	}
	if tx.scope&userScope != 0 && tx.Person() != ids.Nil {
		s = append(s, exec(`select app.set_user($1)`, tx.Person()))
	}
	return s
}

// flush sends what is queued, in one exchange.
func (tx *Tx) flush(ctx context.Context, end string) error {
	if tx.err != nil {
		return tx.err
	}
	if tx.conn == nil {
		conn, err := tx.db.acquire(ctx, tx.pool)
		if err != nil {
			tx.err = err
			return err
		}
		tx.conn = conn
	}
	var all []statement
	if !tx.begun {
		all = tx.start()
	}
	all = append(all, tx.queue...)
	tx.queue = nil
	if end != "" {
		all = append(all, exec(end))
	}
	if len(all) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, s := range all {
		batch.Queue(s.sql, s.args...)
	}
	tx.begun = true
	trips.Postgres(ctx)
	results := tx.conn.SendBatch(ctx, batch)
	var err error
	for _, s := range all {
		if err = s.read(results); err != nil {
			break
		}
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	if err != nil {
		tx.broke = tx.conn.Conn().IsClosed() && ctx.Err() == nil
		tx.err = tx.explain(err)
	}
	return tx.err
}

func (tx *Tx) explain(err error) error {
	if name := Constraint(err); name != "" {
		if e, ok := tx.rules[name]; ok {
			return e.WithCause(err)
		}
	}
	return classify(fmt.Errorf("db: %w", err))
}

// end rolls back what is open and gives the connection back. It is safe to
// call at any time.
func (tx *Tx) end(ctx context.Context) {
	if tx.conn == nil {
		return
	}
	conn := tx.conn
	tx.conn = nil
	if !conn.Conn().IsClosed() && conn.Conn().PgConn().TxStatus() != 'I' {
		// The caller may be gone; the connection must not stay in a transaction.
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		trips.Postgres(ctx)
		if _, err := conn.Exec(ctx, "rollback"); err != nil {
			_ = conn.Conn().Close(ctx)
		}
	}
	conn.Release()
}

// owner is whose events the transaction leaves. From where somebody else acted
// is not the person's to know.
func (tx *Tx) owner() identity.Principal {
	by := tx.by
	if tx.other != ids.Nil {
		by.UserID, by.ClientIP = tx.other, ""
	}
	return by
}

// leave queues the rows that commit with the change.
func (tx *Tx) leave(ctx context.Context) error {
	if len(tx.entries) > 0 {
		s, err := insertActivity(tx.by, tx.entries)
		if err != nil {
			return err
		}
		tx.queue = append(tx.queue, s)
	}
	if len(tx.events) > 0 {
		s, err := insertEvents(tx.owner(), tx.events)
		if err != nil {
			return err
		}
		tx.queue = append(tx.queue, s)
	}
	if len(tx.messages) > 0 {
		s, err := insertMessages("app.outbox", "tenant_id", tx.by.TenantID, telemetry.Traceparent(ctx), tx.messages)
		if err != nil {
			return err
		}
		tx.queue = append(tx.queue, s)
	}
	if len(tx.mail) > 0 {
		s, err := insertMessages("app.user_outbox", "user_id", tx.Person(), telemetry.Traceparent(ctx), tx.mail)
		if err != nil {
			return err
		}
		tx.queue = append(tx.queue, s)
	}
	return nil
}
