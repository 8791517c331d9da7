// Package process answers whether a process that a pid file names is still the
// one that wrote it, and ends it. After a kill -9 or a reboot the number may
// belong to anyone.
package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Is reports whether pid runs the program (by the end of its name) with the
// given argument.
func Is(pid int, program, argument string) bool {
	args := Args(pid)
	if len(args) == 0 || !strings.HasSuffix(args[0], program) {
		return false
	}
	return slices.Contains(args[1:], argument)
}

// Stop sends sig and waits until the process no longer is the program with
// that argument; after patience it kills.
func Stop(ctx context.Context, pid int, program, argument string, sig syscall.Signal, patience time.Duration) error {
	if !Is(pid, program, argument) {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s (process %d): %w", program, pid, err)
	}
	gone := func() bool { return !Is(pid, program, argument) }
	if Poll(ctx, patience, gone) == nil {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s (process %d): %w", program, pid, err)
	}
	return Poll(ctx, 5*time.Second, gone)
}

// ErrTimeout says that a condition did not come true in time.
var ErrTimeout = errors.New("timed out")

// Poll waits until done, the patience or the context ends.
func Poll(ctx context.Context, patience time.Duration, done func() bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return ErrTimeout
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
