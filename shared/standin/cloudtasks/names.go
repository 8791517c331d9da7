package cloudtasks

import (
	"crypto/sha256"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// names are the names of tasks that are gone, which are refused for a while.
// Only a hash is kept: at a thousand tasks a second an hour of names is much.
type names struct {
	window time.Duration
	until  map[nameKey]time.Time
	order  []nameKey // oldest first; the window is the same for all
}

type nameKey [16]byte

func keyOf(name string) nameKey {
	sum := sha256.Sum256([]byte(name))
	return nameKey(sum[:16])
}

func (n *names) add(name string, now time.Time) {
	n.prune(now)
	if n.window <= 0 {
		return
	}
	key := keyOf(name)
	n.until[key] = now.Add(n.window)
	n.order = append(n.order, key)
}

func (n *names) has(name string, now time.Time) bool {
	n.prune(now)
	_, taken := n.until[keyOf(name)]
	return taken
}

func (n *names) prune(now time.Time) {
	for len(n.order) > 0 && !now.Before(n.until[n.order[0]]) {
		delete(n.until, n.order[0])
		n.order = n.order[1:]
	}
}

func protoName(s string) protoreflect.Name { return protoreflect.Name(s) }
