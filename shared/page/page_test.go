package page

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

type row struct {
	at time.Time
	id ids.ID
}

func compare(a, b row) int {
	if c := a.at.Compare(b.at); c != 0 {
		return c
	}
	return strings.Compare(string(a.id[:]), string(b.id[:]))
}

// table is the model: what PostgreSQL would do with the SQL of a position.
type table map[ids.ID]row

func (tb table) read(p Position) []row {
	where, order, args := p.SQL(1, "")
	down := strings.Contains(order, "desc")
	var out []row
	for _, r := range tb {
		if p.From != nil {
			border := row{args[0].(time.Time), args[1].(ids.ID)}
			c := compare(r, border)
			if down {
				c = -c
			}
			if c < 0 || c == 0 && !strings.Contains(where, "=") {
				continue
			}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b row) int {
		if down {
			a, b = b, a
		}
		return compare(a, b)
	})
	return out[:min(len(out), p.Limit())]
}

func keyOf(r row) (time.Time, ids.ID) { return r.at, r.id }

// TestTrapT33: walking all pages, with many equal times and with rows coming
// and going between pages, shows every row that stayed exactly once, in order;
// and the way back likewise.
func TestTrapT33Walk(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		random := func() row {
			var id ids.ID
			for i := range id {
				id[i] = byte(r.UintN(256))
			}
			return row{base.Add(time.Duration(r.IntN(5)) * time.Microsecond), id} // five times: nearly all are equal to others
		}
		tb, stays := table{}, map[ids.ID]bool{}
		for range r.IntN(40) {
			x := random()
			tb[x.id], stays[x.id] = x, true
		}
		order := orders[r.IntN(len(orders))]
		size := 1 + r.IntN(7)
		churn := func() {
			for range r.IntN(3) {
				x := random()
				tb[x.id] = x
			}
			for id := range tb {
				if r.IntN(8) == 0 {
					delete(tb, id)
					delete(stays, id)
				}
			}
		}
		walk := func(from *Cursor, back bool, change func()) (seen []row, last *Cursor) {
			pos := Position{Order: order, Size: size, From: from}
			for range 1000 {
				results, next, previous := Assemble(tb.read(pos), pos, keyOf)
				if len(results) > size {
					t.Fatalf("seed %d: %d rows on a page of %d", seed, len(results), size)
				}
				onward := next
				if back {
					onward = previous
					results = slices.Clone(results)
					slices.Reverse(results)
				}
				seen = append(seen, results...)
				if onward == nil {
					return seen, previous
				}
				pos.From = onward
				change()
			}
			t.Fatalf("seed %d: the walk does not end", seed)
			return nil, nil
		}
		check := func(what string, seen []row, ascending bool) {
			t.Helper()
			for i := 1; i < len(seen); i++ {
				c := compare(seen[i-1], seen[i])
				if !ascending {
					c = -c
				}
				if c >= 0 {
					t.Fatalf("seed %d: %s: row %d repeats or is out of order", seed, what, i)
				}
			}
			for id := range stays {
				if !slices.ContainsFunc(seen, func(x row) bool { return x.id == id }) {
					t.Fatalf("seed %d: %s: a row that stayed was not seen", seed, what)
				}
			}
		}
		seen, _ := walk(nil, false, churn)
		check("forward", seen, !order.descending())

		// To the end without changes, then back with them.
		for id := range tb {
			stays[id] = true
		}
		pos := First(order, size)
		var previous *Cursor
		onLast := map[ids.ID]bool{}
		for {
			var results []row
			var next *Cursor
			results, next, previous = Assemble(tb.read(pos), pos, keyOf)
			if next == nil {
				for _, x := range results {
					onLast[x.id] = true
				}
				break
			}
			pos.From = next
		}
		if previous == nil {
			continue
		}
		for id := range onLast {
			delete(stays, id)
		}
		seen, _ = walk(previous, true, churn)
		check("backward", seen, order.descending())
	}
}

// When everything ahead is gone, the way back still shows the row one came from.
func TestEmptyPageLeadsBack(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tb := table{}
	for i := range byte(4) {
		r := row{at.Add(time.Duration(i) * time.Second), ids.ID{15: i}}
		tb[r.id] = r
	}
	pos := First(Oldest, 2)
	_, next, _ := Assemble(tb.read(pos), pos, keyOf)
	delete(tb, ids.ID{15: 2})
	delete(tb, ids.ID{15: 3})
	pos.From = next
	results, onward, back := Assemble(tb.read(pos), pos, keyOf)
	if len(results) != 0 || results == nil || onward != nil || back == nil {
		t.Fatalf("got %v %v %v", results, onward, back)
	}
	pos.From = back
	results, onward, _ = Assemble(tb.read(pos), pos, keyOf)
	if len(results) != 2 || results[0].id != (ids.ID{15: 0}) || results[1].id != (ids.ID{15: 1}) || onward == nil {
		t.Errorf("back: %v", results)
	}
	// And forward again from an empty page behind.
	clear(tb)
	pos.From = &Cursor{Order: Oldest, Backward: true, Time: at, ID: ids.ID{}}
	if results, next, previous := Assemble(tb.read(pos), pos, keyOf); len(results) != 0 || next == nil || !next.Inclusive || previous != nil {
		t.Errorf("empty behind: %v %v", next, previous)
	}
	pos.From = nil
	if results, next, previous := Assemble(tb.read(pos), pos, keyOf); results == nil || next != nil || previous != nil {
		t.Error("an empty list has borders")
	}
}

func TestSQL(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 2, 0, 0, 0, time.FixedZone("", 7200))
	from := func(backward, inclusive bool) *Cursor {
		return &Cursor{Backward: backward, Inclusive: inclusive, Time: at, ID: ids.ID{15: 1}}
	}
	for _, c := range []struct {
		pos          Position
		alias        string
		where, order string
	}{
		{First(Newest, 10), "t", "true", "t.created_at desc, t.id desc"},
		{First(LeastUpdated, 10), "", "true", "updated_at asc, id asc"},
		{Position{Newest, 10, from(false, false)}, "t", "(t.created_at, t.id) < ($3::timestamptz, $4::uuid)", "t.created_at desc, t.id desc"},
		{Position{Newest, 10, from(true, false)}, "t", "(t.created_at, t.id) > ($3::timestamptz, $4::uuid)", "t.created_at asc, t.id asc"},
		{Position{Oldest, 10, from(true, true)}, "", "(created_at, id) <= ($3::timestamptz, $4::uuid)", "created_at desc, id desc"},
		{Position{RecentlyUpdated, 10, from(false, true)}, "", "(updated_at, id) <= ($3::timestamptz, $4::uuid)", "updated_at desc, id desc"},
	} {
		where, order, args := c.pos.SQL(3, c.alias)
		if where != c.where || order != c.order {
			t.Errorf("got %s order by %s, want %s order by %s", where, order, c.where, c.order)
		}
		if c.pos.From != nil && (len(args) != 2 || !args[0].(time.Time).Equal(at) || args[0].(time.Time).Location() != time.UTC) {
			t.Errorf("args %v", args)
		}
		if c.pos.Limit() != 11 {
			t.Errorf("limit %d", c.pos.Limit())
		}
	}
}

// TestTrapT34: only names of the list become SQL.
func TestTrapT34Orders(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Order{"": Newest, "created_at": Oldest, "-created_at": Newest, "updated_at": LeastUpdated, "-updated_at": RecentlyUpdated} {
		if got, err := ParseOrder(in); got != want || err != nil {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"name", "--created_at", "created_at;drop", "Created_at", " created_at"} {
		if _, err := ParseOrder(in); errs.KindOf(err) != errs.Malformed || errs.CodeOf(err) != "invalid_ordering" {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestAssembleCutsToMicroseconds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 1999, time.UTC)
	pos := First(Newest, 1)
	_, next, _ := Assemble([]row{{at, ids.ID{1}}, {at, ids.ID{2}}}, pos, keyOf)
	if next.Time.Nanosecond() != 1000 {
		t.Error(fmt.Sprint(next.Time.Nanosecond()))
	}
	if errors.Is(ErrCursor, ErrOrdering) {
		t.Error("two errors are one")
	}
}
