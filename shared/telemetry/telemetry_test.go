package telemetry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/coditect/platform/shared/config"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestPropagationWithoutAnSDK(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, trace, flags string }{
		"continued":        {parent, "0af7651916cd43dd8448eb211c80319c", "01"},
		"unsampled":        {parent[:53] + "00", "0af7651916cd43dd8448eb211c80319c", "00"},
		"none":             {"", "", "00"},
		"garbage":          {"00-zz-yy-01", "", "00"},
		"zero trace":       {"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", "00"},
		"forbidden":        {"ff" + parent[2:], "", "00"},
		"tail of version":  {parent + "-x", "", "00"},
		"later version ok": {"01" + parent[2:], "0af7651916cd43dd8448eb211c80319c", "01"},
	} {
		in := http.Header{}
		if tt.in != "" {
			in.Set("Traceparent", tt.in)
			in.Set("Tracestate", "a=b")
		}
		for how, ctx := range map[string]context.Context{"request": Extract(t.Context(), in), "message": WithTraceparent(t.Context(), tt.in)} {
			got := Traceparent(ctx)
			parts := strings.Split(got, "-")
			if len(got) != 55 || len(parts) != 4 || parts[3] != tt.flags || TraceID(ctx) != parts[1] {
				t.Errorf("%s, %s: %q", name, how, got)
				continue
			}
			if tt.trace != "" && parts[1] != tt.trace || tt.trace == "" && parts[1] == strings.Repeat("0", 32) {
				t.Errorf("%s, %s: trace %s", name, how, parts[1])
			}
			if strings.Contains(tt.in, parts[2]) {
				t.Errorf("%s, %s: the hop has its caller's span id", name, how)
			}
			out := http.Header{}
			Inject(ctx, out)
			if out.Get("Traceparent") != got {
				t.Errorf("%s, %s: injected %q", name, how, out.Get("Traceparent"))
			}
			if how == "request" && tt.trace != "" && out.Get("Tracestate") != "a=b" {
				t.Errorf("%s: tracestate is lost", name)
			}
		}
	}
	if Traceparent(t.Context()) != "" || TraceID(t.Context()) != "" {
		t.Error("a trace from nowhere")
	}
}

// chain sends a request through Middleware and Transport of tel to a server
// that notes what arrives.
func chain(t *testing.T, tel *Telemetry, in string, handler http.HandlerFunc) (arrived http.Header) {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived = r.Header.Clone()
		w.WriteHeader(http.StatusTeapot)
	}))
	defer backend.Close()
	// Its own: whoever closes a test server closes idle connections of the default one.
	client := &http.Client{Transport: tel.Transport(backend.Client().Transport, "backend")}
	h := tel.Middleware(func(*http.Request) string { return "/api/v1/tasks/{id}/" })(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), "GET", backend.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Traceparent", "forged")
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		if req.Header.Get("Traceparent") != "forged" {
			t.Error("the transport changed the request it was given")
		}
		handler(w, r)
	}))
	r := httptest.NewRequest("POST", "/api/v1/tasks/1/", nil)
	r.Header.Set("Traceparent", in)
	func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	return arrived
}

func TestTheTraceCrossesWhileOff(t *testing.T) {
	t.Parallel()
	var off *Telemetry
	got := chain(t, off, parent, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }).Get("Traceparent")
	if !strings.HasPrefix(got, parent[:36]) || got == parent {
		t.Errorf("arrived %q", got)
	}
	if off.On() || off.Shutdown(t.Context()) != nil {
		t.Error("off is not off")
	}
	if _, err := off.Meter().Int64Counter("x"); err != nil {
		t.Error(err)
	}
	// Outside a trace nothing is invented.
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			t.Error("a trace from nowhere")
		}
	}))
	defer backend.Close()
	resp, err := (&http.Client{Transport: off.Transport(http.DefaultTransport, "x")}).Get(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

type recording struct {
	*Telemetry
	spans *tracetest.SpanRecorder
	read  *sdkmetric.ManualReader
}

func record(t *testing.T) recording {
	t.Helper()
	spans, read := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(read))
	tel, err := New(tp, mp, time.Second, func(ctx context.Context) error { return errors.Join(tp.Shutdown(ctx), mp.Shutdown(ctx)) })
	if err != nil {
		t.Fatal(err)
	}
	return recording{tel, spans, read}
}

func TestServerAndClientSpans(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		status  int64
		failed  bool
	}{
		"written": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("x"))
			w.WriteHeader(http.StatusBadGateway)
		}, 200, false},
		"nothing":  {func(http.ResponseWriter, *http.Request) {}, 200, false},
		"flushed":  {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200, false},
		"early":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(201) }, 201, false},
		"client":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, false},
		"server":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 503, true},
		"panicked": {func(http.ResponseWriter, *http.Request) { panic("broken") }, 500, true},
	} {
		tel := record(t)
		arrived := chain(t, tel.Telemetry, parent, tt.handler).Get("Traceparent")
		ended := tel.spans.Ended()
		if len(ended) != 2 {
			t.Errorf("%s: %d spans", name, len(ended))
			continue
		}
		client, server := ended[0], ended[1]
		if server.Name() != "POST /api/v1/tasks/{id}/" || server.SpanKind() != trace.SpanKindServer || server.Parent().SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("%s: server span %s under %s", name, server.Name(), server.Parent().SpanID())
		}
		if (server.Status().Code == codes.Error) != tt.failed {
			t.Errorf("%s: status %v", name, server.Status())
		}
		attrs := attribute.NewSet(server.Attributes()...)
		if v, _ := attrs.Value("http.response.status_code"); v.AsInt64() != tt.status {
			t.Errorf("%s: status code %v", name, v.AsInt64())
		}
		if client.Name() != "backend" || client.Parent().SpanID() != server.SpanContext().SpanID() || client.Status().Code != codes.Error ||
			!strings.Contains(arrived, client.SpanContext().SpanID().String()) {
			t.Errorf("%s: client span %s, arrived %s", name, client.Name(), arrived)
		}

		var got metricdata.ResourceMetrics
		if err := tel.read.Collect(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		hist, ok := got.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64])
		if !ok || len(hist.DataPoints) != 1 || hist.DataPoints[0].Count != 1 {
			t.Fatalf("%s: %+v", name, got.ScopeMetrics)
		}
		if v, _ := hist.DataPoints[0].Attributes.Value("http.route"); v.AsString() != "/api/v1/tasks/{id}/" {
			t.Errorf("%s: route %v", name, v)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestInventedMethodsAreOne(t *testing.T) {
	t.Parallel()
	tel := record(t)
	h := tel.Middleware(func(*http.Request) string { return "" })(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", "/", nil))
	if name := tel.spans.Ended()[0].Name(); name != "_OTHER" {
		t.Errorf("span %s", name)
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

func TestSpansOfFailures(t *testing.T) {
	t.Parallel()
	tel := record(t)
	ctx, span := tel.Start(t.Context(), "work")
	Set(ctx, "tenant", "t1")
	req, err := http.NewRequestWithContext(ctx, "GET", "http://x.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tel.Transport(refusing{}, "x").RoundTrip(req); err == nil {
		t.Error("no error")
	}
	End(span, errors.New("secret in the error"))
	for _, s := range tel.spans.Ended() {
		if s.Status().Code != codes.Error || s.Status().Description != "" || len(s.Events()) > 0 {
			t.Errorf("%s: %+v %v", s.Name(), s.Status(), s.Events())
		}
	}
	if v := tel.spans.Ended()[1].Attributes(); len(v) != 1 || v[0].Value.AsString() != "t1" {
		t.Errorf("attributes %v", v)
	}
	if _, err := tel.Meter().Int64Counter("x"); err != nil || !tel.On() {
		t.Error(err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	tel := record(t)
	stuck, err := New(sdktrace.NewTracerProvider(), sdkmetric.NewMeterProvider(), 10*time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := stuck.Shutdown(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if c, err := config.Load[Config](config.Map(nil)); err != nil || c.On() || c.Ratio != 1 {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []map[string]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "grpc://x:1"},
		{"OTEL_TRACES_SAMPLER_ARG": "2"}, {"OTEL_TRACES_SAMPLER_ARG": "NaN"}, {"OTEL_EXPORT_TIMEOUT": "-1s"},
	} {
		if _, err := config.Load[Config](config.Map(bad)); err == nil {
			t.Errorf("%v accepted", bad)
		}
	}
}

func TestOffAllocatesNothing(t *testing.T) {
	var off *Telemetry
	ctx := Extract(context.Background(), http.Header{"Traceparent": {parent}})
	failed := errors.New("x")
	if n := testing.AllocsPerRun(1000, func() {
		ctx, span := off.Start(ctx, "query")
		Set(ctx, "a", "b")
		End(span, failed)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOffSpan(b *testing.B) {
	var off *Telemetry
	ctx := Extract(context.Background(), http.Header{"Traceparent": {parent}})
	b.ReportAllocs()
	for b.Loop() {
		_, span := off.Start(ctx, "query")
		End(span, nil)
	}
}

func BenchmarkOffExtract(b *testing.B) {
	h := http.Header{"Traceparent": {parent}}
	b.ReportAllocs()
	for b.Loop() {
		Extract(context.Background(), h)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(parent)
	f.Add("00-00000000000000000000000000000000-0000000000000000-00")
	f.Add("ff-")
	f.Fuzz(func(t *testing.T, header string) {
		got := Traceparent(Extract(t.Context(), http.Header{"Traceparent": {header}}))
		if len(got) != 55 || !strings.HasPrefix(got, "00-") {
			t.Errorf("%q from %q", got, header)
		}
	})
}
