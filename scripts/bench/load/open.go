package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Open sends requests at a fixed rate a second, whether or not earlier ones
// are answered, as far as there are callers, for the window's length, or longer
// until one was due in it. A request whose time has come while all
// callers wait is timed from when it was due, not from when it was sent: a
// server that stalls does not slow down its own examination (the coordinated
// omission of Gil Tene's "How NOT to Measure Latency"). One whose caller was
// waiting for its time is timed from the sending, so that a late timer of ours
// is not the server's latency.
func Open(ctx context.Context, address string, callers []Caller, rate float64, w Window) Result {
	var turn atomic.Int64
	parts := make([]part, len(callers))
	deadline := w.deadline()
	began := time.Now()
	from := began.Add(w.Warm)
	length := max(w.Length, time.Duration(2/rate*float64(time.Second)))
	until := from.Add(length)
	var working sync.WaitGroup
	for i, caller := range callers {
		working.Go(func() {
			c := &conn{address: address, deadline: deadline}
			defer c.close()
			p := &parts[i]
			p.latencies = make([]time.Duration, 0, 1<<14)
			for ctx.Err() == nil {
				due := began.Add(time.Duration(float64(turn.Add(1)-1) / rate * float64(time.Second)))
				if due.After(until) || time.Now().After(deadline) {
					return
				}
				start := due
				if early := time.Until(due); early > 0 {
					if wait(ctx, early); ctx.Err() != nil {
						return
					}
					start = time.Now()
				}
				status, body, err := c.do(ctx, caller.Request())
				if err == nil {
					err = caller.Answer(status, body)
				}
				if err != nil && ctx.Err() != nil {
					return // called off
				}
				if err != nil {
					p.fault(status, err)
				} else if due.After(from) {
					p.latencies = append(p.latencies, time.Since(start))
				}
			}
		})
	}
	wait(ctx, w.Warm)
	call(w.Begin)
	wait(ctx, length)
	call(w.End)
	working.Wait()
	return join(parts, time.Since(from))
}
