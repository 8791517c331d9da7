package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/zclconf/go-cty/cty"
)

// planRun is the run of an environment's test that plans all of it.
const planRun = "plan"

// Planned compares what this package finds to be bound in an environment with what
// terraform plans in the environment's test, from the same inputs: that the matrix
// shows all there is rests on it.
func Planned(ctx context.Context, root, environment string) ([]string, error) {
	given, err := testInputs(root, environment)
	if err != nil {
		return nil, err
	}
	found, _, err := Bound(root, environment, given)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts/terraform.sh"), "test", filepath.Join(root, EnvironmentsDir, environment), "-json", "-verbose")
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	// Assertions that fail are the tests' own to tell.
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	planned, err := readPlan(said.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", environment, err, complained.String())
	}
	return compared(environment, found, planned), nil
}

// testInputs are the variables of the run that plans, as far as the file itself says
// them; others are images, which nobody's rights depend on.
func testInputs(root, environment string) (map[string]cty.Value, error) {
	body, _, err := parsed(filepath.Join(root, EnvironmentsDir, environment, "tests", environment+".tftest.hcl"))
	if err != nil {
		return nil, err
	}
	out := map[string]cty.Value{}
	for _, run := range body.Blocks {
		if run.Type != "run" || run.Labels[0] != planRun {
			continue
		}
		for _, b := range run.Body.Blocks {
			if b.Type != "variables" {
				continue
			}
			for name, a := range b.Body.Attributes {
				if v, faults := a.Expr.Value(nil); !faults.HasErrors() {
					out[name] = v
				}
			}
		}
	}
	return out, nil
}

// readPlan reads what `terraform test -json -verbose` prints of the run that plans.
func readPlan(said []byte) ([]Grant, error) {
	decoder := json.NewDecoder(bytes.NewReader(said))
	for decoder.More() {
		var line struct {
			Run  string `json:"@testrun"`
			Plan *struct {
				Changes []struct {
					Address, Type string
					Change        struct {
						After map[string]any
					}
				} `json:"resource_changes"`
			} `json:"test_plan"`
		}
		if err := decoder.Decode(&line); err != nil {
			return nil, fmt.Errorf("terraform's answer: %w", err)
		}
		if line.Run != planRun || line.Plan == nil {
			continue
		}
		var out []Grant
		for _, c := range line.Plan.Changes {
			place, ok := binds(c.Type)
			if !ok {
				if open, _ := c.Change.After["invoker_iam_disabled"].(bool); open {
					out = append(out, Grant{Address: c.Address, Member: "allUsers", Role: "roles/run.invoker"})
				}
				if opaque.MatchString(c.Type) {
					out = append(out, Grant{Address: c.Address})
				}
				continue
			}
			word := func(name string) string { s, _ := c.Change.After[name].(string); return s }
			g := Grant{Address: c.Address, Role: word("role"), Member: word("member")}
			if p := places[place]; word(p.attribute) != "" {
				g.On = p.word + " " + word(p.attribute)
			}
			members, ok := c.Change.After["members"].([]any)
			if !ok {
				out = append(out, g)
			}
			for _, m := range members {
				g.Member, _ = m.(string)
				out = append(out, g)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("terraform printed no plan of the run %q", planRun)
}

// compared are sentences about what only one of the two has. What a binding is on
// counts where the plan knows it: ids are given by Google.
func compared(environment string, found, planned []Grant) []string {
	said := func(g Grant) string { return fmt.Sprintf("%s: %s is %s", g.Address, g.Member, g.Role) }
	index := func(all []Grant) map[string]Grant {
		out := map[string]Grant{}
		for _, g := range all {
			out[said(g)] = g
		}
		return out
	}
	ours, theirs := index(found), index(planned)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(theirs)) {
		switch g, ok := ours[key]; {
		case !ok:
			out = append(out, environment+": terraform plans what the matrix does not find: "+key)
		case theirs[key].On != "" && theirs[key].On != g.On:
			out = append(out, fmt.Sprintf("%s: terraform plans %s on %s, and the matrix has %s", environment, key, theirs[key].On, g.On))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		if _, ok := theirs[key]; !ok {
			out = append(out, environment+": the matrix has what terraform does not plan: "+key)
		}
	}
	return out
}
