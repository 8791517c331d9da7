package bench

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func result(name string, perSecond map[string][]float64) *Result {
	r := &Result{Name: name, Title: "the " + name, Rounds: map[string][]Round{}, Latency: map[string][]Round{}, PSS: map[string]int64{"router": 20 << 20}, Rate: 50}
	for _, c := range []string{edge, bare, chain, alone, floor, lower, hash} {
		for _, v := range perSecond[c] {
			r.Rounds[c] = append(r.Rounds[c], Round{PerSecond: v, CPU: map[string]time.Duration{"router": 40 * time.Microsecond}})
			r.Latency[c] = append(r.Latency[c], Round{P50: time.Duration(1e9 / v), P99: time.Duration(2e9 / v)})
		}
		if len(perSecond[c]) > 0 {
			r.Order = append(r.Order, c)
		}
	}
	return r
}

// A round that was disturbed disturbs both of a ratio.
func TestRatiosAreOfRounds(t *testing.T) {
	t.Parallel()
	r := result("get", map[string][]float64{chain: {60, 6, 66}, floor: {100, 10, 100}})
	if got := r.PerSecond(chain); got != 60 {
		t.Errorf("the rate is %v", got)
	}
	if got := r.Ratio(chain, floor); got != 0.6 {
		t.Errorf("the ratio is %v", got)
	}
	if got := r.slower(chain, floor, p50); got < 1.6 || got > 1.7 {
		t.Errorf("it is slower by %v", got)
	}
	if got := r.Ratio(chain, lower); got != 0 {
		t.Errorf("the ratio to nothing is %v", got)
	}
}

func TestGoals(t *testing.T) {
	t.Parallel()
	report := &Report{
		Lines: []*Result{
			result("get", map[string][]float64{chain: {60}, alone: {80}, floor: {100}, lower: {150}}),
			result("create", map[string][]float64{chain: {64}, alone: {90}, floor: {100}, lower: {200}}),
			result("me", map[string][]float64{chain: {61}}), result("refresh", map[string][]float64{chain: {71}}), result("login", map[string][]float64{chain: {90}, hash: {50}}),
		},
		Starts: []Start{{"tasks", 31 * time.Millisecond, 14_000_000}, {"auth", 90 * time.Millisecond, 20_000_000}},
	}
	holds := map[string]bool{}
	for _, g := range goals(report) {
		holds[g.What] = g.Holds
	}
	for what, want := range map[string]bool{
		"get: chain ÷ F": true, "get: alone ÷ F": false, "create: chain ÷ F": false, "create: alone ÷ F": true,
		"me: chain ÷ F of get": true, "refresh: chain ÷ L of create": true, "get: p50 of chain ÷ F": true, "get: p99 of chain ÷ F": false,
		"router: memory under load": true, "tasks: start to first answer": false, "tasks: binary": true, "auth: start to first answer": true,
	} {
		if got, measured := holds[what]; !measured || got != want {
			t.Errorf("%s: measured %v, holds %v", what, measured, got)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(holds)) {
		if strings.HasPrefix(what, "edge") || strings.HasPrefix(what, "list") {
			t.Errorf("a goal of what was not measured: %s", what)
		}
	}
	report.Options.Own = true
	for _, g := range goals(report) {
		if strings.Contains(g.What, "start") || strings.Contains(g.What, "memory") || strings.Contains(g.What, "binary") {
			t.Errorf("%s of what is not deployed", g.What)
		}
	}
}

func TestGoalsOfJobs(t *testing.T) {
	t.Parallel()
	line := &Result{Name: jobsLine, Order: []string{ours, river}, Rounds: map[string][]Round{ours: {{PerSecond: 49}}, river: {{PerSecond: 100}}}, Latency: map[string][]Round{ours: {{P50: 49 * time.Millisecond}}}}
	cost := func(postgres, relay, other time.Duration) Backlog {
		return Backlog{Queued: 10, Done: 1, CPU: map[string]time.Duration{"postgres": postgres, "relay": relay, "worker": other}}
	}
	report := &Report{Lines: []*Result{line}, Jobs: &Jobs{Few: cost(100, 100, 1), Many: cost(150, 149, 1000), Crowd: 5, Others: []time.Duration{time.Second, 3 * time.Second}}}
	got := map[bool]int{}
	for _, g := range goals(report) {
		got[g.Holds]++
		if want := strings.Contains(g.What, "p50") || strings.Contains(g.What, "queued"); g.Holds != want {
			t.Errorf("%+v", g)
		}
	}
	if got[true] != 2 || got[false] != 2 {
		t.Errorf("%v", got)
	}
	text := report.Markdown()
	for _, want := range []string{"the first 1 of 10 queued", "median 1000.00 ms, longest of 2 3000.00 ms", "0.49 × River"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

func TestParseTimes(t *testing.T) {
	t.Parallel()
	got := map[string]time.Time{}
	if err := parseTimes("a 1\nb 2\n", got); err != nil || len(got) != 2 || got["b"].UnixNano() != 2 {
		t.Errorf("%v %v", got, err)
	}
	if err := parseTimes("a now\n", got); err == nil {
		t.Error("a time that is none was taken")
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	report := &Report{Lines: []*Result{result("edge", map[string][]float64{edge: {50}, bare: {100}})}, Machine: Machine{}}
	report.Goals = goals(report)
	for _, commit := range []string{"commit-one", "commit-two"} {
		report.Machine.Commit = commit
		if err := report.Append(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if first, second := strings.Index(page, "commit-one"), strings.Index(page, "commit-two"); second < 0 || first < second {
		t.Errorf("the newest is not first:\n%s", page)
	}
	for _, want := range []string{"| the edge | router | 50 | 0.50 × P | 20.00 ms | 40.00 ms at 50/s | router 40 |", "| edge: router ÷ P | ≥ 0.60 | 0.50 | **no** |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	if err := os.WriteFile(file, []byte("# Another page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := report.Append(file); err == nil {
		t.Error("wrote into another page")
	}
}

func TestParsePgbench(t *testing.T) {
	t.Parallel()
	n, rate, err := ParsePgbench("transaction type: multiple scripts\nnumber of transactions actually processed: 1520\nlatency average = 21.0 ms\ntps = 505.250 (without initial connection time)\n")
	if n != 1520 || rate != 505.25 || err != nil {
		t.Errorf("%d, %v, %v", n, rate, err)
	}
	if _, _, err := ParsePgbench("pgbench: error"); err == nil {
		t.Error("read a report that is none")
	}
}

func TestCPUModel(t *testing.T) {
	t.Parallel()
	if got := cpuModel([]byte("processor\t: 0\nmodel name\t: A Processor 9000\n")); got != "A Processor 9000" {
		t.Error(got)
	}
	if cpuModel(nil) == "" {
		t.Error("a processor without a name")
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, of := range map[int][]int{0: nil, 3: {3}, 2: {3, 2, 1}, 1: {2, 1}} {
		if got := median(of); got != want {
			t.Errorf("median of %v: %d", of, got)
		}
	}
}
