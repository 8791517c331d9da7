package cache

import (
	"sync/atomic"

	"github.com/sony/gobreaker/v2"
)

// health remembers whether Redis is believed to be up. The circuit flaps
// between open and half-open through an outage; only its ends are news.
type health struct {
	down   atomic.Bool
	notify func(up bool)
}

func (h *health) change(to gobreaker.State) {
	down := to != gobreaker.StateClosed
	if h.down.Swap(down) != down && h.notify != nil {
		h.notify(!down)
	}
}
