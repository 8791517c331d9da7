package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	// elsewhere is the same noise at a server that has nothing to do with the
	// platform: what the machine and the load's own program cost the others.
	elsewhere = "elsewhere"
)

const (
	// active is how many tenants ask, the noisy one among them.
	active = 100
	// excess is by how many times the noisy tenant exceeds its rate.
	excess = 50
	// noisyConns are the connections that the noisy tenant asks over.
	noisyConns = 16
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

// measureFair measures the latency of many tenants at half load, by themselves,
// beside one that asks for fifty times its rate, and beside the same noise
// elsewhere, in turns. Each chain is one of its own, as the router remembers
// plans for a minute.
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
		Rounds: map[string][]Round{}, Latency: map[string][]Round{}, PSS: map[string]int64{}, Order: []string{calm, elsewhere, beside},
	}
	others, noisy := p.crowd(o)
	_, unheard := p.crowd(o)
	shouts := map[string]shout{beside: {router.Host(), noisy}, elsewhere: {p.backend.Host(), unheard}}
	closed := load.Closed(ctx, router.Host(), others, load.Window{Warm: o.Warm, Length: o.Length})
	if err := closed.Err(); err != nil {
		return nil, err
	}
	out.Rate = closed.PerSecond() / 2
	// One round has some twenty answers beyond its 99th percentile, and a second
	// in which the machine does something else moves it: the rounds are short,
	// and the percentiles are those of all answers of a contender together.
	latencies := map[string][]time.Duration{}
	for range 4*o.Rounds + 1 {
		for _, name := range out.Order {
			round, seen, err := p.fairRound(ctx, o, router, out, others, shouts[name], noise)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out.Rounds[name], latencies[name] = append(out.Rounds[name], round), append(latencies[name], seen...)
		}
	}
	for name, seen := range latencies {
		slices.Sort(seen)
		out.Latency[name] = []Round{{P50: load.Quantile(seen, 0.5), P99: load.Quantile(seen, 0.99)}}
	}
	for _, n := range noisy {
		noise.Asked, noise.Answered, noise.Refused = noise.Asked+n.answered+n.refused, noise.Answered+n.answered, noise.Refused+n.refused
	}
	// What a minute allows may be spent at once; a short run does not get beyond it.
	if noise.Asked > 2*noise.PerMinute && noise.Refused == 0 {
		return nil, errors.New("the noisy tenant was refused nothing")
	}
	return out, ctx.Err()
}

// shout is whom the noisy one asks.
type shout struct {
	host    string
	callers []*pest
}

// fairRound measures the others once, with or without the noisy one, and gives
// their latencies. CPU is for each of the others' requests, the noisy one's
// share in it.
func (p *platform) fairRound(ctx context.Context, o Options, router *spawn.Process, r *Result, others []load.Caller, noisy shout, noise *Noise) (Round, []time.Duration, error) {
	server, pooler := p.databasePIDs()
	watched := map[string][]int{"router": {router.PID}, "tasks": {p.functions["tasks"].PID}, "postgres": server, "pgbouncer": pooler, "redis": {p.redis.PID}}
	before, after := map[string]time.Duration{}, map[string]time.Duration{}
	w := load.Window{Warm: o.Warm, Length: o.Length / 2}
	var shouting sync.WaitGroup
	// What it did not get to ask in time it does not ask afterwards.
	aloud, hush := context.WithCancel(ctx)
	defer hush()
	var shouted load.Result
	if noisy.host != "" {
		callers := make([]load.Caller, len(noisy.callers))
		for i, n := range noisy.callers {
			callers[i] = n
		}
		perSecond := float64(noise.PerMinute) * excess / 60
		unseen := w // nothing is read beside it
		if noisy.host == router.Host() {
			noise.Due += int(perSecond * (w.Warm + w.Length).Seconds())
		}
		shouting.Go(func() { shouted = load.Open(aloud, noisy.host, callers, perSecond, unseen) })
	}
	w.Begin, w.End = func() { read(watched, before) }, func() { read(watched, after); weigh(watched, r.PSS) }
	result := load.Open(ctx, router.Host(), others, r.Rate, w)
	hush()
	shouting.Wait()
	if err := errors.Join(result.Err(), shouted.Err(), ctx.Err()); err != nil {
		return Round{}, nil, err
	}
	if result.Requests == 0 {
		return Round{}, nil, errors.New("nothing was answered")
	}
	round := Round{PerSecond: result.PerSecond(), CPU: map[string]time.Duration{}}
	for name := range watched {
		round.CPU[name] = (after[name] - before[name]) / time.Duration(result.Requests)
	}
	return round, result.Latencies, nil
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
