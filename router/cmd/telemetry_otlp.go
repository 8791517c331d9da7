//go:build otlp

package main

import (
	"context"

	"github.com/coditect/platform/shared/telemetry"
	"github.com/coditect/platform/shared/telemetry/otlp"
)

// openTelemetry records to the collector that the environment names.
func openTelemetry(ctx context.Context, cfg telemetry.Config) (*telemetry.Telemetry, error) {
	return otlp.Open(ctx, cfg)
}
