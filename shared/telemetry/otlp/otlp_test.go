package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/coditect/platform/shared/telemetry"
)

// collector keeps what is posted to it, by path.
type collector struct {
	sync.Mutex
	got map[string][]byte
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.Lock()
	defer c.Unlock()
	c.got[r.URL.Path] = append(c.got[r.URL.Path], b...)
}

func TestSpansAndMeasurementsArriveByShutdown(t *testing.T) {
	t.Parallel()
	c := &collector{got: map[string][]byte{}}
	server := httptest.NewServer(c)
	defer server.Close()
	tel, err := Open(t.Context(), telemetry.Config{Endpoint: server.URL + "/", Service: "tasks", Environment: "test", Ratio: 1, ExportTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	tel.Middleware(func(*http.Request) string { return "/x/" })(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x/", nil))
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/v1/traces": "GET /x/", "/v1/metrics": "http.server.request.duration"} {
		for _, want := range []string{want, "tasks"} {
			if !bytes.Contains(c.got[path], []byte(want)) {
				t.Errorf("%s did not get %q", path, want)
			}
		}
	}
}

func TestOffWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	if tel, err := Open(t.Context(), telemetry.Config{}); tel != nil || err != nil {
		t.Errorf("%v %v", tel, err)
	}
}

func TestACollectorThatHangsEndsWithTheBound(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	tel, err := Open(t.Context(), telemetry.Config{Endpoint: server.URL, Ratio: 1, ExportTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Start(t.Context(), "x")
	span.End()
	begun := time.Now()
	if err := tel.Shutdown(t.Context()); err == nil {
		t.Error("no error although nothing arrived")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNobodyForcesSampling(t *testing.T) {
	t.Parallel()
	s := sampler(0)
	for _, flags := range []trace.TraceFlags{0, trace.FlagsSampled} {
		ctx := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{9}, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true}))
		if got := s.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, TraceID: trace.TraceID{9}}); got.Decision == sdktrace.RecordAndSample {
			t.Errorf("flags %v: sampled", flags)
		}
	}
}
