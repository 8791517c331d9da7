package stripe

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coditect/platform/shared/standin/internal/dispatch"
)

// A Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID, Type string // of the event
	Created  int64
	URL      string
	Payload  []byte

	secret  string
	attempt int
}

// Signature is the Stripe-Signature header of the delivery when it is sent at a
// time: the scheme v1, HMAC-SHA256 over "time.payload".
func (d Delivery) Signature(at time.Time) string { return Sign(d.Payload, d.secret, at) }

// Sign signs a payload as Stripe does.
func Sign(payload []byte, secret string, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(payload)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// backoffs is when a delivery that failed is tried again; Stripe's hours are
// seconds here. After the last it is given up.
var backoffs = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute}

// hooks sends events to endpoints.
type hooks struct {
	server *Server
	client *http.Client
	line   *dispatch.Line

	mu      sync.Mutex
	holding bool
	held    []Delivery
	when    func(Delivery) []time.Duration
}

func newHooks(s *Server) *hooks {
	return &hooks{server: s, line: dispatch.NewLine(8, 0, 1), client: &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (h *hooks) close() {
	h.line.Close()
	h.client.CloseIdleConnections()
}

// announce sends what happened.
func (h *hooks) announce(events []*Event) {
	for _, e := range events {
		for _, d := range h.server.deliveries(e) {
			h.take(d)
		}
	}
}

func (s *Server) deliveries(e *Event) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	payload, err := json.Marshal(e)
	if err != nil {
		s.log.Error("stripe: an event cannot be written", "error", err.Error())
		return nil
	}
	var out []Delivery
	for _, p := range s.s.Endpoints {
		if p.wants(e.Type) {
			out = append(out, Delivery{ID: e.ID, Type: e.Type, Created: e.Created, URL: p.URL, Payload: payload, secret: p.Secret})
		}
	}
	return out
}

func (h *hooks) take(d Delivery) {
	h.mu.Lock()
	if h.holding {
		h.held = append(h.held, d)
		h.mu.Unlock()
		return
	}
	when := h.when
	h.mu.Unlock()
	delays := []time.Duration{0}
	if when != nil {
		delays = when(d)
	}
	for _, wait := range delays {
		h.later(d, wait)
	}
}

func (h *hooks) later(d Delivery, wait time.Duration) {
	h.line.Put(&dispatch.Item{Do: func(ctx context.Context) { h.send(ctx, d) }}, time.Now().Add(wait))
}

func (h *hooks) send(ctx context.Context, d Delivery) {
	err := h.post(ctx, d)
	if err == nil || ctx.Err() != nil {
		return
	}
	if d.attempt == len(backoffs) {
		h.server.log.Warn("stripe: a webhook was given up", "event", d.ID, "type", d.Type, "error", err.Error())
		return
	}
	wait := backoffs[d.attempt]
	d.attempt++
	h.later(d, wait)
}

func (h *hooks) post(ctx context.Context, d Delivery) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Payload))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	r.Header.Set("Stripe-Signature", d.Signature(time.Now()))
	resp, err := h.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the endpoint answered %s", resp.Status)
	}
	return nil
}

// Listen sends every event to an endpoint, signed with the secret. One of the
// same address is replaced.
func (s *Server) Listen(url, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.s.Endpoints {
		if p.URL == url {
			delete(s.s.Endpoints, id)
		}
	}
	p := &Endpoint{ID: newID("we_"), Object: "webhook_endpoint", APIVersion: Version, Created: s.now().Unix(), EnabledEvents: []string{"*"},
		Metadata: map[string]string{}, Status: "enabled", URL: url, Secret: secret}
	s.s.Endpoints[p.ID] = p
	s.s.made(p.ID)
}

// Hold keeps events from now on, for [Server.Held].
func (s *Server) Hold() {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.holding = true
}

// Held takes what is kept back, oldest first.
func (s *Server) Held() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	out := s.hooks.held
	s.hooks.held = nil
	return out
}

// Scatter asks when about every delivery: it is sent once after each delay,
// and never when there is none. nil ends it.
func (s *Server) Scatter(when func(Delivery) []time.Duration) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.when = when
}
