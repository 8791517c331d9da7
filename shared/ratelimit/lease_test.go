package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/shared/cache"
)

type name string

func (n name) String() string { return string(n) }

var leaseScript = cache.NewScript(Lua + `return rl_lease(KEYS, 1, ARGV, 1)`)

// process is one that leases.
type process struct {
	leases *Leases[name]
	redis  *cache.Client
	trips  int
	// broken makes the next trips arrive and their answers not.
	broken bool
}

func (p *process) take(t *testing.T, budgets ...Budget[name]) Decision {
	t.Helper()
	a := p.leases.Begin(budgets...)
	if a.Settled {
		return a.Decision()
	}
	p.trips++
	keys, args := a.Append(nil, nil)
	reply, err := p.redis.Run(t.Context(), leaseScript, keys, args...)
	if err != nil {
		t.Fatal(err)
	}
	if p.broken {
		a.Lose()
		d := a.Decision()
		d.Allowed = a.Paid()
		return d
	}
	list, _ := reply.([]any)
	d, ok := a.Settle(list)
	if !ok {
		t.Fatalf("reply %v", reply)
	}
	return d
}

// Whatever processes do, and whatever trips are lost, no fixed window of a
// counter lets in more than the limit, and a process alone loses nothing.
func TestLeasedTraffic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 11))
			mr := miniredis.RunT(t)
			now := time.UnixMilli(1_800_000_000_000 + rnd.Int64N(100_000))
			clock := func() time.Time { return now }
			c := client(t, mr.Addr())
			processes := make([]*process, 1+seed%4)
			for i := range processes {
				processes[i] = &process{leases: NewLeases[name](100, clock), redis: c}
			}
			tenant := Policy{"tenant", 150 + rnd.IntN(400), 10 * time.Second}
			user := Policy{"user", tenant.Limit / (1 + rnd.IntN(3)), 10 * time.Second}
			faulty := seed >= 4
			in, users := map[int64]int{}, map[string]int{}
			for i := range 2_000 {
				if rnd.IntN(4) == 0 {
					now = now.Add(time.Duration(rnd.IntN(60)) * time.Millisecond)
				}
				if rnd.IntN(800) == 0 {
					now = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
				}
				mr.SetTime(now)
				p := processes[rnd.IntN(len(processes))]
				p.broken = faulty && rnd.IntN(50) == 0
				who := name(fmt.Sprint("u", rnd.IntN(4)))
				if p.take(t, Budget[name]{tenant, "t"}, Budget[name]{user, who}).Allowed {
					window := now.UnixMilli() / 10_000
					in[window]++
					users[fmt.Sprint(window, who)]++
					if in[window] > tenant.Limit || users[fmt.Sprint(window, who)] > user.Limit {
						t.Fatalf("request %d: over the limit: %d of %d, %d of %d", i, in[window], tenant.Limit, users[fmt.Sprint(window, who)], user.Limit)
					}
				}
				if rnd.IntN(200) == 0 {
					if err := p.leases.GiveBack(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				}
			}
			most := 0
			for _, n := range in {
				most = max(most, n)
			}
			if spare := tenant.Limit - most; len(processes) == 1 && !faulty && user.Limit == tenant.Limit && spare > tenant.Limit/10 {
				t.Errorf("the busiest window let in %d of %d", most, tenant.Limit)
			}
		})
	}
}

// A process alone lets in exactly the limit, in far fewer trips.
func TestOneProcessLosesNothingByLeasing(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	now := time.UnixMilli(1_800_000_000_000)
	mr.SetTime(now)
	p := &process{leases: NewLeases[name](10, func() time.Time { return now }), redis: client(t, mr.Addr())}
	b := Budget[name]{Policy{"tenant", 3000, time.Minute}, "t"}
	for i := range 3000 {
		d := p.take(t, b)
		if !d.Allowed || d.States[0].Remaining != 2999-i {
			t.Fatalf("request %d: %+v", i, d)
		}
	}
	if d := p.take(t, b); d.Allowed || d.Denied != 0 || d.RetryAfter() <= 0 {
		t.Errorf("over the limit: %+v", d)
	}
	if p.trips > 200 {
		t.Errorf("%d trips for 3000 requests", p.trips)
	}
}

// The worst that leases do: what the other processes hold is refused early,
// a fiftieth of the limit each, and is there again when they gave it back.
func TestWorstLossIsWhatOthersHold(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	now := time.UnixMilli(1_800_000_000_000)
	mr.SetTime(now)
	c := client(t, mr.Addr())
	b := Budget[name]{Policy{"tenant", 1000, time.Minute}, "t"}
	var ps []*process
	in := 0
	for range 3 {
		p := &process{leases: NewLeases[name](10, func() time.Time { return now }), redis: c}
		for range 40 { // enough to hold a whole block
			p.take(t, b)
			in++
		}
		ps = append(ps, p)
	}
	for ps[0].take(t, b).Allowed {
		in++
	}
	loss := 1000 - in
	if loss < 1 || loss > 2*1000/LeaseShare {
		t.Errorf("%d refused early", loss)
	}
	now = now.Add(LeaseLife)
	mr.SetTime(now)
	for _, p := range ps {
		if err := p.leases.GiveBack(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range loss {
		if !ps[i%3].take(t, b).Allowed {
			t.Fatalf("%d of %d came back", i, loss)
		}
		for _, p := range ps {
			p.leases.Close()
			if err := p.leases.GiveBack(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ps[1].take(t, b).Allowed {
		t.Error("more came back than was held")
	}
}

func TestSmallAndIdleBudgetsAreExact(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	now := time.UnixMilli(1_800_000_000_000)
	mr.SetTime(now)
	p := &process{leases: NewLeases[name](10, func() time.Time { return now }), redis: client(t, mr.Addr())}
	small := Budget[name]{Policy{"small", ExactUpTo, time.Minute}, "t"}
	for range ExactUpTo {
		p.take(t, small)
	}
	if p.trips != ExactUpTo {
		t.Errorf("a small budget made %d trips for %d", p.trips, ExactUpTo)
	}
	for range 100 {
		if d := p.take(t, small); d.Allowed || d.Denied != 0 || d.States[0].Remaining != 0 || d.RetryAfter() != time.Minute {
			t.Fatalf("over a small budget: %+v", d)
		}
	}
	if p.trips != ExactUpTo+1 {
		t.Errorf("100 refusals of a small budget made %d trips", p.trips-ExactUpTo)
	}
	now = now.Add(time.Minute - LeaseLife/2)
	mr.SetTime(now)
	if p.take(t, small).Allowed {
		t.Error("let in before the first left the window")
	}
	// Half a life later: the refusal is remembered no longer than it holds.
	now = now.Add(LeaseLife / 2)
	mr.SetTime(now)
	for range ExactUpTo {
		if d := p.take(t, small); !d.Allowed {
			t.Fatalf("after the window: %+v", d)
		}
	}
	p.trips = 0
	idle := Budget[name]{Policy{"idle", 10_000, time.Minute}, "t"}
	for range 10 {
		p.take(t, idle)
		now = now.Add(3 * LeaseLife)
		mr.SetTime(now)
	}
	if p.trips != 10 || len(p.leases.held) != 0 {
		t.Errorf("an idle budget made %d trips for 10, and %d leases are held", p.trips, len(p.leases.held))
	}
}

// A refusal by one budget takes nothing of the other, and neither does a
// request that is taken back.
func TestRefusedAndUndoneRequestsCostNothing(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	now := time.UnixMilli(1_800_000_000_000)
	mr.SetTime(now)
	c := client(t, mr.Addr())
	p := &process{leases: NewLeases[name](10, func() time.Time { return now }), redis: c}
	tenant, user := Budget[name]{Policy{"tenant", 1000, time.Minute}, "t"}, Budget[name]{Policy{"user", 200, time.Minute}, "u"}
	for range 200 {
		if !p.take(t, tenant, user).Allowed {
			t.Fatal("refused early")
		}
	}
	for range 50 {
		if d := p.take(t, tenant, user); d.Allowed || d.Denied != 1 {
			t.Fatalf("%+v", d)
		}
	}
	other := Budget[name]{user.Policy, "v"}
	for range 20 {
		a := p.leases.Begin(tenant, other)
		a.Append(nil, nil)
		a.Undo()
	}
	if d := p.take(t, tenant, other); !d.Allowed || d.States[0].Remaining != 799 || d.States[1].Remaining != 199 {
		t.Errorf("%+v", d)
	}
	now = now.Add(LeaseLife)
	mr.SetTime(now)
	a := p.leases.Begin(tenant, other)
	a.Append(nil, nil)
	a.Undo() // with what it was about to give back
	if err := p.leases.GiveBack(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got, _ := mr.Get("rl:tenant:t"); got != fmt.Sprintf("%d 201 0", now.UnixMilli()/60_000*60_000) {
		t.Errorf("charged %q", got)
	}
}

func TestLeasesAreBoundedAndFollowThePlan(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	now := time.UnixMilli(1_800_000_000_000)
	mr.SetTime(now)
	c := client(t, mr.Addr())
	p := &process{leases: NewLeases[name](2, func() time.Time { return now }), redis: c}
	for i := range 10 {
		for range 10 {
			p.take(t, Budget[name]{Policy{"tenant", 1000, time.Minute}, name(fmt.Sprint(i))})
		}
	}
	if p.leases.all.Len() != 2 || len(p.leases.held) > 2 || len(p.leases.returns) == 0 {
		t.Errorf("%d leases, %d held, %d to give back", p.leases.all.Len(), len(p.leases.held), len(p.leases.returns))
	}
	// A smaller plan holds at once.
	b := Budget[name]{Policy{"tenant", 200, time.Minute}, "9"}
	in := 10
	for p.take(t, b).Allowed {
		in++
	}
	if in > 200 {
		t.Errorf("%d let in after the limit became 200", in)
	}
	mr.Close()
	p.leases.Close()
	p.leases.returns = append(p.leases.returns, giveBack{"rl:x:y", 60_000, 1, 0})
	if err := p.leases.GiveBack(context.Background(), c); err == nil || len(p.leases.returns) != 0 {
		t.Errorf("a failed return: %v, %d kept", err, len(p.leases.returns))
	}
}

func TestStrangeLeaseRepliesAreNotBelieved(t *testing.T) {
	t.Parallel()
	l := NewLeases[name](10, nil)
	b := Budget[name]{Policy{"p", 1000, time.Minute}, "k"}
	for _, reply := range [][]any{nil, {}, {"0"}, {int64(0), int64(1), int64(1)}, {int64(0), int64(1), "9", int64(1), int64(0)}} {
		a := l.Begin(b)
		if d, ok := a.Settle(reply); ok {
			t.Errorf("%v: %+v", reply, d)
		}
	}
	if a := l.Begin(b); !a.claims[0].owner {
		t.Error("a strange reply keeps a lease from being asked for")
	}
}

// Who goes on after a refusal costs no more trips until something fits again,
// and is let in then. Another plan is looked at anew.
func TestRefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	now := time.UnixMilli(1_800_000_000_000)
	mr.SetTime(now)
	p := &process{leases: NewLeases[name](100, func() time.Time { return now }), redis: client(t, mr.Addr())}
	tenant, user := Budget[name]{Policy{"tenant", 300, 10 * time.Second}, "t"}, Budget[name]{Policy{"user", 200, 10 * time.Second}, "u"}
	var first Decision
	for first = p.take(t, tenant, user); first.Allowed; first = p.take(t, tenant, user) {
	}
	trips := p.trips
	for range 1000 {
		again := p.take(t, tenant, user)
		if again.Allowed || again.Denied != first.Denied || again.States[1] != first.States[1] {
			t.Fatalf("%+v, and before it %+v", again, first)
		}
	}
	if p.trips != trips {
		t.Errorf("1000 refusals took %d trips", p.trips-trips)
	}
	if !p.take(t, tenant, Budget[name]{user.Policy, "another"}).Allowed {
		t.Error("another person of the tenant was refused")
	}
	user.Policy.Limit = 250
	if !p.take(t, tenant, user).Allowed {
		t.Error("a larger limit was refused")
	}
	user.Policy.Limit = 200
	now = now.Add(first.RetryAfter())
	for waited := time.Duration(0); !p.take(t, tenant, user).Allowed; waited += 100 * time.Millisecond {
		if waited > 2*user.Policy.Window {
			t.Fatal("nothing fits again")
		}
		now = now.Add(100 * time.Millisecond)
		mr.SetTime(now)
	}
}
