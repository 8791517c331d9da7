package deployables

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed sam.yaml.tmpl
var samText string

// samFuncs are what the template of AWS asks of an entry.
var samFuncs = map[string]any{
	"awsCron": awsCron, "megabytes": megabytes, "lambdaSeconds": lambdaSeconds, "lambdaInstances": lambdaInstances,
	"visibility": func(f Function) (int, error) { n, err := lambdaSeconds(f); return min(6*n, 43200), err },
	"batch":      batch,
	"attempts":   attempts,
	"atLeastTwo": func(n int) int { return max(n, 2) }, // SQS takes no less
}

// lambdaLimit is the longest that AWS lets an invocation last. What takes longer
// goes on with its next attempt.
const lambdaLimit = 900

func sam(_ string, list []Function) ([]byte, error) { return execute("sam.yaml", list) }

// awsCron is the expression with AWS's sixth field, the year, and with its rule
// that one of the two kinds of day is "?".
func awsCron(f Function) (string, error) {
	p := strings.Fields(f.Cron)
	if len(p) != 5 {
		return "", fmt.Errorf("%s: %q has not five fields", f.Name, f.Cron)
	}
	switch {
	case p[4] == "*":
		p[4] = "?"
	case p[2] == "*":
		// Sunday is 0 here and 1 there.
		if strings.ContainsFunc(p[4], func(r rune) bool { return r >= '0' && r <= '9' }) {
			return "", fmt.Errorf("%s: name the days of the week in %q, AWS counts them differently", f.Name, f.Cron)
		}
		p[2] = "?"
	default:
		return "", fmt.Errorf("%s: AWS takes days of the month or of the week, not both: %q", f.Name, f.Cron)
	}
	return "cron(" + strings.Join(append(p, "*"), " ") + ")", nil
}

// megabytes are at least 512: Lambda gives processor time by memory, and half a
// gigabyte is a third of a processor.
func megabytes(f Function) (int, error) {
	units := map[string]int{"Mi": 1, "Gi": 1024}
	m := f.Resources.Memory
	n, err := strconv.Atoi(m[:len(m)-2])
	if err != nil || units[m[len(m)-2:]] == 0 {
		return 0, fmt.Errorf("%s: memory %q", f.Name, m)
	}
	return max(n*units[m[len(m)-2:]], 512), nil
}

func lambdaSeconds(f Function) (int, error) {
	d, err := time.ParseDuration(f.Resources.Timeout)
	return min(int(d.Seconds()), lambdaLimit), err
}

// lambdaInstances bounds how many run at once, and so their connections: an
// instance serves one request at a time there.
func lambdaInstances(f Function) int { return f.Resources.Max }

// batch is one message where each takes long.
func batch(f Function) int {
	if slices.Contains([]int{0, 1}, f.Resources.Concurrency) {
		return 1
	}
	return 10
}

func attempts(f Function) int {
	if f.Queue != nil {
		return f.Queue.MaxAttempts
	}
	return f.Retry.MaxAttempts
}
