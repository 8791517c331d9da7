package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func sleeper(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestIsTellsStrangersApart(t *testing.T) {
	t.Parallel()
	pid := sleeper(t, "sleep", "1000").Process.Pid
	cases := map[string]struct {
		pid               int
		program, argument string
		want              bool
	}{
		"itself":                      {pid, "sleep", "1000", true},
		"another argument":            {pid, "sleep", "2000", false},
		"another program":             {pid, "postgres", "1000", false},
		"no process":                  {2147483647, "sleep", "1000", false},
		"not a number of a process":   {0, "sleep", "1000", false},
		"a negative number, a group!": {-pid, "sleep", "1000", false},
	}
	for name, c := range cases {
		if got := Is(c.pid, c.program, c.argument); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUncollectedProcessIsGone(t *testing.T) {
	t.Parallel()
	cmd := sleeper(t, "sleep", "1001")
	if err := cmd.Process.Kill(); err != nil { // Not waited for: a zombie.
		t.Fatal(err)
	}
	err := Poll(t.Context(), 5*time.Second, func() bool { return !Is(cmd.Process.Pid, "sleep", "1001") })
	if err != nil {
		t.Error("a dead process counts as running")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("on request", func(t *testing.T) {
		t.Parallel()
		pid := sleeper(t, "sleep", "1002").Process.Pid
		if err := Stop(t.Context(), pid, "sleep", "1002", syscall.SIGTERM, 5*time.Second); err != nil {
			t.Error(err)
		}
		if err := Stop(t.Context(), pid, "sleep", "1002", syscall.SIGTERM, time.Second); err != nil {
			t.Errorf("stopping what has stopped: %v", err)
		}
	})
	t.Run("by force", func(t *testing.T) {
		t.Parallel()
		pid := sleeper(t, "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", "deaf").Process.Pid
		if err := Poll(t.Context(), 5*time.Second, func() bool { return Is(pid, "sh", "deaf") }); err != nil {
			t.Fatal(err)
		}
		if err := Stop(t.Context(), pid, "sh", "deaf", syscall.SIGTERM, 200*time.Millisecond); err != nil {
			t.Error(err)
		}
		if Is(pid, "sh", "deaf") {
			t.Error("still there")
		}
	})
	t.Run("not a stranger", func(t *testing.T) {
		t.Parallel()
		if err := Stop(t.Context(), os.Getpid(), "postgres", "-D", syscall.SIGKILL, time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestPoll(t *testing.T) {
	t.Parallel()
	never := func() bool { return false }
	if err := Poll(t.Context(), 30*time.Millisecond, never); !errors.Is(err, ErrTimeout) {
		t.Errorf("impatient: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Poll(ctx, time.Minute, never); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
