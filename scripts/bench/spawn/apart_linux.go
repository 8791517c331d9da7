package spawn

import "syscall"

const stopSignal = syscall.SIGTERM

// apart keeps a terminal's Ctrl-C from the processes, and has the kernel end
// them when the benchmark is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
