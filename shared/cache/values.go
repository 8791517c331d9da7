package cache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// tombstone stands where a dropped value was. NUL keeps it apart from anything
// that is stored as text or JSON.
const tombstone = "\x00dropped"

// TombstoneTTL is how long a dropped key refuses to be filled. It must outlive
// the longest time between a reader's look into the database and its [Client.Fill]:
// a request's total time.
const TombstoneTTL = 30 * time.Second

// Get reads a value; absent and dropped are both false.
func (c *Client) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	err = c.do(ctx, func() error {
		value, err = c.rdb.Get(ctx, key).Bytes()
		found = err == nil
		return err
	})
	if err != nil || !found || string(value) == tombstone {
		return nil, false, err
	}
	return value, true, nil
}

// GetMany reads several values in one trip, each nil where absent or dropped.
func (c *Client) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	out := make([][]byte, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	err := c.do(ctx, func() error {
		vs, err := c.rdb.MGet(ctx, keys...).Result()
		for i, v := range vs {
			if s, ok := v.(string); ok && s != tombstone {
				out[i] = []byte(s)
			}
		}
		return err
	})
	return out, err
}

// Set writes a value over whatever is there, a tombstone too: for what the
// writer knows to be the newest truth. Readers who fill a cache use Fill.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.do(ctx, func() error { return c.rdb.Set(ctx, key, value, ttl).Err() })
}

// SetNX writes a value only where there is none, and reports whether it did.
func (c *Client) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error) {
	err = c.do(ctx, func() error {
		err := c.rdb.SetArgs(ctx, key, value, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
		won = err == nil
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	return won, err
}

// Fill caches what a reader found. It never overwrites, so that a reader who
// looked before a change cannot undo the change's Drop.
func (c *Client) Fill(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := c.SetNX(ctx, key, value, ttl)
	return err
}

// Delete removes keys. A reader who looked before a change may put the old value
// back: where that matters, use [Client.Drop].
func (c *Client) Delete(ctx context.Context, keys ...string) error {
	return c.do(ctx, func() error { return c.rdb.Del(ctx, keys...).Err() })
}

// Drop forgets keys and refuses fills of them for [TombstoneTTL]. Call it
// after the change committed.
func (c *Client) Drop(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return c.Pipeline(ctx, func(p redis.Pipeliner) { QueueDrop(ctx, p, keys...) })
}

// QueueDrop adds a Drop to a pipeline that has other things to say as well.
func QueueDrop(ctx context.Context, p redis.Pipeliner, keys ...string) {
	for _, k := range keys {
		p.Set(ctx, k, tombstone, TombstoneTTL)
	}
}
