// Package nudge tells the relay that background work left messages, or let the
// next one of a key go. What an HTTP request leaves, the router tells.
//
// A function nudges before it answers, as nothing runs after that. It is a
// courtesy: what the relay is not told of, its schedule finds within a minute.
package nudge

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/telemetry"
)

const (
	relayPath = "/internal/relay/"
	// patience is how long an answer to the queue waits for a nudge. A relay
	// that is at work takes longer, and looks again by itself.
	patience = 250 * time.Millisecond
)

// Nudger knows where the relay is.
type Nudger struct {
	address string // empty is off
	hops    *hop.Keys
	client  *http.Client
}

// New makes a Nudger for the relay at an address; none leaves everything to its
// schedule.
func New(address string, hops *hop.Keys) *Nudger {
	return &Nudger{
		address: strings.TrimSuffix(address, "/"), hops: hops,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}},
	}
}

// Nudge has the relay look into the outboxes.
func (n *Nudger) Nudge(ctx context.Context) error {
	if n.address == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.address+relayPath, http.NoBody)
	if err != nil {
		return err
	}
	id := ids.New().String()
	signature, err := n.hops.Sign(ctx, http.MethodPost, relayPath, netip.Addr{}, id)
	if err != nil {
		return err
	}
	req.Header.Set(hop.Header, signature)
	req.Header.Set("X-Request-Id", id)
	telemetry.Inject(ctx, req.Header)
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the relay answered %s", resp.Status)
	}
	return nil
}

// Close ends the connections that wait for the next nudge.
func (n *Nudger) Close() error {
	n.client.CloseIdleConnections()
	return nil
}
