// Command local runs the platform on one machine: `make run` and the targets
// around it call it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `usage: local COMMAND

  test-env -- CMD…      run a command with a test database (KEEP=1 leaves it running)
  test-env up | down    bring the test database up to stay, or stop it
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := dispatch(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err) //nolint:errcheck // Nowhere else to say it.
		code = max(code, 1)
	}
	os.Exit(code)
}

func dispatch(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 2, errors.New(usage)
	}
	root, err := checkout()
	if err != nil {
		return 1, err
	}
	switch args[0] {
	case "test-env":
		return testEnv(ctx, root, args[1:])
	}
	return 2, errors.New(usage)
}

// checkout is the folder of go.work at or above the working directory.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.work")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.work at or above %s: run this inside the checkout", dir)
		}
	}
}
