// Command local runs the platform on one machine: `make run` and the targets
// around it call it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

const usage = `usage: local COMMAND

  run                              the platform, until Ctrl-C
  run-split                        the same with every function and two routers as processes
  doctor                           check the machine's tools
  deps                             get PostgreSQL, PgBouncer and a C compiler
  reset                            delete the platform's local data
  migrate up|down|status           migrate the local or the given database
  psql [ARGS]                      a shell on the local database (ROLE=app|system|migrator)
  tenant suspend|resume|restore SUBDOMAIN
  tenant plan SUBDOMAIN PLAN
  tenant add SUBDOMAIN EMAIL ROLE  make somebody with an account a member
  billing show SUBDOMAIN|CUSTOMER  what is paid for, here and at Stripe
  billing sync SUBDOMAIN           have it looked at at Stripe
  billing replay EVENT             have an event of Stripe processed again
  replay [list] [KIND|MESSAGE …]   list dead letters, or have them delivered again (all: everything)
  demo                             fill a demonstration organization of the platform that runs
  test-env -- CMD…                 run a command with a test database (KEEP=1 leaves it running)
  test-env up | down               bring the test database up to stay, or stop it
`

// command is one of the above with its arguments; it returns the exit code.
type command func(ctx context.Context, here place, args []string) (int, error)

var commands = map[string]command{
	"run": runPlatform, "run-split": runSplit, "doctor": checkTools, "deps": getTools, "reset": reset,
	"migrate": migrate, "psql": psql, "tenant": changeTenant, "billing": operateBilling, "replay": replay, "demo": fillDemo, "test-env": testEnv,
}

// place is where the command works.
type place struct {
	root  string // the checkout
	home  state.Home
	tools tools.Finder
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the process at once; the next start recovers.
	context.AfterFunc(ctx, stop)
	code, err := dispatch(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func dispatch(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 || commands[args[0]] == nil {
		return misused()
	}
	root, err := checkout()
	if err != nil {
		return 1, err
	}
	home, err := state.Open(root, os.Getenv("CODITECT_HOME"))
	if err != nil {
		return 1, err
	}
	return commands[args[0]](ctx, place{root: root, home: home, tools: tools.Finder{
		PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: home.Path("tools"),
	}}, args[1:])
}

// misused prints what could have been said.
func misused() (int, error) {
	fmt.Fprint(os.Stderr, usage)
	return 2, nil
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
