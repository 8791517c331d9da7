package cache

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// A Script is Lua that runs inside Redis. It may use redis.call, cjson and
// plain Lua only: what every server we run on has, the in-process one too.
type Script struct{ script *redis.Script }

// NewScript prepares Lua source; it talks to nobody.
func NewScript(source string) *Script { return &Script{redis.NewScript(source)} }

// Run calls s by its hash and gives its reply: int64, string, nil or []any.
// Where the server has forgotten s (a restart, a fail-over), the source is sent
// again: a second trip then, and only then.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) (reply any, err error) {
	unknown := false
	err = c.do(ctx, func() error {
		r := s.script.EvalSha(ctx, c.rdb, keys, args...)
		if unknown = redis.HasErrorPrefix(r.Err(), "NOSCRIPT"); unknown {
			return nil
		}
		reply = r.Val()
		return r.Err()
	})
	if unknown {
		err = c.do(ctx, func() (err error) {
			reply, err = s.script.Eval(ctx, c.rdb, keys, args...).Result()
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return reply, nil
}
