// Package houselint holds the rules that only this house has: what may import
// what, where SQL, environment and panics may stand, what a test may not do.
// They are read from syntax alone, so the whole repository takes a second.
//
// A rule is a value in rules: a name, the sentence that justifies it, and a
// function over one file. To add one, add the value and a folder testdata/<name>
// with a small tree in which each line that must be found ends in
// "// want <name>"; the test demands at least one such line and one file
// without.
//
// Where a rule is wrong for one line, the line or the one above it says
// "//house:allow <rule> <reason>". An exception without a reason, or that
// nothing needs any more, is a finding itself.
package houselint

import (
	"cmp"
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
)

// Module is what every import path of the repository begins with.
const Module = "github.com/coditect/platform/"

// Finding is one breach of a rule.
type Finding struct {
	File    string // from the root, with slashes
	Line    int
	Rule    string
	Message string
}

// String is the form that editors jump from.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", f.File, f.Line, f.Message, f.Rule)
}

// Rule is one rule of the house.
type Rule struct {
	Name   string
	Reason string
	check  func(*file)
}

// Rules lists every rule, for documentation.
func Rules() []Rule { return slices.Clone(rules) }

// file is one Go file under examination.
type file struct {
	path    string // from the root, with slashes
	dir     string // of path
	test    bool   // ends in _test.go
	set     *token.FileSet
	syntax  *ast.File
	imports []imported
	rule    string
	found   []Finding
}

type imported struct {
	path string
	name string // as the file calls it; "_" and "." are kept
	pos  token.Pos
}

func (f *file) report(at token.Pos, format string, args ...any) {
	f.found = append(f.found, Finding{File: f.path, Line: f.set.Position(at).Line, Rule: f.rule, Message: fmt.Sprintf(format, args...)})
}

// in reports whether the file lies in one of the folders or below.
func (f *file) in(folders ...string) bool { return within(f.dir, folders...) }

func within(dir string, folders ...string) bool {
	for _, d := range folders {
		if dir == d || strings.HasPrefix(dir, d+"/") {
			return true
		}
	}
	return false
}

// command reports whether the file belongs to a main below a cmd folder.
func (f *file) command() bool { return slices.Contains(strings.Split(f.dir, "/"), "cmd") }

// testSupport are the packages that only tests import.
var testSupport = []string{"shared/dbtest", "shared/functest", "shared/payment/paytest"}

// workshop reports whether the file is a tool or a test of the repository and so
// never runs in production.
func (f *file) workshop() bool { return f.test || f.in("scripts", "tests") || f.in(testSupport...) }

// deployable is the folder of the function or schedule that the file belongs
// to, or "".
func (f *file) deployable() string { return deployable(f.dir) }

func deployable(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	if len(parts) < 2 || (parts[0] != "functions" && parts[0] != "schedulers") || parts[1] == "all" {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

// ours gives the folder of an import of the repository's own.
func (i imported) ours() (string, bool) { return strings.CutPrefix(i.path, Module) }

// called resolves an expression such as os.Getenv to its import path and name,
// whatever the file calls the package.
func (f *file) called(e ast.Expr) (pkg, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	for _, i := range f.imports {
		if i.name == id.Name {
			return i.path, sel.Sel.Name
		}
	}
	return "", ""
}

// Lint examines the Go files under root, or only those named, by their paths
// from root. Generated files, testdata, vendor and hidden folders are left out.
func Lint(root string, only ...string) ([]Finding, error) {
	names := only
	if len(names) == 0 {
		var err error
		if names, err = walk(root); err != nil {
			return nil, err
		}
	}
	var out []Finding
	for _, name := range names {
		found, err := lintFile(root, filepath.ToSlash(name))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule))
	})
	return out, nil
}

func walk(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor" || name == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			names = append(names, rel)
		}
		return nil
	})
	return names, err
}

func lintFile(root, name string) ([]Finding, error) {
	src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // deleted since the caller made its list
	} else if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(syntax) {
		return nil, nil
	}
	f := &file{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: set, syntax: syntax}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, imported{path: p, name: localName(spec, p), pos: spec.Pos()})
	}
	for _, r := range rules {
		f.rule = r.Name
		r.check(f)
	}
	return f.allow(), nil
}

// localName is what a file calls an import: its alias, else the last element of
// the path that is not a major version.
func localName(spec *ast.ImportSpec, p string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(p))
	}
	return base
}
