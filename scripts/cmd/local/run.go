package main

import (
	"context"
	"os"

	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/shared/config"
)

func runPlatform(ctx context.Context, here place, _ []string) (int, error) {
	return 0, run.Run(ctx, run.Options{
		Home: here.home, Tools: here.tools, Lookup: config.Environ, Compose: run.Whole, Out: os.Stdout,
	})
}
