// Package terraform holds the folder terraform/ to what it says of itself: its
// files are formatted, every module's README lists its variables and outputs, who
// may what (AccessFile, and the tables in docs/infrastructure.md) is what the modules
// bind, what follows from the list of functions and what terraform plans, the names
// that a release uses are there, and each mutation of [Mutations] is caught by tests
// or by the matrix.
//
// The configuration itself is checked by terraform: scripts/terraform.sh runs it,
// by the program that TERRAFORM_CHECK names or with the registry's providers.
// To mutate one more thing, add a line to Mutations.
package terraform

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Where the configuration lies, from the root of the repository.
const (
	ModulesDir      = "terraform/modules"
	EnvironmentsDir = "terraform/environments"
	Page            = "docs/infrastructure.md"
)

// Modules lists the folders of modules, from the root of the repository.
func Modules(root string) ([]string, error) { return folders(root, ModulesDir) }

func folders(root, parent string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, parent))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, parent+"/"+e.Name())
		}
	}
	return out, nil
}

// required are the files without which a folder is no module of ours.
var required = []string{"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "examples/basic/main.tf", "tests"}

// Shape names what modules lack of the files that each has.
func Shape(root string) ([]string, error) {
	modules, err := Modules(root)
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, dir := range modules {
		for _, name := range required {
			if _, err := os.Stat(filepath.Join(root, dir, name)); errors.Is(err, fs.ErrNotExist) {
				faults = append(faults, dir+" has no "+name)
			} else if err != nil {
				return nil, err
			}
		}
	}
	return faults, nil
}

// Validated names the variables of type string or number that take whatever they are
// given: a slip in one is found by Google, when half of a plan is applied.
func Validated(root string) ([]string, error) {
	var faults []string
	for _, parent := range []string{ModulesDir, EnvironmentsDir} {
		dirs, err := folders(root, parent)
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			body, text, err := parsed(filepath.Join(root, dir, "variables.tf"))
			if err != nil {
				return nil, err
			}
			for _, b := range body.Blocks {
				if b.Type != "variable" || len(b.Labels) != 1 || b.Body.Attributes["type"] == nil {
					continue
				}
				kind := string(b.Body.Attributes["type"].Expr.Range().SliceBytes(text))
				checked := slices.ContainsFunc(b.Body.Blocks, func(v *hclsyntax.Block) bool { return v.Type == "validation" })
				if (kind == "string" || kind == "number") && !checked {
					faults = append(faults, dir+": variable "+b.Labels[0]+" takes any "+kind)
				}
			}
		}
	}
	return faults, nil
}

// Format brings every file of terraform/ into the form that `terraform fmt`
// gives it, or only says which are not in it.
func Format(root string, write bool) ([]string, error) {
	var changed []string
	err := filepath.WalkDir(filepath.Join(root, "terraform"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".tf") && !strings.HasSuffix(path, ".hcl") && !strings.HasSuffix(path, ".tfvars") {
			return err
		}
		have, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want := hclwrite.Format(have)
		if bytes.Equal(have, want) {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		changed = append(changed, name)
		if write {
			return os.WriteFile(path, want, 0o600)
		}
		return nil
	})
	return changed, err
}

// mark begins what is generated; what stands above it is written by people.
const mark = "<!-- From variables.tf and outputs.tf, by `make generate`. -->"

// Readme is the README of a module with its tables made anew.
func Readme(root, dir string) ([]byte, error) {
	have, err := os.ReadFile(filepath.Join(root, dir, "README.md"))
	if err != nil {
		return nil, err
	}
	variables, err := blocks(filepath.Join(root, dir, "variables.tf"), "variable")
	if err != nil {
		return nil, err
	}
	outputs, err := blocks(filepath.Join(root, dir, "outputs.tf"), "output")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	above, _, _ := strings.Cut(string(have), mark)
	fmt.Fprintf(&b, "%s\n\n%s\n\n## Variables\n\n| name | what it is | type | default |\n| --- | --- | --- | --- |\n", strings.TrimRight(above, "\n"), mark)
	for _, v := range variables {
		byDefault := "required"
		if d, ok := v.attributes["default"]; ok {
			byDefault = "`" + d + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", v.name, v.description, v.attributes["type"], byDefault)
	}
	b.WriteString("\n## Outputs\n\n| name | what it is |\n| --- | --- |\n")
	for _, o := range outputs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", o.name, o.description)
	}
	return b.Bytes(), nil
}

// Readmes brings every module's README up to date, or only says which are not.
func Readmes(root string, write bool) ([]string, error) {
	modules, err := Modules(root)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, dir := range modules {
		want, err := Readme(root, dir)
		if err != nil {
			return changed, err
		}
		file := filepath.Join(root, dir, "README.md")
		have, err := os.ReadFile(file)
		if err != nil {
			return changed, err
		}
		if bytes.Equal(have, want) {
			continue
		}
		changed = append(changed, dir+"/README.md")
		if write {
			if err := os.WriteFile(file, want, 0o600); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

// A block is a variable or an output: its attributes as they are written.
type block struct {
	name, description string
	attributes        map[string]string
}

// blocks reads the blocks of a kind, in their order. One without a description
// is an error: its reader would have to guess.
func blocks(file, kind string) ([]block, error) {
	body, text, err := parsed(file)
	if err != nil {
		return nil, err
	}
	var out []block
	for _, b := range body.Blocks {
		if b.Type != kind || len(b.Labels) != 1 {
			continue
		}
		one := block{name: b.Labels[0], attributes: map[string]string{}}
		for name, a := range b.Body.Attributes {
			one.attributes[name] = cell(string(a.Expr.Range().SliceBytes(text)))
		}
		if d, ok := b.Body.Attributes["description"]; ok {
			value, faults := d.Expr.Value(nil)
			if faults.HasErrors() {
				return nil, faults
			}
			one.description = cell(value.AsString())
		}
		if one.description == "" {
			return nil, fmt.Errorf("%s: %s %s has no description", file, kind, one.name)
		}
		if kind == "variable" && one.attributes["type"] == "" {
			return nil, fmt.Errorf("%s: variable %s has no type", file, one.name)
		}
		out = append(out, one)
	}
	return slices.Clip(out), nil
}

// cell makes text fit one cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
