package router

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
)

func TestNudgesAreCoalesced(t *testing.T) {
	t.Parallel()
	gate, runs := make(chan struct{}), atomic.Int64{}
	n := newNudger(time.Minute, slog.New(slog.DiscardHandler), func(context.Context) error { runs.Add(1); <-gate; return nil })
	n.poke()
	until(t, func() bool { return runs.Load() == 1 })
	for range 100 {
		n.poke()
	}
	gate <- struct{}{}
	until(t, func() bool { return runs.Load() == 2 })
	gate <- struct{}{}
	n.idle.Wait()
	if runs.Load() != 2 {
		t.Errorf("%d nudges", runs.Load())
	}
	n.close()
	n.poke()
	if runs.Load() != 2 {
		t.Error("a nudge after the end")
	}
	off := newNudger(time.Minute, slog.New(slog.DiscardHandler), nil)
	off.poke()
	off.close()
}

func TestANudgeThatFailsOrHangsIsDropped(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	var runs atomic.Int64
	n := newNudger(time.Millisecond, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(ctx context.Context) error {
		if runs.Add(1) == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return errors.New("refused")
	})
	for i := range int64(2) {
		n.poke()
		until(t, func() bool { return strings.Count(log.String(), "the relay was not told") == int(i)+1 })
		n.idle.Wait()
	}
	if !strings.Contains(log.String(), "level=DEBUG") || strings.Contains(log.String(), "level=WARN") {
		t.Error(log.String())
	}
	hung := newNudger(time.Hour, slog.New(slog.DiscardHandler), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	hung.poke()
	hung.close() // and does not wait for the hour
}

// An answer that says that messages were left has the relay told, signed, and
// does not wait for it.
func TestTheRelayIsTold(t *testing.T) {
	t.Parallel()
	told, gate := make(chan *http.Request, 10), make(chan struct{})
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r
		<-gate
		w.WriteHeader(http.StatusNoContent)
	}))
	defer relay.Close()
	defer close(gate)
	w := newWorld(t, setting("ROUTER_NUDGE_URL", relay.URL), func(w *world, o *Options) {
		o.Nudge = nil
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if "http://"+r.URL.Host == relay.URL {
				return http.DefaultTransport.RoundTrip(r)
			}
			return w.functions.RoundTrip(r)
		})
	})
	w.functions.answer = func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			rw.Header().Set(hop.Outbox, "1")
		}
		_, _ = io.WriteString(rw, "{}")
	}
	me := w.person(ids.New())
	rec := w.do(call{method: "POST", path: "/api/v1/projects/", token: me.token, body: "{}"}) // while the relay hangs
	want(t, rec, 200, "")
	if rec.Header().Get(hop.Outbox) != "" {
		t.Error("the client was told, too")
	}
	r := <-told
	h, err := w.hopKeys.Verify(t.Context(), r.Header.Get(hop.Header), r.Method, r.URL.EscapedPath())
	if err != nil || h.ClientIP.IsValid() || r.Method != http.MethodPost || r.URL.Path != "/internal/relay/" || r.ContentLength != 0 || r.Header.Get("Traceparent") == "" {
		t.Errorf("%s %s %v: %+v %v", r.Method, r.URL, r.Header, h, err)
	}
	for range 5 {
		want(t, w.do(call{method: "POST", path: "/api/v1/projects/", token: me.token, body: "{}"}), 200, "")
		want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	}
	gate <- struct{}{}
	<-told
	gate <- struct{}{}
	w.app.nudge.idle.Wait()
	if len(told) != 0 {
		t.Errorf("%d nudges more", len(told))
	}
}

func TestARelayThatIsNotThereHarmsNobody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		err    error
	}{"refuses": {503, nil}, "absent": {0, errDial}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var nudges atomic.Int64
			w := newWorld(t, setting("ROUTER_NUDGE_URL", "http://outboxrelay"), func(w *world, o *Options) {
				o.Nudge = nil
				o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.URL.Host != "outboxrelay" {
						return w.functions.RoundTrip(r)
					}
					nudges.Add(1)
					if tt.err != nil {
						return nil, tt.err
					}
					return &http.Response{StatusCode: tt.status, Body: http.NoBody}, nil
				})
			})
			w.functions.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set(hop.Outbox, "1") }
			me := w.person(ids.New())
			for i := range int64(20) {
				want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
				until(t, func() bool { return nudges.Load() > i })
				w.app.nudge.idle.Wait()
			}
			if strings.Contains(w.log.String(), "WARN") {
				t.Error(w.log.String())
			}
		})
	}
}
