package router

import (
	"io"
	"sync"
)

// linesBound is how much of the access log waits at most, in bytes.
const linesBound = 64 << 10

// lines gathers log lines and writes many at a time. They wait for a beat of
// [App.writeLines] at most, which is what a process that is killed loses of its
// access log; warnings and errors do not come this way.
type lines struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte
	spare   []byte
	writing sync.Mutex // one write at a time, in order
}

// Write takes one or more whole lines. It waits for the writer below only when
// more than linesBound is waiting.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p...)
	full := len(l.waiting) >= linesBound
	l.mu.Unlock()
	if full {
		return len(p), l.flush()
	}
	return len(p), nil
}

// flush writes what waits.
func (l *lines) flush() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	out := l.waiting
	l.waiting = l.spare[:0]
	l.mu.Unlock()
	if len(out) == 0 {
		l.spare = out
		return nil
	}
	_, err := l.to.Write(out)
	l.spare = out
	return err
}
