package outboxrelay

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/problem"
	"github.com/coditect/platform/shared/queue/push"
)

// service answers the two who call: the schedule and the platform's own
// services after a commit.
type service struct {
	cfg   Config
	log   *slog.Logger
	door  *push.Door
	hops  *hop.Keys
	relay *relay

	mu   sync.Mutex
	now  *run // the pass that runs
	next *run // the one that follows it, for whoever came since
}

// run is a pass that several callers wait for.
type run struct {
	done  chan struct{}
	count count
	err   error
}

func address(pattern, name string) string { return strings.ReplaceAll(pattern, "{name}", name) }

func (s *service) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /{$}", s.schedule)
	m.HandleFunc("POST /internal/relay/{$}", s.nudge)
	return m
}

var errNoHop = errs.New(errs.NotFound, "not_found", "There is nothing here.")

// nudge hands over what is due. Calls that come while a pass runs share the
// next one: what they were made for may have been committed after the present
// one looked.
func (s *service) nudge(w http.ResponseWriter, r *http.Request) {
	if _, err := s.hops.Verify(r.Context(), r.Header.Get(hop.Header), r.Method, r.URL.EscapedPath()); err != nil {
		problem.Write(w, r, r.Header.Get("X-Request-Id"), errNoHop.WithCause(err))
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), s.cfg.Nudge)
	defer stop()
	n, err := s.join(ctx)
	s.answer(w, r, n, err)
}

func (s *service) join(ctx context.Context) (count, error) {
	s.mu.Lock()
	if s.now == nil {
		mine := &run{done: make(chan struct{})}
		s.now = mine
		s.mu.Unlock()
		return s.lead(ctx, mine)
	}
	if s.next == nil {
		s.next = &run{done: make(chan struct{})}
		following, before := s.next, s.now
		s.mu.Unlock()
		select {
		case <-before.done:
		case <-ctx.Done():
			// Whoever joined this run must not wait for one that never begins.
			s.mu.Lock()
			if s.next == following {
				s.next = nil
			}
			s.mu.Unlock()
			following.err = ctx.Err()
			close(following.done)
			return count{}, ctx.Err()
		}
		s.mu.Lock()
		s.now, s.next = following, nil
		s.mu.Unlock()
		return s.lead(ctx, following)
	}
	following := s.next
	s.mu.Unlock()
	select {
	case <-following.done:
		return following.count, following.err
	case <-ctx.Done():
		return count{}, ctx.Err()
	}
}

func (s *service) lead(ctx context.Context, mine *run) (count, error) {
	mine.count, mine.err = s.relay.pass(ctx)
	s.mu.Lock()
	if s.now == mine {
		s.now = nil
	}
	s.mu.Unlock()
	close(mine.done)
	return mine.count, mine.err
}

// between is the longest time between two calls of the schedule.
const between = time.Minute

// schedule hands over what is due, and stays while work is under way or will be
// before the next call: its end may leave messages that nobody nudges for, such
// as the next of a key, or the mail about an export that is ready.
func (s *service) schedule(w http.ResponseWriter, r *http.Request) {
	if err := s.door.Verify(r.Context(), r.Header); err != nil {
		s.log.WarnContext(r.Context(), "schedule refused", "error", err.Error())
		problem.Write(w, r, r.Header.Get("X-Request-Id"), err)
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), s.cfg.Sweep)
	defer stop()
	n, err := s.sweep(ctx)
	s.answer(w, r, n, err)
}

func (s *service) sweep(ctx context.Context) (count, error) {
	var total count
	for {
		n, err := s.relay.pass(ctx)
		total.HandedOver += n.HandedOver
		total.Refused += n.Refused
		total.GivenUp += n.GivenUp
		total.Waiting = n.Waiting
		if err != nil {
			return total, err
		}
		if busy, err := s.relay.store.underway(ctx, between); err != nil || !busy && !n.Waiting {
			return total, err
		}
		pause := s.cfg.Poll
		if n.Waiting {
			// Due messages wait for room only: what a consumer is done with makes
			// some, and it would idle until we look again.
			pause /= 10
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return total, nil
		}
	}
}

func (s *service) answer(w http.ResponseWriter, r *http.Request, n count, err error) {
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		err = nil // our own bound: the rest is for the next call
	}
	if err != nil {
		s.log.ErrorContext(r.Context(), "relay", "handed_over", n.HandedOver, "refused", n.Refused, "error", err.Error())
		problem.Write(w, r, r.Header.Get("X-Request-Id"), err)
		return
	}
	if n.HandedOver > 0 || n.Waiting {
		s.log.InfoContext(r.Context(), "relay", "handed_over", n.HandedOver, "refused", n.Refused, "waiting", n.Waiting)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(n)
}
