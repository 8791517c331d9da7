// Package account decides which operating system account the database's
// processes run as: PostgreSQL and PgBouncer refuse to run as root, and a
// container's shell usually is root.
package account

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// Account is an operating system account that owns the database's files.
type Account struct {
	Name     string
	UID, GID int
	Switch   bool // whether this process must become that account
}

// Pick is the account of this process or, for root, `postgres` where the
// system has it, else `nobody`.
func Pick() (Account, error) {
	if os.Geteuid() != 0 {
		return Account{Name: strconv.Itoa(os.Geteuid()), UID: os.Geteuid(), GID: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil {
			return Account{Name: name, UID: uid, GID: gid, Switch: true}, nil
		}
	}
	return Account{}, fmt.Errorf("PostgreSQL does not run as root, and there is neither a postgres nor a nobody account: run as an ordinary user")
}

// Command is a command that runs as the account in dir, which must be a
// directory the account can reach.
func (a Account) Command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "PGSSLMODE=disable")
	if a.Switch {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID), Groups: []uint32{}},
		}
	}
	return cmd
}

// Own gives files to the account.
func (a Account) Own(names ...string) error {
	if !a.Switch {
		return nil
	}
	for _, name := range names {
		if err := os.Lchown(name, a.UID, a.GID); err != nil {
			return fmt.Errorf("give %s to %s: %w", name, a.Name, err)
		}
	}
	return nil
}

// CanReach reports whether the account may enter the directory. Trying is the
// only test that agrees with the kernel: modes, groups, ACLs and mounts all
// have a say.
func (a Account) CanReach(ctx context.Context, dir string) bool {
	return a.Command(ctx, dir, "/bin/sh", "-c", ":").Run() == nil
}
