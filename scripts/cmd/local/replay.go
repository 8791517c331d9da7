package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/coditect/platform/scripts/local/deadletters"
)

// replay lists dead letters, or has them delivered again: the relay's next run
// takes them.
func replay(ctx context.Context, here place, args []string) (int, error) {
	return withDatabase(ctx, here, func(at addresses) (int, error) {
		if len(args) == 0 || len(args) == 1 && args[0] == "list" {
			return listDead(ctx, at)
		}
		n, err := deadletters.Replay(ctx, at.system, args)
		if errors.Is(err, deadletters.ErrUsage) {
			return 2, err
		}
		if err != nil {
			return 1, err
		}
		fmt.Printf("%d messages are due again\n", n) //nolint:forbidigo // A terminal.
		return 0, nil
	})
}

func listDead(ctx context.Context, at addresses) (int, error) {
	letters, err := deadletters.List(ctx, at.system)
	if err != nil {
		return 1, err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEAD SINCE\tKIND\tMESSAGE\tOWNER\tATTEMPTS\tERROR")
	for _, l := range letters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s %s\t%d\t%s\n", l.DeadAt.Local().Format(time.DateTime), l.Kind, l.ID, l.Owner, l.OwnerID, l.Attempts, l.Error)
	}
	return 0, w.Flush()
}
