package coverage

import (
	"strings"
	"testing"
)

func TestProfilesAreMerged(t *testing.T) {
	t.Parallel()
	var p Profile
	for _, text := range []string{
		"mode: atomic\nm/a/x.go:1.1,2.2 3 0\nm/a/x.go:3.1,4.2 1 5\nm/b/y.go:1.1,2.2 2 0\n",
		"mode: atomic\nm/a/x.go:1.1,2.2 3 1\nm/a/x.go:3.1,4.2 1 0\n",
	} {
		if err := p.Add(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	got := p.Packages()
	if len(got) != 2 || got[0].Path != "m/a" || got[0].Percent() != 100 || got[1].Path != "m/b" || got[1].Percent() != 0 {
		t.Errorf("packages: %+v", got)
	}
	if (Package{}).Percent() != 100 {
		t.Error("a package without statements is not whole")
	}
	for _, bad := range []string{"x", "m/a/x.go:1 two 3", "m/a/x.go 1 1"} {
		if err := p.Add(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestFloors(t *testing.T) {
	t.Parallel()
	floors, err := ParseFloors(strings.NewReader("# why\n\n*/cmd/* 0 mains\n*/cmd/migrate 50 it has logic\n*/cmd 10 mains\n"))
	if err != nil {
		t.Fatal(err)
	}
	for pkg, want := range map[string]float64{
		"h/o/p/scripts/cmd/local":      0,
		"h/o/p/migrations/cmd/migrate": 50,
		"h/o/p/functions/tasks/cmd":    10,
		"h/o/p/shared/db":              Default,
		"cmd":                          Default,
	} {
		if got := floors.Of(pkg); got != want {
			t.Errorf("%s: %v, want %v", pkg, got, want)
		}
	}
	for _, bad := range []string{"a 0", "a x why", "a 101 why", "[ 1 why"} {
		if _, err := ParseFloors(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
