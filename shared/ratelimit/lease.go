package ratelimit

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/coditect/platform/shared/cache"
)

const (
	// LeaseLife is how long leased requests may be used. What is left then is
	// given back.
	LeaseLife = time.Second
	// LeaseShare is how much of a limit one process holds at most: a fiftieth.
	// With n processes a client may be refused up to (n-1)/50 of its limit
	// early, for as long as [LeaseLife] and the beat of [Leases.GiveBack].
	LeaseShare = 50
	// maxReturns bounds what waits to be given back; what does not fit is lost
	// to its client until the window has passed.
	maxReturns  = 10_000
	givenAtOnce = 500
)

// A Holder is whose a budget is, in a form that is cheap to compare. String
// gives a [Bucket]'s Key, and is called only when Redis is asked.
type Holder interface {
	comparable
	String() string
}

// A Budget is a bucket that is known by its holder.
type Budget[H Holder] struct {
	Policy Policy
	Holder H
}

// Bucket is the same by its key.
func (b Budget[H]) Bucket() Bucket { return Bucket{b.Policy, b.Holder.String()} }

// Leases lets a process that lives on take requests out of shared budgets in
// blocks, so that most requests need no trip. A block is charged in Redis before
// any of it is used and is used only within the same fixed window, so no number
// of processes ever lets in more than the limit. The price is the other way
// round: what one process holds, another cannot give out ([LeaseShare]).
//
// The first request of an idle budget is a block of one. Blocks double while
// they last less than [LeaseLife], up to a fiftieth of the limit, and become
// smaller again as the budget runs out: never more than an eighth of what is
// left. A limit of up to [ExactUpTo] is never leased; only its refusals are
// remembered. A block is replaced before it is used up, by one request, while the
// others go on with the rest of it.
//
// A refusal is remembered for as long as Redis says that nothing more fits, and
// for [LeaseLife] at most: who asks for fifty times their limit costs a trip for
// each request that they are let in, not for each that they make. What others
// give back meanwhile is let in that much later.
//
// A crash loses what was held: its clients are refused that much early until the
// window has passed. It lets nobody in.
type Leases[H Holder] struct {
	mu      sync.Mutex
	all     *simplelru.LRU[budgetName[H], *lease]
	held    map[*lease]struct{} // those that may hold something
	returns []giveBack
	closed  bool
	now     func() time.Time
}

type budgetName[H Holder] struct {
	policy string
	holder H
}

// lease is what a process holds of one budget.
type lease struct {
	key    string
	policy Policy
	size   int64 // when it was granted
	left   int64
	mark   int64 // at which it is replaced
	since  int64 // the window that it was charged to, in Redis's milliseconds
	taken  time.Time
	until  time.Time
	// remaining and reset are what Redis said last.
	remaining int64
	reset     time.Time
	refused   time.Time // until when Redis need not be asked again
	asking    bool      // one request replaces it at a time
}

type giveBack struct {
	key         string
	window      int64
	left, since int64
}

// NewLeases makes leases for at most size budgets; now nil means time.Now.
func NewLeases[H Holder](size int, now func() time.Time) *Leases[H] {
	if now == nil {
		now = time.Now
	}
	l := &Leases[H]{held: map[*lease]struct{}{}, now: now}
	all, err := simplelru.NewLRU(max(1, size), func(_ budgetName[H], e *lease) { l.giveUp(e) })
	if err != nil {
		panic(err) // only for a size below 1
	}
	l.all = all
	return l
}

// giveUp puts what a lease holds among the returns.
func (l *Leases[H]) giveUp(e *lease) {
	if e.left > 0 && len(l.returns) < maxReturns {
		l.returns = append(l.returns, giveBack{e.key, e.policy.Window.Milliseconds(), e.left, e.since})
	}
	e.size = max(1, e.size-e.left) // what was used
	e.left, e.mark = 0, -1
	delete(l.held, e)
}

// An Ask is one request's claim on its budgets. Begin it, and unless it is
// settled by then, end it by [Ask.Settle], [Ask.Undo] or [Ask.Lose].
type Ask[H Holder] struct {
	leases  *Leases[H]
	budgets []Budget[H]
	begun   time.Time
	claims  [2]claim
	// Settled tells that every budget was charged from what the process holds,
	// or that one is known to refuse, and that no trip is needed.
	Settled bool
	// denied is 1 and the index of a budget that is known to refuse.
	denied int
}

type claim struct {
	lease *lease // nil where the limit is exact
	key   string
	// paid tells that the request has its part of this budget already.
	paid bool
	// want is how much to ask of Redis; 0 is nothing.
	want int64
	// owner tells that what is granted beyond one is the lease's.
	owner       bool
	back, since int64
	remaining   int64
	reset       time.Duration
}

// Begin charges one request to what the process holds of its budgets, at most
// two, and finds what to ask Redis for.
func (l *Leases[H]) Begin(budgets ...Budget[H]) Ask[H] {
	a := Ask[H]{leases: l, budgets: budgets, Settled: true}
	l.mu.Lock()
	defer l.mu.Unlock()
	a.begun = l.now()
	if a.denied = l.refuses(budgets, a.begun); a.denied > 0 {
		for i := range budgets {
			if e, ok := l.all.Peek(nameOf(&budgets[i])); ok {
				a.claims[i].remaining, a.claims[i].reset = e.remaining+e.left, e.reset.Sub(a.begun)
			}
		}
		return a
	}
	for i := range budgets {
		c := &a.claims[i]
		l.claim(c, &budgets[i], a.begun)
		a.Settled = a.Settled && c.want == 0
	}
	return a
}

func (l *Leases[H]) claim(c *claim, b *Budget[H], now time.Time) {
	if b.Policy.Limit <= ExactUpTo {
		c.key, c.want = b.Bucket().RedisKey(), 1
		return
	}
	e := l.find(b)
	c.lease, c.key = e, e.key
	if e.left > 0 && now.Before(e.until) {
		e.left--
		c.paid, c.since, c.remaining, c.reset = true, e.since, e.remaining+e.left, e.reset.Sub(now)
		if e.left <= e.mark && !e.asking {
			if c.want = l.wanted(e, now) - e.left; c.want > 0 {
				c.owner, e.asking = true, true
			}
		}
		return
	}
	c.want = 1
	if !e.asking {
		c.owner, e.asking = true, true
		c.want = l.wanted(e, now)
		c.back, c.since = e.left, e.since
		e.left, e.mark = 0, -1
		delete(l.held, e)
	}
}

// refuses is 1 and the index of the first budget that is known to refuse, or 0.
func (l *Leases[H]) refuses(budgets []Budget[H], now time.Time) int {
	for i := range budgets {
		b := &budgets[i]
		if e, ok := l.all.Get(nameOf(b)); ok && e.left == 0 && e.policy == b.Policy && now.Before(e.refused) {
			return i + 1
		}
	}
	return 0
}

func nameOf[H Holder](b *Budget[H]) budgetName[H] { return budgetName[H]{b.Policy.Name, b.Holder} }

func (l *Leases[H]) find(b *Budget[H]) *lease {
	name := nameOf(b)
	e, ok := l.all.Get(name)
	if !ok {
		e = &lease{key: b.Bucket().RedisKey(), policy: b.Policy, mark: -1}
		l.all.Add(name, e)
	} else if e.policy != b.Policy { // another plan
		l.giveUp(e)
		e.policy, e.until = b.Policy, time.Time{}
	}
	return e
}

// wanted is about what the next life will use.
func (l *Leases[H]) wanted(e *lease, now time.Time) int64 {
	n := int64(1)
	switch age := now.Sub(e.taken); {
	case l.closed || age > 2*LeaseLife:
	case age < LeaseLife:
		n = 2 * e.size
	default:
		n = e.size - e.left
	}
	return max(1, min(n, int64(e.policy.Limit/LeaseShare)))
}

// Append adds to a script's keys and arguments what rl_lease of [Lua] wants to
// know: for each budget the limit, the window in milliseconds, how much is
// wanted, 1 if the request depends on it, how much is given back, and the window
// that this was charged to.
func (a *Ask[H]) Append(keys []string, args []any) ([]string, []any) {
	for i := range a.budgets {
		c := &a.claims[i]
		if c.want == 0 {
			continue
		}
		must := 1
		if c.paid {
			must = 0
		}
		p := a.budgets[i].Policy
		keys, args = append(keys, c.key), append(args, p.Limit, p.Window.Milliseconds(), c.want, must, c.back, c.since)
	}
	return keys, args
}

// Decision is the outcome of an Ask that is settled, or whose trip was not
// needed by the request itself.
func (a *Ask[H]) Decision() Decision {
	d := Decision{Allowed: a.denied == 0, Denied: a.denied - 1, States: make([]State, len(a.budgets))}
	for i, b := range a.budgets {
		c := &a.claims[i]
		d.States[i] = State{b.Policy, int(max(0, c.remaining)), max(0, c.reset)}
	}
	return d
}

// Paid reports whether the request has its part of every budget, whatever
// becomes of a trip.
func (a *Ask[H]) Paid() bool {
	for i := range a.budgets {
		if !a.claims[i].paid {
			return false
		}
	}
	return true
}

// Settle takes the reply of rl_lease: the first budget that refused, then for
// each how much was granted, what remains, the milliseconds until more does, and
// the window that was charged. It is false for a reply that is none, and the Ask
// is lost then.
func (a *Ask[H]) Settle(reply []any) (Decision, bool) {
	var n [9]int64
	asked := 0
	for i := range a.budgets {
		if a.claims[i].want > 0 {
			asked++
		}
	}
	ok := len(reply) == 1+4*asked
	for i := 0; ok && i < len(reply); i++ {
		n[i], ok = reply[i].(int64)
	}
	if !ok {
		a.Lose()
		return Decision{}, false
	}
	l := a.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	denied, at := -1, 1
	for i := range a.budgets {
		c := &a.claims[i]
		if c.want == 0 {
			continue
		}
		l.settle(c, a.begun, n[at:at+4])
		if at += 4; n[0] > 0 && int64(at-1)/4 == n[0] {
			denied = i
		}
	}
	if denied >= 0 {
		a.denied = denied + 1
		a.refund()
		c := &a.claims[denied]
		e := c.lease
		if e == nil { // of an exact limit nothing is held, but this
			e = l.find(&a.budgets[denied])
		}
		e.remaining, e.reset = c.remaining-e.left, a.begun.Add(c.reset)
		e.refused = a.begun.Add(min(LeaseLife, c.reset))
	}
	return a.Decision(), true
}

// settle keeps what one budget's part of a reply grants. A paid claim's own part
// is not in it.
func (l *Leases[H]) settle(c *claim, begun time.Time, n []int64) {
	granted, remaining, reset, since := n[0], n[1], time.Duration(n[2])*time.Millisecond, n[3]
	e := c.lease
	if e == nil {
		c.remaining, c.reset = remaining, reset
		return
	}
	if c.owner {
		e.asking = false
		if granted > 0 {
			l.extend(c, begun, granted, since, reset)
		} else {
			e.mark = -1 // nothing more to be had: the rest is used up first
		}
		e.remaining, e.reset = remaining, begun.Add(reset)
	}
	c.remaining, c.reset = remaining+e.left, reset
}

// extend adds a block to a lease. Both are of one window, or the old one is
// given back: its window has passed.
func (l *Leases[H]) extend(c *claim, begun time.Time, granted, since int64, reset time.Duration) {
	e := c.lease
	if e.left > 0 && e.since != since {
		l.giveUp(e)
	}
	if !c.paid {
		granted--
	}
	e.left += granted
	e.since, e.taken = since, begun
	// The script ran after begun, so the window ends no earlier than this.
	e.until = begun.Add(min(LeaseLife, reset))
	e.size = max(1, e.left)
	if !c.paid {
		e.size++
	}
	e.mark = -1
	if e.size >= 4 {
		e.mark = e.size / 4
	}
	if e.left > 0 {
		l.held[e] = struct{}{}
	}
}

// Undo takes the request back: nothing of it reached Redis.
func (a *Ask[H]) Undo() { a.end(true) }

// Lose ends an Ask whose trip failed. It may have been charged for all we know,
// so nothing is asked again and what was to be given back stays charged: a loss
// to the client of at most a block, and never more than the limit.
func (a *Ask[H]) Lose() { a.end(false) }

func (a *Ask[H]) end(undo bool) {
	l := a.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range a.budgets {
		c := &a.claims[i]
		if !c.owner {
			continue
		}
		c.lease.asking = false
		if undo && c.back > 0 && len(l.returns) < maxReturns {
			l.returns = append(l.returns, giveBack{c.key, a.budgets[i].Policy.Window.Milliseconds(), c.back, c.since})
		}
	}
	if undo {
		a.refund()
	}
}

// refund gives the request's own parts back to the leases that they came from.
func (a *Ask[H]) refund() {
	now := a.leases.now()
	for i := range a.budgets {
		c := &a.claims[i]
		if e := c.lease; c.paid && e.since == c.since && now.Before(e.until) {
			e.left++
			c.remaining++
			a.leases.held[e] = struct{}{}
		}
		c.paid = false
	}
}

var give = cache.NewScript(Lua + `return rl_give(KEYS, ARGV)`)

// GiveBack returns to Redis what leases still hold after their life. Call it
// each second or so. A trip that fails is not repeated: it may have arrived, and
// what is given back twice would be let in twice.
func (l *Leases[H]) GiveBack(ctx context.Context, c *cache.Client) error {
	l.mu.Lock()
	now := l.now()
	for e := range l.held {
		if (l.closed || !now.Before(e.until)) && !e.asking {
			l.giveUp(e)
		}
	}
	all := l.returns
	l.returns = nil
	l.mu.Unlock()
	for len(all) > 0 {
		n := min(len(all), givenAtOnce)
		keys, args := make([]string, 0, n), make([]any, 0, 3*n)
		for _, g := range all[:n] {
			keys, args = append(keys, g.key), append(args, g.window, g.left, g.since)
		}
		if _, err := c.Run(ctx, give, keys, args...); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// Close ends leasing: requests that still come are charged one by one. What is
// held goes back with the next [Leases.GiveBack].
func (l *Leases[H]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
