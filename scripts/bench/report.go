package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a whole run.
type Report struct {
	Options Options
	Machine Machine
	Began   time.Time
	Took    time.Duration
	Lines   []*Result
	Trips   []Trips
	Starts  []Start
	Goals   []Goal
	Jobs    *Jobs    // nil when they were not measured
	Noise   []*Noise // empty when fairness was not measured
}

// PerSecond is the median of a contender's rounds.
func (r *Result) PerSecond(contender string) float64 {
	return over(r.Rounds[contender], func(x Round) float64 { return x.PerSecond })
}

// Ratio is the median of the rounds' own ratios of one contender to another:
// what disturbs a round disturbs both.
func (r *Result) Ratio(contender, to string) float64 {
	var ratios []float64
	for i, x := range r.Rounds[contender] {
		if i < len(r.Rounds[to]) {
			ratios = append(ratios, x.PerSecond/r.Rounds[to][i].PerSecond)
		}
	}
	return median(ratios)
}

// slower is the median of the rounds' ratios of a latency.
func (r *Result) slower(contender, to string, of func(Round) time.Duration) float64 {
	return median(r.slowdowns(contender, to, of))
}

// spread says between what the middle half of these ratios lies, and how many
// there are.
func (r *Result) spread(contender, to string, of func(Round) time.Duration) string {
	ratios := slices.Sorted(slices.Values(r.slowdowns(contender, to, of)))
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.2f to %.2f in half of %d rounds)", ratios[len(ratios)/4], ratios[(len(ratios)-1)*3/4], len(ratios))
}

func (r *Result) slowdowns(contender, to string, of func(Round) time.Duration) []float64 {
	var ratios []float64
	for i, x := range r.Latency[contender] {
		if i < len(r.Latency[to]) && of(r.Latency[to][i]) > 0 {
			ratios = append(ratios, float64(of(x))/float64(of(r.Latency[to][i])))
		}
	}
	return ratios
}

func p50(x Round) time.Duration { return x.P50 }
func p99(x Round) time.Duration { return x.P99 }

func over(rounds []Round, of func(Round) float64) float64 {
	var values []float64
	for _, x := range rounds {
		values = append(values, of(x))
	}
	return median(values)
}

// cpu is what each process spent on a request, the median of the rounds.
func (r *Result) cpu(contender string) string {
	names := map[string]bool{}
	for _, x := range r.Rounds[contender] {
		for name := range x.CPU {
			names[name] = true
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		spent := over(r.Rounds[contender], func(x Round) float64 { return float64(x.CPU[name].Nanoseconds()) / 1000 })
		out = append(out, fmt.Sprintf("%s %.0f", name, spent))
	}
	return strings.Join(out, ", ")
}

// spent is what each process spent, in microseconds.
func spent(cpu map[string]time.Duration) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(cpu)) {
		out = append(out, fmt.Sprintf("%s %.0f", name, float64(cpu[name].Nanoseconds())/1000))
	}
	return strings.Join(out, ", ")
}

func (r *Report) line(name string) *Result {
	for _, l := range r.Lines {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// brief prints a line as soon as it is measured.
func (r *Report) brief(out io.Writer, l *Result) {
	fmt.Fprintf(out, "%-8s", l.Name)
	for _, name := range l.Order {
		fmt.Fprintf(out, "  %s %.0f/s", name, l.PerSecond(name))
	}
	fmt.Fprintln(out)
}

// section is a table of the report.
type section struct {
	head []string
	rows [][]string
}

func (r *Report) sections() []section {
	rates := section{head: []string{"line", "contender", "req/s", "ratio", "p50", "p99", "CPU µs a request"}}
	for _, l := range r.Lines {
		for _, name := range l.Order {
			ratio := "1"
			if base := base(l); base != name {
				ratio = fmt.Sprintf("%.2f × %s", l.Ratio(name, base), base)
			}
			row := []string{l.Title, name, fmt.Sprintf("%.0f", l.PerSecond(name)), ratio, "", "", l.cpu(name)}
			if rounds := l.Latency[name]; len(rounds) > 0 {
				row[4] = inMilliseconds(over(rounds, func(x Round) float64 { return float64(x.P50) }))
				row[5] = inMilliseconds(over(rounds, func(x Round) float64 { return float64(x.P99) })) + fmt.Sprintf(" at %.0f/s", l.Rate)
			}
			rates.rows = append(rates.rows, row)
		}
	}
	memory := section{head: []string{"process", "memory under load (PSS)", "start to first answer", "binary"}}
	weights := map[string]int64{}
	for _, l := range r.Lines {
		for name, n := range l.PSS {
			weights[name] = max(weights[name], n)
		}
	}
	for _, s := range r.Starts {
		memory.rows = append(memory.rows, []string{s.Name, inMiB(weights[s.Name]), inMilliseconds(float64(s.Took)), fmt.Sprintf("%.1f MB", float64(s.Size)/1e6)})
		delete(weights, s.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		memory.rows = append(memory.rows, []string{name, inMiB(weights[name]), "", ""})
	}
	counts := section{head: []string{"operation", "round trips to PostgreSQL", "to Redis"}}
	for _, t := range r.Trips {
		counts.rows = append(counts.rows, []string{t.Line, fmt.Sprint(t.Postgres), fmt.Sprint(t.Redis)})
	}
	waiting := section{head: []string{"jobs that wait", "measured", "CPU µs a job"}}
	if j := r.Jobs; j != nil {
		for _, b := range []Backlog{j.Few, j.Many} {
			waiting.rows = append(waiting.rows, []string{fmt.Sprintf("the first %d of %d queued, by sweeps alone", b.Done, b.Queued), fmt.Sprintf("%.2f s", b.Took.Seconds()), spent(b.CPU)})
		}
		waiting.rows = append(waiting.rows, []string{
			fmt.Sprintf("one of another tenant, beside %d of one", j.Crowd),
			fmt.Sprintf("median %s, longest of %d %s", inMilliseconds(float64(median(j.Others))), len(j.Others), inMilliseconds(float64(slices.Max(j.Others)))), "",
		})
	}
	noise := section{head: []string{"the noisy tenant", "its rate", "was to ask", "asked", "answered", "refused with 429"}}
	for _, n := range r.Noise {
		noise.rows = append(noise.rows, []string{n.Plan, fmt.Sprintf("%d a minute", n.PerMinute), fmt.Sprint(n.Due), fmt.Sprint(n.Asked), fmt.Sprint(n.Answered), fmt.Sprint(n.Refused)})
	}
	wanted := section{head: []string{"goal", "wanted", "measured", "holds"}}
	for _, g := range r.Goals {
		holds := "yes"
		if !g.Holds {
			holds = "**no**"
		}
		wanted.rows = append(wanted.rows, []string{g.What, g.Wanted, g.Measured, holds})
	}
	return []section{rates, noise, waiting, memory, counts, wanted}
}

// base is what a line's ratios are to.
func base(l *Result) string {
	for _, name := range []string{floor, bare, river, calm} {
		if len(l.Rounds[name]) > 0 {
			return name
		}
	}
	return l.Order[0]
}

func inMilliseconds(nanoseconds float64) string {
	return fmt.Sprintf("%.2f ms", nanoseconds/float64(time.Millisecond))
}

func inMiB(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Print writes the report for a terminal.
func (r *Report) Print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range r.sections() {
		if len(s.rows) == 0 {
			continue
		}
		fmt.Fprintln(w)
		for _, row := range append([][]string{s.head}, s.rows...) {
			fmt.Fprintln(w, strings.ReplaceAll(strings.Join(row, "\t"), "**", ""))
		}
	}
	fmt.Fprintf(w, "\n%s\n", r.Machine)
	w.Flush() //nolint:errcheck // A terminal.
}

// Markdown is the report as a section of a page.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s, %s\n\n`%s`, %.0f minutes. %s\n", r.Began.UTC().Format("2006-01-02 15:04"), r.Machine.Commit, r.Options.Command, r.Took.Minutes(), r.Machine)
	for _, s := range r.sections() {
		if len(s.rows) == 0 {
			continue
		}
		b.WriteString("\n| " + strings.Join(s.head, " | ") + " |\n|" + strings.Repeat(" --- |", len(s.head)) + "\n")
		for _, row := range s.rows {
			b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		}
	}
	return b.String()
}

// newest is the line of the document after which the newest run is written.
const newest = "<!-- make bench writes below this line, the newest run first -->\n"

var errDocument = errors.New("the document has no line that says where results go")

// Append adds the report to the page in file.
func (r *Report) Append(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte("# Benchmarks\n\n"+newest), nil
	}
	if err != nil {
		return err
	}
	head, rest, found := bytes.Cut(text, []byte(newest))
	if !found {
		return fmt.Errorf("%s: %w: %s", file, errDocument, strings.TrimSpace(newest))
	}
	out := string(head) + newest + "\n" + r.Markdown() + string(rest)
	return os.WriteFile(file, []byte(out), 0o644)
}
