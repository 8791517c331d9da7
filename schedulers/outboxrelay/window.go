package outboxrelay

import (
	"math"
	"time"

	"github.com/coditect/platform/shared/queue"
)

// Bounds of what one owner may have under way with one kind.
const (
	smallestWindow = 4
	largestWindow  = 200
	// turns is how many owners with a full window the queue holds at a time:
	// with a window of a second's work each, whoever comes new waits for about
	// as many seconds at most.
	turns = 4
)

// window is how many messages of one kind may be under way.
type window struct {
	owner int // of one tenant or person
	all   int // of everybody
	// age is after how long the kind's consumer gives a message up that only
	// waits for something else.
	age time.Duration
	// ahead is how long before its time a message is given to the queue, which
	// delivers it then. Pub/Sub knows no such time.
	ahead time.Duration
}

// ahead covers the pause between two looks of a sweep.
const ahead = 2 * time.Second

// windowOf is a second's work of the consumer for one owner, and a few for all.
func windowOf(c queue.Consumer) window {
	perSecond := c.Rate
	if perSecond == 0 { // Pub/Sub has no rate: as many as a listener serves at a time
		perSecond = float64(c.Concurrency)
	}
	owner := min(max(int(math.Ceil(perSecond)), smallestWindow), largestWindow)
	w := window{owner: owner, all: max(owner*turns, 2*c.Concurrency), age: c.MaxAge}
	if c.Queue != "" {
		w.ahead = ahead
	}
	return w
}

// windows gives each kind of an owner's sort its window.
func windows(r *queue.Registry, of queue.Owner) map[string]window {
	out := map[string]window{}
	for _, route := range r.Routes() {
		if route.Owner != of {
			continue
		}
		consumer, ok := r.Consumer(route.Consumer)
		if !ok {
			consumer, _ = r.Consumer(r.Listeners(route.Topic)[0])
		}
		out[route.Kind] = windowOf(consumer)
	}
	return out
}
