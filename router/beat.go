package router

import (
	"context"
	"errors"
	"time"
)

// beat writes down, each second, what this process counted, and gives back what
// it leased and did not use. A failure keeps the counts; the log has Redis's
// state already.
func (a *App) beat() {
	tick := time.NewTicker(usageBeat)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
			_ = a.settle(context.Background())
			if n := a.usage.takeLost(); n > 0 {
				a.log.Error("requests of too many organizations wait to be counted", "not_counted", n)
			}
		}
	}
}

// linesBeat is how long a line of the access log may wait.
const linesBeat = 100 * time.Millisecond

// writeLines writes the access log out.
func (a *App) writeLines() {
	tick := time.NewTicker(linesBeat)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
			_ = a.lines.flush() // a log that cannot be written has nowhere to say so
		}
	}
}

func (a *App) settle(ctx context.Context) error {
	return errors.Join(a.usage.flush(ctx, a.redis), a.admission.leases.GiveBack(ctx, a.redis))
}
