//go:build !linux

package split

import "syscall"

// apart keeps a terminal's Ctrl-C from the processes, which are ended in order.
// Those of a runner that was killed are ended by the next one.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
