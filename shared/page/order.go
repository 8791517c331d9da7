package page

import (
	"strings"

	"github.com/coditect/platform/shared/errs"
)

// Order is how a list is sorted: by a time, and by id among equal times, so
// that every row has exactly one place.
type Order string

// The orders a client may ask for. The name of the column is part of the value
// and never comes from a request (see [ParseOrder]).
const (
	Newest          Order = "-created_at"
	Oldest          Order = "created_at"
	RecentlyUpdated Order = "-updated_at"
	LeastUpdated    Order = "updated_at"
)

// Default is the order of a list when the client names none.
const Default = Newest

var orders = []Order{Newest, Oldest, RecentlyUpdated, LeastUpdated}

// ErrOrdering is the answer to an ordering that is not on the list.
var ErrOrdering = &errs.Error{
	Kind: errs.Malformed, Code: "invalid_ordering", Detail: "The list cannot be ordered that way.",
	Fields: []errs.Field{{Location: "query.ordering", Message: "must be one of created_at, -created_at, updated_at, -updated_at"}},
}

// ParseOrder reads the ordering parameter; empty means [Default].
func ParseOrder(s string) (Order, error) {
	if s == "" {
		return Default, nil
	}
	for _, o := range orders {
		if string(o) == s {
			return o, nil
		}
	}
	return "", ErrOrdering
}

func (o Order) descending() bool { return strings.HasPrefix(string(o), "-") }

// Column is the time column the list is sorted by.
func (o Order) Column() string { return strings.TrimPrefix(string(o), "-") }

// code is the order's place in a cursor. It never changes, as cursors outlive a
// deployment.
func (o Order) code() byte {
	for i, known := range orders {
		if known == o {
			return byte(i)
		}
	}
	return 0xff
}

func orderOf(code byte) (Order, bool) {
	if int(code) < len(orders) {
		return orders[code], true
	}
	return "", false
}
