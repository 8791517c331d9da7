package run

import (
	"fmt"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/coditect/platform/scripts/local/state"
)

// redis is the stand-in of Redis in this process. It starts empty: nothing in
// Redis is the only copy of anything.
type redis struct {
	server *miniredis.Miniredis
	stop   chan struct{}
	done   chan struct{}
}

// clockStep is how coarse expiry is: the stand-in's clock moves only when told.
const clockStep = 100 * time.Millisecond

func startRedis(port int) (*redis, error) {
	if !state.Free(port) {
		return nil, fmt.Errorf("redis: %w: %d", state.ErrPortTaken, port)
	}
	r := &redis{server: miniredis.NewMiniRedis(), stop: make(chan struct{}), done: make(chan struct{})}
	if err := r.server.StartAddr("127.0.0.1:" + strconv.Itoa(port)); err != nil {
		return nil, fmt.Errorf("redis stand-in: %w", err)
	}
	go r.tick()
	return r, nil
}

func (r *redis) tick() {
	defer close(r.done)
	ticker := time.NewTicker(clockStep)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(last)) // What passed, not the step: a busy machine drops ticks.
			last = now
		case <-r.stop:
			return
		}
	}
}

func (r *redis) close() {
	close(r.stop)
	<-r.done
	r.server.Close()
}
