// Package doctor checks that a machine has what the checkout's targets need,
// and says how to get what is missing. A new tool needs a line in Checks.
package doctor

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Check is one tool.
type Check struct {
	Name    string
	Why     string // what does not work without it
	Find    func(context.Context) (version string, err error)
	Min     string // least version, dotted numbers; empty for any
	Get     string // how to install it
	GetMac  string // the same on macOS, when different
	Comfort bool   // absent is worth a word, not a failure
}

// Result is what became of a check.
type Result struct {
	Check
	Found   string // version
	Problem string // empty when all is well
}

// Run does the checks in order.
func Run(ctx context.Context, checks []Check) []Result {
	results := make([]Result, 0, len(checks))
	for _, c := range checks {
		r := Result{Check: c}
		bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
		version, err := c.Find(bounded)
		cancel()
		switch {
		case err != nil:
			r.Problem = "missing"
		case c.Min != "" && older(version, c.Min):
			r.Found, r.Problem = version, fmt.Sprintf("%s is older than %s", version, c.Min)
		default:
			r.Found = version
		}
		results = append(results, r)
	}
	return results
}

// Report prints the results and returns how many needed tools are not there.
func Report(out io.Writer, results []Result) int {
	bad := 0
	for _, r := range results {
		switch {
		case r.Problem == "":
			fmt.Fprintf(out, "  ok       %-12s %s\n", r.Name, r.Found)
			continue
		case r.Comfort:
			fmt.Fprintf(out, "  optional %-12s %s: %s\n", r.Name, r.Problem, r.Why)
		default:
			bad++
			fmt.Fprintf(out, "  MISSING  %-12s %s: %s\n", r.Name, r.Problem, r.Why)
		}
		get := r.Get
		if runtime.GOOS == "darwin" && r.GetMac != "" {
			get = r.GetMac
		}
		fmt.Fprintf(out, "           %-12s get it: %s\n", "", get)
	}
	return bad
}

var number = regexp.MustCompile(`\d+(\.\d+)*`)

// Command finds a tool in PATH and its version in what it says of itself.
func Command(name string, args ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return number.FindString(string(out)), nil
	}
}

// older compares dotted numbers.
func older(have, want string) bool {
	h, w := strings.Split(have, "."), strings.Split(want, ".")
	for i := range w {
		if i >= len(h) {
			return true
		}
		a, errA := strconv.Atoi(h[i])
		b, errB := strconv.Atoi(w[i])
		if errA != nil || errB != nil || a != b {
			return errA != nil || errB != nil || a < b
		}
	}
	return false
}
