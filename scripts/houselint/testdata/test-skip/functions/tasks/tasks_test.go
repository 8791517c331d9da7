package tasks

import "testing"

func TestA(t *testing.T) {
	if testing.Short() { // want test-skip
		t.Skip("slow") // want test-skip
	}
	t.SkipNow() // want test-skip
	var list skipper
	list.Skip()
}

func BenchmarkB(b *testing.B) { b.Skipf("%d", 1) } // want test-skip

type skipper struct{}

func (skipper) Skip() {}
