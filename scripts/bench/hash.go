package bench

import (
	"context"
	"time"

	"github.com/coditect/platform/scripts/bench/load"
	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/shared/identity"
)

// runHash is the contender of sign-in that hashes passwords as the product
// does, one after the other, and does nothing else.
func runHash(ctx context.Context, _ Options, _ *platform, _ line, w load.Window) (load.Result, error) {
	h := identity.NewHasher(1)
	var r load.Result
	w.Begin()
	began := time.Now()
	for r.Requests == 0 || time.Since(began) < w.Length {
		begun := time.Now()
		if _, err := h.Hash(ctx, stage.Password); err != nil {
			return r, err
		}
		r.Requests++
		r.Latencies = append(r.Latencies, time.Since(begun))
	}
	r.Elapsed = time.Since(began)
	w.End()
	return r, nil
}
