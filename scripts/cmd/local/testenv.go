package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/testenv"
)

func testEnv(ctx context.Context, here place, args []string) (int, error) {
	home, err := state.Open(here.root, here.home.Path("test"))
	if err != nil {
		return 1, err
	}
	env := testenv.Env{Home: home, Tools: here.tools, Out: os.Stderr}
	switch {
	case len(args) == 1 && args[0] == "up":
		vars, err := env.Up(ctx)
		if err != nil {
			return 1, err
		}
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			fmt.Printf("export %s='%s'\n", name, vars[name]) //nolint:forbidigo // What a shell evaluates.
		}
		return 0, nil
	case len(args) == 1 && args[0] == "down":
		return 0, env.Down(ctx)
	case len(args) >= 2 && args[0] == "--":
		return env.Run(ctx, os.Getenv("KEEP") == "1", args[1:])
	}
	return misused()
}
