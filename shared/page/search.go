package page

import "github.com/coditect/platform/shared/ids"

// Exclusive gives the page's order as it is read ("-created_at" reads down,
// whatever way the reader pages) and the border after which to read, nil for
// the first page. It serves SQL functions that take an order and a border
// instead of a condition.
func (p Position) Exclusive() (ordering string, at, id any) {
	ordering = p.Order.Column()
	down := p.Order.descending() != p.backward()
	if down {
		ordering = "-" + ordering
	}
	if p.From == nil {
		return ordering, nil, nil
	}
	border := p.From.ID
	if p.From.Inclusive {
		border = neighbour(border, !down)
	}
	return ordering, p.From.Time.UTC(), border
}

// neighbour is the id just before or after one, in PostgreSQL's order of
// bytes: what lies after it is what lies at or after id.
func neighbour(id ids.ID, before bool) ids.ID {
	step, stop := byte(1), byte(0)
	if before {
		step, stop = 0xff, 0xff
	}
	for i := len(id) - 1; i >= 0; i-- {
		id[i] += step
		if id[i] != stop {
			break
		}
	}
	return id
}
