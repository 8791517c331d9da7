package prefault

import (
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"unsafe"
)

// resident counts the pages from the anchor on that have memory.
func resident(t *testing.T) (pages []byte) {
	t.Helper()
	page := syscall.Getpagesize()
	from := uintptr(unsafe.Pointer(anchor)) &^ uintptr(page-1)
	pages = make([]byte, Size/page)
	// The heap may end before the size does.
	for i := range pages {
		_, _, errno := syscall.Syscall(syscall.SYS_MINCORE, from+uintptr(i*page), uintptr(page), uintptr(unsafe.Pointer(&pages[i])))
		if errno == syscall.ENOMEM {
			return pages[:i]
		}
		if errno != 0 {
			t.Fatal(errno)
		}
	}
	return pages
}

func TestHeapIsThere(t *testing.T) {
	t.Parallel()
	pages := resident(t)
	if len(pages) < 64 {
		t.Fatalf("the heap has %d pages beyond the anchor", len(pages))
	}
	absent := 0
	for _, p := range pages {
		if p&1 == 0 {
			absent++
		}
	}
	if absent > 0 {
		t.Errorf("%d pages of %d have no memory", absent, len(pages))
	}
}

// One import more would make it wait for what it is to come before.
func TestImports(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "prefault_linux.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if path, err := strconv.Unquote(i.Path.Value); err != nil || !slices.Contains([]string{"syscall", "unsafe"}, path) {
			t.Errorf("imports %s", i.Path.Value)
		}
	}
}
