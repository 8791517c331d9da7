package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/split"
	"github.com/coditect/platform/shared/config"
)

func runPlatform(ctx context.Context, here place, _ []string) (int, error) {
	list, err := deployables.Load(here.root)
	if err != nil {
		return 1, err
	}
	return 0, run.Run(ctx, run.Options{
		Home: here.home, Tools: here.tools, Lookup: config.Environ, Compose: run.Whole, Functions: list, Out: os.Stdout,
	})
}

func runSplit(ctx context.Context, here place, _ []string) (int, error) {
	// Beside the checkout and not in the home: two homes run the same programs.
	programs, err := split.Build(ctx, here.root, filepath.Join(here.root, ".local", "split"), os.Stdout)
	select {
	case <-ctx.Done(): // Broken off by the person, which is no failure.
		return 0, nil
	default:
	}
	if err != nil {
		return 1, err
	}
	list, err := deployables.Load(here.root)
	if err != nil {
		return 1, err
	}
	fleet := split.New(split.Options{Home: here.home, Programs: programs, Environ: os.Environ(), Out: os.Stdout})
	return 0, run.Run(ctx, run.Options{
		Home: here.home, Tools: here.tools, Lookup: config.Environ, Compose: fleet.Compose, Functions: list, Out: os.Stdout,
	})
}
