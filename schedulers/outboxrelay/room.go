package outboxrelay

import (
	"sync"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

// room is how much of each kind may still be handed over.
type room struct {
	mu      sync.Mutex
	windows map[string]window
	left    map[string]int
	full    bool // a kind had no room from the beginning
	filled  bool // a kind's room came to its end since
}

func newRoom(windows map[string]window, busy map[string]int) *room {
	r := &room{windows: windows, left: make(map[string]int, len(windows))}
	for kind, w := range windows {
		r.left[kind] = max(0, w.all-busy[kind])
		r.full = r.full || r.left[kind] == 0
	}
	return r
}

// any reports whether something may be handed over at all.
func (r *room) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.left {
		if n > 0 {
			return true
		}
	}
	return false
}

// share is what one owner may claim, kind by kind.
type share struct {
	kinds          []string
	rooms, windows []int
	ahead          []int // milliseconds
}

// share divides what is left among n owners who claim at the same time, at
// least one each: the window is exceeded by that much at most.
func (r *room) share(n int) (s share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind, left := range r.left {
		if w := r.windows[kind]; left > 0 {
			s.kinds, s.rooms, s.windows, s.ahead = append(s.kinds, kind), append(s.rooms, max(1, left/n)), append(s.windows, w.owner), append(s.ahead, int(w.ahead.Milliseconds()))
		}
	}
	return s
}

func (r *room) use(messages []queue.Handover) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range messages {
		r.left[m.Envelope.Kind] = max(0, r.left[m.Envelope.Kind]-1)
		r.filled = r.filled || r.left[m.Envelope.Kind] == 0
	}
}

// shut leaves no room for some kinds.
func (r *room) shut(kinds func(string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind := range r.left {
		if kinds(kind) {
			r.left[kind] = 0
		}
	}
}

// short reports whether some kind had no room from the beginning.
func (r *room) short() bool { return r.full }

// ended reports whether some kind's room came to its end.
func (r *room) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.filled
}

func chunks(owners []ids.ID, size int) [][]ids.ID {
	var out [][]ids.ID
	for len(owners) > size {
		out, owners = append(out, owners[:size]), owners[size:]
	}
	if len(owners) > 0 {
		out = append(out, owners)
	}
	return out
}
