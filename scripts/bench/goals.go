package bench

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Goal is a promise about a run.
type Goal struct {
	What, Wanted, Measured string
	Holds                  bool
}

// ratios are the goals of throughput.
var ratios = []struct {
	line, contender, to string
	least               float64
}{
	{"edge", edge, bare, 0.60},
	{"list", chain, floor, 0.70},
	{"get", chain, floor, 0.60},
	{"create", chain, floor, 0.65},
	{"list", alone, floor, 0.85},
	{"get", alone, floor, 0.85},
	{"create", alone, floor, 0.85},
}

// slowdowns are the goals of latency.
var slowdowns = []struct {
	line, contender, to string
	p50, p99            float64
}{
	{"edge", edge, checked, 1.5, 1.5},
	{"list", chain, floor, 2, 1.5},
	{"get", chain, floor, 2, 1.5},
	{"create", chain, floor, 2, 1.5},
}

// goals holds the run against what is wanted. What was not measured has none.
func goals(r *Report) []Goal {
	var out []Goal
	least := func(what string, want, got float64) {
		out = append(out, Goal{what, fmt.Sprintf("≥ %.2f", want), fmt.Sprintf("%.2f", got), got >= want})
	}
	most := func(what string, want, got float64) {
		out = append(out, Goal{what, fmt.Sprintf("≤ %.2f", want), fmt.Sprintf("%.2f", got), got <= want})
	}
	for _, g := range ratios {
		if l := r.line(g.line); l != nil {
			least(fmt.Sprintf("%s: %s ÷ %s", g.line, g.contender, g.to), g.least, l.Ratio(g.contender, g.to))
		}
	}
	for _, g := range slowdowns {
		if l := r.line(g.line); l != nil && len(l.Latency[g.contender]) > 0 && len(l.Latency[g.to]) > 0 {
			most(fmt.Sprintf("%s: p50 of %s ÷ %s", g.line, g.contender, g.to), g.p50, l.slower(g.contender, g.to, p50))
			most(fmt.Sprintf("%s: p99 of %s ÷ %s", g.line, g.contender, g.to), g.p99, l.slower(g.contender, g.to, p99))
		}
	}
	if l := r.line("login"); l != nil && l.PerSecond(hash) > 0 {
		cores := runtime.NumCPU()
		least(fmt.Sprintf("login: chain ÷ (%d cores ÷ %s of one hash)", cores, inMilliseconds(float64(time.Second)/l.PerSecond(hash))), 0.85, l.Ratio(chain, hash)/float64(cores))
	}
	if l, to := r.line("refresh"), r.line("create"); l != nil && to != nil && to.PerSecond(lower) > 0 {
		least("refresh: chain ÷ L of create", 0.35, l.PerSecond(chain)/to.PerSecond(lower))
	}
	if l, to := r.line("me"), r.line("get"); l != nil && to != nil {
		least("me: chain ÷ F of get", 0.60, l.PerSecond(chain)/to.PerSecond(floor))
	}
	for _, plan := range noisyPlans {
		if l := r.line(fairOn(plan)); l != nil {
			for _, to := range []struct{ contender, what string }{{within, "at its rate"}, {calm, "without it"}} {
				most(fmt.Sprintf("p99 of %d tenants, beside one on %s at %d × its rate ÷ %s", active-1, plan, excess, to.what), 1.2, l.slower(beside, to.contender, p99))
				out[len(out)-1].Measured += l.spread(beside, to.contender, p99)
			}
		}
	}
	if l := r.line(jobsLine); l != nil {
		most("jobs: p50 from commit to effect, ms", 50, over(l.Latency[ours], func(x Round) float64 { return float64(x.P50) / float64(time.Millisecond) }))
		if len(l.Rounds[river]) > 0 {
			least("jobs: ours ÷ River", 0.5, l.Ratio(ours, river))
		}
	}
	if j := r.Jobs; j != nil {
		most(fmt.Sprintf("jobs: CPU of relay and database a job, %d queued ÷ %d", j.Many.Queued, j.Few.Queued), 1.5, float64(j.Many.Cost())/float64(max(1, j.Few.Cost())))
		most(fmt.Sprintf("jobs: longest wait beside %d of another tenant, s", j.Crowd), 2, slices.Max(j.Others).Seconds())
	}
	return append(out, footprints(r)...)
}

// onlyDatabase are functions that need nothing but the database.
var onlyDatabase = []string{"tasks"}

// footprints are the goals of memory, start and size.
func footprints(r *Report) []Goal {
	var out []Goal
	if r.Options.Own { // our variants are larger and slower to start than what is deployed
		return out
	}
	most := func(what, unit string, want, got float64) {
		if got > 0 {
			out = append(out, Goal{what, fmt.Sprintf("≤ %.0f %s", want, unit), fmt.Sprintf("%.1f %s", got, unit), got <= want})
		}
	}
	for _, name := range append([]string{"router"}, needed...) {
		limit := 30.0
		if name == "router" {
			limit = 25
		}
		var most64 int64
		for _, l := range r.Lines {
			most64 = max(most64, l.PSS[name])
		}
		most(name+": memory under load", "MiB", limit, float64(most64)/(1<<20))
	}
	for _, s := range r.Starts {
		if s.Name == httpOnly {
			continue
		}
		limit := 100.0
		if slices.Contains(onlyDatabase, s.Name) {
			limit = 30
			most(s.Name+": binary", "MB", 15, float64(s.Size)/1e6)
		}
		most(s.Name+": start to first answer", "ms", limit, float64(s.Took)/float64(time.Millisecond))
	}
	return out
}
