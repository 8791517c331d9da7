package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/queue"
)

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that trying again cannot mend: the message is given
// up at once and kept as a dead letter.
func Permanent(err error) error { return permanent{err} }

type skip string

func (s skip) Error() string { return "nothing to do: " + string(s) }

// Skip tells that the message's work is no longer wanted: an invitation was
// revoked, a task deleted. It is recorded as done.
func Skip(reason string) error { return skip(reason) }

type yield string

func (y yield) Error() string { return "left to another attempt: " + string(y) }

// Yield tells that another attempt at the same message has begun, which now
// answers for it: nothing is recorded.
func Yield(reason string) error { return yield(reason) }

// Final reports whether trying again would change nothing: err is of [Skip] or
// of [Permanent].
func Final(err error) bool {
	var (
		nothing  skip
		hopeless permanent
	)
	return errors.As(err, &nothing) || errors.As(err, &hopeless)
}

// verdict is what became of a delivery.
type verdict uint8

const (
	done     verdict = iota // the effect is there
	skipped                 // there was nothing to do
	repeated                // it was there before, or is another's business now
	retried                 // failed; the queue tries again
	deferred                // a dependency is down; the relay hands it over later
	dead                    // failed for good
	lost                    // failed, and the database could not be told
)

type result struct {
	verdict verdict
	err     error
}

func (r result) name() string {
	return [...]string{"done", "skipped", "repeated", "retry", "deferred", "dead", "unrecorded"}[r.verdict]
}

// settled reports whether the message no longer stands before the next of its
// key.
func (r result) settled() bool { return r.verdict == done || r.verdict == skipped || r.verdict == dead }

// status is what the queue acts on: 2xx takes the message out of it.
func (r result) status() int {
	switch r.verdict {
	case retried:
		return http.StatusInternalServerError
	case lost:
		return http.StatusServiceUnavailable
	case done, skipped, repeated, deferred, dead:
	}
	return http.StatusOK
}

func (b *Base) process(ctx context.Context, got queue.Delivery, table map[string]Handler) result {
	e := got.Envelope
	d := &delivered{Delivery: got, Consumer: b.consumer, db: b.DB, receipt: db.Receipt{
		TenantID: e.TenantID, UserID: e.UserID, MessageID: e.ID, Key: e.Key, Consumer: b.Name, Receivers: b.registry.Receivers(e.Kind),
	}}
	handler, known := table[e.Kind]
	if !known && b.consumer.Topic != "" {
		return b.settle(ctx, d, Skip("not for this listener"))
	}
	if !known {
		return b.settle(ctx, d, fmt.Errorf("no handler for messages of kind %s", e.Kind))
	}
	if route, _ := b.registry.Route(e.Kind); !route.Exclusive {
		return b.settle(ctx, d, guarded(ctx, handler, d))
	}
	since := time.Now()
	grip, hold, err := db.Take(ctx, b.DB, d.receipt, b.Config.Lease)
	switch {
	case err != nil:
		return result{lost, err}
	case grip != db.Held:
		return result{repeated, nil}
	}
	d.hold = hold
	return b.settle(ctx, d, b.alone(ctx, handler, d, since))
}

// errLeaseLost ends the context of a handler whose message could not be kept.
var errLeaseLost = errs.New(errs.Unavailable, "lease_lost", "The work could not be kept.")

// alone runs a handler while keeping the message its own. When it cannot be
// kept the handler's context ends, while a third of the lease is left for what
// a handler still has to note: nobody else begins before the lease is over.
// since is a moment before the lease began.
func (b *Base) alone(ctx context.Context, h Handler, d *delivered, since time.Time) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := b.Config.Lease * 2 / 3
	end := time.AfterFunc(time.Until(since.Add(limit)), func() { cancel(errLeaseLost) })
	defer end.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(b.Config.Lease / 3)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
			case <-ctx.Done():
				return
			}
			// One that hangs ends with the context, and that with the lease.
			at := time.Now()
			switch grip, err := d.hold.Keep(ctx); {
			case err != nil:
			case grip == db.Held:
				end.Reset(time.Until(at.Add(limit)))
			case grip == db.Settled: // by the handler itself: nothing is left to keep
				end.Stop()
				return
			default:
				cancel(errLeaseLost)
			}
		}
	}()
	err := guarded(ctx, h, d)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = errors.Join(cause, err)
	}
	cancel(nil)
	<-ended
	return err
}

func guarded(ctx context.Context, h Handler, d *delivered) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.run(ctx, d)
}

// settle tells the outbox what became of the message.
func (b *Base) settle(ctx context.Context, d *delivered, err error) result {
	// The handler may have used up its time; what it came to is told all the
	// same.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	var (
		nothing   skip
		hopeless  permanent
		others    yield
		isSkipped = errors.As(err, &nothing)
	)
	if errors.As(err, &others) {
		return result{repeated, err}
	}
	if err == nil || isSkipped {
		if !d.recorded {
			if fault := d.Once(ctx, nil); fault != nil {
				return result{lost, errors.Join(err, fault)}
			}
		}
		if isSkipped {
			return result{skipped, err}
		}
		return result{done, nil}
	}
	o := db.Outcome{Hold: d.hold, Reason: reason(err), MaxAttempts: b.consumer.MaxAttempts, MaxAge: b.consumer.MaxAge}
	verdict := retried
	switch {
	case errors.As(err, &hopeless):
		o.Dead, o.Counted = true, true
	case errs.KindOf(err) == errs.Unavailable:
		verdict, o.Next = deferred, b.pause(d.Envelope.CreatedAt)
	default:
		// The queue tries again by itself; the relay stays out of it for as
		// long as that may take.
		o.Counted, o.Next = true, b.consumer.MaxBackoff+b.Config.Timeout
		if d.Consumer.Topic == "" {
			o.Next = min(o.Next, backoff(b.consumer, d.Attempt)+b.Config.Timeout)
		}
	}
	fate, fault := db.Fail(ctx, b.DB, d.receipt, o)
	switch {
	case fault != nil:
		return result{lost, errors.Join(err, fault)}
	case fate == db.Closed:
		return result{dead, err}
	case fate == db.Gone:
		return result{repeated, err}
	}
	return result{verdict, err}
}

// pause is how long a message waits for a dependency that is down: a tenth of
// its age, so that a short outage costs little and a long one few attempts,
// with a tenth of jitter.
func (b *Base) pause(since time.Time) time.Duration {
	p := min(max(time.Since(since)/10, b.consumer.MinBackoff), 5*time.Minute)
	return p + rand.N(p/10+1) //nolint:gosec // jitter is no secret
}

// backoff is the longest that Cloud Tasks waits after the given attempt.
func backoff(c queue.Consumer, attempt int) time.Duration {
	d := c.MinBackoff
	for range min(attempt, 16) {
		d *= 2
	}
	return min(d, c.MaxBackoff)
}

// reason is what a dead letter says of itself: the causes, without a stack.
func reason(err error) string {
	text := err.Error()
	for i, r := range text {
		if r == '\n' {
			return text[:i]
		}
	}
	return text
}

// refuse answers a request that brought no message.
func (b *Base) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, queue.ErrMalformed) {
		// It came with the platform's own token and will never be readable:
		// taking it out of the queue loses nothing that the outbox has not.
		b.Log.ErrorContext(r.Context(), "unreadable message dropped", "error", err.Error())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.Log.WarnContext(r.Context(), "delivery refused", "error", err.Error())
	problem.Write(w, r, r.Header.Get("X-Request-Id"), err)
}

// report is the one line of each delivery. A dead letter is an error that an
// alert counts.
func (b *Base) report(ctx context.Context, got queue.Delivery, r result, took time.Duration) {
	level := slog.LevelInfo
	switch r.verdict {
	case dead, lost:
		level = slog.LevelError
	case retried, deferred:
		level = slog.LevelWarn
	case done, skipped, repeated:
	}
	e := got.Envelope
	attrs := []slog.Attr{
		slog.String("kind", e.Kind), slog.String("message_id", e.ID.String()), slog.String("result", r.name()),
		slog.Int("attempt", got.Attempt), slog.Duration("took", took), slog.Duration("age", time.Since(e.CreatedAt)),
	}
	if e.ForPerson() {
		attrs = append(attrs, slog.String("user_id", e.UserID.String()))
	} else {
		attrs = append(attrs, slog.String("tenant_id", e.TenantID.String()))
	}
	if r.err != nil {
		attrs = append(attrs, slog.String("error", r.err.Error()))
	}
	b.Log.LogAttrs(ctx, level, "message", attrs...)
}
