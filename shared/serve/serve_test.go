package serve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coditect/platform/shared/config"
)

func ask(ctx context.Context, t *testing.T, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/x/", nil))
	return w
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })

// The platform's question is answered before the function is open, when it cannot be
// opened and after its end; anything else goes to the function.
func TestLives(t *testing.T) {
	t.Parallel()
	opened := 0
	i := New(func(context.Context, config.Lookup) (*App, error) {
		if opened++; opened == 1 {
			return nil, errors.New("no database")
		}
		return &App{Handler: hello}, nil
	}, config.Map(nil))
	asked := func(method, path string, want int) {
		t.Helper()
		w := httptest.NewRecorder()
		i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code != want || want == http.StatusNoContent && w.Body.Len() > 0 {
			t.Errorf("%s %s: %d %q, not %d", method, path, w.Code, w.Body, want)
		}
	}
	asked(http.MethodGet, "/livez", http.StatusNoContent)
	if opened != 0 {
		t.Error("the platform's question opened the function")
	}
	asked(http.MethodGet, "/x/", http.StatusServiceUnavailable)
	asked(http.MethodHead, "/livez", http.StatusNoContent)
	asked(http.MethodPost, "/livez", http.StatusOK)
	asked(http.MethodGet, "/livez/", http.StatusOK)
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	asked(http.MethodGet, "/livez", http.StatusNoContent)
}

// A failed opening is answered 503 and forgotten; success is kept.
func TestOpensOnce(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	i := New(func(ctx context.Context, lookup config.Lookup) (*App, error) {
		if v, _ := lookup("MODE"); v != "test" {
			t.Error("another environment")
		}
		if ctx.Err() != nil {
			t.Error("what is opened would die with its first request")
		}
		if opened.Add(1) == 1 {
			return nil, errors.New("password hunter2 refused")
		}
		return &App{Handler: hello}, nil
	}, config.Map(map[string]string{"MODE": "test"}))
	if opened.Load() != 0 {
		t.Error("opened before a request")
	}
	w := ask(t.Context(), t, i)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "2" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if w := ask(gone, t, i); w.Code != http.StatusOK {
		t.Errorf("second: %d", w.Code)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { ask(t.Context(), t, i) })
	}
	all.Wait()
	if opened.Load() != 2 {
		t.Errorf("opened %d times", opened.Load())
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	closed := 0
	open := func(context.Context, config.Lookup) (*App, error) {
		return &App{Handler: hello, Close: func(context.Context) error { closed++; return errors.New("x") }}, nil
	}
	never := New(open, config.Map(nil))
	if err := never.Close(t.Context()); err != nil || closed != 0 {
		t.Errorf("closed what was not open: %v", err)
	}
	if w := ask(t.Context(), t, never); w.Code != http.StatusServiceUnavailable {
		t.Errorf("opened after the end: %d", w.Code)
	}
	i := New(open, config.Map(nil))
	ask(t.Context(), t, i)
	if err := i.Close(t.Context()); err == nil || closed != 1 {
		t.Errorf("closed %d times, %v", closed, err)
	}
	if err := i.Close(t.Context()); err != nil || closed != 1 {
		t.Error("closed twice")
	}
}

func TestLazyReadsTheEnvironment(t *testing.T) {
	t.Setenv("CODITECT_SERVE_TEST", "yes")
	h := Lazy(func(_ context.Context, lookup config.Lookup) (*App, error) {
		if v, _ := lookup("CODITECT_SERVE_TEST"); v != "yes" {
			t.Error("another environment")
		}
		return &App{Handler: hello}, nil
	})
	if w := ask(t.Context(), t, h); w.Body.String() != "hello" {
		t.Errorf("got %s", w.Body)
	}
}

// A deployed function's heap is kept smaller than Go's own setting would, but
// for one whose environment sets GOGC.
func TestGCPercent(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for was, want := range map[int]int{100: gcPercent, 200: 200, -1: -1} {
		debug.SetGCPercent(was)
		setGCPercent()
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("GOGC %d became %d, want %d", was, got, want)
		}
	}
}
