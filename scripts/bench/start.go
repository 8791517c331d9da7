package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/coditect/platform/scripts/bench/spawn"
	"github.com/coditect/platform/scripts/staging"
)

// Start is what a program costs before its first answer.
type Start struct {
	Name string
	Took time.Duration // the median of several
	Size int64         // of the binary, in bytes
}

// httpOnly is what a start is seen beside (command httponly).
const httpOnly = "net/http alone"

// measureStarts starts every program of the platform several times, in turn,
// and one that does nothing.
func (r *Report) measureStarts(ctx context.Context, o Options, p *platform) error {
	nothing, err := buildHTTPOnly(ctx, o)
	if err != nil {
		return err
	}
	specs := append(slices.Clip(p.specs), nothing)
	times := make([][]time.Duration, len(specs))
	for range o.Starts {
		for i, spec := range specs {
			name := spec.Name
			spec.Name += "-start" // a log of its own
			took, err := p.group.FirstAnswer(ctx, spec, "/api/v1/nothing/")
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			times[i] = append(times[i], took)
		}
	}
	for i, spec := range specs {
		info, err := os.Stat(spec.Args[0])
		if err != nil {
			return err
		}
		r.Starts = append(r.Starts, Start{Name: spec.Name, Took: median(times[i]), Size: info.Size()})
	}
	return nil
}

func buildHTTPOnly(ctx context.Context, o Options) (spawn.Spec, error) {
	program := filepath.Join(o.Root, ".local", "bin", "bench-httponly")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", staging.LinkerFlags, "-o", program, ".")
	build.Dir = o.HTTPOnly
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the functions are built
	if text, err := build.CombinedOutput(); err != nil {
		return spawn.Spec{}, fmt.Errorf("build %s: %w\n%s", o.HTTPOnly, err, text)
	}
	return spawn.Spec{Name: httpOnly, Args: []string{program}, Env: append(inherited(), single),
		PortIn: func(port int) []string { return []string{strconv.Itoa(port)} }}, nil
}
