package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/scripts/bench/load"
	"github.com/coditect/platform/scripts/bench/spawn"
	"github.com/coditect/platform/scripts/bench/stage"
)

// What the line of fairness is called, and its contenders.
const (
	fairLine = "fair"
	calm     = "calm"
	beside   = "beside"
)

const (
	// active is how many tenants ask, the noisy one among them.
	active = 100
	// excess is by how many times the noisy tenant exceeds its rate.
	excess = 50
	// noisyConns are the connections that the noisy tenant asks over.
	noisyConns = 16
	// spending bounds how long the noisy tenant takes to use what its plan lets it
	// do at once.
	spending = 30 * time.Second
)

// noisyPlans are what the noisy tenant is on, in turn: what anybody has for
// nothing, and ten times its rate. The rate is the plan's own; the others' is
// off the scale as in every line.
var noisyPlans = []string{"free", "pro"}

// fairOn is the name of the line beside a tenant of the plan.
func fairOn(plan string) string { return fairLine + "-" + plan }

// Noise is what the noisy tenant was told.
type Noise struct {
	Plan      string
	PerMinute int // what its plan allows
	// Due is how often it would have asked if every answer had come at once. The
	// router keeps waiting who asks on after refusals, so that it asks less.
	Due               int
	Asked             int
	Answered, Refused int
}

// measureFair measures the latency of many tenants at half load, by themselves
// and beside one that asks for fifty times its rate, in turns. Each chain is one
// of its own, as the router remembers plans for a minute.
func (r *Report) measureFair(ctx context.Context, o Options, p *platform) error {
	for _, plan := range noisyPlans {
		if err := r.measureBeside(ctx, o, p, plan); err != nil {
			return fmt.Errorf("beside %s: %w", plan, err)
		}
	}
	return nil
}

func (r *Report) measureBeside(ctx context.Context, o Options, p *platform, plan string) (err error) {
	if o.Size.Tenants < 2 {
		return errors.New("fairness takes two tenants")
	}
	owner, err := pgx.Connect(ctx, p.env("MIGRATE_DATABASE_URL"))
	if err != nil {
		return err
	}
	defer owner.Close(context.WithoutCancel(ctx))
	noise := &Noise{Plan: plan}
	const setPlan = `update app.organizations set plan = $2 where tenant_id = $1`
	var before string
	if err := owner.QueryRow(ctx, `select plan from app.organizations where tenant_id = $1`, stage.Tenant(0)).Scan(&before); err != nil {
		return err
	}
	if err := owner.QueryRow(ctx, `select requests_per_minute from app.plans where id = $1`, plan).Scan(&noise.PerMinute); err != nil {
		return err
	}
	if _, err := owner.Exec(ctx, setPlan, stage.Tenant(0), plan); err != nil {
		return err
	}
	defer func() {
		_, undone := owner.Exec(context.WithoutCancel(ctx), setPlan, stage.Tenant(0), before)
		err = errors.Join(err, undone)
	}()
	router, err := p.group.Start(ctx, p.routerSpec("fair", p.upstreams("")))
	if err != nil {
		return err
	}
	defer p.group.Stop(router)
	out, err := p.fair(ctx, o, router, noise)
	if err != nil {
		return err
	}
	r.Lines, r.Noise = append(r.Lines, out), append(r.Noise, noise)
	r.brief(o.Out, out)
	return nil
}

func (p *platform) fair(ctx context.Context, o Options, router *spawn.Process, noise *Noise) (*Result, error) {
	out := &Result{
		Name: fairOn(noise.Plan), Title: fmt.Sprintf("one task, for %d tenants beside one on %s at %d × its rate", active-1, noise.Plan, excess),
		Rounds: map[string][]Round{}, Latency: map[string][]Round{}, PSS: map[string]int64{}, Order: []string{calm, beside},
	}
	others, noisy := p.crowd(o)
	shouts := map[string][]*pest{beside: noisy}
	closed := load.Closed(ctx, router.Host(), others, load.Window{Warm: o.Warm, Length: o.Length})
	if err := closed.Err(); err != nil {
		return nil, err
	}
	out.Rate = closed.PerSecond() / 2
	// A second in which the machine does something else moves the 99th percentile
	// of its round: there are many short rounds.
	for range 6*o.Rounds + 1 {
		for _, name := range out.Order {
			round, err := p.fairRound(ctx, o, router, out, others, shouts[name], noise)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out.Rounds[name], out.Latency[name] = append(out.Rounds[name], round), append(out.Latency[name], round)
		}
	}
	return out, ctx.Err()
}

// fairRound measures the others once, with or without the noisy one. CPU is for
// each of the others' requests, the noisy one's share in it.
func (p *platform) fairRound(ctx context.Context, o Options, router *spawn.Process, r *Result, others []load.Caller, noisy []*pest, noise *Noise) (Round, error) {
	server, pooler := p.databasePIDs()
	watched := map[string][]int{"router": {router.PID}, "tasks": {p.functions["tasks"].PID}, "postgres": server, "pgbouncer": pooler, "redis": {p.redis.PID}}
	before, after := map[string]time.Duration{}, map[string]time.Duration{}
	w := load.Window{Warm: o.Warm, Length: o.Length / 2}
	var shouting sync.WaitGroup
	// What it did not get to ask in time it does not ask afterwards.
	aloud, hush := context.WithCancel(ctx)
	defer hush()
	var shouted load.Result
	if len(noisy) > 0 {
		perSecond := float64(noise.PerMinute) * excess / 60
		if err := spend(ctx, router.Host(), noisy, noise.PerMinute); err != nil {
			return Round{}, err
		}
		unseen := w // nothing is read beside it
		noise.Due += int(perSecond * (w.Warm + w.Length).Seconds())
		shouting.Go(func() { shouted = load.Open(aloud, router.Host(), callers(noisy), perSecond, unseen) })
	}
	w.Begin, w.End = func() { read(watched, before) }, func() { read(watched, after); weigh(watched, r.PSS) }
	result := load.Open(ctx, router.Host(), others, r.Rate, w)
	hush()
	shouting.Wait()
	if err := errors.Join(result.Err(), shouted.Err(), ctx.Err()); err != nil {
		return Round{}, err
	}
	for _, n := range noisy {
		noise.Asked, noise.Answered, noise.Refused = noise.Asked+n.answered+n.refused, noise.Answered+n.answered, noise.Refused+n.refused
	}
	if len(noisy) > 0 && noise.Refused == 0 && noise.Asked > noise.Due/2 {
		return Round{}, errors.New("the noisy tenant was neither refused nor held")
	}
	if result.Requests == 0 {
		return Round{}, errors.New("nothing was answered")
	}
	round := Round{PerSecond: result.PerSecond(), P50: load.Quantile(result.Latencies, 0.5), P99: load.Quantile(result.Latencies, 0.99), CPU: map[string]time.Duration{}}
	for name := range watched {
		round.CPU[name] = (after[name] - before[name]) / time.Duration(result.Requests)
	}
	return round, nil
}

// spend lets the noisy tenant ask until it is refused or held to its rate, and
// forgets what it was told. What the plan allows for a minute may be used at
// once, and the pauses between the rounds give some of it back: that is its good
// right, and not yet the excess that is measured.
func spend(ctx context.Context, host string, noisy []*pest, perMinute int) error {
	for end := time.Now().Add(spending); time.Now().Before(end); {
		began := time.Now()
		const length = 500 * time.Millisecond
		aloud, hush := context.WithTimeout(ctx, length)
		told := load.Open(aloud, host, callers(noisy), float64(perMinute)*excess/60, load.Window{Length: length})
		hush()
		if err := errors.Join(told.Err(), ctx.Err()); err != nil {
			return err
		}
		answered, refused := 0, 0
		for _, n := range noisy {
			answered, refused = answered+n.answered, refused+n.refused
			n.answered, n.refused = 0, 0
		}
		if refused > 0 || float64(answered) < 2*float64(perMinute)*time.Since(began).Minutes() {
			return nil
		}
	}
	return fmt.Errorf("the noisy tenant was not refused within %v", spending)
}

func callers(noisy []*pest) []load.Caller {
	out := make([]load.Caller, len(noisy))
	for i, n := range noisy {
		out[i] = n
	}
	return out
}

// crowd are the callers: the others, who ask in turn for their own tasks, and
// the noisy tenant's.
func (p *platform) crowd(o Options) (others []load.Caller, noisy []*pest) {
	var get line
	for _, l := range lines {
		if l.name == "get" {
			get = l
		}
	}
	var theirs, own [][]byte
	for _, key := range o.Size.Keys(4 * keys) {
		switch asked := get.request(p, key, nil); {
		case key.Tenant == 0:
			own = append(own, asked.bytes())
		case key.Tenant < active:
			theirs = append(theirs, asked.bytes())
		}
	}
	for i := range o.Conns {
		others = append(others, &turner{requests: theirs, at: i * len(theirs) / o.Conns, want: http.StatusOK})
	}
	for i := range noisyConns {
		noisy = append(noisy, &pest{turner: turner{requests: own, at: i % len(own)}})
	}
	return others, noisy
}

// pest asks on, whether it is answered or refused.
type pest struct {
	turner
	answered, refused int
}

// Answer is load.Caller's.
func (p *pest) Answer(status int, body []byte) error {
	switch status {
	case http.StatusOK:
		p.answered++
	case http.StatusTooManyRequests:
		p.refused++
	default:
		return unless(false, status, body)
	}
	return nil
}
