package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
)

// ErrNoTenant is the answer to a tenant operation of a person who acts in no
// organization.
var ErrNoTenant = errs.New(errs.Forbidden, "no_tenant", "You are not acting in an organization.")

var (
	errNoUser   = errors.New("db: a person's transaction needs a person")
	errUnlogged = errors.New("db: a tenant write that records no activity does not commit")
)

// Read runs fn in a read-only transaction over the principal's tenant: one
// round trip when fn awaits nothing.
func Read(ctx context.Context, d *DB, by identity.Principal, fn func(*Tx) error) error {
	if !by.HasTenant() {
		return ErrNoTenant
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: by, scope: tenantScope}, fn)
}

// Write runs fn in a transaction over the principal's tenant. The change, the
// activity fn records and the messages it enqueues commit together or not at
// all.
func Write(ctx context.Context, d *DB, by identity.Principal, fn func(*Tx) error) error {
	if !by.HasTenant() {
		return ErrNoTenant
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: by, scope: tenantScope, write: true}, fn)
}

// Note runs fn in a transaction over the principal's tenant that changes nothing
// of the tenant's and so records no activity: a lease, a message that came from
// outside, the answer that an Idempotency-Key is kept with.
func Note(ctx context.Context, d *DB, by identity.Principal, fn func(*Tx) error) error {
	if !by.HasTenant() {
		return ErrNoTenant
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: by, scope: tenantScope, write: true, consumes: true}, fn)
}

// ReadUser runs fn in a read-only transaction over what belongs to a person.
func ReadUser(ctx context.Context, d *DB, by identity.Principal, fn func(*Tx) error) error {
	if by.UserID == ids.Nil {
		return errNoUser
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: by, scope: userScope}, fn)
}

// WriteUser runs fn in a transaction over what belongs to a person.
func WriteUser(ctx context.Context, d *DB, by identity.Principal, fn func(*Tx) error) error {
	if by.UserID == ids.Nil {
		return errNoUser
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: by, scope: userScope, write: true}, fn)
}

// Lookup runs fn read-only without anybody's rows in sight: only claims (one
// key at a time) and reference tables answer. Sign-in starts here.
func Lookup(ctx context.Context, d *DB, fn func(*Tx) error) error {
	return d.run(ctx, &Tx{db: d, pool: d.app, scope: userScope}, fn)
}

// Spanning names a transaction that touches a tenant's and a person's rows,
// and so may span nodes. It is this list and no other; each has its test.
type Spanning string

// The transactions that may span nodes.
const (
	SpanRegister     Spanning = "register"
	SpanCreateTenant Spanning = "create tenant"
	SpanProfile      Spanning = "refresh profile in membership"
	SpanLeave        Spanning = "leave tenant"
	SpanHost         Spanning = "claim host"
	SpanDelete       Spanning = "delete account"
	SpanDeactivate   Spanning = "deactivate member"
	SpanRemove       Spanning = "remove member"
	SpanAccept       Spanning = "accept invitation"
	SpanCustomer     Spanning = "claim customer"
)

// Span runs fn in a transaction over both the principal's tenant and the
// person. A tenant's change still has to be recorded.
func Span(ctx context.Context, d *DB, what Spanning, by identity.Principal, fn func(*Tx) error) error {
	if !by.HasTenant() {
		return ErrNoTenant
	}
	if by.UserID == ids.Nil {
		return errNoUser
	}
	// A copy that follows its truth is nobody's deed: activity tells of what
	// changed the truth.
	copied := what == SpanProfile
	if err := d.run(ctx, &Tx{db: d, pool: d.app, by: by, scope: tenantScope | userScope, write: true, consumes: copied}, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// SpanOther is [Span] for what is done to somebody else: the principal acts in
// their tenant, and it is the other person whose rows are in sight and whose
// events and messages are left. Removing a member needs it, to end what the
// person has of the tenant. The caller settles that the principal may.
func SpanOther(ctx context.Context, d *DB, what Spanning, by identity.Principal, other ids.ID, fn func(*Tx) error) error {
	if !by.HasTenant() {
		return ErrNoTenant
	}
	if by.UserID == ids.Nil || other == ids.Nil {
		return errNoUser
	}
	if err := d.run(ctx, &Tx{db: d, pool: d.app, by: by, other: other, scope: tenantScope | userScope, write: true}, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// System runs fn across tenants, as a role of its own that only schedulers and
// the outbox relay hold. reason is logged.
func System(ctx context.Context, d *DB, reason string, fn func(*Tx) error) error {
	pool, err := d.systemPool()
	if err != nil {
		return err
	}
	d.log.DebugContext(ctx, "crossing tenants", "reason", reason)
	return d.run(ctx, &Tx{db: d, pool: pool, scope: systemScope, write: true}, fn)
}

// attempts is how often a transaction that lost a deadlock is run in all.
const attempts = 3

// pause is how long it stands back for the winner, about, each time longer.
const pause = 20 * time.Millisecond

func (d *DB) run(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	var attempt *idempotency.Attempt
	if tx.write && tx.scope != systemScope {
		attempt = idempotency.Claim(ctx)
	}
	for n := 1; ; n++ {
		next := *tx
		err := d.once(ctx, &next, attempt, fn)
		if err == nil || n == attempts || !worthRepeating(err, &next) || ctx.Err() != nil {
			return err
		}
		if errs.KindOf(err) == errs.Unavailable && !next.broke {
			// Who won has been woken and not run yet: at once, the same locks
			// would be taken from under it again.
			select {
			case <-time.After(time.Duration(n) * (pause/2 + rand.N(pause))): //nolint:gosec // jitter is no secret
			case <-ctx.Done():
				return err
			}
		}
	}
}

// worthRepeating tells a failure after which the same transaction may succeed
// and after which nothing of it can have stayed.
func worthRepeating(err error, tx *Tx) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40P01" || pg.Code == "40001"
	}
	// A connection that broke before anything was sent, or under a read.
	return pgconn.SafeToRetry(err) && tx.broke || tx.broke && !tx.write
}

func (d *DB) once(ctx context.Context, tx *Tx, attempt *idempotency.Attempt, fn func(*Tx) error) (err error) {
	held := false
	defer func() {
		if !held {
			tx.end(ctx)
		}
	}()
	if attempt != nil {
		if err := tx.claimKey(ctx, attempt); err != nil {
			return err
		}
	}
	if err := fn(tx); err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if tx.write && tx.scope&tenantScope != 0 && len(tx.entries) == 0 && !tx.intact && !tx.consumes {
		return errUnlogged
	}
	if err := tx.leave(ctx); err != nil {
		return err
	}
	if attempt != nil {
		if err := tx.flush(ctx, ""); err != nil {
			return err
		}
		if err := tx.settle(); err != nil {
			return err
		}
		attempt.Hold(&heldTx{tx: tx, attempt: attempt})
		held = true
		return nil
	}
	if !tx.begun && len(tx.queue) == 0 {
		return nil // nothing was asked, nothing is sent
	}
	if err := tx.flush(ctx, "commit"); err != nil {
		return err
	}
	outbox.Committed(ctx, tx.left+len(tx.messages)+len(tx.mail))
	return tx.settle()
}

func (tx *Tx) settle() error {
	for _, fn := range tx.after {
		if err := fn(); err != nil {
			return err
		}
	}
	return nil
}

// ReadEach runs fn read-only in each of the person's tenants in turn, all in
// one transaction and one round trip: what fn queues for a tenant is answered
// under that tenant's policy alone.
func ReadEach(ctx context.Context, d *DB, by identity.Principal, tenants []ids.ID, fn func(*Tx) error) error {
	if len(tenants) == 0 {
		return nil
	}
	return d.run(ctx, &Tx{db: d, pool: d.app, by: by.InTenant(tenants[0]), scope: tenantScope}, func(tx *Tx) error {
		for _, tenant := range tenants {
			tx.by = by.InTenant(tenant)
			// For the first one too: whichever tenant the transaction begins
			// with is the one that is at hand when something is awaited.
			tx.queue = append(tx.queue, exec(`select app.set_tenant($1)`, tenant))
			if err := fn(tx); err != nil {
				return err
			}
		}
		return nil
	})
}
