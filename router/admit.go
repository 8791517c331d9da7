package router

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

const (
	// planLife is also how long it takes at most until an upgrade is seen.
	planLife = 60 * time.Second
	maxPlans = 100_000
)

var (
	errRevoked = errs.New(errs.Unauthenticated, "token_revoked", "The session of this access token has ended.")
	errRate    = errs.New(errs.TooMany, "rate_limited", "Too many requests.")
	errQuota   = errs.New(errs.Payment, "quota_exceeded", "The organization has used all requests of the month that its plan includes")
)

// allowance is what the router knows of a tenant's plan.
type allowance struct {
	perMinute int // 0 is no limit
	// usedUntil is when the requests of the month begin anew, where they are used
	// up and the plan does not go on beyond them; else zero.
	usedUntil time.Time
}

// exhausted refuses while the month's requests are used up. With the next month
// it ends by itself, whatever is remembered.
func (p allowance) exhausted(now time.Time) error {
	wait := p.usedUntil.Sub(now)
	if wait <= 0 {
		return nil
	}
	e := errQuota.WithRetry(wait)
	e.Detail += "; they begin anew at " + p.usedUntil.UTC().Format(time.RFC3339) + ". An owner can upgrade the plan before then."
	return e
}

// admission decides whether a session still lives and whether the request fits
// its budgets: from what this process remembers and has leased, or in one trip
// to Redis. While Redis is down sessions are auth's to know and budgets are this
// process's own.
type admission struct {
	limits   LimitConfig
	redis    *cache.Client
	memory   *ratelimit.Memory
	leases   *ratelimit.Leases[holder]
	ask      asker
	sessions *sessions
	plans    *cache.Local[ids.ID, allowance]
	// distrust is until when "live" in Redis is not believed, in Unix
	// nanoseconds.
	distrust atomic.Int64
	now      func() time.Time
}

// asker is what the router asks functions.
type asker interface {
	session(ctx context.Context, user, session ids.ID) (live bool, err error)
	plan(ctx context.Context, tenant ids.ID) (allowance, error)
}

// holder is whose a budget is: a tenant's, a person's, a person's in a tenant,
// or an address's.
type holder struct {
	tenant, user ids.ID
	address      string
}

// String is the end of the budget's key in Redis.
func (h holder) String() string {
	switch {
	case h.address != "":
		return h.address
	case h.tenant == ids.Nil:
		return h.user.String()
	case h.user == ids.Nil:
		return h.tenant.String()
	}
	return h.tenant.String() + ":" + h.user.String()
}

type budget = ratelimit.Budget[holder]

func newAdmission(cfg LimitConfig, redis *cache.Client, memory *ratelimit.Memory, ask asker, now func() time.Time) *admission {
	return &admission{limits: cfg, redis: redis, memory: memory, ask: ask, now: now,
		leases:   ratelimit.NewLeases[holder](cfg.Buckets, now),
		sessions: newSessions(now),
		plans:    cache.NewLocal[ids.ID, allowance](cache.LocalConfig{Size: maxPlans, KeepStale: keepKnown, Now: now}),
	}
}

// admitScript: KEYS are the session and the budgets; ARGV is 1 where there is a
// session to look at, then what rl_lease wants. It gives {0 unknown, 1 live or
// 2 revoked, then what rl_lease gives}; nothing is charged to a revoked session.
var admitScript = cache.NewScript(ratelimit.Lua + `
local state = 0
if ARGV[1] == '1' then
  local said = redis.call('GET', KEYS[1])
  if said == 'revoked' then return {2} end
  if said == 'live' then state = 1 end
end
local out = rl_lease(KEYS, 2, ARGV, 2)
table.insert(out, 1, state)
return out
`)

// person admits a request with a token. d is set as soon as budgets were
// looked at, whatever the verdict. What the plan allows was asked for the
// budgets already: the month's requests cost no question of their own.
func (a *admission) person(ctx context.Context, p *identity.Principal, r *Route) (d ratelimit.Decision, err error) {
	var few [2]budget
	budgets, plan := a.budgets(ctx, few[:0], p, r.Essential)
	d, err = a.admit(ctx, p, budgets)
	if err == nil && r.Quota {
		err = plan.exhausted(a.now())
	}
	return d, err
}

// address admits a request to a public route. A token that came along and
// whose session has ended, or cannot be known to live, is not to be passed on.
func (a *admission) address(ctx context.Context, p *identity.Principal, ip netip.Addr) (d ratelimit.Decision, token bool, err error) {
	few := [1]budget{a.addressBudget(ip)}
	if p == nil {
		p = &identity.Principal{}
	}
	d, err = a.admit(ctx, p, few[:])
	if len(d.States) == 0 { // the session is revoked, and nothing was charged
		d = a.memory.Take(few[0].Bucket())
		err = nil
		if !d.Allowed {
			err = errRate.WithRetry(d.RetryAfter())
		}
		return d, false, err
	}
	if err != nil && errs.KindOf(err) != errs.TooMany {
		return d, false, nil
	}
	return d, p.UserID != ids.Nil, err
}

func (a *admission) addressBudget(ip netip.Addr) budget {
	return budget{Policy: perMinute("ip", a.limits.IP), Holder: holder{address: ratelimit.AddressKey(ip)}}
}

// stranger charges a refused request to its address in this process, for the
// headers of the refusal; refusals that cost us nothing are not worth a trip.
func (a *admission) stranger(ip netip.Addr) ratelimit.Decision {
	return a.memory.Take(a.addressBudget(ip).Bucket())
}

func perMinute(name string, limit int) ratelimit.Policy {
	return ratelimit.Policy{Name: name, Limit: limit, Window: time.Minute}
}

// budgets gives those that a request is charged to, and the plan where it was
// looked at. Of a tenant whose plan cannot be known, the month is not used up.
func (a *admission) budgets(ctx context.Context, out []budget, p *identity.Principal, essential bool) ([]budget, allowance) {
	switch {
	case essential:
		return append(out, budget{Policy: perMinute("essential", a.limits.Essential), Holder: holder{user: p.UserID}}), allowance{}
	case !p.HasTenant():
		return append(out, budget{Policy: perMinute("user", a.limits.User), Holder: holder{user: p.UserID}}), allowance{}
	}
	plan, known := a.plans.Peek(p.TenantID)
	if !known {
		var err error
		plan, err = a.plans.Get(ctx, p.TenantID, func(ctx context.Context) (allowance, time.Duration, error) {
			plan, err := a.ask.plan(ctx, p.TenantID)
			return plan, planLife, err
		})
		if err != nil {
			plan = allowance{perMinute: a.limits.Tenant}
		}
	}
	limit := plan.perMinute
	if limit == 0 { // the plan has no limit: the edge's own
		limit = 1_000_000
	}
	return append(out,
		budget{Policy: perMinute("tenant", limit), Holder: holder{tenant: p.TenantID}},
		budget{Policy: perMinute("user", max(1, limit*a.limits.UserPercent/100)), Holder: holder{tenant: p.TenantID, user: p.UserID}}), plan
}

func (a *admission) admit(ctx context.Context, p *identity.Principal, budgets []budget) (d ratelimit.Decision, err error) {
	s := session{p.UserID, p.SessionID}
	// Nobody, or another issuer's token: it has no session of ours.
	known, asked, epoch := live, time.Time{}, uint64(0)
	if s.id != ids.Nil {
		known, asked, epoch = a.sessions.know(s)
	}
	if known == revoked {
		return d, errRevoked
	}
	claim := a.leases.Begin(budgets...)
	if claim.Settled && known == live {
		if d := claim.Decision(); !d.Allowed {
			return d, errRate.WithRetry(d.RetryAfter())
		}
		return claim.Decision(), nil
	}
	said, d := a.trip(ctx, s, &claim, budgets)
	switch {
	case said == revoked:
		a.sessions.learn(s, false, asked, epoch)
		return ratelimit.Decision{}, errRevoked
	case s.id == ids.Nil:
	case said == live && a.now().UnixNano() >= a.distrust.Load():
		a.sessions.learn(s, true, asked, epoch)
	case known == unknown:
		if err := a.askSession(ctx, s); err != nil {
			return d, err
		}
	}
	if !d.Allowed {
		return d, errRate.WithRetry(d.RetryAfter())
	}
	return d, nil
}

// trip asks Redis of the session and for what the claim lacks. Where Redis does
// not answer, the budgets are this process's own.
func (a *admission) trip(ctx context.Context, s session, claim *ratelimit.Ask[holder], budgets []budget) (state, ratelimit.Decision) {
	keys, args := make([]string, 1, 3), make([]any, 1, 13)
	keys[0], args[0] = "sess:none", 0
	if s.id != ids.Nil {
		keys[0], args[0] = "sess:"+s.id.String(), 1
	}
	keys, args = claim.Append(keys, args)
	reply, err := a.redis.Run(ctx, admitScript, keys, args...)
	list, _ := reply.([]any)
	if err != nil || len(list) == 0 {
		claim.Lose()
	} else if said, _ := list[0].(int64); state(said) == revoked {
		claim.Undo()
		return revoked, ratelimit.Decision{}
	} else if d, ok := claim.Settle(list[1:]); ok {
		return state(said), d
	}
	if claim.Paid() { // before Redis went away
		return unknown, claim.Decision()
	}
	var few [2]ratelimit.Bucket
	buckets := few[:0]
	for _, b := range budgets {
		buckets = append(buckets, b.Bucket())
	}
	d := a.memory.Take(buckets...)
	d.InProcess = true
	return unknown, d
}

func (a *admission) askSession(ctx context.Context, s session) error {
	alive, err := a.sessions.ask(ctx, s, func(ctx context.Context) (bool, error) { return a.ask.session(ctx, s.user, s.id) })
	switch {
	case err != nil:
		return err
	case !alive:
		return errRevoked
	}
	return nil
}
