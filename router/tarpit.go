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
	// remorse is how long a caller stays heedless after its last refusal. Being
	// held to its pace it is refused nothing, which is no sign of a change: each
	// request that had to wait for its turn counts twice the time of that turn.
	remorse = 60
	// maxRefused bounds the callers whose refusals are remembered.
	maxRefused = 10_000
)

// tarpit slows down who asks on regardless of being refused: each further
// refusal is told late (as by HAProxy's "http-request tarpit"), and what is let
// in is spread evenly over its plan's minute (a leaky bucket), where it would
// come in bursts, a lease at a time, and goes last in the [traffic]. A heedless
// caller still gets what its plan allows, but neither the CPU of this process by
// being refused as often as it can ask, nor the functions for a moment to itself,
// nor what they lack when they are behind.
//
// A caller is a person in an organization, a person elsewhere, or an address:
// colleagues are not held for one another. A bounded number of requests waits;
// beyond that none does.
type tarpit struct {
	wait    time.Duration
	places  chan struct{}
	traffic *traffic
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

func newTarpit(cfg LimitConfig, traffic *traffic, leaving <-chan struct{}, now func() time.Time) (*tarpit, error) {
	callers, err := simplelru.NewLRU[holder, *pace](maxRefused, nil)
	return &tarpit{wait: cfg.Hold, places: make(chan struct{}, cfg.Held), traffic: traffic, leaving: leaving, now: now, callers: callers}, err
}

// hold returns when the request may go on, or be told that it may not. The
// request is in the traffic already, and goes last there if last is true.
func (t *tarpit) hold(ctx context.Context, d ratelimit.Decision, verdict error, caller holder) (last bool) {
	if verdict != nil && errs.KindOf(verdict) != errs.TooMany {
		return false
	}
	delay, heedless := t.delay(d, verdict != nil, caller)
	if !heedless {
		return false
	}
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
	default:
		return false
	}
	t.traffic.last.Add(1)
	over := time.NewTimer(delay)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
		return true
	case <-t.leaving:
		return true
	}
	if verdict == nil {
		t.traffic.wait(ctx, t.wait, t.leaving)
	}
	return true
}

func (t *tarpit) delay(d ratelimit.Decision, refused bool, caller holder) (wait time.Duration, heedless bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers.Len() == 0 && !refused {
		return 0, false
	}
	now := t.now()
	t.traffic.met(now)
	p, known := t.callers.Get(caller)
	switch {
	case known:
		p.refused = max(0, p.refused-now.Sub(p.seen).Seconds())
		p.seen = now
	case refused:
		p = &pace{seen: now}
		t.callers.Add(caller, p)
	default:
		return 0, false
	}
	if refused {
		if p.refused++; p.refused > patience {
			p.refused = patience + remorse
		}
	}
	switch {
	case p.refused <= patience:
		return 0, false
	case refused:
		return t.wait, true
	}
	turn, each := now, interval(d)
	if p.next.After(now) {
		turn = p.next
		p.refused = min(patience+remorse, p.refused+2*each.Seconds())
	}
	if last := now.Add(t.wait); turn.After(last) {
		turn = last
	}
	p.next = turn.Add(each)
	return turn.Sub(now), true
}

// interval is the time between two requests that use up the tightest budget.
func interval(d ratelimit.Decision) time.Duration {
	var longest time.Duration
	for _, s := range d.States {
		longest = max(longest, s.Policy.Window/time.Duration(max(1, s.Policy.Limit)))
	}
	return longest
}
