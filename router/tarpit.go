package router

import (
	"context"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ratelimit"
)

// heedless is how many refusals a caller may have in a minute before the next
// ones make it wait: a client that keeps to Retry-After never sees as many.
var heedless = ratelimit.Policy{Name: "heedless", Limit: 60, Window: time.Minute}

// tarpit answers late whoever asks on without regard to being refused. Each of
// its connections then costs this process one refusal in a while and not one as
// often as it can ask, so that the CPU stays with those who are let in (HAProxy,
// "http-request tarpit"). It holds a bounded number of requests; beyond that
// they are refused at once. A caller is a person in an organization, or an
// address: its colleagues are not held for it.
type tarpit struct {
	memory *ratelimit.Memory
	wait   time.Duration
	places chan struct{}
	// leaving is closed when the process is about to end.
	leaving <-chan struct{}
}

func newTarpit(cfg LimitConfig, memory *ratelimit.Memory, leaving <-chan struct{}) *tarpit {
	return &tarpit{memory: memory, wait: cfg.Hold, places: make(chan struct{}, cfg.Held), leaving: leaving}
}

// hold returns when the verdict may be told: at once, unless it is that a
// heedless caller has asked too often.
func (t *tarpit) hold(ctx context.Context, verdict error, caller holder) {
	if verdict == nil || errs.KindOf(verdict) != errs.TooMany {
		return
	}
	if t.memory.Take(ratelimit.Bucket{Policy: heedless, Key: caller.String()}).Allowed {
		return
	}
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
	default:
		return
	}
	over := time.NewTimer(t.wait)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	case <-t.leaving:
	}
}
