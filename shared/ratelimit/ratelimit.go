// Package ratelimit decides whether one more request fits into the limits it
// falls under, all of them in one trip to Redis, and in process when Redis is
// down.
//
// Two algorithms, chosen by the limit. Up to [ExactUpTo] a bucket is a sliding
// log: the times of what was let in during the last window, so that a promise
// such as "5 a minute" holds over every minute there is. Above it a bucket is a
// sliding window counter, which weighs the previous fixed window by how much of
// it the sliding one still covers: three numbers a bucket, never more than the
// limit in a fixed window (Cloudflare, "How we built rate limiting capable of
// scaling to millions of domains", 2017). A request refused by one bucket is
// charged to none: who hammers one door does not fill the others' budgets.
//
// A process that lives on may take requests out of a budget in blocks: [Leases].
//
// [Lua] and [Memory] are the same two algorithms twice; a test runs both on the
// same random traffic and compares. Change them together.
package ratelimit

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/coditect/platform/shared/cache"
)

// ExactUpTo is the largest limit kept as a log, which costs an entry a request.
const ExactUpTo = 128

// A Policy is so many requests in so long.
type Policy struct {
	// Name is part of the Redis key and of the answer's headers: lower case
	// letters, digits and "-". Two policies of one name share budgets.
	Name string
	// Limit is the most requests let in per Window; 0 lets none in.
	Limit int
	// Window is how far back a request counts, in whole milliseconds.
	Window time.Duration
}

// A Bucket is one budget of a policy: whose is it?
type Bucket struct {
	Policy Policy
	// Key says whose: a tenant, a user within a tenant, an address, a hash of
	// an account. Never a secret or an address of a person in clear.
	Key string
}

// RedisKey is where the bucket is kept.
func (b Bucket) RedisKey() string { return "rl:" + b.Policy.Name + ":" + b.Key }

// A State is how full one bucket is after a decision.
type State struct {
	Policy Policy
	// Remaining is how many more requests fit now.
	Remaining int
	// Reset is how long until more fit than Remaining says; for a bucket that
	// refused, how long until one does.
	Reset time.Duration
}

// A Decision is the outcome for all buckets of one request.
type Decision struct {
	Allowed bool
	// Denied is the index of the first bucket that refused, or -1.
	Denied int
	States []State
	// InProcess tells that Redis was not asked or did not answer.
	InProcess bool
}

// RetryAfter is how long a refused client should wait.
func (d Decision) RetryAfter() time.Duration {
	if d.Denied < 0 || d.Denied >= len(d.States) {
		return 0
	}
	return d.States[d.Denied].Reset
}

// SetHeaders writes RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers-10: structured fields, seconds).
func (d Decision) SetHeaders(h http.Header) {
	if len(d.States) == 0 {
		return
	}
	limits, policies := make([]byte, 0, 96), make([]byte, 0, 96)
	for i, s := range d.States {
		if i > 0 {
			limits, policies = append(limits, ", "...), append(policies, ", "...)
		}
		limits = append(append(append(limits, '"'), s.Policy.Name...), `";r=`...)
		limits = strconv.AppendInt(limits, int64(s.Remaining), 10)
		limits = strconv.AppendInt(append(limits, ";t="...), seconds(s.Reset), 10)
		policies = append(append(append(policies, '"'), s.Policy.Name...), `";q=`...)
		policies = strconv.AppendInt(policies, int64(s.Policy.Limit), 10)
		policies = strconv.AppendInt(append(policies, ";w="...), seconds(s.Policy.Window), 10)
	}
	both := [...]string{string(limits), string(policies)}
	h["Ratelimit"], h["Ratelimit-Policy"] = both[0:1:1], both[1:2:2]
}

// seconds rounds up, so that who obeys does not come back too early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// A Limiter asks Redis, and decides in process when Redis cannot say. Limits
// then hold per process: with n instances a client can get n times as much.
type Limiter struct {
	redis  *cache.Client
	memory *Memory
}

// New makes a Limiter. memory may be shared with other limiters.
func New(redis *cache.Client, memory *Memory) *Limiter { return &Limiter{redis, memory} }

var take = cache.NewScript(Lua + `return rl_take(KEYS, 1, ARGV, 1)`)

// Take charges one request to every bucket, or to none if any refuses. It
// always decides.
func (l *Limiter) Take(ctx context.Context, buckets ...Bucket) Decision {
	keys, args := make([]string, 0, len(buckets)), make([]any, 0, 2*len(buckets))
	for _, b := range buckets {
		keys, args = append(keys, b.RedisKey()), AppendArgs(args, b.Policy)
	}
	reply, err := l.redis.Run(ctx, take, keys, args...)
	if err == nil {
		if d, ok := Decode(reply, buckets); ok {
			return d
		}
	}
	d := l.memory.Take(buckets...)
	d.InProcess = true
	return d
}

// AppendArgs adds what rl_take of [Lua] wants to know of a policy.
func AppendArgs(args []any, p Policy) []any {
	return append(args, p.Limit, p.Window.Milliseconds())
}

// Decode reads the reply of rl_take for the same buckets.
func Decode(reply any, buckets []Bucket) (Decision, bool) {
	list, ok := reply.([]any)
	if !ok || len(list) != 1+2*len(buckets) {
		return Decision{}, false
	}
	denied, ok := list[0].(int64)
	if !ok {
		return Decision{}, false
	}
	d := Decision{Allowed: denied == 0, Denied: int(denied) - 1, States: make([]State, len(buckets))}
	for i, b := range buckets {
		remaining, ok1 := list[1+2*i].(int64)
		reset, ok2 := list[2+2*i].(int64)
		if !ok1 || !ok2 {
			return Decision{}, false
		}
		d.States[i] = State{b.Policy, int(remaining), time.Duration(reset) * time.Millisecond}
	}
	return d, true
}
