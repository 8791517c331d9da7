package outbox

import (
	"context"
	"sync/atomic"
)

// Tracker tells whether messages committed while a request was served, so that
// its answer can nudge the relay.
type Tracker struct{ left atomic.Int64 }

type trackerKey struct{}

// Track returns a context in which commits are counted.
func Track(ctx context.Context) (context.Context, *Tracker) {
	t := &Tracker{}
	return context.WithValue(ctx, trackerKey{}, t), t
}

// Committed notes that n messages committed under ctx.
func Committed(ctx context.Context, n int) {
	if t, ok := ctx.Value(trackerKey{}).(*Tracker); ok && n > 0 {
		t.left.Add(int64(n))
	}
}

// Count is the number of messages that committed.
func (t *Tracker) Count() int { return int(t.left.Load()) }
