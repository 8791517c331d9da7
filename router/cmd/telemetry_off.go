//go:build !otlp

package main

import (
	"context"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/telemetry"
)

// openTelemetry is off: trace ids still cross every hop and stand on every log
// line. A collector that is configured and would get nothing is a mistake, and
// said to be one.
func openTelemetry(_ context.Context, cfg telemetry.Config) (*telemetry.Telemetry, error) {
	if cfg.On() {
		return nil, config.Invalid("OTEL_EXPORTER_OTLP_ENDPOINT", "needs a router built with the tag otlp")
	}
	return nil, nil //nolint:nilnil // a nil Telemetry is the valid way to be off
}
