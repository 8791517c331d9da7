package state

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked says that another process holds the home.
var ErrLocked = errors.New("already in use")

// Lock is held until Release or the end of the process: the kernel drops it
// after a kill -9, so there is no stale lock to clean up.
type Lock struct {
	file *os.File
}

// Lock takes a named lock of the home for this process alone. It fails with
// ErrLocked, naming the holder's process id, when someone else has it.
func (h Home) Lock(name string) (*Lock, error) {
	return h.flock(name, syscall.LOCK_EX|syscall.LOCK_NB)
}

// LockWait is Lock that waits for its turn.
func (h Home) LockWait(name string) (*Lock, error) {
	return h.flock(name, syscall.LOCK_EX)
}

// Share takes the lock together with others who share it.
func (h Home) Share(name string) (*Lock, error) {
	return h.flock(name, syscall.LOCK_SH)
}

func (h Home) flock(name string, how int) (*Lock, error) {
	path := h.Path(name + ".lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", h.Dir, err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := os.ReadFile(path)
		file.Close() //nolint:errcheck // Nothing was written.
		return nil, fmt.Errorf("%s is %w by process %s", h.Dir, ErrLocked, strings.TrimSpace(string(holder)))
	}
	if err != nil {
		file.Close() //nolint:errcheck // Nothing was written.
		return nil, fmt.Errorf("lock %s: %w", h.Dir, err)
	}
	if how&syscall.LOCK_EX != 0 {
		if err := file.Truncate(0); err == nil {
			_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
	}
	return &Lock{file: file}, nil
}

// TryUpgrade turns a shared lock into an exclusive one; false when others
// still share it.
func (l *Lock) TryUpgrade() bool {
	return syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// Release gives the lock up.
func (l *Lock) Release() {
	l.file.Close() //nolint:errcheck // Closing drops the lock; there is no data to lose.
}
