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

// The answers of [Take] and of [Hold.Keep].
const (
	Held    Grip = iota // the message is the caller's until the lease ends
	Settled             // done or given up, or never committed: nothing is left to do
	Busy                // another consumer is at work on it
)

// Hold is a message that is its holder's alone until its lease ends.
type Hold struct {
	db      *DB
	receipt Receipt
	lease   time.Duration
	// until is the end of the lease as the database last said it. An answer that
	// was lost may have made it later, but by less than a lease; whoever takes the
	// message after that end has it for a whole one. So the row is the holder's
	// while it says less than until and a lease.
	until time.Time
}

func (h *Hold) before() time.Time { return h.until.Add(h.lease) }

// Fate is what a failed attempt left of its message.
type Fate uint8

// The answers of [Fail].
const (
	Again  Fate = iota // it is tried again
	Closed             // given up, or settled by somebody else: nobody may try again
	Gone               // another consumer has taken it meanwhile: nothing was noted
)

// Outcome is what became of an attempt that failed.
type Outcome struct {
	// Hold is the failed attempt's, if it took the message for itself. Nothing is
	// noted when another one has it by now.
	Hold *Hold
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
// relay hands it to nobody until then. [Hold.Keep] prolongs it.
func Take(ctx context.Context, d *DB, r Receipt, lease time.Duration) (Grip, *Hold, error) {
	h := &Hold{db: d, receipt: r, lease: lease}
	grip, err := h.extend(ctx, `(running_until is null or running_until <= now())`)
	return grip, h, err
}

// Keep prolongs what [Take] gave, unless another consumer has it by now.
func (h *Hold) Keep(ctx context.Context) (Grip, error) {
	return h.extend(ctx, `running_until > now() and running_until < $4::timestamptz`, h.before())
}

func (h *Hold) extend(ctx context.Context, when string, args ...any) (Grip, error) {
	t, owner := h.receipt.tables()
	grip := Settled
	err := h.db.run(ctx, h.receipt.tx(h.db), func(tx *Tx) error {
		mine := One(tx, pgx.RowTo[time.Time], `update `+t.outbox+` set running_until = now() + $3::interval,
			  lease_until = greatest(lease_until, now() + $3::interval), available_at = greatest(available_at, now() + $3::interval)
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null and `+when+` returning running_until`,
			append([]any{owner, h.receipt.MessageID, h.lease}, args...)...)
		open := One(tx, pgx.RowTo[int], `select 1 from `+t.outbox+`
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`, owner, h.receipt.MessageID)
		tx.OnCommit(func() error {
			if until, held := mine.Found(); held {
				grip, h.until = Held, until
			} else if _, there := open.Found(); there {
				grip = Busy
			}
			return nil
		})
		return nil
	})
	return grip, err
}

// Fail records an attempt that failed and tells what became of the message.
func Fail(ctx context.Context, d *DB, r Receipt, o Outcome) (Fate, error) {
	t, owner := r.tables()
	counted := 0
	var lease any // null: the relay alone decides when it goes again
	if o.Counted {
		counted, lease = 1, o.Next
	}
	mine, free, args := ``, ``, []any{owner, r.MessageID, counted, o.Reason, o.Next, lease}
	if o.Hold != nil {
		mine, free, args = ` and running_until < $7::timestamptz`, ` and running_until is null`, append(args, o.Hold.before())
	}
	fate := Closed
	err := d.run(ctx, r.tx(d), func(tx *Tx) error {
		// Two statements, as Citus refuses now() inside of CASE.
		noted := Exec(tx, `update `+t.outbox+` set attempts = attempts + $3::int, last_error = left($4, 2000), running_until = null,
			  available_at = now() + $5::interval, lease_until = now() + $6::interval
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`+mine, args...)
		Exec(tx, `update `+t.outbox+` set dead_at = now(), lease_until = null
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null
			  and ($3 or attempts >= $4::int or $6 and created_at < now() - $5::interval)`+free,
			owner, r.MessageID, o.Dead, o.MaxAttempts, o.MaxAge, !o.Counted)
		open := One(tx, pgx.RowTo[int], `select 1 from `+t.outbox+`
			where `+t.owner+` = $1 and id = $2 and done_at is null and dead_at is null`, owner, r.MessageID)
		tx.OnCommit(func() error {
			if _, again := open.Found(); again {
				fate = Again
				if noted.Affected() == 0 {
					fate = Gone
				}
			}
			return nil
		})
		return nil
	})
	if err != nil || fate != Closed || r.Key == "" {
		return fate, err
	}
	return fate, d.run(ctx, r.tx(d), func(tx *Tx) error { wake(tx, t, owner, r); return nil })
}
