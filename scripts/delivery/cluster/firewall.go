package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"github.com/zclconf/go-cty/cty/gocty"
)

// An Opening is a port of pods and a range of addresses from outside of the cluster
// that may reach it.
type Opening struct {
	Port int
	From string
}

// Rules of the firewall for the cluster's machines that are not for our pods: the
// cluster's own traffic, and the port on which a node answers for all of its services.
const (
	ownRule    = "cluster-itself"
	nodeHealth = "10256"
)

// ReadFirewall reads what modules/firewall lets in to pods of the cluster, with the
// ranges of modules/networking, both by their defaults, which every environment has.
func ReadFirewall(root string) ([]Opening, error) {
	modules := filepath.Join(root, "terraform/modules")
	variables, err := defaults(filepath.Join(modules, "networking/variables.tf"))
	if err != nil {
		return nil, err
	}
	own, err := defaults(filepath.Join(modules, "firewall/variables.tf"))
	if err != nil {
		return nil, err
	}
	maps.Copy(variables, own)
	file := filepath.Join(modules, "firewall/main.tf")
	body, err := parse(file)
	if err != nil {
		return nil, err
	}
	context := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(variables)},
		Functions: map[string]function.Function{"merge": stdlib.MergeFunc},
	}
	locals := map[string]cty.Value{}
	var ingress hcl.Expression
	for _, b := range body.Blocks {
		if b.Type != "locals" {
			continue
		}
		for name, a := range b.Body.Attributes {
			if name == "ingress" {
				ingress = a.Expr
			} else if value, faults := a.Expr.Value(context); !faults.HasErrors() {
				locals[name] = value
			}
		}
	}
	if ingress == nil {
		return nil, fmt.Errorf("%s has no local ingress", file)
	}
	context.Variables["local"] = cty.ObjectVal(locals)
	rules, faults := ingress.Value(context)
	if faults.HasErrors() {
		return nil, faults
	}
	var out []Opening
	for name, rule := range rules.AsValueMap() {
		if name == ownRule {
			continue
		}
		openings, err := opened(rule)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, name, err)
		}
		out = append(out, openings...)
	}
	slices.SortFunc(out, func(a, b Opening) int { return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.From, b.From)) })
	return out, nil
}

// opened are the openings of a rule that is for the cluster's machines.
func opened(rule cty.Value) ([]Opening, error) {
	words := func(field string) (out []string, err error) {
		if !rule.Type().HasAttribute(field) {
			return nil, fmt.Errorf("no %s", field)
		}
		for _, v := range rule.GetAttr(field).AsValueSlice() {
			var word string
			if err := gocty.FromCtyValue(v, &word); err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
			out = append(out, word)
		}
		return out, nil
	}
	targets, err := words("targets")
	if err != nil || !slices.Contains(targets, "cluster") {
		return nil, err
	}
	ranges, err := words("ranges")
	if err != nil {
		return nil, err
	}
	ports, err := words("ports")
	if err != nil {
		return nil, err
	}
	var out []Opening
	for _, p := range ports {
		if p == nodeHealth {
			continue
		}
		port, err := strconv.Atoi(p)
		if err != nil {
			return nil, err
		}
		for _, from := range ranges {
			out = append(out, Opening{port, from})
		}
	}
	return out, nil
}

// defaults are those of a file's variables, with what their types say of fields.
func defaults(file string) (map[string]cty.Value, error) {
	body, err := parse(file)
	if err != nil {
		return nil, err
	}
	out := map[string]cty.Value{}
	for _, b := range body.Blocks {
		d, given := b.Body.Attributes["default"]
		if b.Type != "variable" || !given {
			continue
		}
		typ, fields, faults := typeexpr.TypeConstraintWithDefaults(b.Body.Attributes["type"].Expr)
		if faults.HasErrors() {
			return nil, faults
		}
		value, faults := d.Expr.Value(nil)
		if faults.HasErrors() {
			return nil, faults
		}
		if fields != nil {
			value = fields.Apply(value)
		}
		if value, err = convert.Convert(value, typ); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, b.Labels[0], err)
		}
		out[b.Labels[0]] = value
	}
	return out, nil
}

// parse reads a file of Terraform's.
func parse(file string) (*hclsyntax.Body, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	read, faults := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
	if faults.HasErrors() {
		return nil, faults
	}
	body, ok := read.Body.(*hclsyntax.Body)
	if !ok {
		return nil, fmt.Errorf("%s: not native syntax", file)
	}
	return body, nil
}
