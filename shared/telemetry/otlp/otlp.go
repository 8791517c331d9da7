// Package otlp starts OpenTelemetry's SDK with OTLP/HTTP exporters. Only mains
// import it: whoever does links the SDK and both exporters.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/coditect/platform/shared/telemetry"
)

// Open starts recording to cfg.Endpoint, or gives nil, which is off, when there
// is none. It does not wait for the collector: one that is down loses
// telemetry and nothing else.
func Open(ctx context.Context, cfg telemetry.Config) (*telemetry.Telemetry, error) {
	if !cfg.On() {
		return nil, nil //nolint:nilnil // a nil Telemetry is the valid way to be off
	}
	base := strings.TrimSuffix(cfg.Endpoint, "/")
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(base+"/v1/traces"), otlptracehttp.WithTimeout(cfg.ExportTimeout))
	if err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	measures, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(base+"/v1/metrics"), otlpmetrichttp.WithTimeout(cfg.ExportTimeout))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: metrics: %w", err), spans.Shutdown(ctx))
	}
	about := resource.NewSchemaless(
		attribute.String("service.name", cfg.Service),
		attribute.String("deployment.environment.name", cfg.Environment),
	)
	traces := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSampler(sampler(cfg.Ratio)),
		sdktrace.WithBatcher(spans, sdktrace.WithExportTimeout(cfg.ExportTimeout)))
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(measures, sdkmetric.WithTimeout(cfg.ExportTimeout))))
	return telemetry.New(traces, metrics, cfg.ExportTimeout, func(ctx context.Context) error {
		return errors.Join(traces.Shutdown(ctx), metrics.Shutdown(ctx))
	})
}

// sampler decides by the trace id wherever a request enters a program, and
// follows the decision inside it. A caller's "sampled" flag is not believed: at
// the edge it is anybody's.
func sampler(ratio float64) sdktrace.Sampler {
	byID := sdktrace.TraceIDRatioBased(ratio)
	return sdktrace.ParentBased(byID, sdktrace.WithRemoteParentSampled(byID), sdktrace.WithRemoteParentNotSampled(byID))
}
