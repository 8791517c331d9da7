package bench

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Start is what a program costs before its first answer.
type Start struct {
	Name string
	Took time.Duration // the median of several
	Size int64         // of the binary, in bytes
}

// measureStarts starts every program of the platform several times, in turn.
func (r *Report) measureStarts(ctx context.Context, o Options, p *platform) error {
	times := make([][]time.Duration, len(p.specs))
	for range o.Starts {
		for i, spec := range p.specs {
			name := spec.Name
			spec.Name += "-start" // a log of its own
			took, err := p.group.FirstAnswer(ctx, spec, "/api/v1/nothing/")
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			times[i] = append(times[i], took)
		}
	}
	for i, spec := range p.specs {
		info, err := os.Stat(spec.Args[0])
		if err != nil {
			return err
		}
		r.Starts = append(r.Starts, Start{Name: spec.Name, Took: median(times[i]), Size: info.Size()})
	}
	return nil
}
