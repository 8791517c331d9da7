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
	// within is beside a tenant that keeps to its rate: what it takes is its right.
	within = "within"
	beside = "beside"
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

	known bool // to the router, as one that is refused
}

// measureFair measures the latency of many tenants at half load, by themselves,
// beside one that keeps to its rate, and beside one that asks for fifty times as
// much, in turns. Each chain is one of its own, as the router remembers plans for
// a minute.
func (r *Report) measureFair(ctx context.Context, o Options, p *platform) error {
	for _, plan := range noisyPlans {
		if err := r.measureBeside(ctx, o, p, plan); err != nil {
			return fmt.Errorf("beside %s: %w", plan, err)
		}
	}
	return nil
}

func (r *Report) measureBeside(ctx context.Context, o Options, p *platform, plan string) (err error) {
	if o.Size.Tenants < 3 {
		return errors.New("fairness takes three tenants")
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
		Rounds: map[string][]Round{}, Latency: map[string][]Round{}, PSS: map[string]int64{}, Order: []string{calm, within, beside},
	}
	others, orderly, noisy := p.crowd(o)
	hundredth := map[string][]*pest{within: orderly, beside: noisy}
	closed := load.Closed(ctx, router.Host(), others, load.Window{Warm: o.Warm, Length: o.Length})
	if err := closed.Err(); err != nil {
		return nil, err
	}
	out.Rate = closed.PerSecond() / 2
	// A second in which the machine does something else moves the 99th percentile
	// of its round: there are many short rounds, and each contender is as often the
	// first of them.
	for i := range 6*o.Rounds + 1 {
		for j := range out.Order {
			name := out.Order[(i+j)%len(out.Order)]
			round, err := p.fairRound(ctx, o, router, out, name, others, hundredth[name], noise)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out.Rounds[name], out.Latency[name] = append(out.Rounds[name], round), append(out.Latency[name], round)
		}
	}
	return out, ctx.Err()
}

// fairRound measures the others once. CPU is for each of the others' requests,
// the hundredth's share in it.
func (p *platform) fairRound(ctx context.Context, o Options, router *spawn.Process, r *Result, name string, others []load.Caller, hundredth []*pest, noise *Noise) (Round, error) {
	server, pooler := p.databasePIDs()
	watched := map[string][]int{"router": {router.PID}, "tasks": {p.functions["tasks"].PID}, "postgres": server, "pgbouncer": pooler, "redis": {p.redis.PID}}
	before, after := map[string]time.Duration{}, map[string]time.Duration{}
	w := load.Window{Warm: o.Warm, Length: o.Length / 2}
	var shouting sync.WaitGroup
	// What it did not get to ask in time it does not ask afterwards.
	aloud, hush := context.WithCancel(ctx)
	defer hush()
	var shouted load.Result
	perSecond := float64(noise.PerMinute) / 60
	if name == beside {
		perSecond *= excess
		if err := noise.spend(ctx, router.Host(), hundredth, perSecond); err != nil {
			return Round{}, err
		}
		noise.Due += int(perSecond * (w.Warm + w.Length).Seconds())
	}
	if len(hundredth) > 0 {
		unseen := w // nothing is read beside it
		shouting.Go(func() { shouted = load.Open(aloud, router.Host(), callers(hundredth), perSecond, unseen) })
	}
	w.Begin, w.End = func() { read(watched, before) }, func() { read(watched, after); weigh(watched, r.PSS) }
	result := load.Open(ctx, router.Host(), others, r.Rate, w)
	hush()
	shouting.Wait()
	if err := errors.Join(result.Err(), shouted.Err(), ctx.Err()); err != nil {
		return Round{}, err
	}
	answered, refused := told(hundredth)
	switch {
	case name == beside:
		noise.Asked, noise.Answered, noise.Refused = noise.Asked+answered+refused, noise.Answered+answered, noise.Refused+refused
		if noise.Refused == 0 && noise.Asked > noise.Due/2 {
			return Round{}, errors.New("the noisy tenant was neither refused nor held")
		}
	case refused > 0:
		return Round{}, errors.New("the orderly tenant was refused")
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

// spend lets the noisy tenant ask until it is refused or, once it was, held to
// its rate, and forgets what it was told. What the plan allows for a minute may be used at
// once, and the pauses between the rounds give some of it back: that is its good
// right, and not yet the excess that is measured.
func (n *Noise) spend(ctx context.Context, host string, noisy []*pest, perSecond float64) error {
	for end := time.Now().Add(spending); time.Now().Before(end); {
		began := time.Now()
		const length = 500 * time.Millisecond
		aloud, hush := context.WithTimeout(ctx, length)
		asked := load.Open(aloud, host, callers(noisy), perSecond, load.Window{Length: length})
		hush()
		if err := errors.Join(asked.Err(), ctx.Err()); err != nil {
			return err
		}
		answered, refused := told(noisy)
		if refused > 0 || n.known && float64(answered) < 2*perSecond/excess*time.Since(began).Seconds() {
			n.known = true
			return nil
		}
	}
	return fmt.Errorf("the noisy tenant was not refused within %v", spending)
}

// told adds up what callers were told since it was last asked.
func told(pests []*pest) (answered, refused int) {
	for _, n := range pests {
		answered, refused = answered+n.answered, refused+n.refused
		n.answered, n.refused = 0, 0
	}
	return answered, refused
}

func callers(noisy []*pest) []load.Caller {
	out := make([]load.Caller, len(noisy))
	for i, n := range noisy {
		out[i] = n
	}
	return out
}

// crowd are the callers, who ask in turn for their own tasks: the others, and
// those of an orderly and of a noisy hundredth tenant.
func (p *platform) crowd(o Options) (others []load.Caller, orderly, noisy []*pest) {
	var get line
	for _, l := range lines {
		if l.name == "get" {
			get = l
		}
	}
	var theirs, own, last [][]byte
	for _, key := range o.Size.Keys(4 * keys) {
		switch asked := get.request(p, key, nil); {
		case key.Tenant == 0:
			own = append(own, asked.bytes())
		case key.Tenant == o.Size.Tenants-1:
			last = append(last, asked.bytes())
		case key.Tenant < active:
			theirs = append(theirs, asked.bytes())
		}
	}
	for i := range o.Conns {
		others = append(others, &turner{requests: theirs, at: i * len(theirs) / o.Conns, want: http.StatusOK})
	}
	for i := range noisyConns {
		orderly = append(orderly, &pest{turner: turner{requests: last, at: i % len(last)}})
		noisy = append(noisy, &pest{turner: turner{requests: own, at: i % len(own)}})
	}
	return others, orderly, noisy
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
