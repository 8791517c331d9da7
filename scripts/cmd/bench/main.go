// Command bench measures the platform: `make bench` calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/coditect/platform/scripts/bench"
	"github.com/coditect/platform/scripts/bench/peer"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

func main() {
	if code, played := peer.Main(os.Args); played {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o := bench.Default()
	o.Out, o.Command = os.Stdout, strings.TrimSpace("make bench "+argument(args))
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "lines to measure, by commas: list,get,create,me,refresh,login,edge,jobs,start")
	quick := flags.Bool("quick", false, "a run of seconds on little data, whose figures say nothing")
	own := flags.Bool("own", false, "build the platform's parts into this program, without staging them as for a deployment: faster after a change")
	seconds := flags.Float64("seconds", o.Length.Seconds(), "of each measurement")
	flags.IntVar(&o.Rounds, "rounds", o.Rounds, "how often the contenders take turns")
	flags.IntVar(&o.Conns, "connections", o.Conns, "at once")
	flags.StringVar(&o.Profile, "cpuprofile", "", "directory for CPU profiles of the platform's processes under load; implies -own")
	add := flags.Bool("append", false, "add the result to docs/benchmarks.md although it is not of a whole run")
	save := flags.Bool("save", true, "add the result of a whole run to docs/benchmarks.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	o.Length = time.Duration(*seconds * float64(time.Second))
	if *quick {
		o = o.Quick()
	}
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	root, err := checkout()
	if err != nil {
		return err
	}
	programs := filepath.Join(root, "scripts", "bench")
	o.Root, o.River, o.HTTPOnly = root, filepath.Join(programs, "river"), filepath.Join(programs, "httponly")
	if o.Self, err = os.Executable(); err != nil {
		return err
	}
	if o.Profile != "" {
		if o.Profile, err = filepath.Abs(o.Profile); err != nil {
			return err
		}
		if err := os.MkdirAll(o.Profile, 0o755); err != nil {
			return err
		}
	}
	o.Own = *own || o.Profile != ""
	base := os.Getenv("CODITECT_HOME")
	if base == "" {
		base = filepath.Join(root, ".local")
	}
	if o.Home, err = state.Open(root, filepath.Join(base, "bench", o.Size.String())); err != nil {
		return err
	}
	o.Tools = tools.Finder{PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: filepath.Join(base, "tools")}
	if *add || *save && !*quick && !o.Own && len(o.Only) == 0 {
		o.Document = filepath.Join(root, "docs", "benchmarks.md")
	}
	_, err = bench.Run(ctx, o)
	return err
}

// argument is how the arguments were given to make.
func argument(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return `ARGS="` + strings.Join(args, " ") + `"`
}

// checkout is the folder of go.work at or above the working directory.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
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
