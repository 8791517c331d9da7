// Package cache is the platform's way to Redis: short calls that give up
// early, a circuit that makes an outage cost nothing, and values that can be
// dropped without a racing reader bringing them back. It also holds [Local],
// the cache inside one process.
//
// Nothing in Redis is the only copy of anything, so every caller must have an
// answer to [ErrUnavailable]: read the database, or decide in process. Keys of
// what belongs to somebody begin with whose it is (tenant or user), since a key
// without it is how one tenant comes to read another's value.
//
// To add a kind of access, add a method that goes through (*Client).do: it
// alone counts the trip, consults the circuit and sorts errors.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/trips"
)

// ErrUnavailable is every way in which Redis can fail to answer: down, slow,
// loading, a replica, out of memory, or refused by the circuit without asking.
var ErrUnavailable = errors.New("cache: redis is unavailable")

// Config says where Redis is and how long it may take.
type Config struct {
	// URL is redis://… or rediss://… (TLS), with user and password if any.
	URL config.Secret `env:"REDIS_URL,required"`
	// Timeout bounds each of: waiting for a connection, dialling, writing,
	// reading.
	Timeout time.Duration `env:"REDIS_TIMEOUT" envDefault:"100ms"`
	// PoolSize is the most connections this process holds.
	PoolSize int `env:"REDIS_POOL_SIZE" envDefault:"32"`
	// Failures in a row open the circuit…
	Failures uint32 `env:"REDIS_CIRCUIT_FAILURES" envDefault:"5"`
	// …for this long; then one call tries again.
	Cooldown time.Duration `env:"REDIS_CIRCUIT_COOLDOWN" envDefault:"1s"`
}

// Validate refuses an address that does not parse and limits that cannot work.
func (c Config) Validate() error {
	var faults []error
	if _, err := redis.ParseURL(c.URL.Reveal()); c.URL.IsSet() && err != nil {
		faults = append(faults, config.Invalid("REDIS_URL", "is not a redis:// or rediss:// address"))
	}
	if c.Timeout <= 0 {
		faults = append(faults, config.Invalid("REDIS_TIMEOUT", "must be above 0"))
	}
	if c.PoolSize < 1 {
		faults = append(faults, config.Invalid("REDIS_POOL_SIZE", "must be at least 1"))
	}
	if c.Failures < 1 {
		faults = append(faults, config.Invalid("REDIS_CIRCUIT_FAILURES", "must be at least 1"))
	}
	if c.Cooldown <= 0 {
		faults = append(faults, config.Invalid("REDIS_CIRCUIT_COOLDOWN", "must be above 0"))
	}
	return errors.Join(faults...)
}

// A Client is a pool of connections behind a circuit. It is safe for use by
// many goroutines.
type Client struct {
	rdb     *redis.Client
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	state   health
}

// Open makes a client and dials nothing; the first call does. A zero limit in
// cfg means its default.
func Open(cfg Config) (*Client, error) {
	opt, err := redis.ParseURL(cfg.URL.Reveal())
	if err != nil {
		return nil, errors.New("cache: REDIS_URL is not a redis:// or rediss:// address")
	}
	cfg = cfg.withDefaults()
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout, cfg.Timeout
	opt.ContextTimeoutEnabled = true
	opt.PoolSize = cfg.PoolSize
	// A repeat would be a second trip that nobody counted, at the moment Redis
	// can bear it least; callers have another answer.
	opt.MaxRetries, opt.DialerRetries = -1, 1
	// Protocol 2 and no client name spare each new connection a handshake.
	opt.Protocol, opt.DisableIdentity = 2, true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

	// The library prints each failed dial, in a form of its own; our log says
	// once that Redis is down.
	redis.SetLogger(&logging.VoidLogger{})
	c := &Client{rdb: redis.NewClient(opt)}
	c.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:          "redis",
		Timeout:       cfg.Cooldown,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= cfg.Failures },
		IsSuccessful:  func(err error) bool { return !errors.Is(err, ErrUnavailable) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, _, to gobreaker.State) { c.state.change(to) },
	})
	return c, nil
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = 100 * time.Millisecond
	}
	if c.PoolSize < 1 {
		c.PoolSize = 32
	}
	if c.Failures < 1 {
		c.Failures = 5
	}
	if c.Cooldown <= 0 {
		c.Cooldown = time.Second
	}
	return c
}

// Close gives the connections back.
func (c *Client) Close() error { return c.rdb.Close() }

// OnChange calls f when Redis is found down (false) and when it answers again
// (true): once per change, not per call. Set it before the first call.
func (c *Client) OnChange(f func(up bool)) { c.state.notify = f }

// Up reports whether the circuit lets calls through. It asks nobody.
func (c *Client) Up() bool { return !c.state.down.Load() }

// Ping asks Redis for a sign of life.
func (c *Client) Ping(ctx context.Context) error {
	return c.do(ctx, func() error { return c.rdb.Ping(ctx).Err() })
}

// Pipeline sends what queue adds in one trip. Results are in the commands that
// queue kept; a command's own redis.Nil is not an error of the pipeline.
func (c *Client) Pipeline(ctx context.Context, queue func(redis.Pipeliner)) error {
	return c.do(ctx, func() error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { queue(p); return nil })
		return err
	})
}

// do runs one trip.
func (c *Client) do(ctx context.Context, trip func() error) error {
	done, err := c.circuit.Allow()
	if err != nil {
		return ErrUnavailable
	}
	trips.Redis(ctx)
	err = sort(ctx, trip())
	done(err)
	return err
}

// unavailable are the replies by which a server says that it is not able to
// serve at present, as against "you asked something wrong".
var unavailable = []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "OOM", "MISCONF", "BUSY", "ERR max number of clients"}

// sort tells outages from answers and from a caller who went away.
func sort(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		for _, prefix := range unavailable {
			if redis.HasErrorPrefix(err, prefix) {
				return fmt.Errorf("%w: %w", ErrUnavailable, err)
			}
		}
		return fmt.Errorf("cache: %w", err)
	}
	// The caller's own cancellation says nothing about Redis; a deadline does,
	// when it leaves Redis the time that it should need.
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
