package db

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

// Receipt names a delivered message and who received it.
type Receipt struct {
	// TenantID or UserID owns the message.
	TenantID, UserID ids.ID
	MessageID        ids.ID
	// Key is the message's; the next one with it waits for this one.
	Key string
	// Consumer is the function that records it.
	Consumer string
	// Receivers is how many consumers must record the message before it is
	// done.
	Receivers int
}

// ErrConsumed tells that the consumer recorded the message earlier. Nothing of
// the transaction stays, as its effect is there already.
var ErrConsumed = errs.New(errs.Conflict, "message_consumed", "The message was processed before.")

// Grip is what a consumer learns when it takes a message for itself.
type Grip uint8

// The answers of [Take].
const (
	Held    Grip = iota // the message is the caller's until the lease ends
	Settled             // done or given up, or never committed: nothing is left to do
	Busy                // another consumer is at work on it
)

// Outcome is what became of an attempt that failed.
type Outcome struct {
	// Reason is kept with the message, for whoever looks at dead letters.
	Reason string
	// Counted failures are the message's own; one of a dependency is not.
	Counted bool
	// Next is when the relay may hand the message over again.
	Next time.Duration
	// MaxAttempts is at which count the message is given up, MaxAge at which age
	// one is whose failure is not counted; Dead gives it up at once.
	MaxAttempts int
	MaxAge      time.Duration
	Dead        bool
}

// messages names the tables of one owner. The names are ours.
type messages struct {
	outbox, processed, owner, broken string
}

var (
	ofTenant = messages{"app.outbox", "app.processed_messages", "tenant_id", "processed_messages_pkey"}
	ofPerson = messages{"app.user_outbox", "app.user_processed", "user_id", "user_processed_pkey"}
)

func (r Receipt) tables() (messages, ids.ID) {
	if r.TenantID != ids.Nil {
		return ofTenant, r.TenantID
	}
	return ofPerson, r.UserID
}

func (r Receipt) tx(d *DB) *Tx {
	by := identity.Principal{TenantID: r.TenantID, UserID: r.UserID}
	tx := &Tx{db: d, pool: d.app, by: by, scope: tenantScope, write: true, consumes: true}
	if r.TenantID == ids.Nil {
		tx.scope = userScope
	}
	return tx
}

// Consume runs fn in a transaction of the message's owner that also records
// that the consumer has processed it: the effect happens once, however often
// the message arrives. It answers [ErrConsumed] when it was recorded before.
// fn may await nothing, and the whole is one round trip; it records activity
// for what it changes, but need not change anything.
func Consume(ctx context.Context, d *DB, r Receipt, fn func(*Tx) error) error {
	t, owner := r.tables()
	rules := Constraints{t.broken: ErrConsumed}
	err := d.run(ctx, r.tx(d), func(tx *Tx) error {
		tx.rules = rules
		// First, so that a second delivery waits here for the first one's end.
		Exec(tx, `insert into `+t.processed+` (`+t.owner+`, consumer, message_id) values ($1, $2, $3)`, owner, r.Consumer, r.MessageID)
		if fn != nil {
			if err := fn(tx); err != nil {
				return err
			}
			tx.rules = merged(tx.rules, rules)
		}
		settleMessage(tx, t, owner, r)
		return nil
	})
	if errors.Is(err, ErrConsumed) && r.Receivers > 1 {
		// Two listeners that finished at the same moment did not see one
		// another: whoever is called again closes the message.
		if err := d.run(ctx, r.tx(d), func(tx *Tx) error { settleMessage(tx, t, owner, r); return nil }); err != nil {
			return err
		}
	}
	return err
}

func merged(a, b Constraints) Constraints {
	out := maps.Clone(a)
	if out == nil {
		out = Constraints{}
	}
	maps.Copy(out, b)
	return out
}

// settleMessage marks the message done when everyone recorded it, and lets the
// next one of its key go.
func settleMessage(tx *Tx, t messages, owner ids.ID, r Receipt) {
	all := ``
	args := []any{owner, r.MessageID}
	if r.Receivers > 1 {
		all = ` and (select count(*) from ` + t.processed + ` p where p.` + t.owner + ` = $1 and p.message_id = $2) >= $3::int`
		args = append(args, r.Receivers)
	}
	Exec(tx, `update `+t.outbox+` set done_at = now(), lease_until = null, running_until = null, dead_at = null
		where `+t.owner+` = $1 and id = $2 and done_at is null`+all, args...)
	wake(tx, t, owner, r)
}

func wake(tx *Tx, t messages, owner ids.ID, r Receipt) {
	if r.Key == "" {
		return
	}
	Exec(tx, `update `+t.outbox+` set available_at = now()
		where `+t.owner+` = $1 and lease_until is null and available_at > now()
		  and id = (select n.id from `+t.outbox+` n where n.`+t.owner+` = $1 and n.key = $2 and n.key <> ''
		              and n.done_at is null and n.dead_at is null order by n.created_at, n.id limit 1)`, owner, r.Key)
}

// Take gives the message to the caller alone for the length of the lease; the
// relay hands it to nobody until then. [Keep] prolongs it.
func Take(ctx context.Context, d *DB, r Receipt, lease time.Duration) (Grip, error) {
	t, owner := r.tables()
	grip := Settled
	err := d.run(ctx, r.tx(d), func(tx *Tx) error {
		taken := Exec(tx, `update `+t.outbox+` set running_until = now() + $3::interval,
			  lease_until = greatest(lease_until, now() + $3::interval), available_at = greatest(available_at, now() + $3::interval)
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null
			  and (running_until is null or running_until <= now())`, owner, r.MessageID, lease)
		busy := One(tx, pgx.RowTo[bool], `select count(*) > 0 from `+t.outbox+`
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`, owner, r.MessageID)
		tx.OnCommit(func() error {
			if taken.Affected() > 0 {
				grip = Held
				return nil
			}
			if there, err := busy.Value(); err != nil || there {
				grip = Busy
				return err
			}
			return nil
		})
		return nil
	})
	return grip, err
}

// Keep prolongs what [Take] gave.
func Keep(ctx context.Context, d *DB, r Receipt, lease time.Duration) error {
	t, owner := r.tables()
	return d.run(ctx, r.tx(d), func(tx *Tx) error {
		Exec(tx, `update `+t.outbox+` set running_until = now() + $3::interval,
			  lease_until = greatest(lease_until, now() + $3::interval), available_at = greatest(available_at, now() + $3::interval)
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`, owner, r.MessageID, lease)
		return nil
	})
}

// Fail records an attempt that failed and reports whether the message was
// given up with it.
func Fail(ctx context.Context, d *DB, r Receipt, o Outcome) (dead bool, err error) {
	t, owner := r.tables()
	counted := 0
	var lease any // null: the relay alone decides when it goes again
	if o.Counted {
		counted, lease = 1, o.Next
	}
	err = d.run(ctx, r.tx(d), func(tx *Tx) error {
		// Two statements, as Citus refuses now() inside of CASE.
		Exec(tx, `update `+t.outbox+` set attempts = attempts + $3::int, last_error = left($4, 2000), running_until = null,
			  available_at = now() + $5::interval, lease_until = now() + $6::interval
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`,
			owner, r.MessageID, counted, o.Reason, o.Next, lease)
		Exec(tx, `update `+t.outbox+` set dead_at = now(), lease_until = null
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null
			  and ($3 or attempts >= $4::int or $6 and created_at < now() - $5::interval)`,
			owner, r.MessageID, o.Dead, o.MaxAttempts, o.MaxAge, !o.Counted)
		open := One(tx, pgx.RowTo[int], `select 1 from `+t.outbox+`
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`, owner, r.MessageID)
		tx.OnCommit(func() error {
			_, again := open.Found()
			dead = !again // or settled by somebody else: nobody may try again
			return nil
		})
		return nil
	})
	if err != nil || !dead || r.Key == "" {
		return dead, err
	}
	return dead, d.run(ctx, r.tx(d), func(tx *Tx) error { wake(tx, t, owner, r); return nil })
}
