package router

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestLinesAreWrittenWholeAndInOrder(t *testing.T) {
	t.Parallel()
	out := &lockedBuffer{}
	l := &lines{to: out}
	var wait sync.WaitGroup
	for writer := range 4 {
		wait.Go(func() {
			for i := range 2000 {
				if _, err := fmt.Fprintf(l, "%d %d %s\n", writer, i, strings.Repeat("x", 40)); err != nil {
					t.Error(err)
				}
				if i%300 == 0 {
					_ = l.flush()
				}
			}
		})
	}
	wait.Wait()
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	next := [4]int{}
	for _, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		var writer, i int
		var rest string
		if n, err := fmt.Sscan(line, &writer, &i, &rest); n != 3 || err != nil || i != next[writer] || len(rest) != 40 {
			t.Fatalf("line %q, want number %d", line, next[writer])
		}
		next[writer]++
	}
	if next != [4]int{2000, 2000, 2000, 2000} {
		t.Errorf("written %v", next)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestLinesDoNotPileUp(t *testing.T) {
	t.Parallel()
	l := &lines{to: brokenWriter{}}
	failed := false
	for range 10 * linesBound / 100 {
		_, err := l.Write(bytes.Repeat([]byte("y"), 100))
		failed = failed || err != nil
		if len(l.waiting) > linesBound+100 {
			t.Fatalf("%d bytes wait", len(l.waiting))
		}
	}
	if !failed {
		t.Error("a failure was not told")
	}
}
