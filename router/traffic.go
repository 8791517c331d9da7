package router

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	// timeConstant is that of the exponentially weighted moving average of what is
	// in flight: long beside a stall, which must not become the usual while it
	// lasts, and short beside a day's ups and downs.
	timeConstant = time.Second
	// slack is how much more than on average is still no more.
	slack = 0.1
)

// traffic counts the requests in flight, and finds moments for those that are to
// go last: in which no more of the others are in flight than a request meets on
// average. When the functions or their database are behind, more are in flight,
// whatever it is that they lack and however much of it there is; no limit is to
// be set, and what is in flight for hours is soon the usual. Half of all moments
// or more are such, so that nobody is kept out for long.
type traffic struct {
	all  atomic.Int64
	last atomic.Int64 // of them, those that go last, whether they wait or not
	// usual is the average, a float64's bits.
	usual   atomic.Uint64
	seen    time.Time // when it was
	waiting atomic.Int64
	free    chan struct{} // wakes one
}

func newTraffic() *traffic { return &traffic{free: make(chan struct{}, 1)} }

func (t *traffic) enter() { t.all.Add(1) }

// leave ends a request; each lets at most one go on that waits.
func (t *traffic) leave(last bool) {
	t.all.Add(-1)
	if last {
		t.last.Add(-1)
	}
	if t.waiting.Load() > 0 && !t.busy() {
		select {
		case t.free <- struct{}{}:
		default:
		}
	}
}

// met notes what a request meets that has entered and is not among the last yet.
// One caller at a time.
func (t *traffic) met(now time.Time) {
	usual := math.Float64frombits(t.usual.Load())
	weight := 1 - math.Exp(-max(0, now.Sub(t.seen).Seconds())/timeConstant.Seconds())
	t.seen = now
	t.usual.Store(math.Float64bits(usual + weight*(float64(max(0, t.others()-1))-usual)))
}

// others may be one less than there are while one of the last is leaving.
func (t *traffic) others() int64 { return t.all.Load() - t.last.Load() }

func (t *traffic) busy() bool {
	return float64(t.others()) > math.Float64frombits(t.usual.Load())+slack
}

// wait returns when a moment has come for a request that goes last, or after
// most, or with ctx, or when the process is about to end.
func (t *traffic) wait(ctx context.Context, most time.Duration, leaving <-chan struct{}) {
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	if !t.busy() {
		return
	}
	over := time.NewTimer(most)
	defer over.Stop()
	for t.busy() {
		select {
		case <-t.free:
		case <-over.C:
			return
		case <-ctx.Done():
			return
		case <-leaving:
			return
		}
	}
}
