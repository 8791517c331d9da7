// Package page cuts lists into pages by position instead of by number: a page
// begins after the last row its reader has seen, so that rows inserted or
// deleted meanwhile neither repeat nor hide others, and page one thousand costs
// what page one costs.
//
// A handler gets a [Position] from its request, puts its SQL into the query,
// reads one row more than the page holds and lets [Assemble] cut it. [Codec]
// turns the borders into opaque signed cursors. To sort by another time, add an
// [Order]; its column needs an index that ends in the id.
package page

import (
	"fmt"
	"slices"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// The sizes of a page, in rows.
const (
	DefaultSize = 100
	MaxSize     = 200
)

// Cursor is one border of a page: the place of a row, and which way to read
// from it.
type Cursor struct {
	Order    Order
	Backward bool
	// Inclusive reads the row at the border too. It is set when the page that
	// the cursor leads away from was empty, since then the border belongs to
	// the page one returns to.
	Inclusive bool
	// Time and ID are the row's. Time is cut to microseconds, PostgreSQL's
	// resolution: a finer time would compare as later than the row itself.
	Time time.Time
	ID   ids.ID
}

// Position is what a request asks for: a page of Size rows, from a border or
// from the start.
type Position struct {
	Order Order
	Size  int
	// From is nil for the first page.
	From *Cursor
}

// First is the first page in the given order.
func First(o Order, size int) Position { return Position{Order: o, Size: size} }

// Limit is how many rows to read: one more than fit, to learn whether there is
// another page.
func (p Position) Limit() int { return p.Size + 1 }

// SQL gives what a query needs to read the page: a condition ("true" for the
// first page) whose parameters start at $nextArg, the order, and the
// parameters. alias is the table's name in the query, or empty.
//
// The row comparison is one range of an index on (column, id), which Citus
// pushes down to the shard like any other filter.
func (p Position) SQL(nextArg int, alias string) (where, orderBy string, args []any) {
	if alias != "" {
		alias += "."
	}
	column, id := alias+p.Order.Column(), alias+"id"
	down := p.Order.descending() != p.backward()
	direction := "asc"
	if down {
		direction = "desc"
	}
	orderBy = fmt.Sprintf("%s %s, %s %s", column, direction, id, direction)
	if p.From == nil {
		return "true", orderBy, nil
	}
	op := ">"
	if down {
		op = "<"
	}
	if p.From.Inclusive {
		op += "="
	}
	where = fmt.Sprintf("(%s, %s) %s ($%d::timestamptz, $%d::uuid)", column, id, op, nextArg, nextArg+1)
	return where, orderBy, []any{p.From.Time.UTC(), p.From.ID}
}

func (p Position) backward() bool { return p.From != nil && p.From.Backward }

// Assemble makes a page of the rows that a query with [Position.SQL] and
// [Position.Limit] gave, in the order it gave them. key is a row's place: its
// value of the order's column and its id. A nil border means that there is
// nothing beyond it.
func Assemble[T any](rows []T, pos Position, key func(T) (time.Time, ids.ID)) (results []T, next, previous *Cursor) {
	more := len(rows) > pos.Size
	if more {
		rows = rows[:pos.Size]
	}
	results = make([]T, len(rows)) // never nil: an empty list is [], not null
	copy(results, rows)
	if pos.backward() {
		slices.Reverse(results)
	}
	border := func(row T, backward bool) *Cursor {
		at, id := key(row)
		return &Cursor{Order: pos.Order, Backward: backward, Time: at.Truncate(time.Microsecond), ID: id}
	}
	// The way one came from always exists; the way ahead only if a row was
	// left over.
	switch {
	case len(results) == 0 && pos.From == nil:
		return results, nil, nil
	case len(results) == 0:
		back := *pos.From
		back.Backward = !back.Backward
		back.Inclusive = !back.Inclusive
		if pos.From.Backward {
			return results, &back, nil
		}
		return results, nil, &back
	case pos.backward():
		next = border(results[len(results)-1], false)
		if more {
			previous = border(results[0], true)
		}
	default:
		if pos.From != nil {
			previous = border(results[0], true)
		}
		if more {
			next = border(results[len(results)-1], false)
		}
	}
	return results, next, previous
}
