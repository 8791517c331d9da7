package terraform

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// An Assertion is an assert block of a test, or what a run is expected to refuse.
type Assertion struct {
	File, Run string
	// Says is the message, or the address of what refuses.
	Says    string
	Refusal bool
}

// Assertions reads all tests of modules and environments.
func Assertions(root string) ([]Assertion, error) {
	files, err := filepath.Glob(filepath.Join(root, "terraform", "*", "*", "tests", "*.tftest.hcl"))
	if err != nil {
		return nil, err
	}
	var out []Assertion
	for _, file := range files {
		body, text, err := parsed(file)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return nil, err
		}
		for _, run := range body.Blocks {
			if run.Type != "run" {
				continue
			}
			if a, ok := run.Body.Attributes["expect_failures"]; ok {
				refusing, ok := a.Expr.(*hclsyntax.TupleConsExpr)
				if !ok {
					return nil, fmt.Errorf("%s: run %s: expect_failures is no list", name, run.Labels[0])
				}
				for _, e := range refusing.Exprs {
					out = append(out, Assertion{name, run.Labels[0], string(e.Range().SliceBytes(text)), true})
				}
			}
			for _, b := range run.Body.Blocks {
				if b.Type != "assert" {
					continue
				}
				says, ok := b.Body.Attributes["error_message"]
				if _, asks := b.Body.Attributes["condition"]; !ok || !asks {
					return nil, fmt.Errorf("%s: run %s: an assertion without a condition or a message", name, run.Labels[0])
				}
				value, faults := says.Expr.Value(nil)
				if faults.HasErrors() {
					return nil, fmt.Errorf("%s: run %s: %w", name, run.Labels[0], faults)
				}
				out = append(out, Assertion{name, run.Labels[0], value.AsString(), false})
			}
		}
	}
	return out, nil
}

// parsed reads a file of native syntax.
func parsed(file string) (*hclsyntax.Body, []byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	read, faults := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
	if faults.HasErrors() {
		return nil, nil, faults
	}
	body, ok := read.Body.(*hclsyntax.Body)
	if !ok {
		return nil, nil, fmt.Errorf("%s: not native syntax", file)
	}
	return body, text, nil
}
