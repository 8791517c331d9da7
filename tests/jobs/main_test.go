// Package jobs holds that background work survives whatever is killed or down.
//
// Every part runs as a process of its own: this test binary, started again in
// the role of a relay, a function or the queue servers. Between the parts stand
// proxies that see what passes (statements, calls, requests, lines of SMTP) and
// can end a process with SIGKILL at a named moment: before something reaches the
// other side, or after the other side answered and before the process knows. The
// product has no hook for this.
//
// A new moment is a line in points_test.go; another part is a role in
// parts_test.go. docs/jobs.md explains what is held here and lists the moments.
package jobs_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// sideBySide is how many tests run at a time. They wait, for leases and for
// processes, far more than they work.
const sideBySide = "8"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", sideBySide); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
