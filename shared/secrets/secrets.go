// Package secrets hands out the platform's secrets as they are now: a [Store]
// caches what a [Source] says and asks again every few minutes, so that a
// rotated key reaches every instance without a deployment.
//
// The sources are [Environment] and [Directory] (what the platform mounted),
// [Static] (tests) and secrets/manager (Secret Manager's client, in a package of
// its own because its gRPC stack is larger than most functions). [First] puts
// them in order. A secret that is parsed into something is read through
// [Cached]; sets of symmetric keys are a [Ring], and a [Box] seals data at rest
// with one. To add a kind of source, implement [Source] and nothing else.
package secrets

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coditect/platform/shared/errs"
)

// The names of the secrets, as Secret Manager knows them.
const (
	SigningKeys  = "signing-keys"  // identity.KeySet: access tokens
	EnvelopeKeys = "envelope-keys" // Ring: data at rest
	HopKey       = "hop-key"       // Ring: the router's signature on a hop
	CursorKey    = "cursor-key"    // Ring: list cursors

	StripeKey      = "stripe-secret-key"      // Stripe's API
	StripeWebhooks = "stripe-webhook-secrets" // the signatures of its webhooks: one secret, or several during a rotation
)

// ErrAbsent is what a Source answers for a name it does not hold.
var ErrAbsent = errors.New("secrets: no such secret")

// A Payload is one version of a secret. Its data must not be changed.
type Payload struct {
	Data []byte
	// Version tells payloads of one name apart; it has no order.
	Version string
}

// A Source fetches the newest enabled version of a secret, over the network or
// not. It answers [ErrAbsent], wrapped or not, for names it does not hold, and
// does not cache.
type Source interface {
	Fetch(ctx context.Context, name string) (Payload, error)
}

// Config says how often a Store asks its source again.
type Config struct {
	// Refresh is the age at which a value is fetched anew, and so the longest
	// time that a rotated secret stays in use.
	Refresh time.Duration `env:"SECRETS_REFRESH" envDefault:"5m"`
	// Timeout bounds one fetch.
	Timeout time.Duration `env:"SECRETS_TIMEOUT" envDefault:"5s"`
}

// A Store caches secrets in memory. It starts no goroutine: a refresh happens
// on access, by one caller, while the others go on with the old value.
type Store struct {
	source Source
	cfg    Config
	now    func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

// An Option changes a Store from the ordinary.
type Option func(*Store)

// WithClock replaces the clock, for tests of staleness.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// New makes a Store. It fetches nothing yet; a zero Config means 5 minutes and
// 5 seconds.
func New(source Source, cfg Config, opts ...Option) *Store {
	if cfg.Refresh <= 0 {
		cfg.Refresh = 5 * time.Minute
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	s := &Store{source: source, cfg: cfg, now: time.Now, entries: make(map[string]*entry)}
	for _, o := range opts {
		o(s)
	}
	return s
}

type held struct {
	Payload
	// next is when to ask the source again, in nanoseconds since 1970.
	next atomic.Int64
}

type entry struct {
	value atomic.Pointer[held]

	mu     sync.Mutex
	flight *flight
}

type flight struct {
	done chan struct{}
	err  error
	// abandoned says that the flight failed for a reason of its caller's own.
	abandoned bool
}

// Value returns the secret and its version; the bytes are shared and must not
// be changed. Once a value is known, Value does not fail: a refresh that does is
// logged and tried again after a tenth of Config.Refresh. Before that, an error
// is of kind errs.Unavailable, is not remembered, and the next call tries again.
func (s *Store) Value(ctx context.Context, name string) ([]byte, string, error) {
	e := s.entry(name)
	for {
		have := e.value.Load()
		if have != nil && s.now().UnixNano() < have.next.Load() {
			return have.Data, have.Version, nil
		}

		e.mu.Lock()
		running := e.flight
		if running == nil && e.value.Load() != have {
			e.mu.Unlock()
			continue // another caller landed between our look and our lock
		}
		if running == nil {
			running = &flight{done: make(chan struct{})}
			e.flight = running
			e.mu.Unlock()
			s.fetch(ctx, name, e, running)
		} else {
			e.mu.Unlock()
			if have != nil {
				return have.Data, have.Version, nil
			}
			select {
			case <-running.done:
			case <-ctx.Done():
				return nil, "", unavailable(name, ctx.Err())
			}
		}

		if got := e.value.Load(); got != nil {
			return got.Data, got.Version, nil
		}
		if !running.abandoned || ctx.Err() != nil {
			return nil, "", unavailable(name, running.err)
		}
	}
}

func (s *Store) entry(name string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	if e == nil {
		e = new(entry)
		s.entries[name] = e
	}
	return e
}

func (s *Store) fetch(ctx context.Context, name string, e *entry, f *flight) {
	defer func() {
		e.mu.Lock()
		e.flight = nil
		e.mu.Unlock()
		close(f.done)
	}()
	// A source that panics must not leave the others waiting for ever.
	f.err = errors.New("secrets: the source did not return")

	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	p, err := s.source.Fetch(bounded, name)
	f.err = err
	if err == nil {
		h := &held{Payload: p}
		h.next.Store(s.now().Add(s.cfg.Refresh).UnixNano())
		e.value.Store(h)
		return
	}
	f.abandoned = ctx.Err() != nil
	if have := e.value.Load(); have != nil {
		have.next.Store(s.now().Add(s.cfg.Refresh / 10).UnixNano())
		slog.WarnContext(ctx, "secret not refreshed, its last version stays in use",
			"secret", name, "version", have.Version, "error", err)
	}
}

func unavailable(name string, cause error) error {
	return errs.Wrap(&fetchError{name, cause}, errs.Unavailable, "secret_unavailable",
		"A part of the service is not ready. Try again shortly.").WithRetry(time.Second)
}

type fetchError struct {
	name  string
	cause error
}

func (e *fetchError) Error() string { return "secret " + e.name + ": " + e.cause.Error() }
func (e *fetchError) Unwrap() error { return e.cause }
