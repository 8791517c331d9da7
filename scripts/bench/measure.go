package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/coditect/platform/scripts/bench/load"
	"github.com/coditect/platform/scripts/bench/proc"
	"github.com/coditect/platform/scripts/bench/spawn"
)

// Round is one measurement of one contender.
type Round struct {
	PerSecond float64
	P50, P99  time.Duration
	// CPU is what each process spent on a request.
	CPU map[string]time.Duration
}

// Result is what a line came to.
type Result struct {
	Name, Title string
	// Rounds are the throughput's, by contender; Latency's are at Rate requests
	// a second.
	Rounds  map[string][]Round
	Latency map[string][]Round
	Order   []string
	Rate    float64
	// PSS is the most memory seen under load, by process.
	PSS map[string]int64
}

// measure lets the contenders take turns.
func (l line) measure(ctx context.Context, o Options, p *platform) (*Result, error) {
	r := &Result{Name: l.name, Title: l.title, Rounds: map[string][]Round{}, Latency: map[string][]Round{}, PSS: map[string]int64{}}
	for _, c := range l.contenders {
		r.Order = append(r.Order, c.name)
	}
	callers := l.callers(o, p)
	for range o.Rounds {
		for _, c := range l.contenders {
			round, err := p.once(ctx, l, c, r, func(w load.Window) (load.Result, error) {
				if c.run != nil {
					return c.run(ctx, o, p, l, w)
				}
				return load.Closed(ctx, c.at(p), callers, w), nil
			})
			if err != nil {
				return nil, err
			}
			r.Rounds[c.name] = append(r.Rounds[c.name], round)
		}
	}
	if len(l.latencies) == 0 {
		return r, nil
	}
	slowest := r.PerSecond(l.latencies[0])
	for _, name := range l.latencies {
		slowest = min(slowest, r.PerSecond(name))
	}
	r.Rate = slowest / 2
	for range o.Rounds {
		for _, c := range l.contenders {
			if !slices.Contains(l.latencies, c.name) {
				continue
			}
			round, err := p.once(ctx, l, c, r, func(w load.Window) (load.Result, error) {
				return load.Open(ctx, c.at(p), callers, r.Rate, w), nil
			})
			if err != nil {
				return nil, err
			}
			r.Latency[c.name] = append(r.Latency[c.name], round)
		}
	}
	return r, nil
}

// once makes one measurement and reads beside it what the processes use.
func (p *platform) once(ctx context.Context, l line, c contender, r *Result, act func(load.Window) (load.Result, error)) (Round, error) {
	watched := p.watched(l, c)
	before, after := map[string]time.Duration{}, map[string]time.Duration{}
	profiles := p.profiles(ctx, l, c)
	w := load.Window{Warm: p.o.Warm, Length: p.o.Length,
		Begin: func() { read(watched, before); profiles.begin() },
		End:   func() { read(watched, after); weigh(watched, r.PSS) },
	}
	result, err := act(w)
	if err == nil {
		err = result.Err()
	}
	if err = cmp.Or(ctx.Err(), err, profiles.end()); err != nil {
		return Round{}, fmt.Errorf("%s: %w", c.name, err)
	}
	if result.Requests == 0 {
		return Round{}, fmt.Errorf("%s: nothing was answered", c.name)
	}
	round := Round{PerSecond: result.PerSecond(), P50: load.Quantile(result.Latencies, 0.5), P99: load.Quantile(result.Latencies, 0.99), CPU: map[string]time.Duration{}}
	for name := range watched {
		if spent := after[name] - before[name]; spent > 0 {
			round.CPU[name] = spent / time.Duration(result.Requests)
		}
	}
	return round, nil
}

// watched are the processes that work for a contender, by the name they have in
// the report.
func (p *platform) watched(l line, c contender) map[string][]int {
	if l.request == nil {
		at := map[string]*spawn.Process{edge: p.one, bare: p.proxy, checked: p.checked}[c.name]
		return map[string][]int{c.name: {at.PID}, "backend": {p.backend.PID}, "redis": {p.redis.PID}, "client": {os.Getpid()}}
	}
	server, pooler := p.databasePIDs()
	out := map[string][]int{"postgres": server, "pgbouncer": pooler}
	switch c.name {
	case floor:
		out["F"] = []int{p.floor.PID}
	case chain:
		out["router"], out["redis"] = []int{p.router.PID}, []int{p.redis.PID}
		out[l.function] = []int{p.functions[l.function].PID}
	case alone:
		out["redis"] = []int{p.redis.PID}
		out[l.function] = []int{p.functions[l.function].PID}
	}
	if c.at != nil {
		out["client"] = []int{os.Getpid()}
	}
	return out
}

func read(watched map[string][]int, into map[string]time.Duration) {
	for name, pids := range watched {
		into[name] = proc.CPU(pids...)
	}
}

// weigh keeps the most memory of each single process.
func weigh(watched map[string][]int, into map[string]int64) {
	for name, pids := range watched {
		if len(pids) != 1 || name == "client" {
			continue
		}
		if n, err := proc.PSS(pids[0]); err == nil {
			into[name] = max(into[name], n)
		}
	}
}

// profiling are the profiles of one measurement.
type profiling struct {
	begin func()
	end   func() error
}

// profiles takes a CPU profile of each process of ours over the measurement, if
// profiles are asked for.
func (p *platform) profiles(ctx context.Context, l line, c contender) profiling {
	if p.o.Profile == "" || c.at == nil {
		return profiling{func() {}, func() error { return nil }}
	}
	var of []string
	switch {
	case l.request == nil && c.name == edge:
		of = []string{"edge"}
	case c.name == floor:
		of = []string{"floor"}
	case c.name == chain:
		of = []string{"router", l.function}
	case c.name == alone:
		of = []string{l.function}
	}
	var taking sync.WaitGroup
	faults := make([]error, len(of))
	return profiling{
		begin: func() {
			for i, name := range of {
				file := filepath.Join(p.o.Profile, l.name+"-"+c.name+"-"+name+".pprof")
				taking.Go(func() { faults[i] = p.takeProfile(ctx, name, file) })
			}
		},
		end: func() error { taking.Wait(); return cmp.Or(faults...) },
	}
}

func (p *platform) takeProfile(ctx context.Context, name, file string) error {
	seconds := max(1, int(p.o.Length.Seconds()))
	address := fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/profile?seconds=%d", profilePorts[name], seconds)
	ctx, cancel := context.WithTimeout(ctx, p.o.Length+patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile of %s: %s", name, resp.Status)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// median is the middle one, the lower of two.
func median[T cmp.Ordered](values []T) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
