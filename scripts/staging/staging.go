// Package staging turns a function's folder into what is deployed: its sources
// without tests, with every dependency in vendor/, as a folder and as an
// archive whose bytes depend on nothing but those of the sources. It also builds
// such an archive the way Google's Go buildpack does, offline, and starts it.
//
// A function lives in a workspace and refers to its siblings by replace; neither
// reaches the build, so the vendoring happens here.
package staging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// Archive is a staged function.
type Archive struct {
	Name   string
	Dir    string // the staged folder
	File   string // the same as a zip
	Size   int64
	SHA256 string // of the file, in hex
}

// framework is what the buildpack wants to find in vendor/.
const framework = "github.com/GoogleCloudPlatform/functions-framework-go/funcframework"

// Stage writes out/<name>/ and out/<name>.zip from the function in folder, a path
// from root such as "functions/tasks", and replaces what was there. The go
// command fetches what is not in its module cache; nothing under root changes.
func Stage(ctx context.Context, root, folder, out string) (Archive, error) {
	name := filepath.Base(folder)
	work, err := os.MkdirTemp("", "stage-"+name+"-")
	if err != nil {
		return Archive{}, err
	}
	defer os.RemoveAll(work)

	siblings, err := replaced(root, folder)
	if err != nil {
		return Archive{}, err
	}
	// Tests go first: what only they import must not be vendored.
	for _, module := range append([]string{folder}, siblings...) {
		if err := copySources(filepath.Join(root, module), filepath.Join(work, module)); err != nil {
			return Archive{}, err
		}
	}
	stage := filepath.Join(work, folder)
	// The mains under cmd/ serve other platforms; the buildpack writes its own.
	if err := os.RemoveAll(filepath.Join(stage, "cmd")); err != nil {
		return Archive{}, err
	}
	if err := run(ctx, stage, []string{"GOWORK=off", "GOFLAGS=-mod=mod"}, "go", "mod", "vendor"); err != nil {
		return Archive{}, fmt.Errorf("%s: %w", folder, err)
	}
	if _, err := os.Stat(filepath.Join(stage, "vendor", filepath.FromSlash(framework))); err != nil {
		return Archive{}, fmt.Errorf("%s: funcframework is not vendored: the root package must import it", folder)
	}

	a := Archive{Name: name, Dir: filepath.Join(out, name), File: filepath.Join(out, name+".zip")}
	if err := os.RemoveAll(a.Dir); err != nil {
		return Archive{}, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Archive{}, err
	}
	if err := os.CopyFS(a.Dir, os.DirFS(stage)); err != nil {
		return Archive{}, err
	}
	a.Size, a.SHA256, err = pack(a.Dir, a.File)
	return a, err
}

// replaced lists the folders, from root, that the module's replace lines name.
func replaced(root, folder string) ([]string, error) {
	file := filepath.Join(root, folder, "go.mod")
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse(file, raw, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range mod.Replace {
		if r.New.Version != "" {
			return nil, fmt.Errorf("%s replaces %s by a module that is not of this repository", file, r.Old.Path)
		}
		rel := filepath.Join(folder, filepath.FromSlash(r.New.Path))
		if !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%s replaces %s by a folder outside the repository", file, r.Old.Path)
		}
		out = append(out, rel)
	}
	return out, nil
}

// copySources copies a module without tests, test data, hidden files and what
// was vendored before.
func copySources(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if p != from && (strings.HasPrefix(name, ".") || d.IsDir() && (name == "testdata" || name == "vendor")) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if strings.HasSuffix(name, "_test.go") || name == "deps.txt" {
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file: it would not be the same everywhere", p)
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), raw, 0o644)
	})
}

// run starts a command in dir and gives what it printed when it fails.
func run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(output.String()))
	}
	return err
}
