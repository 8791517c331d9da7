package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/cron"
)

// schedules calls every schedule of functions.json when it is due, until ctx
// ends; wait for it before the functions go. A call that fails is told and left
// to the next one, as what is due stays due.
func (p *parts) schedules(ctx context.Context, platform *Platform) *sync.WaitGroup {
	var running sync.WaitGroup
	if platform.Address == nil || p.cloud == nil {
		return &running
	}
	for _, f := range p.Functions {
		if f.Kind != deployables.KindSchedule {
			continue
		}
		times, err := cron.Parse(f.Cron, f.Timezone)
		if err != nil {
			fmt.Fprintf(p.Out, "%s is not scheduled: %v\n", f.Name, err)
			continue
		}
		running.Go(func() {
			times.Run(ctx, func(ctx context.Context, slot time.Time) {
				if err := p.cloud.Call(ctx, slot, f.Name, platform.Address(f.Name)); err != nil && ctx.Err() == nil {
					fmt.Fprintf(p.Out, "schedule %s: %v\n", f.Name, err)
				}
			})
		})
	}
	return &running
}
