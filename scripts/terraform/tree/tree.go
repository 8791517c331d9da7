// Package tree works out what a Terraform configuration says without Terraform: it
// reads the files, gives variables their values, follows modules, and expands count
// and for_each. What only Google knows (an address, a generated id) is unknown, and
// so is what follows from it.
//
// It is for questions about the whole of a configuration that a generator or a test
// asks without a provider: which resources of a type are there, and what do their
// attributes and blocks say. Data sources and dynamic blocks are not read; expressions
// that need one are unknown. terraform itself plans the same in
// the environments' tests, and `terraform planned` compares.
//
// To understand one more function of Terraform's, add a line to functions.
package tree

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A Resource is one instance of a resource.
type Resource struct {
	Type    string
	Address string // as a plan has it: module.platform.module.gke.google_service_account.nodes

	module *module
	body   *hclsyntax.Body
	scope  scope
}

// Attribute is what the configuration gives an attribute; cty.NilVal when it does
// not, unknown when that is not known before an apply.
func (r Resource) Attribute(name string) (cty.Value, error) {
	a, ok := r.body.Attributes[name]
	if !ok {
		return cty.NilVal, nil
	}
	v, err := r.module.value(a.Expr, r.scope)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", r.Address, err)
	}
	return v, nil
}

// Blocks are the blocks of a kind that it has, each with its attributes.
func (r Resource) Blocks(kind string) []Resource {
	var out []Resource
	for _, b := range r.body.Blocks {
		if b.Type == kind {
			out = append(out, Resource{kind, r.Address, r.module, b.Body, r.scope})
		}
	}
	return out
}

// Resources expands the configuration in dir, as its root module, and gives every
// instance of the resources that wanted picks by their type, by address. Variables
// without a value and without a default are unknown.
func Resources(dir string, variables map[string]cty.Value, wanted func(kind string) bool) ([]Resource, error) {
	t := newReader()
	if err := t.readAll(dir); err != nil {
		return nil, err
	}
	root := &module{reader: t, folder: t.folders[dir], dir: dir, done: map[string]cty.Value{}, busy: map[string]bool{}}
	root.given = func(name string) (cty.Value, bool, error) {
		v, ok := variables[name]
		return v, ok, nil
	}
	var out []Resource
	if err := root.walk(wanted, &out); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Resource) int { return strings.Compare(a.Address, b.Address) })
	return out, nil
}

// Folders are the folders of dir's configuration: itself and what it calls.
func Folders(dir string) ([]string, error) {
	t := newReader()
	err := t.readAll(dir)
	return slices.Sorted(maps.Keys(t.folders)), err
}

// A folder is the text of a module, wherever it is called from.
type folder struct {
	resources map[string]*hclsyntax.Block // by type.name
	calls     map[string]*hclsyntax.Block
	variables map[string]*hclsyntax.Block
	outputs   map[string]*hclsyntax.Block
	locals    map[string]*hclsyntax.Attribute
}

type reader struct {
	folders map[string]*folder
	// words are the names of attributes that any expression asks for: a resource's
	// others need no value.
	words map[string]bool
}

func newReader() *reader {
	t := &reader{map[string]*folder{}, map[string]bool{"account_id": true, "project": true}}
	for _, name := range naming {
		t.words[name] = true
	}
	return t
}

// readAll reads a folder and those that it calls.
func (t *reader) readAll(dir string) error {
	if t.folders[dir] != nil {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no configuration", dir)
	}
	f := &folder{map[string]*hclsyntax.Block{}, map[string]*hclsyntax.Block{}, map[string]*hclsyntax.Block{}, map[string]*hclsyntax.Block{}, map[string]*hclsyntax.Attribute{}}
	t.folders[dir] = f
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		read, faults := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
		if faults.HasErrors() {
			return faults
		}
		body, ok := read.Body.(*hclsyntax.Body)
		if !ok {
			return fmt.Errorf("%s: not native syntax", name)
		}
		t.listen(body)
		for _, b := range body.Blocks {
			switch {
			case b.Type == "locals":
				maps.Copy(f.locals, b.Body.Attributes)
			case b.Type == "resource" && len(b.Labels) == 2:
				f.resources[b.Labels[0]+"."+b.Labels[1]] = b
			case len(b.Labels) != 1:
			case b.Type == "module":
				f.calls[b.Labels[0]] = b
			case b.Type == "variable":
				f.variables[b.Labels[0]] = b
			case b.Type == "output":
				f.outputs[b.Labels[0]] = b
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.calls)) {
		source, err := source(dir, name, f.calls[name])
		if err != nil {
			return err
		}
		if err := t.readAll(source); err != nil {
			return err
		}
	}
	return nil
}

// source is the folder of a call. All of ours lie beside each other.
func source(dir, name string, call *hclsyntax.Block) (string, error) {
	a, ok := call.Body.Attributes["source"]
	if !ok {
		return "", fmt.Errorf("%s: module %s has no source", dir, name)
	}
	v, faults := a.Expr.Value(nil)
	if faults.HasErrors() {
		return "", faults
	}
	if v.Type() != cty.String || !strings.HasPrefix(v.AsString(), ".") {
		return "", fmt.Errorf("%s: module %s comes from elsewhere", dir, name)
	}
	return filepath.Join(dir, v.AsString()), nil
}

// listen adds the names that expressions of a body ask for.
func (t *reader) listen(body *hclsyntax.Body) {
	add := func(steps hcl.Traversal) {
		for _, s := range steps {
			if a, ok := s.(hcl.TraverseAttr); ok {
				t.words[a.Name] = true
			}
		}
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		switch e := n.(type) {
		case *hclsyntax.ScopeTraversalExpr:
			add(e.Traversal)
		case *hclsyntax.RelativeTraversalExpr:
			add(e.Traversal)
		}
		return nil
	})
}
