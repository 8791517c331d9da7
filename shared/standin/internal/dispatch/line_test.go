package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestItemsRunInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	l := NewLine(1, 0, 1)
	defer l.Close()
	var mu sync.Mutex
	var got []int
	var done sync.WaitGroup
	now := time.Now()
	item := func(n int) *Item {
		return &Item{Do: func(context.Context) {
			defer done.Done()
			mu.Lock()
			defer mu.Unlock()
			got = append(got, n)
			if time.Now().Before(now.Add(time.Duration(n) * 10 * time.Millisecond)) {
				t.Errorf("%d is early", n)
			}
		}}
	}
	done.Add(5)
	moved := item(1)
	l.Put(moved, now.Add(time.Hour))
	for _, n := range []int{5, 3, 2, 4} {
		l.Put(item(n), now.Add(time.Duration(n)*10*time.Millisecond))
	}
	taken := item(9)
	l.Put(taken, now.Add(20*time.Millisecond))
	if !l.Take(taken) || l.Take(taken) || l.Start(taken) {
		t.Error("taken items are still there")
	}
	l.Put(moved, now.Add(10*time.Millisecond))
	done.Wait()
	for i, n := range got {
		if n != i+1 {
			t.Fatalf("%v", got)
		}
	}
}

func TestLimitPauseAndStart(t *testing.T) {
	t.Parallel()
	l := NewLine(2, 0, 1)
	var now, most atomic.Int32
	release := make(chan struct{})
	var done sync.WaitGroup
	done.Add(6)
	items := make([]*Item, 6)
	for i := range items {
		items[i] = &Item{Do: func(context.Context) {
			defer done.Done()
			n := now.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			<-release
			now.Add(-1)
		}}
	}
	l.Pause(true)
	for _, it := range items {
		l.Put(it, time.Now())
	}
	if !l.Start(items[5]) {
		t.Error("a paused line starts nothing by hand")
	}
	for now.Load() != 1 {
		time.Sleep(time.Millisecond)
	}
	l.Pause(false)
	for now.Load() != 2 {
		time.Sleep(time.Millisecond)
	}
	if most.Load() != 2 {
		t.Errorf("%d at once", most.Load())
	}
	l.Limit(4, 0, 1)
	for now.Load() != 4 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	done.Wait()
	l.Close()
	if most.Load() != 4 {
		t.Errorf("%d at once", most.Load())
	}
}

func TestRateHoldsThroughNudges(t *testing.T) {
	t.Parallel()
	l := NewLine(100, 100, 1)
	defer l.Close()
	var done sync.WaitGroup
	done.Add(11)
	began := time.Now()
	for range 11 {
		l.Put(&Item{Do: func(context.Context) { done.Done(); l.Pause(false) }}, began)
	}
	done.Wait()
	if took := time.Since(began); took < 95*time.Millisecond {
		t.Errorf("eleven at a hundred a second took %v", took)
	}
}

// A queue that was nearly stopped goes on at once when its rate is raised.
func TestANewRateHoldsAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLine(10, 0.001, 1)
	defer l.Close()
	ran := make(chan struct{}, 2)
	for range 2 {
		l.Put(&Item{Do: func(context.Context) { ran <- struct{}{} }}, time.Now())
	}
	<-ran
	l.Limit(10, 0, 1)
	select {
	case <-ran:
	case <-time.After(10 * time.Second):
		t.Error("the second waits for the old rate")
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	l := NewLine(1, 0, 1)
	began := make(chan struct{})
	again := &Item{}
	again.Do = func(ctx context.Context) {
		close(began)
		<-ctx.Done()
		l.Put(again, time.Now())
	}
	l.Put(again, time.Now())
	waiting := &Item{Do: func(context.Context) { t.Error("run after the end") }}
	l.Put(waiting, time.Now().Add(time.Hour))
	<-began
	l.Close()
	if l.Take(waiting) || l.Start(waiting) {
		t.Error("it waits after the end")
	}
}
