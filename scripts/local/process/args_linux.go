package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Args is the command line of a running process. It is empty for a process
// that ended, even while nobody collected its exit status.
func Args(pid int) []string {
	if pid <= 0 {
		return nil
	}
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return nil
	}
	data = bytes.TrimRight(data, "\x00")
	if len(data) == 0 {
		return nil
	}
	return strings.Split(string(data), "\x00")
}
