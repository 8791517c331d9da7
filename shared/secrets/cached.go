package secrets

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/coditect/platform/shared/errs"
)

// Cached is a secret in the form in which it is used, parsed once per version.
type Cached[T any] struct {
	store *Store
	name  string
	parse func([]byte) (T, error)

	mu   sync.Mutex
	last atomic.Pointer[parsed[T]]
}

type parsed[T any] struct {
	value   T
	version string
	// refused is the version that did not parse and was passed over.
	refused string
}

// Parse makes a Cached over the secret name. It fetches nothing yet.
func Parse[T any](store *Store, name string, parse func([]byte) (T, error)) *Cached[T] {
	return &Cached[T]{store: store, name: name, parse: parse}
}

// Get returns the present value. A new version that does not parse is logged
// once and passed over, so that a bad rotation harms nobody; without an earlier
// good one it is an error of kind errs.Unavailable.
func (c *Cached[T]) Get(ctx context.Context) (T, error) {
	data, version, err := c.store.Value(ctx, c.name)
	if err != nil {
		var none T
		return none, err
	}
	if have := c.last.Load(); have != nil && (have.version == version || have.refused == version) {
		return have.value, nil
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.last.Load()
	if have != nil && (have.version == version || have.refused == version) {
		return have.value, nil
	}
	value, err := c.parse(data)
	switch {
	case err == nil:
		c.last.Store(&parsed[T]{value: value, version: version})
		return value, nil
	case have != nil:
		c.last.Store(&parsed[T]{value: have.value, version: have.version, refused: version})
		slog.ErrorContext(ctx, "new version of a secret cannot be read, the one before stays in use",
			"secret", c.name, "version", version, "in_use", have.version, "error", err)
		return have.value, nil
	default:
		return value, errs.Wrap(fmt.Errorf("secret %s version %s: %w", c.name, version, err),
			errs.Unavailable, "secret_unavailable", "A part of the service is not ready. Try again shortly.")
	}
}
