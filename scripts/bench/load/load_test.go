package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// asker asks for one path and wants one body.
type asker struct{ path, want string }

func (a asker) Request() []byte {
	return []byte("GET " + a.path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

var errOther = errors.New("another answer")

func (a asker) Answer(status int, body []byte) error {
	if status != http.StatusOK || string(body) != a.want {
		return errOther
	}
	return nil
}

func server(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func window() Window { return Window{Warm: 10 * time.Millisecond, Length: 150 * time.Millisecond} }

// Answers end in every way that HTTP/1.1 has, and the next one is still found.
func TestFindsTheEnd(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 100<<10)
	bodies := map[string]string{"/sized": "sized", "/empty": "", "/chunks": "one two three", "/large": large, "/closing": "closing"}
	address := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunks":
			for _, part := range []string{"one ", "two ", "three"} {
				_, _ = io.WriteString(w, part)
				w.(http.Flusher).Flush()
			}
			return
		case "/closing":
			w.Header().Set("Connection", "close")
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		}
		_, _ = io.WriteString(w, bodies[r.URL.Path])
	})
	var callers []Caller
	for path, want := range bodies {
		callers = append(callers, asker{path, want})
	}
	r := Closed(t.Context(), address, callers, window())
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Requests < len(bodies) || r.PerSecond() <= 0 {
		t.Errorf("%d requests, %.0f a second", r.Requests, r.PerSecond())
	}
	if !slices.IsSorted(r.Latencies) || len(r.Latencies) != r.Requests {
		t.Errorf("%d latencies, sorted: %v", len(r.Latencies), slices.IsSorted(r.Latencies))
	}
}

func TestCountsWhatIsWrong(t *testing.T) {
	t.Parallel()
	address := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTooManyRequests)
	})
	for _, path := range []string{"/limited", "/gone"} {
		r := Closed(t.Context(), address, []Caller{asker{path, ""}}, window())
		if r.Err() == nil || r.Requests != 0 {
			t.Errorf("%s: %d requests, error %v", path, r.Requests, r.Err())
		}
	}
	r := Open(t.Context(), address, []Caller{asker{"/limited", ""}}, 100, window())
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), errOther.Error()) {
		t.Errorf("an open loop: %v", err)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	address := server(t, func(http.ResponseWriter, *http.Request) {})
	var calls []string
	w := window()
	w.Begin = func() { calls = append(calls, "begin") }
	w.End = func() { calls = append(calls, "end") }
	if r := Closed(t.Context(), address, []Caller{asker{"/", ""}}, w); r.Err() != nil || r.Elapsed < w.Length {
		t.Errorf("%v, %v", r.Err(), r.Elapsed)
	}
	if r := Open(t.Context(), address, []Caller{asker{"/", ""}}, 200, w); r.Err() != nil || r.Requests == 0 || r.Requests > 200 {
		t.Errorf("%v, %d", r.Err(), r.Requests)
	}
	if !slices.Equal(calls, []string{"begin", "end", "begin", "end"}) {
		t.Errorf("called %v", calls)
	}
}

// A stall of the server is the latency of all requests that were due meanwhile,
// not only of the one that met it.
func TestStallCounts(t *testing.T) {
	t.Parallel()
	const stall = 200 * time.Millisecond
	var turn atomic.Int64
	address := server(t, func(http.ResponseWriter, *http.Request) {
		if turn.Add(1) == 5 {
			<-time.After(stall)
		}
	})
	r := Open(t.Context(), address, []Caller{asker{"/", ""}}, 100, Window{Length: 500 * time.Millisecond})
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, l := range r.Latencies {
		if l > stall/4 {
			late++
		}
	}
	if late < 10 { // some 15 were due while the server stood still
		t.Errorf("%d requests of %d were late", late, r.Requests)
	}
}

// quitter calls its load off when it is about to ask for the last time.
type quitter struct {
	asker
	left int
	quit context.CancelFunc
}

func (q *quitter) Request() []byte {
	if q.left--; q.left == 0 {
		q.quit()
	}
	return q.asker.Request()
}

// What is called off asks no more, and what it was just about to ask is no fault.
func TestCalledOff(t *testing.T) {
	t.Parallel()
	for _, last := range []int{1, 3} { // before there is a connection, and after
		var asked atomic.Int64
		address := server(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
		ctx, quit := context.WithCancel(t.Context())
		r := Open(ctx, address, []Caller{&quitter{asker{"/", ""}, last, quit}}, 1000, Window{Length: 10 * time.Second})
		if err := r.Err(); err != nil {
			t.Error(err)
		}
		if n := asked.Load(); n > int64(last) || r.Elapsed > 5*time.Second {
			t.Errorf("asked %d times within %v", n, r.Elapsed)
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0.999, 100},
		{hundred, 1, 100},
	} {
		if got := Quantile(c.of, c.q); got != c.want {
			t.Errorf("quantile %v of %d values: %d, want %d", c.q, len(c.of), got, c.want)
		}
	}
}

func TestFaultsAreShort(t *testing.T) {
	t.Parallel()
	r := Result{Faults: map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}}
	if got := r.Err().Error(); !strings.HasSuffix(got, "1× a; 2× b; 3× c; …") {
		t.Error(got)
	}
	if (Result{}).PerSecond() != 0 {
		t.Error("nothing has a rate")
	}
}
