package db

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/idempotency"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
)

// kept is a row of idempotency_keys or user_idempotency_keys.
type kept struct {
	fingerprint []byte
	status      int
	header      []byte
	body        []byte
}

func scanKept(row pgx.CollectableRow) (k kept, err error) {
	err = row.Scan(&k.fingerprint, &k.status, &k.header, &k.body)
	return k, err
}

// claimKey makes the transaction the only one that works on the attempt's key,
// or ends it with what an earlier one answered. It costs one round trip, which
// requests without a key do not pay.
func (tx *Tx) claimKey(ctx context.Context, a *idempotency.Attempt) error {
	attempt := idempotencyRow{a, tx.by, tx.keepsWithTenant()}
	// The lock is given up with the transaction, whatever becomes of us.
	locked := One(tx, pgx.RowTo[bool], `select pg_try_advisory_xact_lock(hashtextextended($1, 0))`, attempt.name())
	earlier := One(tx, scanKept, attempt.selectSQL(), attempt.key(time.Now().UTC())...)
	free, err := locked.Await(ctx)
	if err != nil {
		return err
	}
	if !free {
		return idempotency.ErrInFlight
	}
	if err := attempt.answer(ctx, earlier); err != nil {
		return err
	}
	a.OnFailure(func(ctx context.Context, r idempotency.Response) error { return tx.db.keep(ctx, attempt, tx.scope, r) })
	return nil
}

// keepsWithTenant tells whether an answer is kept with the tenant: where the
// rows of who acts are not in sight, it cannot be kept with them.
func (tx *Tx) keepsWithTenant() bool {
	return tx.scope&tenantScope != 0 && (tx.scope&userScope == 0 || tx.other != ids.Nil)
}

// Committed runs fn once the write that came before it in the request is
// committed: at once, or with the answer when that is stored with the write for
// an Idempotency-Key. The client may have gone by then; fn's context outlives it.
func Committed(ctx context.Context, fn func(context.Context)) {
	if a := idempotency.Current(ctx); a != nil && a.After(func(ctx context.Context) { fn(context.WithoutCancel(ctx)) }) {
		return
	}
	fn(context.WithoutCancel(ctx))
}

// Replayed looks for the answer that the request's Idempotency-Key was given
// earlier as the person by. Registration asks it: whom a repeat is from is
// known only once the address turns out to be taken. It gives nil when there
// is no key or no answer.
func Replayed(ctx context.Context, d *DB, by identity.Principal) error {
	return replayed(ctx, by, false, func(fn func(*Tx) error) error { return ReadUser(ctx, d, by, fn) })
}

// ReplayedTenant does the same for an operation inside an organization, before
// it does something outside the database that must not be done for a repeat.
func ReplayedTenant(ctx context.Context, d *DB, by identity.Principal) error {
	return replayed(ctx, by, true, func(fn func(*Tx) error) error { return Read(ctx, d, by, fn) })
}

func replayed(ctx context.Context, by identity.Principal, tenant bool, read func(func(*Tx) error) error) error {
	a := idempotency.Current(ctx)
	if a == nil {
		return nil
	}
	row := idempotencyRow{a, by, tenant}
	var earlier *Row[kept]
	err := read(func(tx *Tx) error {
		earlier = One(tx, scanKept, row.selectSQL(), row.key(time.Now().UTC())...)
		return nil
	})
	if err != nil {
		return err
	}
	return row.answer(ctx, earlier)
}

// answer is what an earlier use of the key means: nil, ErrReused or a Replay.
func (r idempotencyRow) answer(ctx context.Context, earlier *Row[kept]) error {
	k, found := earlier.Found()
	if !found {
		return nil
	}
	if string(k.fingerprint) != string(r.Fingerprint[:]) {
		return idempotency.ErrReused
	}
	resp, err := r.open(ctx, k)
	if err != nil {
		return err
	}
	return &idempotency.Replay{Response: resp}
}

// keep stores an answer whose effect was refused for good.
func (d *DB) keep(ctx context.Context, row idempotencyRow, sc scope, r idempotency.Response) error {
	tx := &Tx{db: d, pool: d.app, by: row.by, scope: sc, write: true, intact: true}
	defer tx.end(ctx)
	s, err := row.insert(ctx, r)
	if err != nil {
		return err
	}
	tx.queue = append(tx.queue, s)
	return tx.flush(ctx, "commit")
}

// heldTx is a transaction whose effect is done and whose answer is not.
type heldTx struct {
	tx      *Tx
	attempt *idempotency.Attempt
}

func (h *heldTx) Commit(ctx context.Context, r idempotency.Response) error {
	defer h.tx.end(ctx)
	row := idempotencyRow{h.attempt, h.tx.by, h.tx.keepsWithTenant()}
	s, err := row.insert(ctx, r)
	if err != nil {
		return err
	}
	h.tx.queue = append(h.tx.queue, s)
	if err := h.tx.flush(ctx, "commit"); err != nil {
		return err
	}
	outbox.Committed(ctx, h.tx.left+len(h.tx.messages)+len(h.tx.mail))
	return nil
}

func (h *heldTx) Rollback(ctx context.Context) { h.tx.end(ctx) }

// idempotencyRow is where an attempt's answer is kept: with the tenant, or
// with the person for what belongs to nobody else.
type idempotencyRow struct {
	*idempotency.Attempt
	by     identity.Principal
	tenant bool
}

func (r idempotencyRow) name() string {
	return fmt.Sprintf("%s %s %s %s %s", r.scopeTenant(), r.by.UserID, r.Method, r.Path, r.Key)
}

func (r idempotencyRow) scopeTenant() ids.ID {
	if r.tenant {
		return r.by.TenantID
	}
	return ids.Nil
}

func (r idempotencyRow) key(now time.Time) []any {
	if r.tenant {
		return []any{r.by.TenantID, r.by.UserID, r.Method, r.Path, r.Key, now}
	}
	return []any{r.by.UserID, r.Method, r.Path, r.Key, now}
}

func (r idempotencyRow) selectSQL() string {
	if r.tenant {
		return `select fingerprint, status, headers, body from app.idempotency_keys
			where tenant_id = $1 and user_id = $2 and method = $3 and path = $4 and key = $5 and expires_at > $6`
	}
	return `select fingerprint, status, headers, body from app.user_idempotency_keys
			where user_id = $1 and method = $2 and path = $3 and key = $4 and expires_at > $5`
}

// bound ties a sealed answer to whom it was given.
func (r idempotencyRow) bound() []byte {
	sum := sha256.Sum256([]byte("idempotency " + r.name()))
	return sum[:]
}

func (r idempotencyRow) insert(ctx context.Context, resp idempotency.Response) (statement, error) {
	header, err := json.Marshal(resp.Header)
	if err != nil {
		return statement{}, err
	}
	body := resp.Body
	if body == nil {
		body = []byte{}
	}
	if r.Sealer != nil {
		if body, err = r.Sealer.Seal(ctx, body, r.bound()); err != nil {
			return statement{}, fmt.Errorf("db: idempotency: %w", err)
		}
	}
	args := append(r.key(time.Now().UTC().Add(idempotency.Keep)), r.Fingerprint[:], resp.Status, string(header), body)
	const set = ` do update set fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, body = excluded.body, expires_at = excluded.expires_at`
	if r.tenant {
		return exec(`insert into app.idempotency_keys (tenant_id, user_id, method, path, key, expires_at, fingerprint, status, headers, body)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (tenant_id, user_id, method, path, key)`+set, args...), nil
	}
	return exec(`insert into app.user_idempotency_keys (user_id, method, path, key, expires_at, fingerprint, status, headers, body)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (user_id, method, path, key)`+set, args...), nil
}

func (r idempotencyRow) open(ctx context.Context, k kept) (idempotency.Response, error) {
	out := idempotency.Response{Status: k.status, Body: k.body, Header: http.Header{}}
	if err := json.Unmarshal(k.header, &out.Header); err != nil {
		return out, fmt.Errorf("db: idempotency: %w", err)
	}
	if r.Sealer != nil {
		plain, err := r.Sealer.Open(ctx, k.body, r.bound())
		if err != nil {
			return out, errors.Join(errors.New("db: idempotency: the stored answer cannot be opened"), err)
		}
		out.Body = plain
	}
	return out, nil
}
