//go:build !linux

package spawn

import "syscall"

const stopSignal = syscall.SIGTERM

// apart keeps a terminal's Ctrl-C from the processes.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
