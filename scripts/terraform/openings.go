package terraform

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/coditect/platform/scripts/terraform/tree"
)

// clusterTag is the tag by which the firewall knows the cluster's machines.
const clusterTag = "cluster"

// An Opening is what a rule of the firewall lets in to machines of the cluster.
type Opening struct {
	Ports []string `json:"ports"`
	From  []string `json:"from"`
}

// Openings are those of each environment, by the rule's name. The folder
// terraform/kubernetes has to let in the same (scripts/delivery/cluster).
func Openings(root string) (map[string]map[string]Opening, error) {
	environments, err := Environments(root)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]Opening{}
	for _, environment := range environments {
		dir, err := filepath.Abs(filepath.Join(root, EnvironmentsDir, environment))
		if err != nil {
			return nil, err
		}
		rules, err := tree.Resources(dir, inputs, func(kind string) bool { return kind == "google_compute_firewall" })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", environment, err)
		}
		out[environment] = map[string]Opening{}
		for _, r := range rules {
			if err := open(r, out[environment]); err != nil {
				return nil, fmt.Errorf("%s: %w", environment, err)
			}
		}
	}
	return out, nil
}

// open adds what a rule opens, when it is for the cluster's machines, or for all.
func open(r tree.Resource, all map[string]Opening) error {
	says, err := texts(r, "name", "direction")
	if err != nil {
		return err
	}
	allowed := r.Blocks("allow")
	if says[1] != "INGRESS" || len(allowed) == 0 {
		return nil
	}
	targets, given, err := words(r, "target_tags")
	if err != nil || given && !slices.Contains(targets, clusterTag) {
		return err
	}
	o := Opening{}
	if o.From, given, err = words(r, "source_ranges"); err == nil && !given {
		err = fmt.Errorf("%s says nothing of source_ranges", r.Address)
	}
	if err != nil {
		return err
	}
	for _, a := range allowed {
		ports, given, err := words(a, "ports")
		if err == nil && !given {
			err = fmt.Errorf("%s opens every port", r.Address)
		}
		if err != nil {
			return err
		}
		o.Ports = append(o.Ports, ports...)
	}
	all[says[0]] = o
	return nil
}

// words is a list of texts that has to be known; none is given where it is null.
func words(r tree.Resource, name string) (list []string, given bool, err error) {
	v, err := r.Attribute(name)
	if err != nil || v == cty.NilVal || v.IsNull() {
		return nil, false, err
	}
	if !v.IsWhollyKnown() || !v.CanIterateElements() {
		return nil, false, fmt.Errorf("%s: %s is not known before an apply", r.Address, name)
	}
	for _, e := range v.AsValueSlice() {
		if e.IsNull() || e.Type() != cty.String {
			return nil, false, fmt.Errorf("%s: %s has what is no text", r.Address, name)
		}
		list = append(list, e.AsString())
	}
	return list, true, nil
}
