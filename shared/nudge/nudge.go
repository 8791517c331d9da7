// Package nudge tells the relay that background work left messages, or let the
// next one of a key go. What an HTTP request leaves, the router tells.
//
// A function nudges before it answers, as nothing runs after that. It is a
// courtesy: what the relay is not told of, its schedule finds within a minute.
//
// On Cloud Run the relay is guarded by IAM, as every function is: a nudge carries
// an ID token of the function's own account, which Terraform lets call the relay.
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

// Config is where the relay is, and whether calls of it need a token.
type Config struct {
	// Relay is the address of the function that relays the outbox. It is told of
	// messages that background work leaves; empty leaves them to its schedule.
	Relay string `env:"RELAY_URL"`
	// Service is the process's name on Cloud Run, which sets it.
	Service string `env:"K_SERVICE"`
	// Metadata is the host of the metadata server, which gives tokens there.
	Metadata string `env:"GCE_METADATA_HOST" envDefault:"metadata.google.internal"`
}

// Nudger knows where the relay is.
type Nudger struct {
	address string // empty is off
	hops    *hop.Keys
	client  *http.Client
	tokens  *tokens // nil where nobody asks for one
	wait    time.Duration
}

// New makes a Nudger.
func New(cfg Config, hops *hop.Keys) *Nudger {
	n := &Nudger{
		address: strings.TrimSuffix(cfg.Relay, "/"), hops: hops, wait: patience,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}},
	}
	// On a laptop functions are named as on Cloud Run (make run-split), and call each
	// other in the clear, where a token has no business.
	if cfg.Service != "" && strings.HasPrefix(n.address, "https://") {
		n.tokens = &tokens{client: n.client, host: cfg.Metadata, audience: n.address, now: time.Now}
	}
	return n
}

// Nudge has the relay look into the outboxes.
func (n *Nudger) Nudge(ctx context.Context) error {
	if n.address == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), n.wait)
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
	if n.tokens != nil {
		token, err := n.tokens.get(ctx)
		if err != nil {
			return err
		}
		req.Header.Set(tokenHeader, "Bearer "+token)
	}
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
