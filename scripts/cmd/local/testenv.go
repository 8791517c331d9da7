package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/testenv"
	"github.com/coditect/platform/scripts/local/tools"
)

func testEnv(ctx context.Context, root string, args []string) (int, error) {
	home, err := state.Open(root, os.Getenv("CODITECT_HOME"))
	if err != nil {
		return 1, err
	}
	test, err := state.Open(root, home.Path("test"))
	if err != nil {
		return 1, err
	}
	env := testenv.Env{Home: test, Tools: finder(home), Out: os.Stderr}
	switch {
	case len(args) == 1 && args[0] == "up":
		vars, err := env.Up(ctx)
		if err != nil {
			return 1, err
		}
		for name, value := range vars {
			fmt.Printf("export %s='%s'\n", name, value) //nolint:errcheck // A terminal.
		}
		return 0, nil
	case len(args) == 1 && args[0] == "down":
		return 0, env.Down(ctx)
	case len(args) >= 2 && args[0] == "--":
		return env.Run(ctx, os.Getenv("KEEP") == "1", args[1:])
	}
	return 2, errors.New(usage)
}

// finder looks where the user says, then where systems install, then where an
// earlier run unpacked.
func finder(home state.Home) tools.Finder {
	return tools.Finder{
		PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"),
		Unpacked: filepath.Join(home.Dir, "tools"),
	}
}
