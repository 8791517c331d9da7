// Package linked knows which packages each function links. The list is committed
// beside the function as deps.txt, so that a review sees when a change makes a
// function pay, in size and cold start, for something new.
//
// It also holds every module to the versions of two libraries that decide the
// cold start: functions-framework drags in reflect2, whose release of 2018 walks
// over every type of the binary before main (7.6 of 14 ms of initialisation in a
// binary of 28 MB). To hold the modules to another version, add it to [floors].
package linked

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/coditect/platform/scripts/staging"
)

// File is the name of the list in a function's folder.
const File = "deps.txt"

const header = "# The packages that this function links, beyond the standard library, on linux/amd64.\n# Written by `make generate`. A new line costs every instance: is it worth it?\n"

// Deps is the content of the function's deps.txt.
func Deps(ctx context.Context, dir string) ([]byte, error) {
	out, err := list(ctx, dir, "-tags", staging.Tags, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	if err != nil {
		return nil, err
	}
	packages := strings.Fields(string(out))
	slices.Sort(packages)
	return []byte(header + strings.Join(packages, "\n") + "\n"), nil
}

// Check compares the function's deps.txt with what it links: the packages that
// are new and those that are gone.
func Check(ctx context.Context, dir string) (added, removed []string, err error) {
	want, err := Deps(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	got, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	now, then := packages(want), packages(got)
	for _, p := range now {
		if !slices.Contains(then, p) {
			added = append(added, p)
		}
	}
	for _, p := range then {
		if !slices.Contains(now, p) {
			removed = append(removed, p)
		}
	}
	return added, removed, nil
}

func packages(text []byte) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(l string) bool {
		return l == "" || strings.HasPrefix(l, "#")
	})
}

// Write brings the function's deps.txt up to date and reports whether it
// changed.
func Write(ctx context.Context, dir string) (bool, error) {
	want, err := Deps(ctx, dir)
	if err != nil {
		return false, err
	}
	file := filepath.Join(dir, File)
	if got, err := os.ReadFile(file); err == nil && bytes.Equal(got, want) {
		return false, nil
	}
	return true, os.WriteFile(file, want, 0o644)
}

// floors are the oldest versions of modules that a module of ours may choose.
var floors = map[string]string{
	"github.com/modern-go/reflect2": "v1.0.2",
	"github.com/json-iterator/go":   "v1.1.12",
}

// Floors returns a sentence for each library in the module's build that is older
// than its floor.
func Floors(ctx context.Context, dir string) ([]string, error) {
	out, err := list(ctx, dir, "-m", "-f", "{{.Path}} {{.Version}}", "all")
	if err != nil {
		return nil, err
	}
	var faults []string
	for line := range strings.Lines(string(out)) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if floor, held := floors[path]; held && semver.Compare(version, floor) < 0 {
			faults = append(faults, fmt.Sprintf("%s %s is older than %s: go get %s@%s", path, version, floor, path, floor))
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// list runs go list outside the workspace, as every build of a function does,
// and for the platform that functions run on.
func list(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go list %s in %s: %w\n%s", strings.Join(args, " "), dir, err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}
