package split

import "syscall"

// apart keeps a terminal's Ctrl-C from the processes, which are ended in order,
// and has the kernel end them when the runner is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
