package split

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/staging"
)

// unused is after how long a build that nobody asked for is deleted.
const unused = 7 * 24 * time.Hour

// Build stages every function of the checkout at root as for a deployment,
// builds each archive as the cloud does, and the router. What was built from
// the same bytes before is taken from cache, a folder. One after another: each
// build uses all cores. only names the functions to build; none means all.
func Build(ctx context.Context, root, cache string, out io.Writer, only ...string) (Programs, error) {
	list, err := deployables.Load(root)
	if err != nil {
		return Programs{}, err
	}
	list = slices.DeleteFunc(list, func(f deployables.Function) bool { return len(only) > 0 && !slices.Contains(only, f.Name) })
	if err := state.Mkdir(cache); err != nil {
		return Programs{}, err
	}
	lock, err := (state.Home{Dir: cache}).LockWait("build")
	if err != nil {
		return Programs{}, err
	}
	defer lock.Release()

	b := builder{root: root, cache: cache, out: out, of: len(list) + 1}
	var p Programs
	for _, f := range list {
		binary, err := b.function(ctx, f)
		if err != nil {
			return Programs{}, fmt.Errorf("build %s: %w", f.Name, err)
		}
		p.Functions = append(p.Functions, Program{
			Name: f.Name, Routed: f.Kind == deployables.KindHTTP, Binary: binary, Entry: f.Entry, Secrets: f.Secrets, Database: f.Database,
		})
	}
	if p.Router, err = b.router(ctx); err != nil {
		return Programs{}, fmt.Errorf("build the router: %w", err)
	}
	return p, b.prune(time.Now().Add(-unused))
}

type builder struct {
	root, cache string
	out         io.Writer
	at, of      int
}

// tell prints how far it is.
func (b *builder) tell(name, what string, began time.Time) {
	b.at++
	fmt.Fprintf(b.out, "[%d/%d] %-12s %s, %.1f s\n", b.at, b.of, name, what, time.Since(began).Seconds())
}

func (b *builder) function(ctx context.Context, f deployables.Function) (string, error) {
	began := time.Now()
	sources, err := staging.Fingerprint(b.root, f.Folder)
	if err != nil {
		return "", err
	}
	// The same sources with another compiler are another program.
	sum := sha256.Sum256([]byte(strings.Join([]string{sources, runtime.Version(), staging.Recipe}, "\n")))
	binary := filepath.Join(b.cache, f.Name+"-"+hex.EncodeToString(sum[:8]))
	now := time.Now()
	if err := os.Chtimes(binary, now, now); err == nil {
		b.tell(f.Name, "unchanged", began)
		return binary, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	staged, err := os.MkdirTemp("", "split-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(staged)
	archive, err := staging.Stage(ctx, b.root, f.Folder, staged)
	if err != nil {
		return "", err
	}
	err = whole(binary, func(to string) error {
		_, err := staging.BuildOn(ctx, archive.File, to, "127.0.0.1")
		return err
	})
	b.tell(f.Name, "built", began)
	return binary, err
}

// router is built in its module, without the workspace, as its image would be.
func (b *builder) router(ctx context.Context) (string, error) {
	began := time.Now()
	binary := filepath.Join(b.cache, "router")
	err := whole(binary, func(to string) error {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", staging.LinkerFlags, "-o", to, "./cmd")
		cmd.Dir = filepath.Join(b.root, "router")
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
		output, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	})
	b.tell("router", "built", began)
	return binary, err
}

// whole makes a file that is complete or absent, also under a process that runs
// the one before it.
func whole(file string, build func(to string) error) error {
	part := file + ".part"
	defer os.Remove(part) //nolint:errcheck // Gone already when the rename succeeded.
	if err := build(part); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// prune deletes builds that were last used before then.
func (b *builder) prune(then time.Time) error {
	files, err := filepath.Glob(filepath.Join(b.cache, "*-????????????????"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.ModTime().After(then) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}
