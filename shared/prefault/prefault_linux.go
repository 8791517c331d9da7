package prefault

import (
	"syscall"
	"unsafe"
)

// populateWrite is MADV_POPULATE_WRITE of madvise(2).
const populateWrite = 23

// anchor lies where the heap is being filled, which is upwards. What there is
// to do is done where it is made.
var anchor = populate()

func populate() *[64]byte {
	here := new([64]byte)
	page := uintptr(syscall.Getpagesize())
	from := uintptr(unsafe.Pointer(here)) &^ (page - 1) //nolint:gosec // Only the address is used, to advise the kernel.
	// The pages that are there stay as they are; where the mapped heap ends
	// before the size does, the kernel ends there, too.
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, from, Size, populateWrite)
	return here
}
