package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Result is what was measured between the warming up and the end.
type Result struct {
	Requests int // answered as they should be
	Elapsed  time.Duration
	// Faults counts the others, also those of the warming up, by what was wrong.
	Faults map[string]int
	// Latencies are those of Requests, sorted.
	Latencies []time.Duration
}

// PerSecond is the throughput.
func (r Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Elapsed.Seconds()
}

// Err is nil when every request was answered as it should be.
func (r Result) Err() error {
	if len(r.Faults) == 0 {
		return nil
	}
	const shown = 3
	var text strings.Builder
	for i, what := range slices.Sorted(maps.Keys(r.Faults)) {
		if i == shown {
			text.WriteString("; …")
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprintf(&text, "%d× %s", r.Faults[what], what)
	}
	return fmt.Errorf("answers that should not be: %s", text.String())
}

// Quantile is the smallest of the sorted values that at least the part q of
// them does not exceed (nearest rank), exact since no value is thrown away; 0
// without values.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// part is one connection's share of a result.
type part struct {
	latencies []time.Duration
	faults    map[string]int
}

func (p *part) fault(status int, err error) {
	if p.faults == nil {
		p.faults = map[string]int{}
	}
	text := fmt.Sprintf("status %d", status)
	if err != nil {
		text = err.Error()
	}
	p.faults[text]++
}

func join(parts []part, elapsed time.Duration) Result {
	r := Result{Elapsed: elapsed, Faults: map[string]int{}}
	for _, p := range parts {
		r.Latencies = append(r.Latencies, p.latencies...)
		for what, n := range p.faults {
			r.Faults[what] += n
		}
	}
	slices.Sort(r.Latencies)
	r.Requests = len(r.Latencies)
	return r
}
