package telemetry

import (
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Middleware continues or begins the trace of each request and, when on, records
// a server span and its duration, by OpenTelemetry's conventions for HTTP.
// route names the pattern that answered, after it did; "" means none. Paths are
// not recorded: they hold ids, and each would be a series of its own.
func (t *Telemetry) Middleware(route func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if t == nil {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(Extract(r.Context(), r.Header)))
			})
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.serve(w, r, next, route) })
	}
}

func (t *Telemetry) serve(w http.ResponseWriter, r *http.Request, next http.Handler, route func(*http.Request) string) {
	begun := time.Now()
	method := knownMethod(r.Method)
	ctx := w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", method)))
	r = r.WithContext(ctx)
	seen := &statusWriter{ResponseWriter: w}
	broken := true // until next returns; a panic passes through unhandled
	defer func() {
		status, pattern := seen.status, route(r)
		switch {
		case broken && status == 0:
			status = http.StatusInternalServerError
		case status == 0:
			status = http.StatusOK
		}
		attrs := []attribute.KeyValue{attribute.String("http.request.method", method), attribute.Int("http.response.status_code", status)}
		if pattern != "" {
			attrs = append(attrs, attribute.String("http.route", pattern))
			span.SetName(method + " " + pattern)
		}
		span.SetAttributes(attrs...)
		if status >= 500 || broken {
			span.SetStatus(codes.Error, "")
		}
		span.End()
		t.duration.Record(ctx, time.Since(begun).Seconds(), metric.WithAttributes(attrs...))
	}()
	next.ServeHTTP(seen, r)
	broken = false
}

// Transport sends the trace of each request along and, when on, records a client
// span named after what is called. A nil base is http.DefaultTransport.
func (t *Telemetry) Transport(base http.RoundTripper, name string) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{t, base, name}
}

type transport struct {
	t    *Telemetry
	base http.RoundTripper
	name string
}

func (c *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if !c.t.On() && !trace.SpanContextFromContext(ctx).IsValid() {
		return c.base.RoundTrip(r)
	}
	var span trace.Span
	if c.t.On() {
		ctx, span = c.t.tracer.Start(ctx, c.name, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("http.request.method", knownMethod(r.Method)), attribute.String("server.address", r.URL.Hostname())))
		defer span.End()
	}
	// A RoundTripper must not change the request it was given.
	r = r.Clone(ctx)
	Inject(ctx, r.Header)
	resp, err := c.base.RoundTrip(r)
	if span != nil {
		switch {
		case err != nil:
			span.SetStatus(codes.Error, "")
		default:
			span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
			if resp.StatusCode >= 400 {
				span.SetStatus(codes.Error, "")
			}
		}
	}
	return resp, err
}

// knownMethod keeps a client from making series by inventing methods.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what the writer below can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is forwarded for those who look for http.Flusher itself.
func (w *statusWriter) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	// A writer that cannot flush has nothing to be told.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
