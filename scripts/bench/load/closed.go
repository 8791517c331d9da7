package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Window is when to measure.
type Window struct {
	Warm   time.Duration // before it counts
	Length time.Duration
	// Begin and End, if set, are called where the counting begins and ends, to
	// read what the processes have used so far.
	Begin, End func()
}

func (w Window) deadline() time.Time {
	return time.Now().Add(w.Warm + w.Length + grace + 3*time.Second)
}

// grace is what the last answers may take after the end.
const grace = 12 * time.Second

const (
	warming int32 = iota
	counting
	over
)

// Closed lets every caller ask again as soon as it has its answer, for the
// window's length, or longer until something is answered at all. A caller
// that gets no answer, or a wrong one, goes on: the result says so.
func Closed(ctx context.Context, address string, callers []Caller, w Window) Result {
	var phase atomic.Int32
	var answered atomic.Bool
	parts := make([]part, len(callers))
	deadline := w.deadline()
	var working sync.WaitGroup
	for i, caller := range callers {
		working.Go(func() {
			c := &conn{address: address, deadline: deadline}
			defer c.close()
			p := &parts[i]
			p.latencies = make([]time.Duration, 0, 1<<14)
			for phase.Load() != over && ctx.Err() == nil {
				begun := time.Now()
				status, body, err := c.do(ctx, caller.Request())
				if err == nil {
					err = caller.Answer(status, body)
				}
				if err != nil {
					p.fault(status, err)
					answered.Store(true)
					if time.Now().After(deadline) {
						return
					}
					continue
				}
				if phase.Load() == counting {
					p.latencies = append(p.latencies, time.Since(begun))
					answered.Store(true)
				}
			}
		})
	}
	wait(ctx, w.Warm)
	call(w.Begin)
	phase.Store(counting)
	began := time.Now()
	wait(ctx, w.Length)
	for !answered.Load() && ctx.Err() == nil && time.Until(deadline) > grace {
		wait(ctx, 5*time.Millisecond)
	}
	phase.Store(over)
	elapsed := time.Since(began)
	call(w.End)
	working.Wait()
	return join(parts, elapsed)
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
