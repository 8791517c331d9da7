package deployables

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/coditect/platform/scripts/local/cron"
)

const framework = "github.com/GoogleCloudPlatform/functions-framework-go/"

// Check compares the list with the tree. It returns a sentence for each thing
// that does not agree; none means that all of it does.
func Check(root string) ([]string, error) {
	list, err := Load(root)
	if err != nil {
		return nil, err
	}
	r := &report{}
	checkList(r, list)
	if len(r.faults) > 0 {
		// What follows from a wrong list is wrong too, and says less.
		return r.faults, nil
	}
	for _, f := range list {
		if err := checkFolder(r, root, f); err != nil {
			return nil, err
		}
	}
	if err := checkStrays(r, root, list); err != nil {
		return nil, err
	}
	for _, a := range artifacts {
		want, err := a.content(root, list)
		if err != nil {
			return nil, err
		}
		got, err := os.ReadFile(filepath.Join(root, a.path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if !bytes.Equal(got, want) {
			r.add("%s is not what the list makes of it: run make generate", a.path)
		}
	}
	return r.faults, nil
}

type report struct{ faults []string }

func (r *report) add(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// checkList is what a schema cannot say about the list on its own.
func checkList(r *report, list []Function) {
	entries := map[string]string{}
	for i, f := range list {
		if i > 0 && list[i-1].Name >= f.Name {
			r.add("%s: %q comes after %q: the list is sorted by name, without repeats", ListFile, f.Name, list[i-1].Name)
		}
		if path.Base(f.Folder) != f.Name {
			r.add("%s: the folder %s is not named as the function", f.Name, f.Folder)
		}
		if token.IsKeyword(f.Name) || f.Folder == Aggregate {
			r.add("%s: the name is taken", f.Name)
		}
		if other, taken := entries[f.Entry]; taken {
			r.add("%s: the entry %s is that of %s", f.Name, f.Entry, other)
		}
		entries[f.Entry] = f.Name
		if f.Resources.Min > f.Resources.Max {
			r.add("%s: fewer instances at most (%d) than at least (%d)", f.Name, f.Resources.Max, f.Resources.Min)
		}
		if strings.HasPrefix(f.Resources.CPU, "0.") && f.Resources.Concurrency > 1 {
			r.add("%s: below one vCPU Cloud Run serves one request at a time, not %d", f.Name, f.Resources.Concurrency)
		}
		if f.Kind == KindSchedule {
			if _, err := cron.Parse(f.Cron, f.Timezone); err != nil {
				r.add("%s: %s", f.Name, err)
			}
		}
		if f.Kind == KindHTTP && (f.Database == "system" || f.Database == "both") {
			r.add("%s: what serves clients never holds the role that crosses tenants", f.Name)
		}
		if slices.Contains(f.Invokers, "everyone") && !f.Raw {
			r.add("%s: only what checks a signature over the raw body may be called by everyone", f.Name)
		}
	}
}

// checkFolder holds the source of one function against its entry.
func checkFolder(r *report, root string, f Function) error {
	dir := filepath.Join(root, f.Folder)
	raw, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if errors.Is(err, fs.ErrNotExist) {
		r.add("%s: %s has no go.mod", f.Name, f.Folder)
		return nil
	} else if err != nil {
		return err
	}
	if got := modfile.ModulePath(raw); got != f.ImportPath() {
		r.add("%s: the module is %s, not %s", f.Name, got, f.ImportPath())
	}
	src, err := readPackage(dir)
	if err != nil {
		return err
	}
	if src.name != f.Name {
		r.add("%s: the package in %s is named %q", f.Name, f.Folder, src.name)
	}
	if !slices.Equal(src.entries, []string{f.Entry}) {
		r.add("%s: the root package registers %q with the functions framework, not just %q", f.Name, src.entries, f.Entry)
	}
	if !src.imports[framework+"funcframework"] {
		r.add("%s: the root package must import funcframework (blank), or Google's buildpack does not find it in vendor/", f.Name)
	}
	wants := []string{"Open"}
	if f.Kind == KindHTTP {
		wants = append(wants, "Function")
	}
	for _, name := range wants {
		if !src.funcs[name] {
			r.add("%s: the root package has no func %s", f.Name, name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "cmd", "main.go")); err != nil {
		r.add("%s: %s/cmd/main.go is missing: nothing serves it on its own", f.Name, f.Folder)
	}
	return nil
}

// source is what the checks read of a root package.
type source struct {
	name    string
	entries []string
	imports map[string]bool
	funcs   map[string]bool
}

func readPackage(dir string) (source, error) {
	s := source{imports: map[string]bool{}, funcs: map[string]bool{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return s, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return s, err
		}
		s.name = file.Name.Name
		local := ""
		for _, spec := range file.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			s.imports[p] = true
			if p == framework+"functions" {
				local = "functions"
				if spec.Name != nil {
					local = spec.Name.Name
				}
			}
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				s.funcs[fn.Name.Name] = true
			}
		}
		if local != "" {
			s.entries = append(s.entries, registrations(file, local)...)
		}
	}
	return s, nil
}

// registrations lists the names given to functions.HTTP and its likes.
func registrations(file *ast.File, local string) []string {
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || (sel.Sel.Name != "HTTP" && sel.Sel.Name != "CloudEvent") {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != local {
			return true
		}
		if name, ok := call.Args[0].(*ast.BasicLit); ok && name.Kind == token.STRING {
			s, _ := strconv.Unquote(name.Value)
			out = append(out, s)
		}
		return true
	})
	return out
}

// checkStrays finds functions that the list does not know.
func checkStrays(r *report, root string, list []Function) error {
	known := map[string]bool{Aggregate: true}
	for _, f := range list {
		known[f.Folder] = true
	}
	for _, group := range []string{"functions", "schedulers"} {
		mods, err := filepath.Glob(filepath.Join(root, group, "*", "go.mod"))
		if err != nil {
			return err
		}
		for _, m := range mods {
			if folder := path.Join(group, filepath.Base(filepath.Dir(m))); !known[folder] {
				r.add("%s is not in %s", folder, ListFile)
			}
		}
	}
	return nil
}
