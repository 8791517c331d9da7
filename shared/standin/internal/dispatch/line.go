// Package dispatch runs things when their time has come: at most so many at
// once, and so many a second. It is the clockwork of the stand-ins that push.
package dispatch

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// An Item waits in a Line. Do runs in a goroutine of its own when the time has
// come; its context ends with the line. An item that is to run again puts
// itself back.
type Item struct {
	Do func(context.Context)

	at    time.Time
	order uint64
	index int // in the heap, from 1; 0 for an item that does not wait
}

// A Line is a set of items that wait. One goroutine and one timer serve all of
// them, so a waiting item costs its memory only.
type Line struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{}

	mu      sync.Mutex
	waiting waiting
	put     uint64
	running int
	limit   int
	rate    *rate.Limiter
	grant   time.Time // from when the rate allows the next; zero before it was asked
	paused  bool
	closed  bool
}

// NewLine starts a line in which at most limit items run at once. A rate of
// zero is no limit; burst is how many may start together after a quiet time.
func NewLine(limit int, perSecond float64, burst int) *Line {
	l := &Line{wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.Limit(limit, perSecond, burst)
	l.work.Add(1)
	go l.run()
	return l
}

// Limit changes the limits. What runs already is not interrupted.
func (l *Line) Limit(limit int, perSecond float64, burst int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The next one waits by the new rate, not by the one that was.
	l.limit, l.grant = limit, time.Time{}
	allowed := rate.Limit(perSecond)
	if perSecond <= 0 {
		allowed = rate.Inf
	}
	if l.rate == nil {
		l.rate = rate.NewLimiter(allowed, max(1, burst))
	} else {
		l.rate.SetLimit(allowed)
		l.rate.SetBurst(max(1, burst))
	}
	l.nudge()
}

// Put lets it wait until at. An item that waits already changes its time. Items
// of the same time run in the order in which they were put.
func (l *Line) Put(it *Item, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.put++
	it.at, it.order = at, l.put
	if it.index > 0 {
		heap.Fix(&l.waiting, it.index-1)
	} else {
		heap.Push(&l.waiting, it)
	}
	if l.waiting[0] == it {
		l.nudge()
	}
}

// Take removes it from those that wait; false means that it did not.
func (l *Line) Take(it *Item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.index == 0 {
		return false
	}
	heap.Remove(&l.waiting, it.index-1)
	return true
}

// Start runs a waiting item at once, past every limit; false means that it did
// not wait.
func (l *Line) Start(it *Item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.index == 0 || l.closed {
		return false
	}
	heap.Remove(&l.waiting, it.index-1)
	l.begin(it)
	return true
}

// Pause stops new items from being run, or lets them go on.
func (l *Line) Pause(paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = paused
	l.nudge()
}

// Close forgets what waits, ends the context of what runs, and returns when all
// of it has.
func (l *Line) Close() {
	l.mu.Lock()
	l.closed = true
	for _, it := range l.waiting {
		it.index = 0
	}
	l.waiting = nil
	l.mu.Unlock()
	l.cancel()
	l.work.Wait()
}

func (l *Line) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Line) run() {
	defer l.work.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(l.begun())
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// idle is how long the line sleeps when only a nudge can bring work.
const idle = time.Duration(math.MaxInt64)

// begun starts what may start now and tells after what time to look again.
func (l *Line) begun() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && !l.paused && l.running < l.limit && len(l.waiting) > 0 {
		now := time.Now()
		first := l.waiting[0]
		if wait := first.at.Sub(now); wait > 0 {
			return wait
		}
		if l.grant.IsZero() {
			l.grant = now.Add(l.rate.ReserveN(now, 1).DelayFrom(now))
		}
		if wait := l.grant.Sub(now); wait > 0 {
			return wait
		}
		l.grant = time.Time{}
		heap.Pop(&l.waiting)
		l.begin(first)
	}
	return idle
}

func (l *Line) begin(it *Item) {
	l.running++
	l.work.Go(func() {
		it.Do(l.ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running >= l.limit {
			l.nudge()
		}
		l.running--
	})
}

// waiting is a heap by time.
type waiting []*Item

func (w waiting) Len() int { return len(w) }

func (w waiting) Less(i, j int) bool {
	if w[i].at.Equal(w[j].at) {
		return w[i].order < w[j].order
	}
	return w[i].at.Before(w[j].at)
}

func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i+1, j+1
}

// Push is for container/heap.
func (w *waiting) Push(x any) {
	it := x.(*Item)
	*w = append(*w, it)
	it.index = len(*w)
}

// Pop is for container/heap.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	it := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	it.index = 0
	return it
}
