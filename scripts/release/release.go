// Package release decides what a deployment decides: what changed since the last
// one, whether a migration leaves the running release alone, and whether a new
// revision is healthy. The commands that it decides about are in
// scripts/delivery, one script for each step of cloudbuild.yaml; `release` in
// scripts/cmd is what they ask.
//
// To let one more kind of file cause a deployment, add it to [reasons]; to forbid
// one more statement to migrations, add it to contractions.
package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

// Images that are no functions.
const (
	Router  = "router"
	Migrate = "migrate"
)

// A Change is what differs from an earlier commit, each with the first file that
// says so.
type Change struct {
	Deploy map[string]string // functions, Router, Migrate
	Tests  []string          // patterns for go test, none when nothing but words changed
}

// Names are what is to be deployed, in order.
func (c Change) Names() []string { return slices.Sorted(maps.Keys(c.Deploy)) }

// Since compares the commit checked out under root with base. An empty base, or
// one that this clone does not have, means that everything changed: too much is
// slow, too little is wrong.
func Since(ctx context.Context, root, base string) (Change, error) {
	list, err := deployables.Load(root)
	if err != nil {
		return Change{}, err
	}
	known := base != ""
	if known {
		known = git(ctx, root, nil, "cat-file", "-e", base+"^{commit}") == nil
	}
	if !known {
		return everything(list), nil
	}
	var out bytes.Buffer
	if err := git(ctx, root, &out, "diff", "--name-only", "-z", "--no-renames", base, "HEAD"); err != nil {
		return Change{}, err
	}
	files := strings.FieldsFunc(out.String(), func(r rune) bool { return r == 0 })
	c := Change{Deploy: map[string]string{}}
	for _, f := range list {
		raw, err := os.ReadFile(filepath.Join(root, f.Folder, linked.File))
		if err != nil {
			return Change{}, err
		}
		if why := reasons(f.Folder, folders(raw), files); why != "" {
			c.Deploy[f.Name] = why
		}
	}
	if slices.Contains(files, deployables.ListFile) {
		if err := entries(ctx, root, base, list, c); err != nil {
			return Change{}, err
		}
	}
	if err := images(ctx, root, files, c); err != nil {
		return Change{}, err
	}
	c.Tests, err = tests(root, list, files, c)
	return c, err
}

func everything(list []deployables.Function) Change {
	c := Change{Deploy: map[string]string{Router: "everything", Migrate: "everything"}, Tests: []string{"all"}}
	for _, f := range list {
		c.Deploy[f.Name] = "everything"
	}
	return c
}

// folders are the repository's own among the packages of a deps.txt.
func folders(deps []byte) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(string(deps)) {
		if rest, ours := strings.CutPrefix(strings.TrimSpace(line), deployables.Module+"/"); ours {
			out[rest] = true
		}
	}
	return out
}

// packaging is what decides how every archive is made.
var packaging = []string{"scripts/staging", "scripts/cmd/package"}

// reasons gives the first file by which something that lies in home and links the
// folders is another program than before, or "".
func reasons(home string, links map[string]bool, files []string) string {
	for _, f := range files {
		dir := path.Dir(f)
		switch {
		case quiet(f):
		case dir == home && (path.Ext(f) == ".go" || path.Base(f) == "go.mod" || path.Base(f) == "go.sum"),
			slices.Contains(packaging, dir),
			path.Ext(f) == ".go" && links[dir],
			path.Ext(f) != ".go" && embedded(dir, links):
			return f
		}
	}
	return ""
}

// quiet is what no program is made of.
func quiet(f string) bool {
	return strings.HasSuffix(f, "_test.go") || strings.HasSuffix(f, ".md") || path.Base(f) == linked.File || strings.Contains("/"+f, "/testdata/")
}

// embedded reports whether a file that is no Go source lies in a linked package
// or below one, where go:embed reaches.
func embedded(dir string, links map[string]bool) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if links[dir] {
			return true
		}
	}
	return false
}

// entries adds the functions whose entry in the list is another one.
func entries(ctx context.Context, root, base string, list []deployables.Function, c Change) error {
	var out bytes.Buffer
	if err := git(ctx, root, &out, "show", base+":"+deployables.ListFile); err != nil {
		return err
	}
	var then struct {
		Functions []deployables.Function `json:"functions"`
	}
	if err := json.Unmarshal(out.Bytes(), &then); err != nil {
		return fmt.Errorf("%s at %s: %w", deployables.ListFile, base, err)
	}
	for _, f := range list {
		if !slices.ContainsFunc(then.Functions, func(g deployables.Function) bool { return reflect.DeepEqual(f, g) }) {
			c.Deploy[f.Name] = deployables.ListFile
		}
	}
	return nil
}

// images adds the router and the migrations, which have no deps.txt.
func images(ctx context.Context, root string, files []string, c Change) error {
	for name, dir := range map[string]string{Router: "router/cmd", Migrate: "migrations/cmd/migrate"} {
		deps, err := linked.Deps(ctx, filepath.Join(root, dir))
		if err != nil {
			return err
		}
		module, _, _ := strings.Cut(dir, "/")
		why := reasons(module, folders(deps), files)
		if why == "" && slices.Contains(files, "Dockerfile") {
			why = "Dockerfile"
		}
		if why != "" {
			c.Deploy[name] = why
		}
	}
	return nil
}

// tests are the modules that changed, the functions that link something that did,
// and, when any program may behave differently, the tests of all together.
func tests(root string, list []deployables.Function, files []string, c Change) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", raw, nil)
	if err != nil {
		return nil, err
	}
	patterns := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, ".md") || path.Base(f) == linked.File {
			continue
		}
		for _, u := range work.Use {
			if dir := strings.TrimPrefix(u.Path, "./"); strings.HasPrefix(f, dir+"/") {
				patterns["./"+dir+"/..."] = true
			}
		}
	}
	for _, f := range list {
		if _, changed := c.Deploy[f.Name]; changed {
			patterns["./"+f.Folder+"/..."] = true
		}
	}
	if len(c.Deploy) > 0 {
		patterns["./tests/..."] = true
	}
	return slices.Sorted(maps.Keys(patterns)), nil
}

func git(ctx context.Context, root string, out *bytes.Buffer, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	if out != nil {
		cmd.Stdout = out
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("git %s: %w", strings.Join(args, " "), err), errors.New(strings.TrimSpace(said.String())))
	}
	return nil
}
