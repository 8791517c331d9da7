package router

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/telemetry"
)

// relayPath is the internal operation of whoever relays the outbox.
const relayPath = "/internal/relay/"

// nudger tells the relay that messages wait, beside the answers that caused
// them and never in their way. However often it is poked while a nudge runs, one
// more follows. One that fails is dropped: the schedule sweeps what it would have
// sent.
type nudger struct {
	nudge   func(context.Context) error // nil is off
	timeout time.Duration
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	running bool
	again   bool
	closed  bool
	idle    sync.WaitGroup
}

func newNudger(timeout time.Duration, log *slog.Logger, nudge func(context.Context) error) *nudger {
	n := &nudger{nudge: nudge, timeout: timeout, log: log}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

func (n *nudger) poke() {
	if n.nudge == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
	case n.running:
		n.again = true
	default:
		n.running = true
		n.idle.Go(n.run)
	}
}

func (n *nudger) run() {
	for {
		n.once()
		n.mu.Lock()
		if !n.again || n.closed {
			n.running = false
			n.mu.Unlock()
			return
		}
		n.again = false
		n.mu.Unlock()
	}
}

func (n *nudger) once() {
	ctx, cancel := context.WithTimeout(n.ctx, n.timeout)
	defer cancel()
	if err := n.nudge(ctx); err != nil {
		n.log.DebugContext(ctx, "the relay was not told: the schedule will find the messages", slog.Any("error", err))
	}
}

// close breaks off a nudge that runs and lets no other begin.
func (n *nudger) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cancel()
	n.idle.Wait()
}

// relay tells the relay at an address. It goes past the circuits: a relay that
// does not answer harms nobody who waits.
func (u *upstreams) relay(ctx context.Context, at *url.URL) error {
	ctx = telemetry.Extract(ctx, nil) // a trace of its own: a nudge is for many requests
	id := ids.New().String()
	signature, err := u.sign.Sign(ctx, http.MethodPost, relayPath, netip.Addr{}, id)
	if err != nil {
		return err
	}
	req := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: at.Scheme, Host: at.Host, Path: relayPath}, Host: at.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"application/json"}, "X-Request-Id": {id}, hop.Header: {signature}},
	}).WithContext(ctx)
	telemetry.Inject(ctx, req.Header)
	resp, err := u.rt.RoundTrip(req) //nolint:bodyclose // drain closes it.
	if err != nil {
		return err
	}
	drain(resp.Body)
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the relay answered %d", resp.StatusCode)
	}
	return nil
}
