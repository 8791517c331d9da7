package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/scripts/bench/load"
	"github.com/coditect/platform/scripts/bench/peer"
	"github.com/coditect/platform/scripts/bench/spawn"
	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/shared/standin/oidc"
)

// Names of what does jobs.
const (
	jobsLine = "jobs"
	ours     = "jobs"
	river    = "River"
)

// Jobs is what is measured of background work beside the line of its
// throughput and latency.
type Jobs struct {
	// Few and Many are how many messages were queued when the first of them
	// were worked off, and what that cost.
	Few, Many Backlog
	// Crowd is how many messages of one tenant stood before everybody else's
	// one, whose latencies are Others.
	Crowd  int
	Others []time.Duration
}

// Backlog is the cost of working off the first messages of many.
type Backlog struct {
	Queued, Done int
	Took         time.Duration
	CPU          map[string]time.Duration // of a message
}

// Cost is what the database and the relay spend on a message: the part that
// could grow with how many there are.
func (b Backlog) Cost() time.Duration { return b.CPU["postgres"] + b.CPU["relay"] }

// jobs is what does background work here.
type jobs struct {
	o       Options
	p       *platform
	owner   *pgx.Conn
	queue   *spawn.Process
	relay   *spawn.Process
	worker  *spawn.Process
	river   *spawn.Process // nil where it is not built
	program string         // River's
	loader  *loader
}

// jobTables are the benchmark's own, and what a round leaves in the product's.
const jobTables = `bench.orders, bench.effects, app.outbox, app.processed_messages, app.activity`

// measureJobs measures background work.
func (r *Report) measureJobs(ctx context.Context, o Options, p *platform) (err error) {
	j := &jobs{o: o, p: p}
	if j.owner, err = pgx.Connect(ctx, p.env("MIGRATE_DATABASE_URL")); err != nil {
		return err
	}
	defer j.owner.Close(context.WithoutCancel(ctx))
	if err := j.open(ctx); err != nil {
		return err
	}
	defer j.loader.close()
	line, err := j.compare(ctx)
	if err != nil {
		return err
	}
	r.Lines = append(r.Lines, line)
	r.brief(o.Out, line)
	out := Jobs{Crowd: o.Crowd}
	if out.Few, err = j.backlog(ctx, o.Few); err != nil {
		return fmt.Errorf("%d queued: %w", o.Few, err)
	}
	if out.Many, err = j.backlog(ctx, o.Many); err != nil {
		return fmt.Errorf("%d queued: %w", o.Many, err)
	}
	if out.Others, err = j.fairness(ctx); err != nil {
		return fmt.Errorf("fairness: %w", err)
	}
	r.Jobs = &out
	return j.empty(ctx)
}

// open makes the tables and starts the processes.
func (j *jobs) open(ctx context.Context) error {
	for _, sql := range []string{
		`create schema if not exists bench`,
		`create table if not exists bench.orders (id uuid primary key default gen_random_uuid(), tenant_id uuid not null)`,
		`create table if not exists bench.effects (id uuid primary key, tenant_id uuid not null)`,
		`grant usage on schema bench to public`, `grant all on bench.orders, bench.effects to public`,
	} {
		if _, err := j.owner.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := j.empty(ctx); err != nil {
		return err
	}
	var err error
	start := func(role string, env ...string) *spawn.Process {
		if err != nil {
			return nil
		}
		var child *spawn.Process
		env = append(append(j.p.shared(), env...), j.p.profiled(role)...)
		child, err = j.p.group.Start(ctx, spawn.Spec{Name: role, Args: []string{j.o.Self, peer.Word, role}, Env: append(env, "LOG_LEVEL=error")})
		return child
	}
	if j.queue = start("queue"); err != nil {
		return err
	}
	service, err := ask(ctx, j.queue.URL()+"/grpc")
	if err != nil {
		return err
	}
	trust := []string{
		"PUSH_ISSUER=" + peer.Issuer, "PUSH_JWKS_URL=" + j.queue.URL() + oidc.KeysPath, "PUSH_SERVICE_ACCOUNTS=" + peer.ServiceAccount,
		"DATABASE_URL=" + j.p.env("DATABASE_URL"), "SYSTEM_DATABASE_URL=" + j.p.env("SYSTEM_DATABASE_URL"),
	}
	j.worker = start("worker", trust...)
	if err != nil {
		return err
	}
	j.relay = start("relay", append(trust, "TASKS_ENDPOINT="+service, "TASKS_LOCATION="+peer.Location, "PUSH_SERVICE_ACCOUNT="+peer.ServiceAccount,
		"PUBSUB_ENDPOINT="+service, "FUNCTION_URLS="+peer.Worker+"="+j.worker.URL(), "PUSH_AUDIENCE=http://{name}")...)
	if err != nil {
		return err
	}
	if j.loader, err = newLoader(j); err != nil {
		return err
	}
	return j.startRiver(ctx)
}

// startRiver builds River's program, if we have its source, and starts it.
func (j *jobs) startRiver(ctx context.Context) error {
	if j.o.River == "" {
		return nil
	}
	j.program = filepath.Join(j.o.Root, ".local", "bin", "bench-river")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", j.program, ".")
	build.Dir, build.Env = j.o.River, append(build.Environ(), "GOWORK=off")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", j.o.River, err, text)
	}
	var err error
	j.river, err = j.p.group.Start(ctx, spawn.Spec{Name: "river", Args: []string{j.program, "work"}, Env: append(inherited(), "DATABASE_URL="+j.p.env("MIGRATE_DATABASE_URL"))})
	return err
}

// empty takes away what a round left, while nothing runs.
func (j *jobs) empty(ctx context.Context) error {
	tables := jobTables
	if j.river != nil {
		tables += `, river_job`
	}
	for _, sql := range []string{`truncate ` + tables, `vacuum analyze app.outbox`, `checkpoint`} {
		if _, err := j.owner.Exec(ctx, sql); err != nil && sql != `checkpoint` {
			return err
		}
	}
	return nil
}

// compare lets our path and River take turns, first as fast as they can and
// then at half the rate of the slower.
func (j *jobs) compare(ctx context.Context) (*Result, error) {
	r := &Result{Name: jobsLine, Title: "a job: leave it and do it, one row each", Rounds: map[string][]Round{}, Latency: map[string][]Round{}, PSS: map[string]int64{}, Order: []string{ours}}
	if j.river != nil {
		r.Order = append(r.Order, river)
	}
	for _, rate := range []func() float64{func() float64 { return 0 }, func() float64 {
		slowest := r.PerSecond(ours)
		for _, name := range r.Order {
			slowest = min(slowest, r.PerSecond(name))
		}
		r.Rate = slowest / 2
		return r.Rate
	}} {
		perSecond := rate()
		for range j.o.Rounds {
			for _, name := range r.Order {
				round, err := j.round(ctx, r, name, perSecond)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				if perSecond == 0 {
					r.Rounds[name] = append(r.Rounds[name], round)
				} else {
					r.Latency[name] = append(r.Latency[name], round)
				}
			}
		}
	}
	return r, nil
}

// round leaves jobs for the length of a measurement and waits until all are
// done: what counts is the time until the last effect is committed.
func (j *jobs) round(ctx context.Context, r *Result, name string, rate float64) (Round, error) {
	if err := j.empty(ctx); err != nil {
		return Round{}, err
	}
	if name == ours {
		// The schedule's call is under way all the time, as it is in production:
		// it hands over what a nudge found no room for.
		defer j.sweep(ctx)()
	}
	watched := j.watched(name)
	before, after := map[string]time.Duration{}, map[string]time.Duration{}
	read(watched, before)
	begun := time.Now()
	var (
		left map[string]time.Time
		done = map[string]time.Time{}
		from = j.worker
		err  error
	)
	if name == river {
		from = j.river
		left, err = j.loadRiver(ctx, rate)
	} else {
		left, err = j.loader.load(ctx, j.o.Length, j.o.Conns, rate)
	}
	if err != nil {
		return Round{}, err
	}
	if err := await(ctx, from, left, done); err != nil {
		return Round{}, err
	}
	read(watched, after)
	weigh(watched, r.PSS)
	var last time.Time
	latencies := make([]time.Duration, 0, len(left))
	for id, committed := range left {
		latencies = append(latencies, max(0, done[id].Sub(committed)))
		if done[id].After(last) {
			last = done[id]
		}
	}
	slices.Sort(latencies)
	out := Round{PerSecond: float64(len(left)) / last.Sub(begun).Seconds(), P50: load.Quantile(latencies, 0.5), P99: load.Quantile(latencies, 0.99), CPU: map[string]time.Duration{}}
	for name := range watched {
		out.CPU[name] = (after[name] - before[name]) / time.Duration(len(left))
	}
	return out, nil
}

func (j *jobs) watched(name string) map[string][]int {
	server, pooler := j.p.databasePIDs()
	if name == river {
		return map[string][]int{"postgres": server, "river": {j.river.PID}}
	}
	return map[string][]int{"postgres": server, "pgbouncer": pooler, "relay": {j.relay.PID}, "queue": {j.queue.PID}, "worker": {j.worker.PID}}
}

// loadRiver has River's program leave jobs.
func (j *jobs) loadRiver(ctx context.Context, rate float64) (map[string]time.Time, error) {
	cmd := exec.CommandContext(ctx, j.program, "load", fmt.Sprint(j.o.Length.Seconds()), fmt.Sprint(j.o.Conns), fmt.Sprint(rate))
	cmd.Env = append(inherited(), "DATABASE_URL="+j.p.env("MIGRATE_DATABASE_URL"))
	var tenants, faults strings.Builder
	for i := range j.o.Size.Tenants {
		fmt.Fprintln(&tenants, stage.Tenant(i))
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(tenants.String()), &faults
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &faults)
	}
	out := map[string]time.Time{}
	return out, parseTimes(string(text), out)
}

func parseTimes(text string, into map[string]time.Time) error {
	for line := range strings.Lines(text) {
		var id string
		var at int64
		if _, err := fmt.Sscanf(line, "%s %d", &id, &at); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		into[id] = time.Unix(0, at)
	}
	return nil
}

// await collects what is done until everything that was left is.
func await(ctx context.Context, from *spawn.Process, left, done map[string]time.Time) error {
	err := process.Poll(ctx, patience, func() bool {
		text, err := ask(ctx, from.URL()+"/done")
		if err != nil || parseTimes(text, done) != nil {
			return false
		}
		for id := range left {
			if done[id].IsZero() {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%d of %d jobs were done: %w", len(done), len(left), err)
	}
	return nil
}

// backlog queues n messages of all tenants and works the first of them off by
// the schedule's sweep alone.
func (j *jobs) backlog(ctx context.Context, n int) (Backlog, error) {
	out := Backlog{Queued: n, CPU: map[string]time.Duration{}}
	if err := j.preload(ctx, n, j.o.Size.Tenants); err != nil {
		return out, err
	}
	watched := j.watched(ours)
	before, after := map[string]time.Duration{}, map[string]time.Duration{}
	read(watched, before)
	begun := time.Now()
	stop := j.sweep(ctx)
	err := j.progress(ctx, min(n, j.o.Few), &out.Done)
	out.Took = time.Since(begun)
	read(watched, after)
	stop()
	for name := range watched {
		out.CPU[name] = (after[name] - before[name]) / time.Duration(max(1, out.Done))
	}
	return out, cmp.Or(err, j.settle(ctx))
}

// preload puts messages into the outbox, of the first tenants in turn.
func (j *jobs) preload(ctx context.Context, n, tenants int) error {
	if err := j.empty(ctx); err != nil {
		return err
	}
	owners := make([]string, tenants)
	for i := range owners {
		owners[i] = stage.Tenant(i).String()
	}
	_, err := j.owner.Exec(ctx, `insert into app.outbox (tenant_id, id, kind, key, payload)
		select ($1::text[])[1 + i % $2::int]::uuid, gen_random_uuid(), $3, '', json_build_object('id', gen_random_uuid()) from generate_series(1, $4::int) i`,
		owners, tenants, peer.Job.Kind, n)
	if err == nil {
		_, err = j.owner.Exec(ctx, `vacuum analyze app.outbox`)
	}
	return err
}

// sweep calls the relay as its schedule does, one call after the other, until
// it is stopped.
func (j *jobs) sweep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			token, err := ask(ctx, j.queue.URL()+"/token?audience=http://outboxrelay")
			if err != nil {
				return
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.relay.URL()+"/", http.NoBody)
			if err != nil {
				return
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			resp.Body.Close()
			// A call ends when nothing is under way; the schedule is not that quick.
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// progress waits until so many jobs were done.
func (j *jobs) progress(ctx context.Context, wanted int, done *int) error {
	return process.Poll(ctx, 2*patience, func() bool {
		text, err := ask(ctx, j.worker.URL()+"/done")
		*done += strings.Count(text, "\n")
		return err == nil && *done >= wanted
	})
}

// settle waits until what was handed over is done, and forgets it.
func (j *jobs) settle(ctx context.Context) error {
	quiet := 0
	return process.Poll(ctx, patience, func() bool {
		text, err := ask(ctx, j.worker.URL()+"/done")
		if quiet++; err != nil || text != "" {
			quiet = 0
		}
		return quiet >= 50
	})
}

// fairness fills the outbox with one tenant's messages and measures how long
// one message of another waits, ten times.
func (j *jobs) fairness(ctx context.Context) ([]time.Duration, error) {
	if err := j.preload(ctx, j.o.Crowd, 1); err != nil {
		return nil, err
	}
	stop := j.sweep(ctx)
	defer stop()
	var begun int
	if err := j.progress(ctx, min(300, j.o.Crowd/2), &begun); err != nil {
		return nil, err
	}
	var out []time.Duration
	for i := range 10 {
		left := map[string]time.Time{}
		if err := j.loader.one(ctx, 1+i%(j.o.Size.Tenants-1), left); err != nil {
			return nil, err
		}
		done := map[string]time.Time{}
		if err := await(ctx, j.worker, left, done); err != nil {
			return nil, err
		}
		for id, committed := range left {
			out = append(out, done[id].Sub(committed))
		}
	}
	slices.Sort(out)
	stop()
	return out, j.settle(ctx)
}

func ask(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, resp.Status)
	}
	return string(text), err
}
