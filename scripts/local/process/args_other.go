//go:build !linux

package process

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
)

// Args is the command line of a running process. It is empty for a process
// that ended, even while nobody collected its exit status.
func Args(pid int) []string {
	if pid <= 0 {
		return nil
	}
	out, err := exec.CommandContext(context.Background(), "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}
