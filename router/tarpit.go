package router

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ratelimit"
)

const (
	// patience is how many refusals a caller may have before it is heedless. One
	// is forgotten each second.
	patience = 60
	// remorse is how long a caller stays heedless after its last refusal: being
	// held to its pace it is refused nothing, which is no sign of a change.
	remorse = 60
	// maxRefused bounds the callers whose refusals are remembered.
	maxRefused = 10_000
)

// tarpit slows down who asks on regardless of being refused: each further
// refusal is told late (as by HAProxy's "http-request tarpit"), and what is let
// in is spread evenly over its plan's minute (a leaky bucket), where it would
// come in bursts, a lease at a time. A heedless caller still gets what its plan
// allows, but neither the CPU of this process by being refused as often as it
// can ask, nor the functions for a moment to itself.
//
// A caller is a person in an organization, a person elsewhere, or an address:
// colleagues are not held for one another. A bounded number of requests waits;
// beyond that none does.
type tarpit struct {
	wait   time.Duration
	places chan struct{}
	// leaving is closed when the process is about to end.
	leaving <-chan struct{}
	now     func() time.Time

	mu      sync.Mutex
	callers *simplelru.LRU[holder, *pace]
}

type pace struct {
	refused float64
	seen    time.Time // when refused was true
	next    time.Time // when the next is to be let in
}

func newTarpit(cfg LimitConfig, leaving <-chan struct{}, now func() time.Time) (*tarpit, error) {
	callers, err := simplelru.NewLRU[holder, *pace](maxRefused, nil)
	return &tarpit{wait: cfg.Hold, places: make(chan struct{}, cfg.Held), leaving: leaving, now: now, callers: callers}, err
}

// hold returns when the request may go on, or be told that it may not.
func (t *tarpit) hold(ctx context.Context, d ratelimit.Decision, verdict error, caller holder) {
	if verdict != nil && errs.KindOf(verdict) != errs.TooMany {
		return
	}
	delay := t.delay(d, verdict != nil, caller)
	if delay <= 0 {
		return
	}
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
	default:
		return
	}
	over := time.NewTimer(delay)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	case <-t.leaving:
	}
}

func (t *tarpit) delay(d ratelimit.Decision, refused bool, caller holder) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers.Len() == 0 && !refused {
		return 0
	}
	now := t.now()
	p, known := t.callers.Get(caller)
	switch {
	case known:
		p.refused = max(0, p.refused-now.Sub(p.seen).Seconds())
		p.seen = now
	case !refused:
		return 0
	default:
		p = &pace{seen: now}
		t.callers.Add(caller, p)
	}
	if refused {
		if p.refused++; p.refused > patience {
			p.refused = patience + remorse
		}
	}
	switch {
	case p.refused <= patience:
		return 0
	case refused:
		return t.wait
	}
	turn := now
	if p.next.After(now) {
		turn = p.next
	}
	if last := now.Add(t.wait); turn.After(last) {
		turn = last
	}
	p.next = turn.Add(interval(d))
	return turn.Sub(now)
}

// interval is the time between two requests that use up the tightest budget.
func interval(d ratelimit.Decision) time.Duration {
	var longest time.Duration
	for _, s := range d.States {
		longest = max(longest, s.Policy.Window/time.Duration(max(1, s.Policy.Limit)))
	}
	return longest
}
