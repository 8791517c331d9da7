package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Local is a cache inside one process: bounded, with an age limit, filled once
// however many ask at the same time. It starts no goroutine. Everything in it
// may be as stale as its entry's life, which is why that is short and stated
// where it is made.
type Local[K comparable, V any] struct {
	mu      sync.Mutex
	entries *simplelru.LRU[K, entry[V]]
	flights map[K]*flight[V]
	keep    time.Duration
	now     func() time.Time
}

type entry[V any] struct {
	value V
	until time.Time
}

// flight is one fill that several callers wait for.
type flight[V any] struct {
	done    chan struct{}
	value   V
	err     error
	dropped bool
}

// LocalConfig bounds a [Local].
type LocalConfig struct {
	// Size is the most entries kept; the least recently used goes first.
	Size int
	// KeepStale is how long past its life an entry still answers when it
	// cannot be filled anew. Zero means never, as for anything that grants.
	KeepStale time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// NewLocal makes an empty cache.
func NewLocal[K comparable, V any](cfg LocalConfig) *Local[K, V] {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	entries, err := simplelru.NewLRU[K, entry[V]](max(1, cfg.Size), nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Local[K, V]{entries: entries, flights: map[K]*flight[V]{}, keep: cfg.KeepStale, now: cfg.Now}
}

// Get answers from the cache, or runs fill and keeps what it gives for as long
// as it says. Concurrent callers share one fill, made under the first one's
// context; if that caller leaves, another takes over. An error is shared by
// those who wait and is not kept.
func (l *Local[K, V]) Get(ctx context.Context, key K, fill func(context.Context) (V, time.Duration, error)) (V, error) {
	for {
		l.mu.Lock()
		old, had := l.entries.Get(key)
		if had && l.now().Before(old.until) {
			l.mu.Unlock()
			return old.value, nil
		}
		f, waiting := l.flights[key]
		if !waiting {
			f = &flight[V]{done: make(chan struct{})}
			l.flights[key] = f
			l.mu.Unlock()
			return l.fly(ctx, key, f, old, had, fill)
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		case <-f.done:
		}
		if f.err != nil && errors.Is(f.err, context.Canceled) && ctx.Err() == nil {
			continue
		}
		return f.value, f.err
	}
}

func (l *Local[K, V]) fly(ctx context.Context, key K, f *flight[V], old entry[V], had bool, fill func(context.Context) (V, time.Duration, error)) (V, error) {
	var life time.Duration
	f.err = context.Canceled // what waiters see if fill panics: try yourselves
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		// A Drop may have put another flight in this one's place.
		if l.flights[key] == f {
			delete(l.flights, key)
		}
		if f.err == nil && life > 0 && !f.dropped {
			l.entries.Add(key, entry[V]{f.value, l.now().Add(life)})
		}
		close(f.done)
	}()
	value, life2, err := fill(ctx)
	if err != nil && had && l.now().Before(old.until.Add(l.keep)) && !l.wasDropped(f) {
		f.value, f.err = old.value, nil
		return f.value, nil
	}
	f.value, f.err, life = value, err, life2
	return value, err
}

func (l *Local[K, V]) wasDropped(f *flight[V]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f.dropped
}

// Peek answers from the cache only.
func (l *Local[K, V]) Peek(key K) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries.Get(key)
	if !ok || !l.now().Before(e.until) {
		var none V
		return none, false
	}
	return e.value, true
}

// Put keeps a value for life.
func (l *Local[K, V]) Put(key K, value V, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries.Add(key, entry[V]{value, l.now().Add(life)})
}

// Drop forgets a key, and whatever a fill under way is about to keep for it.
func (l *Local[K, V]) Drop(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries.Remove(key)
	l.ground(key)
}

// DropIf forgets every key that match picks. It looks at all of them.
func (l *Local[K, V]) DropIf(match func(K) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.entries.Keys() {
		if match(k) {
			l.entries.Remove(k)
		}
	}
	for k := range l.flights {
		if match(k) {
			l.ground(k)
		}
	}
}

// DropValues forgets every entry whose value match picks, and whatever fills
// under way are about to keep, since nobody knows yet what that is. It looks at
// all of them.
func (l *Local[K, V]) DropValues(match func(V) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.entries.Keys() {
		if e, ok := l.entries.Peek(k); ok && match(e.value) {
			l.entries.Remove(k)
		}
	}
	for k := range l.flights {
		l.ground(k)
	}
}

// ground cuts a flight loose, so that it keeps nothing and whoever asks from
// now on does not join it: it may have looked before the change.
func (l *Local[K, V]) ground(key K) {
	if f, ok := l.flights[key]; ok {
		f.dropped = true
		delete(l.flights, key)
	}
}

// Len is the number of entries, stale ones included.
func (l *Local[K, V]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries.Len()
}
