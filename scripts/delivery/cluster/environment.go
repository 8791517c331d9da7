package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"
)

// A Pool is a pool of nodes, from Min to Max over all zones. A dedicated one is
// tainted with dedicated=NAME, and its nodes have the label pool=NAME.
type Pool struct {
	Min, Max  int
	Dedicated bool
}

// A Budget is what an environment says that the cluster's pods open.
type Budget struct {
	Poolers  int // pods of PgBouncer
	Clients  int // that one of them takes
	PoolSize int // server connections of one of them for a role
	Direct   int // of all pods of Hydra
}

// An Environment is what terraform/environments gives the platform, of that what
// the folder terraform/kubernetes has to agree with.
type Environment struct {
	Pools  map[string]Pool
	Budget Budget
}

// ReadEnvironment reads the main.tf of an environment.
func ReadEnvironment(root, name string) (Environment, error) {
	out := Environment{Pools: map[string]Pool{}}
	file := filepath.Join(root, "terraform/environments", name, "main.tf")
	body, err := parse(file)
	if err != nil {
		return out, err
	}
	given := map[string]cty.Value{}
	for _, b := range body.Blocks {
		if b.Type != "module" || len(b.Labels) != 1 || b.Labels[0] != "platform" {
			continue
		}
		for _, attribute := range []string{"cluster", "budget"} {
			a, ok := b.Body.Attributes[attribute]
			if !ok {
				return out, fmt.Errorf("%s: the platform is given no %s", file, attribute)
			}
			value, faults := a.Expr.Value(&hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{"region": cty.StringVal("region")})}})
			if faults.HasErrors() {
				return out, faults
			}
			given[attribute] = value
		}
	}
	if len(given) == 0 {
		return out, fmt.Errorf("%s has no module platform", file)
	}
	for field, into := range map[string]*int{"poolers": &out.Budget.Poolers, "max_client_connections": &out.Budget.Clients, "pool_size": &out.Budget.PoolSize, "direct": &out.Budget.Direct} {
		if err := number(given["budget"], field, into); err != nil {
			return out, fmt.Errorf("%s: budget: %w", file, err)
		}
	}
	if !given["cluster"].Type().HasAttribute("pools") {
		return out, fmt.Errorf("%s: cluster: no pools", file)
	}
	for pool, value := range given["cluster"].GetAttr("pools").AsValueMap() {
		var p Pool
		for field, into := range map[string]*int{"min": &p.Min, "max": &p.Max} {
			if err := number(value, field, into); err != nil {
				return out, fmt.Errorf("%s: pool %s: %w", file, pool, err)
			}
		}
		p.Dedicated = value.Type().HasAttribute("dedicated") && value.GetAttr("dedicated").True()
		out.Pools[pool] = p
	}
	return out, nil
}

// number reads one field of an object.
func number(object cty.Value, field string, into *int) error {
	if !object.Type().IsObjectType() || !object.Type().HasAttribute(field) {
		return fmt.Errorf("no %s", field)
	}
	if err := gocty.FromCtyValue(object.GetAttr(field), into); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
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
