package schedule

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// Run is one run of a schedule. Its methods may be called by many goroutines.
type Run struct {
	Name string
	// Slot is the time that the run was planned for.
	Slot time.Time
	// Last is the slot that was finished last; zero before the first.
	Last time.Time
	// Now is when the run began: what is due is due by it.
	Now time.Time

	holder ids.ID
	mu     sync.Mutex
	counts map[string]int
}

// Count adds n to what the run did, under a name, for the line in the log.
func (r *Run) Count(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[name] += n
}

// reserve is how much of a run's time is kept for its end.
const reserve = 10 * time.Second

// Enough reports whether the run is so near to its end that it must not begin
// anything more. It then ends with [ErrUnfinished].
func (r *Run) Enough(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	end, bounded := ctx.Deadline()
	return bounded && time.Until(end) < reserve
}

// ErrUnfinished is what a run returns that did some of its work and had no time
// for the rest. Cloud Scheduler calls again soon; no alarm is raised.
var ErrUnfinished = errors.New("schedule: there is more to do")

// onlyUnfinished reports whether nothing went wrong but the time: an error that
// was joined to it counts.
func onlyUnfinished(err error) bool {
	switch e := err.(type) { //nolint:errorlint // the parts are looked at one by one
	case nil:
		return false
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if !onlyUnfinished(part) {
				return false
			}
		}
		return true
	case interface{ Unwrap() error }:
		return onlyUnfinished(e.Unwrap())
	}
	return err == ErrUnfinished //nolint:errorlint // nothing is left to unwrap
}

// verdict is what became of a call.
type verdict uint8

const (
	done       verdict = iota // the slot's work is done
	repeated                  // it was done before
	waiting                   // another run is under way; it may die, so the call is to come again
	unfinished                // some of the work is done
	failed                    // none, or not all of it
	unrecorded                // the database could not be told
)

type result struct {
	verdict verdict
	err     error
	took    time.Duration
}

func (r result) name() string {
	return [...]string{"done", "repeated", "waiting", "unfinished", "failed", "unrecorded"}[r.verdict]
}

// status is what Cloud Scheduler acts on: it calls again unless it is 2xx.
func (r result) status() int {
	switch r.verdict {
	case done, repeated:
		return http.StatusOK
	case failed:
		return http.StatusInternalServerError
	case waiting, unfinished, unrecorded:
	}
	return http.StatusServiceUnavailable
}

// The headers of Cloud Scheduler. Source:
// docs.cloud.google.com/scheduler/docs/reference/rpc, HttpTarget.
const headerTime = "X-Cloudscheduler-Scheduletime"

// slot reads the time that the call was planned for. A call without it was made
// by hand, for now.
func (b *Base) slot(h http.Header) (time.Time, error) {
	text := h.Get(headerTime)
	if text == "" {
		return b.now().UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, errs.Wrap(err, errs.Malformed, "bad_schedule_time", "The call names no time that it was planned for.")
	}
	// A slot far ahead would pass for finished until then.
	if at.After(b.now().Add(time.Hour)) {
		return time.Time{}, errs.New(errs.Malformed, "bad_schedule_time", "The call was planned for a time to come.")
	}
	return at.UTC().Truncate(time.Second), nil
}

// reportLateness logs an error, which an alert counts, when a run begins too
// late, or when slots before it never ran.
func (b *Base) reportLateness(ctx context.Context, run *Run) {
	if late := run.Now.Sub(run.Slot); late > b.plan.MaxLateness {
		b.Log.ErrorContext(ctx, "schedule late", "slot", run.Slot, "late", late, "allowed", b.plan.MaxLateness)
		return
	}
	if b.plan.LongestGap == 0 || run.Last.IsZero() {
		return
	}
	if gap := run.Slot.Sub(run.Last); gap > b.plan.LongestGap+b.plan.MaxLateness {
		b.Log.ErrorContext(ctx, "schedule late", "slot", run.Slot, "last_finished", run.Last, "late", gap-b.plan.LongestGap, "allowed", b.plan.MaxLateness)
	}
}

// report is the one line of each call.
func (b *Base) report(ctx context.Context, run *Run, r result) {
	level := slog.LevelInfo
	switch r.verdict {
	case failed, unrecorded:
		level = slog.LevelError
	case waiting:
		level = slog.LevelWarn
	case done, repeated, unfinished:
	}
	attrs := []slog.Attr{slog.String("result", r.name()), slog.Time("slot", run.Slot), slog.Duration("took", r.took)}
	if !run.Last.IsZero() {
		attrs = append(attrs, slog.Time("last_finished", run.Last))
	}
	run.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(run.counts)) {
		attrs = append(attrs, slog.Int(name, run.counts[name]))
	}
	run.mu.Unlock()
	if r.err != nil {
		attrs = append(attrs, slog.String("error", r.err.Error()))
	}
	b.Log.LogAttrs(ctx, level, "schedule", attrs...)
}

// reason is what is kept of an error: the causes, without a stack.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
