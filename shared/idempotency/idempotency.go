// Package idempotency carries one use of an Idempotency-Key from the HTTP
// layer, which knows the request and its answer, to the database layer, which
// keeps both in the transaction of the effect.
//
// The HTTP layer puts an [Attempt] into the context. The first write under
// that context (see shared/db) claims the key: it finds the stored answer and
// fails with [Replay], or runs and leaves its transaction open. The HTTP layer
// renders the answer and calls [Attempt.Commit], which stores the answer and
// commits both at once; or [Attempt.Rollback].
package idempotency

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/coditect/platform/shared/errs"
)

// Keep is how long an answer is repeated.
const Keep = 24 * time.Hour

// MaxKey is the longest key, in characters.
const MaxKey = 255

// What a second use of a key can meet.
var (
	ErrInFlight = errs.New(errs.Conflict, "idempotency_in_progress", "The first request with this Idempotency-Key is still running.")
	ErrReused   = errs.New(errs.Invalid, "idempotency_key_reused", "This Idempotency-Key belongs to a request with another body.")
)

// Response is an answer as it is kept.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Replay is the error of a write whose key already has an answer.
type Replay struct{ Response Response }

func (*Replay) Error() string { return "idempotency: already answered" }

// Held is an open transaction that waits for the answer it is to store.
type Held interface {
	// Commit stores r and commits.
	Commit(ctx context.Context, r Response) error
	// Rollback gives everything up. It is safe after Commit.
	Rollback(ctx context.Context)
}

// Sealer encrypts what is kept, for answers that hold tokens. bound is
// authenticated with the text, so that one person's answer cannot be read as
// another's.
type Sealer interface {
	Seal(ctx context.Context, plain, bound []byte) ([]byte, error)
	Open(ctx context.Context, sealed, bound []byte) ([]byte, error)
}

// Attempt is one request's use of its key.
type Attempt struct {
	Key, Method, Path string
	// Fingerprint is a hash of the request's body and query.
	Fingerprint [32]byte
	// Sealer is nil where answers hold nothing secret.
	Sealer Sealer

	mu      sync.Mutex
	claimed bool
	held    Held
	save    func(ctx context.Context, r Response) error
	after   []func(context.Context)
}

type key struct{}

// With puts a into the context of a request.
func With(ctx context.Context, a *Attempt) context.Context { return context.WithValue(ctx, key{}, a) }

// Apart returns a context whose writes leave the key alone: for those that
// commit before something is done outside the database, and for what is the
// same however often it is done.
func Apart(ctx context.Context) context.Context { return With(ctx, nil) }

// Current gives the attempt of a request, claimed or not; nil without one.
func Current(ctx context.Context) *Attempt {
	a, _ := ctx.Value(key{}).(*Attempt)
	return a
}

// Claim gives the attempt to the first write that asks, and nil to others.
func Claim(ctx context.Context) *Attempt {
	a := Current(ctx)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.claimed {
		return nil
	}
	a.claimed = true
	return a
}

// Hold leaves an open transaction with the attempt.
func (a *Attempt) Hold(h Held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = h
}

// After runs fn once what the attempt holds was committed, and tells whether it
// holds anything. It runs, too, when nobody can say whether the commit came
// about.
func (a *Attempt) After(fn func(context.Context)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held == nil {
		return false
	}
	a.after = append(a.after, fn)
	return true
}

// OnFailure leaves a way to keep an answer whose effect was rolled back.
func (a *Attempt) OnFailure(save func(ctx context.Context, r Response) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.save = save
}

// Final reports whether an answer of this status is repeated to a second use
// of its key. A refusal that another try may overcome is not.
func Final(status int) bool {
	switch {
	case status >= 200 && status < 300:
		return true
	case status == http.StatusUnauthorized, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == 499:
		return false
	}
	return status >= 400 && status < 500
}

// Commit ends the attempt with its answer: with the effect when one is held,
// alone when the effect was refused for good. An answer that is not final
// rolls back.
func (a *Attempt) Commit(ctx context.Context, r Response) error {
	a.mu.Lock()
	held, save, after := a.held, a.save, a.after
	a.held, a.save, a.after = nil, nil, nil
	a.mu.Unlock()
	switch {
	case !Final(r.Status):
		if held != nil {
			held.Rollback(ctx)
		}
		return nil
	case r.Status >= 300 && held != nil: // refused after its write: nothing of it may stay
		held.Rollback(ctx)
		held = nil
	}
	if held != nil {
		err := held.Commit(ctx, r)
		for _, fn := range after {
			fn(ctx)
		}
		return err
	}
	if save != nil {
		return save(ctx, r)
	}
	return nil
}

// Rollback gives up what is held. It is safe at any time.
func (a *Attempt) Rollback(ctx context.Context) {
	a.mu.Lock()
	held := a.held
	a.held, a.save, a.after = nil, nil, nil
	a.mu.Unlock()
	if held != nil {
		held.Rollback(ctx)
	}
}
