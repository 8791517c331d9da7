// Package bench is `make bench`: the platform in the shape of production, as
// processes on one machine, measured beside what limits it.
//
// A Line is one thing that is measured, with its contenders: ways to do the
// same work, which take turns within each round, since only what was measured
// in the same minutes of one machine can be compared. To measure something
// else, add a line to lines; to ask more of it, a goal to goals. What the
// figures mean is in docs/benchmarks.md.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// Options say what to measure and how.
type Options struct {
	Root  string     // the checkout
	Home  state.Home // of the benchmark alone
	Tools tools.Finder
	Out   io.Writer // progress and the table, for a person
	// Self is a program that plays the roles of package peer.
	Self string
	// Own runs the platform's parts as roles of Self instead of what is
	// deployed: they start without a build, and can be profiled.
	Own bool

	Size   stage.Size
	Conns  int
	Rounds int
	Warm   time.Duration // before each measurement
	Length time.Duration // of each measurement
	Starts int           // of each program, to time them
	// River is the folder of River's program; without it jobs are measured
	// beside nothing.
	River string
	// HTTPOnly is the folder of the program that starts are seen beside.
	HTTPOnly string
	// Few and Many are how many messages are queued when the cost of one is
	// measured, Crowd how many one tenant has when another's is.
	Few, Many, Crowd int
	Only             []string // lines by name; all of them when empty
	Profile          string   // directory for CPU profiles; none when empty
	// Document, if set, is a page that the result is added to.
	Document string
	Command  string // how the run was asked for, for the document
}

// Default are the options of a whole run.
func Default() Options {
	return Options{Size: stage.Full, Conns: 32, Rounds: 3, Warm: 500 * time.Millisecond, Length: 3 * time.Second, Starts: 10, Few: 1000, Many: 1_000_000, Crowd: 100_000}
}

// Quick makes a run of seconds of o: it shows that everything works, and its
// figures say nothing.
func (o Options) Quick() Options {
	o.Size, o.Conns, o.Rounds, o.Warm, o.Length, o.Starts = stage.Quick, 4, 1, 100*time.Millisecond, time.Second, 1
	o.Few, o.Many, o.Crowd = 100, 1000, 1000
	return o
}

// wants reports whether a line is asked for.
func (o Options) wants(line string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, line) }

func (o Options) check() error {
	known := append(names(lines), fairLine, jobsLine, "start")
	for _, name := range o.Only {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no line %q: there are %v", name, known)
		}
	}
	if o.Conns < 1 || o.Rounds < 1 || o.Length <= 0 || o.Starts < 1 {
		return errors.New("connections, rounds, seconds and starts are above 0")
	}
	return nil
}

// Run measures and prints the table. It fails when a part of the platform or
// an answer is not as it should be; a goal that is not reached is no failure.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	lock, err := o.Home.Lock("bench")
	if err != nil {
		return nil, fmt.Errorf("another benchmark runs in %s: %w", o.Home.Dir, err)
	}
	defer lock.Release()
	err = with(ctx, o, func(ctx context.Context, p *platform) error {
		report, err = measure(ctx, o, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	report.Print(o.Out)
	if o.Document != "" {
		err = report.Append(o.Document)
	}
	return report, err
}

// measure goes through the lines.
func measure(ctx context.Context, o Options, p *platform) (*Report, error) {
	r := &Report{Options: o, Began: time.Now(), Machine: machine(ctx, o, p), Trips: p.trips}
	for _, l := range lines {
		if !o.wants(l.name) {
			continue
		}
		result, err := l.measure(ctx, o, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		r.Lines = append(r.Lines, result)
		r.brief(o.Out, result)
		if err := p.group.Dead(); err != nil {
			return nil, err
		}
	}
	if o.wants(fairLine) {
		if err := r.measureFair(ctx, o, p); err != nil {
			return nil, fmt.Errorf("%s: %w", fairLine, err)
		}
	}
	if o.wants(jobsLine) {
		if err := r.measureJobs(ctx, o, p); err != nil {
			return nil, fmt.Errorf("jobs: %w", err)
		}
	}
	if o.wants("start") {
		if err := r.measureStarts(ctx, o, p); err != nil {
			return nil, err
		}
	}
	r.Took = time.Since(r.Began)
	r.Goals = goals(r)
	return r, nil
}
