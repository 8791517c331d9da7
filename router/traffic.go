package router

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// smooth is over how many requests the usual traffic is averaged.
	smooth = 64
	// unit is one request in that average.
	unit = 1024
)

// traffic counts the requests in flight, and finds moments for those that are to
// go last: in which no more of the others are in flight than these meet on
// average. When the functions or their database are behind, more are in flight,
// whatever it is that they lack and however much of it there is; no limit is to
// be set. Half of all moments are such, so that nobody is kept out for long.
type traffic struct {
	all  atomic.Int64
	last atomic.Int64 // of them, those that go last, whether they wait or not
	// usual is how many of the others one of them meets, in units.
	usual   atomic.Int64
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

// met notes what a request that has entered, and does not go last, meets. One
// caller at a time.
func (t *traffic) met() {
	usual := t.usual.Load()
	t.usual.Store(usual + (unit*(t.others()-1)-usual)/smooth)
}

func (t *traffic) others() int64 { return t.all.Load() - t.last.Load() }

// busy allows for what the average's last steps are too small for.
func (t *traffic) busy() bool { return unit*t.others() > t.usual.Load()+smooth }

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
