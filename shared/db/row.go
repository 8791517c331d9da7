package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/shared/errs"
)

var errPending = errors.New("db: the statement has not been sent: its value is there after the transaction, or by Await")

// Row is the result of a statement that gives at most one row.
type Row[T any] struct {
	tx    *Tx
	value T
	err   error
	done  bool
}

// One queues a statement that gives at most one row.
func One[T any](tx *Tx, scan pgx.RowToFunc[T], sql string, args ...any) *Row[T] {
	r := &Row[T]{tx: tx, err: errPending}
	tx.queue = append(tx.queue, statement{sql, args, func(b pgx.BatchResults) error {
		rows, err := b.Query()
		if err != nil {
			return err
		}
		r.value, r.err = pgx.CollectOneRow(rows, scan)
		r.done = true
		if errors.Is(r.err, pgx.ErrNoRows) {
			return nil // an absent row does not break the transaction
		}
		return r.err
	}})
	return r
}

// Value gives the row, once the statement was sent. An absent row is
// [errs.ErrNotFound].
func (r *Row[T]) Value() (T, error) {
	if errors.Is(r.err, pgx.ErrNoRows) {
		return r.value, errs.ErrNotFound
	}
	return r.value, r.err
}

// Found gives the row and whether there was one. It is false, too, when the
// statement failed: the transaction's own error says so.
func (r *Row[T]) Found() (T, bool) { return r.value, r.done && r.err == nil }

// Await sends what is queued and gives the row. It costs a round trip.
func (r *Row[T]) Await(ctx context.Context) (T, error) {
	if !r.done {
		if err := r.tx.flush(ctx, ""); err != nil {
			return r.value, err
		}
	}
	return r.Value()
}

// Rows is the result of a statement that gives any number of rows.
type Rows[T any] struct {
	tx    *Tx
	value []T
	err   error
	done  bool
}

// Many queues a statement that gives any number of rows. Every caller bounds
// them with a LIMIT.
func Many[T any](tx *Tx, scan pgx.RowToFunc[T], sql string, args ...any) *Rows[T] {
	r := &Rows[T]{tx: tx, err: errPending}
	tx.queue = append(tx.queue, statement{sql, args, func(b pgx.BatchResults) error {
		rows, err := b.Query()
		if err != nil {
			return err
		}
		r.value, r.err = pgx.AppendRows(make([]T, 0, 16), rows, scan)
		r.done = true
		return r.err
	}})
	return r
}

// Value gives the rows, once the statement was sent. No row is an empty slice.
func (r *Rows[T]) Value() ([]T, error) { return r.value, r.err }

// Await sends what is queued and gives the rows. It costs a round trip.
func (r *Rows[T]) Await(ctx context.Context) ([]T, error) {
	if !r.done {
		if err := r.tx.flush(ctx, ""); err != nil {
			return nil, err
		}
	}
	return r.Value()
}

// Tag is the result of a statement that gives no rows.
type Tag struct {
	tx   *Tx
	tag  pgconn.CommandTag
	done bool
}

// Exec queues a statement that gives no rows.
func Exec(tx *Tx, sql string, args ...any) *Tag {
	t := &Tag{tx: tx}
	tx.queue = append(tx.queue, statement{sql, args, func(b pgx.BatchResults) error {
		var err error
		t.tag, err = b.Exec()
		t.done = err == nil
		return err
	}})
	return t
}

// Affected is the number of rows the statement changed, once it was sent.
func (t *Tag) Affected() int64 { return t.tag.RowsAffected() }

// Await sends what is queued and gives the number of rows changed. It costs a
// round trip.
func (t *Tag) Await(ctx context.Context) (int64, error) {
	if !t.done {
		if err := t.tx.flush(ctx, ""); err != nil {
			return 0, err
		}
	}
	return t.Affected(), nil
}
