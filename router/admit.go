package router

import (
	"context"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/ratelimit"
)

const (
	// sessionLife is how long this process believes a session's state that it
	// was told by auth: the contract's bound on a revoked token's life.
	sessionLife = 5 * time.Second
	// liveLife is at least as long as auth leaves "live" in Redis. For as long
	// after an outage "live" is not believed: the session may have been revoked
	// while Redis could not be told.
	liveLife    = 2 * time.Minute
	maxSessions = 50_000

	planLife = 60 * time.Second
	maxPlans = 100_000
)

var (
	errRevoked = errs.New(errs.Unauthenticated, "token_revoked", "The session of this access token has ended.")
	errRate    = errs.New(errs.TooMany, "rate_limited", "Too many requests.")
)

// admission decides, in one trip to Redis, whether a session still lives and
// whether the request fits its budgets, and takes along the usage to count.
// While Redis is down sessions are auth's to know and budgets are this
// process's own.
type admission struct {
	limits   LimitConfig
	redis    *cache.Client
	memory   *ratelimit.Memory
	usage    *usage
	ask      asker
	sessions *cache.Local[session, bool]
	plans    *cache.Local[ids.ID, int]
	// distrust is until when "live" in Redis is not believed, in Unix
	// nanoseconds.
	distrust atomic.Int64
	now      func() time.Time
}

// asker is what the router asks functions.
type asker interface {
	session(ctx context.Context, user, session ids.ID) (live bool, err error)
	perMinute(ctx context.Context, tenant ids.ID) (int, error)
}

type session struct{ user, id ids.ID }

func newAdmission(cfg LimitConfig, redis *cache.Client, memory *ratelimit.Memory, u *usage, ask asker, now func() time.Time) *admission {
	return &admission{limits: cfg, redis: redis, memory: memory, usage: u, ask: ask, now: now,
		sessions: cache.NewLocal[session, bool](cache.LocalConfig{Size: maxSessions, Now: now}),
		plans:    cache.NewLocal[ids.ID, int](cache.LocalConfig{Size: maxPlans, KeepStale: keepKnown, Now: now}),
	}
}

// admitScript: KEYS are the session, the day's usage, the buckets; ARGV the
// usage to add, its tenant, then two per bucket. It gives {0 unknown, 1 live or
// 2 revoked, then what rl_take gives}.
var admitScript = cache.NewScript(ratelimit.Lua + `
local n = tonumber(ARGV[1])
if n > 0 then
  redis.call('HINCRBY', KEYS[2], ARGV[2], ARGV[1])
  redis.call('EXPIRE', KEYS[2], ` + strconv.Itoa(int(usageLife/time.Second)) + `)
end
local state = redis.call('GET', KEYS[1])
if state == 'revoked' then return {2} end
local out = rl_take(KEYS, 3, ARGV, 3)
table.insert(out, 1, state == 'live' and 1 or 0)
return out
`)

// person admits a request with a token. d is set as soon as budgets were
// looked at, whatever the verdict.
func (a *admission) person(ctx context.Context, p *identity.Principal, essential bool) (d ratelimit.Decision, err error) {
	var few [2]ratelimit.Bucket
	buckets := a.buckets(ctx, few[:0], p, essential)
	return a.admit(ctx, p, buckets)
}

// address admits a request to a public route. A token that came along and
// whose session has ended, or cannot be known to live, is not to be passed on.
func (a *admission) address(ctx context.Context, p *identity.Principal, ip netip.Addr) (d ratelimit.Decision, token bool, err error) {
	buckets := []ratelimit.Bucket{a.addressBucket(ip)}
	if p == nil {
		p = &identity.Principal{}
	}
	d, err = a.admit(ctx, p, buckets)
	if len(d.States) == 0 { // the session is revoked, and nothing was charged
		d = a.memory.Take(buckets...)
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

func (a *admission) addressBucket(ip netip.Addr) ratelimit.Bucket {
	return ratelimit.Bucket{Policy: ratelimit.Policy{Name: "ip", Limit: a.limits.IP, Window: time.Minute}, Key: ratelimit.AddressKey(ip)}
}

// stranger charges a refused request to its address in this process, for the
// headers of the refusal; refusals that cost us nothing are not worth a trip.
func (a *admission) stranger(ip netip.Addr) ratelimit.Decision {
	return a.memory.Take(a.addressBucket(ip))
}

func (a *admission) buckets(ctx context.Context, out []ratelimit.Bucket, p *identity.Principal, essential bool) []ratelimit.Bucket {
	user := p.UserID.String()
	switch {
	case essential:
		return append(out, ratelimit.Bucket{Policy: ratelimit.Policy{Name: "essential", Limit: a.limits.Essential, Window: time.Minute}, Key: user})
	case !p.HasTenant():
		return append(out, ratelimit.Bucket{Policy: ratelimit.Policy{Name: "user", Limit: a.limits.User, Window: time.Minute}, Key: user})
	}
	limit, err := a.plans.Get(ctx, p.TenantID, func(ctx context.Context) (int, time.Duration, error) {
		n, err := a.ask.perMinute(ctx, p.TenantID)
		return n, planLife, err
	})
	if err != nil {
		limit = a.limits.Tenant
	}
	if limit == 0 { // the plan has no limit: the edge's own
		limit = 1_000_000
	}
	tenant := p.TenantID.String()
	return append(out,
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "tenant", Limit: limit, Window: time.Minute}, Key: tenant},
		ratelimit.Bucket{Policy: ratelimit.Policy{Name: "user", Limit: max(1, limit*a.limits.UserPercent/100), Window: time.Minute}, Key: tenant + ":" + user})
}

func (a *admission) admit(ctx context.Context, p *identity.Principal, buckets []ratelimit.Bucket) (d ratelimit.Decision, err error) {
	state, d, err := a.trip(ctx, p, buckets)
	if err != nil {
		state = unknown
		d = a.memory.Take(buckets...)
		d.InProcess = true
	}
	if state == live && a.now().UnixNano() < a.distrust.Load() {
		state = unknown
	}
	s := session{p.UserID, p.SessionID}
	switch {
	case s.id == ids.Nil: // nobody, or another issuer's token: it has no session of ours
	case state == revoked:
		a.sessions.Put(s, false, sessionLife)
		return ratelimit.Decision{}, errRevoked
	case state == unknown:
		if err := a.askSession(ctx, s); err != nil {
			return d, err
		}
	}
	if !d.Allowed {
		return d, errRate.WithRetry(d.RetryAfter())
	}
	return d, nil
}

const (
	unknown = iota
	live
	revoked
)

func (a *admission) trip(ctx context.Context, p *identity.Principal, buckets []ratelimit.Bucket) (state int64, d ratelimit.Decision, err error) {
	keys := make([]string, 2, 4)
	keys[0], keys[1] = "sess:"+p.SessionID.String(), usageKey(a.now())
	count, tenant := int64(0), "none"
	if p.HasTenant() {
		tenant = p.TenantID.String()
		count = a.usage.take(p.TenantID)
	}
	args := make([]any, 2, 6)
	args[0], args[1] = count, tenant
	for _, b := range buckets {
		keys, args = append(keys, b.RedisKey()), ratelimit.AppendArgs(args, b.Policy)
	}
	reply, err := a.redis.Run(ctx, admitScript, keys, args...)
	if err != nil {
		a.usage.add(p.TenantID, count)
		return unknown, d, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) == 0 {
		return unknown, d, cache.ErrUnavailable
	}
	if state, ok = list[0].(int64); !ok || state == revoked {
		return state, d, nil
	}
	if d, ok = ratelimit.Decode(list[1:], buckets); !ok {
		return unknown, d, cache.ErrUnavailable
	}
	return state, d, nil
}

func (a *admission) askSession(ctx context.Context, s session) error {
	alive, err := a.sessions.Get(ctx, s, func(ctx context.Context) (bool, time.Duration, error) {
		alive, err := a.ask.session(ctx, s.user, s.id)
		return alive, sessionLife, err
	})
	switch {
	case err != nil:
		return err
	case !alive:
		return errRevoked
	}
	return nil
}

// forget drops what this process remembers of a person's sessions, after a
// request of theirs that may have ended some.
func (a *admission) forget(user ids.ID) {
	a.sessions.DropIf(func(s session) bool { return s.user == user })
}
