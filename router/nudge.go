package router

import "sync"

// nudger tells the relay that messages wait. However often it is poked while a
// nudge runs, one more follows.
type nudger struct {
	nudge func()

	mu      sync.Mutex
	running bool
	again   bool
	idle    sync.WaitGroup
}

func (n *nudger) poke() {
	if n.nudge == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running {
		n.again = true
		return
	}
	n.running = true
	n.idle.Go(n.run)
}

func (n *nudger) run() {
	for {
		n.nudge()
		n.mu.Lock()
		if !n.again {
			n.running = false
			n.mu.Unlock()
			return
		}
		n.again = false
		n.mu.Unlock()
	}
}
