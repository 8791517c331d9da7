package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress tells how far the tasks are: a line that is redrawn on a terminal, a
// line for each tenth elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	begun    time.Time
	kept     int // were there before

	mu          sync.Mutex
	total, done int
	shown       time.Time
}

func (p *progress) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	tenth := p.total >= 10 && p.done%(p.total/10) == 0
	if p.terminal && (time.Since(p.shown) > 100*time.Millisecond || p.done == p.total) || !p.terminal && tenth {
		p.draw()
	}
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw()
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}

const width = 30

func (p *progress) draw() {
	p.shown = time.Now()
	text := p.line(time.Since(p.begun))
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) line(passed time.Duration) string {
	full := width
	if p.total > 0 {
		full = width * p.done / p.total
	}
	text := fmt.Sprintf("tasks [%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", width-full), p.done, p.total)
	made := p.done - p.kept
	if made == 0 || passed <= 0 {
		return text
	}
	rate := float64(made) / passed.Seconds()
	text += fmt.Sprintf(", %.0f/s", rate)
	if left := p.total - p.done; left > 0 {
		text += fmt.Sprintf(", %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	return text
}
