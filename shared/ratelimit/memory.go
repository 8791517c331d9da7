package ratelimit

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Memory is the limiter of one process. It is bounded: over its size the bucket
// that was idle longest is forgotten.
type Memory struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[string, *bucket]
	now     func() time.Time
}

// bucket is a log (a ring of times) or a counter, by its policy's limit. All
// times are milliseconds.
type bucket struct {
	log  []int64
	head int // the oldest entry
	n    int

	start, cur, prev int64
}

// NewMemory makes a limiter of at most size buckets; now nil means time.Now. A
// bucket costs up to 8 × [ExactUpTo] bytes beside its key.
func NewMemory(size int, now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	l, err := simplelru.NewLRU[string, *bucket](max(1, size), nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Memory{buckets: l, now: now}
}

type look struct {
	b       *bucket
	ok      bool
	used    int64
	resetMS int64
}

// Take is [Limiter.Take] within the process.
func (m *Memory) Take(buckets ...Bucket) Decision {
	d := Decision{Allowed: true, Denied: -1, States: make([]State, len(buckets))}
	var few [4]look
	looks := few[:0]
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixMilli()
	for i, b := range buckets {
		l := m.find(b).look(b.Policy, now)
		if !l.ok && d.Allowed {
			d.Allowed, d.Denied = false, i
		}
		looks = append(looks, l)
	}
	for i, l := range looks {
		p := buckets[i].Policy
		if d.Allowed {
			l.b.charge(p, now)
			l.used++
		}
		d.States[i] = State{p, int(max(0, int64(p.Limit)-l.used)), time.Duration(l.resetMS) * time.Millisecond}
	}
	return d
}

func (m *Memory) find(b Bucket) *bucket {
	key := b.RedisKey()
	if found, ok := m.buckets.Get(key); ok {
		return found
	}
	fresh := &bucket{}
	m.buckets.Add(key, fresh)
	return fresh
}

func (b *bucket) look(p Policy, now int64) look {
	limit, window := int64(p.Limit), p.Window.Milliseconds()
	if p.Limit <= ExactUpTo {
		for b.n > 0 && b.log[b.head] <= now-window {
			b.head, b.n = (b.head+1)%len(b.log), b.n-1
		}
		l := look{b: b, ok: int64(b.n) < limit, used: int64(b.n), resetMS: window}
		if b.n > 0 {
			l.resetMS = b.log[b.head] + window - now
		}
		return l
	}
	start := now - now%window
	switch {
	case b.start >= start:
		start = b.start
	case b.start == start-window:
		b.start, b.prev, b.cur = start, b.cur, 0
	default:
		b.start, b.prev, b.cur = start, 0, 0
	}
	gone := max(0, now-start)
	used := b.cur + b.prev*(window-gone)/window
	l := look{b: b, ok: used < limit, used: used, resetMS: window - gone}
	if !l.ok {
		if room := limit - b.cur; room > 0 {
			l.resetMS = window*(b.prev-room)/b.prev + 1 - gone
		} else {
			l.resetMS += window*(b.cur-limit)/b.cur + 1
		}
	}
	l.resetMS = max(1, l.resetMS)
	return l
}

func (b *bucket) charge(p Policy, now int64) {
	if p.Limit > ExactUpTo {
		b.cur++
		return
	}
	if b.n == len(b.log) {
		b.grow(p.Limit)
	}
	b.log[(b.head+b.n)%len(b.log)] = now
	b.n++
}

// grow doubles the ring up to the limit: most buckets never see a second entry.
func (b *bucket) grow(limit int) {
	bigger := make([]int64, min(limit, max(4, 2*len(b.log))))
	for i := range b.n {
		bigger[i] = b.log[(b.head+i)%len(b.log)]
	}
	b.log, b.head = bigger, 0
}
