package idempotency

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

type held struct {
	committed, rolledBack int
	err                   error
}

func (h *held) Commit(context.Context, Response) error { h.committed++; return h.err }
func (h *held) Rollback(context.Context)               { h.rolledBack++ }

func TestFinal(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		200: true, 201: true, 202: true, 204: true, 400: true, 402: true, 403: true, 404: true, 409: true, 412: true, 422: true,
		100: false, 302: false, 304: false, 401: false, 408: false, 429: false, 499: false, 500: false, 502: false, 503: false, 504: false,
	} {
		if Final(status) != want {
			t.Errorf("%d is final: %v", status, !want)
		}
	}
}

func TestCommit(t *testing.T) {
	t.Parallel()
	broken := errors.New("x")
	for _, c := range []struct {
		name                         string
		status                       int
		hold, save                   bool
		err                          error
		committed, rolledBack, saved int
	}{
		{"effect and answer together", 201, true, true, nil, 1, 0, 0},
		{"commit fails", 201, true, true, broken, 1, 0, 0},
		{"refused after its write", 409, true, true, nil, 0, 1, 1},
		{"refused before its write", 422, false, true, nil, 0, 0, 1},
		{"refused, nobody keeps", 422, false, false, nil, 0, 0, 0},
		{"not final", 503, true, true, nil, 0, 1, 0},
		{"not final, nothing held", 401, false, true, nil, 0, 0, 0},
		{"redirect", 302, true, true, nil, 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, h, saved := &Attempt{}, &held{err: c.err}, 0
			if c.hold {
				a.Hold(h)
			}
			if c.save {
				a.OnFailure(func(context.Context, Response) error { saved++; return nil })
			}
			if err := a.Commit(t.Context(), Response{Status: c.status}); !errors.Is(err, c.err) {
				t.Errorf("got %v", err)
			}
			a.Rollback(t.Context()) // as a deferred one does
			if h.committed != c.committed || h.rolledBack != c.rolledBack || saved != c.saved {
				t.Errorf("committed %d, rolled back %d, saved %d", h.committed, h.rolledBack, saved)
			}
		})
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	a, h := &Attempt{}, &held{}
	a.Rollback(t.Context())
	a.Hold(h)
	a.Rollback(t.Context())
	a.Rollback(t.Context())
	if h.rolledBack != 1 {
		t.Errorf("rolled back %d times", h.rolledBack)
	}
}

func TestOnlyTheFirstWriteClaims(t *testing.T) {
	t.Parallel()
	if Claim(t.Context()) != nil || Current(t.Context()) != nil {
		t.Error("an attempt from nowhere")
	}
	a := &Attempt{Key: "k"}
	ctx := With(t.Context(), a)
	var got atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if Claim(ctx) == a {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 || Current(ctx) != a {
		t.Errorf("%d claimed", got.Load())
	}
	if (&Replay{}).Error() == "" {
		t.Error("a replay says nothing")
	}
}
