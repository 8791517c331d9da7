// Package scaffold begins a function: a folder that builds, passes its tests, is
// in functions.json and in everything generated from it, and can be staged and
// deployed as it stands.
//
// The templates show how a function looks today. When that changes, change them
// with it: the test makes a function in a copy of the repository and holds it to
// what `make verify` demands.
package scaffold

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/modfile"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

//go:embed templates
var templates embed.FS

var (
	form = regexp.MustCompile(`^[a-z][a-z0-9]{1,30}$`)
	// taken are names that mean something else: packages that every function
	// imports, and the folder that is no function.
	taken = []string{"all", "api", "config", "context", "db", "function", "functions", "identity", "internal", "main", "serve", "test"}
)

// Function writes the function called name into the repository at root and
// returns the paths of what it made, from root.
func Function(ctx context.Context, root, name string) ([]string, error) {
	if !form.MatchString(name) {
		return nil, fmt.Errorf("%q is no name for a function: 2 to 31 small letters and digits, a letter first, such as labels", name)
	}
	if token.IsKeyword(name) || slices.Contains(taken, name) {
		return nil, fmt.Errorf("%q means something else in Go or in this repository", name)
	}
	list, err := deployables.Load(root)
	if err != nil {
		return nil, err
	}
	model := slices.IndexFunc(list, func(f deployables.Function) bool { return f.Kind == deployables.KindHTTP && f.Auth == "token" })
	if model < 0 {
		return nil, errors.New("there is no function to take the versions of dependencies from")
	}
	f := list[model]
	like := filepath.Join(root, f.Folder)
	f.Name, f.Folder, f.Entry = name, "functions/"+name, strings.ToUpper(name[:1])+name[1:]
	dir := filepath.Join(root, f.Folder)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there already", f.Folder)
	}

	made, err := write(dir, f)
	if err != nil {
		return nil, err
	}
	if err := module(like, dir, f); err != nil {
		return nil, err
	}
	if err := deployables.Add(root, f); err != nil {
		return nil, err
	}
	changed, err := deployables.Generate(root)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{f.Folder, deployables.Aggregate} {
		if err := run(ctx, filepath.Join(root, folder), "GOWORK=off", "mod", "tidy"); err != nil {
			return nil, err
		}
	}
	if _, err := linked.Write(ctx, dir); err != nil {
		return nil, err
	}
	if err := run(ctx, root, "GOWORK="+filepath.Join(root, "go.work"), "run", "./functions/all/cmd/generate"); err != nil {
		return nil, err
	}
	for i := range made {
		made[i] = f.Folder + "/" + made[i]
	}
	made = append(made, f.Folder+"/go.mod", f.Folder+"/go.sum", f.Folder+"/"+linked.File, deployables.ListFile)
	return append(made, changed...), nil
}

// write fills the templates in.
func write(dir string, f deployables.Function) ([]string, error) {
	var made []string
	err := fs.WalkDir(templates, "templates", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t, err := template.ParseFS(templates, p)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, f); err != nil {
			return err
		}
		text, err := format.Source(b.Bytes())
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(p, "templates/"), ".tmpl")
		name = strings.Replace(name, "name_test", f.Name+"_test", 1)
		made = append(made, name)
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, text, 0o644)
	})
	return made, err
}

// module copies the go.mod and go.sum of a function that has the same
// dependencies, so that the new one starts with the versions in use.
func module(like, dir string, f deployables.Function) error {
	raw, err := os.ReadFile(filepath.Join(like, "go.mod"))
	if err != nil {
		return err
	}
	mod, err := modfile.Parse(filepath.Join(like, "go.mod"), raw, nil)
	if err != nil {
		return err
	}
	if err := mod.AddModuleStmt(f.ImportPath()); err != nil {
		return err
	}
	text, err := mod.Format()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), text, 0o644); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(like, "go.sum"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644)
}

func run(ctx context.Context, dir, env string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, bytes.TrimSpace(out))
	}
	return nil
}
