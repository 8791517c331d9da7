package proc

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const numbers = " S 41 42 42 0 -1 4194304 100 0 0 0 250 150 9 9 20 0 1 0 100 0 0"
	for text, want := range map[string]Stat{
		"42 (postgres)" + numbers:        {41, 4 * time.Second},
		"42 (a) b) (c d" + ")" + numbers: {41, 4 * time.Second},
	} {
		if got, err := ParseStat(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "42 (x)", "42 (x) S 1", "42 x S 41 42 42 0 -1 1 1 0 0 0 1 1", "42 (x) S 41 42 42 0 -1 4 1 0 0 0 one 150"} {
		if _, err := ParseStat(text); !errors.Is(err, errForm) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParsePSS(t *testing.T) {
	t.Parallel()
	got, err := ParsePSS([]byte("00400000-7fff [rollup]\nRss:                4000 kB\nPss:                2048 kB\nPss_Dirty:            10 kB\n"))
	if err != nil || got != 2<<20 {
		t.Errorf("%d, %v", got, err)
	}
	for _, text := range []string{"", "Rss: 1 kB", "Pss: x kB", "Pss: 1 MB"} {
		if _, err := ParsePSS([]byte(text)); !errors.Is(err, errForm) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOfThisProcess(t *testing.T) {
	t.Parallel()
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	if family := Family(os.Getpid()); !slices.Contains(family, child.Process.Pid) || family[0] != os.Getpid() {
		t.Errorf("family %v lacks %d", family, child.Process.Pid)
	}
	if n, err := PSS(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("PSS %d, %v", n, err)
	}
	begun := CPU(os.Getpid())
	for x := 0; CPU(os.Getpid()) == begun; x++ { // ends when a tick of work is done
	}
	if _, err := Read(2147483647); err == nil {
		t.Error("read a process that is not there")
	}
	if CPU(2147483647) != 0 {
		t.Error("a process that is not there has worked")
	}
}
