// Package telemetry carries traces and metrics.
//
// Two things are kept apart. Propagation is always on: every request has a W3C
// trace context, its own or a fresh one, that goes along every hop, job and log
// line. Recording is on only where an exporter is: a main that imports
// telemetry/otlp and has OTEL_EXPORTER_OTLP_ENDPOINT set. Without one no SDK
// runs, and what is here costs next to nothing; a function that does not import
// the exporters does not link them.
//
// A *Telemetry is handed to what records. Its nil value is valid and is off.
package telemetry

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/coditect/platform/shared/config"
)

// Config says where telemetry goes; the names are OpenTelemetry's own.
type Config struct {
	// Endpoint is an OTLP/HTTP collector, as http://host:4318; empty is off.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// Service names the program.
	Service string `env:"OTEL_SERVICE_NAME" envDefault:"coditect"`
	// Environment is deployment.environment.name: local, dev, staging, production.
	Environment string `env:"DEPLOYMENT_ENVIRONMENT" envDefault:"local"`
	// Ratio of traces that are recorded, 0 to 1. It is decided by the trace id,
	// so that every hop decides alike and no client can force it.
	Ratio float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1"`
	// ExportTimeout bounds one export and the flush of Shutdown.
	ExportTimeout time.Duration `env:"OTEL_EXPORT_TIMEOUT" envDefault:"5s"`
}

// On reports whether there is somewhere to send telemetry.
func (c Config) On() bool { return c.Endpoint != "" }

// Validate refuses addresses and ratios that the exporters would misread.
func (c Config) Validate() error {
	var faults []error
	if c.On() {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			faults = append(faults, config.Invalid("OTEL_EXPORTER_OTLP_ENDPOINT", "must be an http or https address"))
		}
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		faults = append(faults, config.Invalid("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1"))
	}
	if c.ExportTimeout <= 0 {
		faults = append(faults, config.Invalid("OTEL_EXPORT_TIMEOUT", "must be positive"))
	}
	return errors.Join(faults...)
}

// scopeName is the instrumentation scope of everything we record.
const scopeName = "github.com/coditect/platform"

// Telemetry records spans and measurements, or does nothing when it is nil.
type Telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	duration metric.Float64Histogram
	bound    time.Duration
	shutdown func(context.Context) error
}

// New makes a Telemetry over providers. shutdown flushes and ends them, and is
// given at most bound.
func New(traces trace.TracerProvider, metrics metric.MeterProvider, bound time.Duration, shutdown func(context.Context) error) (*Telemetry, error) {
	t := &Telemetry{tracer: traces.Tracer(scopeName), meter: metrics.Meter(scopeName), bound: bound, shutdown: shutdown}
	var err error
	t.duration, err = t.meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	return t, err
}

// On reports whether anything is recorded. Ask before computing attributes that
// cost.
func (t *Telemetry) On() bool { return t != nil }

// Start begins a span inside the one of ctx; end it with End. When off, it
// returns ctx itself and a span that does nothing, and allocates nothing.
func (t *Telemetry) Start(ctx context.Context, name string) (context.Context, trace.Span) {
	if t == nil {
		return ctx, tracenoop.Span{}
	}
	return t.tracer.Start(ctx, name)
}

// End closes a span and marks it failed if err is not nil. The error's text is
// not recorded: it may hold what belongs in no trace; the log line of the same
// trace has it.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Meter makes instruments; when off, ones that do nothing.
func (t *Telemetry) Meter() metric.Meter {
	if t == nil {
		return metricnoop.Meter{}
	}
	return t.meter
}

// Shutdown sends what is left and ends recording, within the bound that New got
// whatever ctx allows.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.bound)
	defer cancel()
	return t.shutdown(ctx)
}

// w3c reads and writes traceparent and tracestate
// (www.w3.org/TR/trace-context). Baggage is left out: it would carry what
// clients put there to every dependency.
var w3c = propagation.TraceContext{}

// Extract continues the trace that the headers name, or begins one if they name
// none or a malformed one. Unless a span is recorded, the hop gets a span id of
// its own, so that log lines of caller and callee can be told apart.
func Extract(ctx context.Context, h http.Header) context.Context {
	return adopt(w3c.Extract(ctx, propagation.HeaderCarrier(h)))
}

// WithTraceparent continues the trace of a stored traceparent: an outbox
// message's, a queue's.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	return adopt(w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent}))
}

func adopt(ctx context.Context) context.Context {
	sc := trace.SpanContextFromContext(ctx)
	next := trace.SpanContextConfig{TraceID: sc.TraceID(), TraceFlags: sc.TraceFlags(), TraceState: sc.TraceState(), Remote: true}
	if !sc.IsValid() {
		next = trace.SpanContextConfig{Remote: true}
		rand.Read(next.TraceID[:])
	}
	rand.Read(next.SpanID[:])
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(next))
}

// Inject writes the trace of ctx into the headers of a request that goes out,
// over whatever is there.
func Inject(ctx context.Context, h http.Header) { w3c.Inject(ctx, propagation.HeaderCarrier(h)) }

// Traceparent is the trace of ctx in the form that a message stores; "" when
// there is none.
func Traceparent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ""
	}
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + (sc.TraceFlags() & trace.FlagsSampled).String()
}

// TraceID is the id of the trace of ctx, as hexadecimal; "" when there is none.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}

// Set puts a string on the span of ctx, if one is recorded.
func Set(ctx context.Context, name, value string) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String(name, value))
	}
}
