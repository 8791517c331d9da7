package nudge

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/secrets"
)

type fixed struct{ ring *secrets.Ring }

func (f fixed) Get(context.Context) (*secrets.Ring, error) { return f.ring, nil }

func idToken(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
}

// A relay and a metadata server, and what they were asked.
type cloud struct {
	relay, metadata *httptest.Server
	calls, asked    atomic.Int64
	answer          atomic.Pointer[string] // of the metadata server
	status          atomic.Int64
	mu              sync.Mutex
	tokens          []string
}

func start(t *testing.T, keys *hop.Keys) *cloud {
	t.Helper()
	c := &cloud{}
	c.status.Store(http.StatusOK)
	c.relay = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := keys.Verify(r.Context(), r.Header.Get(hop.Header), r.Method, r.URL.Path); err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		c.tokens = append(c.tokens, r.Header.Get(tokenHeader))
		c.mu.Unlock()
		c.calls.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(c.relay.Close)
	c.metadata = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked.Add(1)
		if r.Header.Get("Metadata-Flavor") != "Google" || r.URL.Path != "/computeMetadata/v1/instance/service-accounts/default/identity" || r.URL.Query().Get("audience") != c.address() {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(int(c.status.Load()))
		if a := c.answer.Load(); a != nil {
			_, _ = fmt.Fprintln(w, *a)
		}
	}))
	t.Cleanup(c.metadata.Close)
	return c
}

func (c *cloud) config(service string) Config {
	return Config{Relay: c.address() + "/", Service: service, Metadata: strings.TrimPrefix(c.metadata.URL, "http://")}
}

// plain takes requests for https to the server, which speaks http.
type plain struct{ http.RoundTripper }

func (c plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return c.RoundTripper.RoundTrip(r)
}

// nudger makes a Nudger that has all the time of a machine that is busy with tests.
func nudger(cfg Config, keys *hop.Keys) *Nudger {
	n := New(cfg, keys)
	n.client.Transport = plain{n.client.Transport}
	n.wait = time.Minute
	return n
}

// address is the relay's as on Cloud Run.
func (c *cloud) address() string { return "https" + strings.TrimPrefix(c.relay.URL, "http") }

func TestNudge(t *testing.T) {
	t.Parallel()
	keys := hop.New(fixed{secrets.GenerateRing(time.Now())})
	c := start(t, keys)
	nobody := New(Config{}, keys)
	if err := nobody.Nudge(t.Context()); err != nil {
		t.Error(err)
	}
	n := nudger(c.config(""), keys)
	if err := n.Nudge(t.Context()); err != nil || c.calls.Load() != 1 || c.tokens[0] != "" || c.asked.Load() != 0 {
		t.Errorf("%v; %d calls with %q, and %d questions for tokens", err, c.calls.Load(), c.tokens, c.asked.Load())
	}
	c.relay.Close()
	if err := n.Nudge(t.Context()); err == nil {
		t.Error("a relay that is away was told")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// On Cloud Run the relay's invoker check wants a token: fetched once, kept, and
// renewed before it ends.
func TestNudgeCarriesAToken(t *testing.T) {
	t.Parallel()
	keys := hop.New(fixed{secrets.GenerateRing(time.Now())})
	c := start(t, keys)
	n := nudger(c.config("mailer"), keys)
	now := time.Now()
	n.tokens.now = func() time.Time { return now }
	first, second := idToken(fmt.Sprintf(`{"exp":%d}`, now.Add(time.Hour).Unix())), idToken(fmt.Sprintf(`{"exp":%d}`, now.Add(2*time.Hour).Unix()))
	c.answer.Store(&first)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := n.Nudge(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := c.asked.Load(); got != 1 {
		t.Errorf("asked %d times for one token", got)
	}
	now = now.Add(time.Hour - early - time.Second)
	if err := n.Nudge(t.Context()); err != nil || c.asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, c.asked.Load())
	}
	c.answer.Store(&second)
	now = now.Add(2 * time.Second)
	if err := n.Nudge(t.Context()); err != nil || c.asked.Load() != 2 {
		t.Errorf("%v, asked %d times", err, c.asked.Load())
	}
	if last := len(c.tokens) - 1; last != 9 || c.tokens[0] != "Bearer "+first || c.tokens[last] != "Bearer "+second {
		t.Errorf("called with %q", c.tokens)
	}
}

// Without a token there is no call, and the next nudge asks again.
func TestNudgeWithoutAToken(t *testing.T) {
	t.Parallel()
	keys := hop.New(fixed{secrets.GenerateRing(time.Now())})
	c := start(t, keys)
	n := nudger(c.config("mailer"), keys)
	good := idToken(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(time.Hour).Unix()))
	for _, bad := range []string{"", "no token", "a.!.c", idToken("{}"), idToken("[]"), strings.TrimSuffix(good, ".sig")} {
		c.answer.Store(&bad)
		if err := n.Nudge(t.Context()); err == nil || c.calls.Load() != 0 {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c.answer.Store(&good)
	c.status.Store(http.StatusNotFound)
	if err := n.Nudge(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
	c.status.Store(http.StatusOK)
	if err := n.Nudge(t.Context()); err != nil || c.calls.Load() != 1 {
		t.Error(err)
	}
	away := nudger(Config{Relay: c.address(), Service: "mailer", Metadata: "127.0.0.1:1"}, keys)
	if err := away.Nudge(t.Context()); err == nil {
		t.Error("nobody gave a token")
	}
}

// A relay that is called in the clear, as on a laptop, is sent no token.
func TestNudgeInTheClear(t *testing.T) {
	t.Parallel()
	keys := hop.New(fixed{secrets.GenerateRing(time.Now())})
	calls := make(chan string, 1)
	relay := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { calls <- r.Header.Get(tokenHeader) }))
	t.Cleanup(relay.Close)
	n := New(Config{Relay: relay.URL, Service: "mailer", Metadata: "127.0.0.1:1"}, keys)
	n.wait = time.Minute
	if err := n.Nudge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if token := <-calls; token != "" {
		t.Errorf("called with %q", token)
	}
}
