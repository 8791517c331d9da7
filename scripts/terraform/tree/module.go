package tree

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A module is one instance of a call; the root is one, too.
type module struct {
	*reader
	*folder
	dir, address string // the address ends with a dot, or is ""
	given        func(name string) (cty.Value, bool, error)
	// Values are worked out when they are asked for, once, as Terraform's graph
	// does: modules may need each other's outputs both ways.
	done map[string]cty.Value
	busy map[string]bool
	kids map[string]calls
}

// A scope is what each and count are.
type scope map[string]cty.Value

// An instance of something that is repeated, or not.
type instance struct {
	suffix string    // of its address: ["a"], [0], or nothing
	key    cty.Value // NilVal when it is not repeated
	scope  scope
}

func (m *module) once(name string, work func() (cty.Value, error)) (cty.Value, error) {
	if v, ok := m.done[name]; ok {
		return v, nil
	}
	if m.busy[name] {
		return cty.NilVal, fmt.Errorf("%s%s needs itself", m.address, name)
	}
	m.busy[name] = true
	defer delete(m.busy, name)
	v, err := work()
	if err != nil {
		return cty.NilVal, err
	}
	m.done[name] = v
	return v, nil
}

// errUnknown is why something cannot be expanded before an apply.
var errUnknown = errors.New("how often it is there is not known before an apply")

// instances expands count and for_each.
func (m *module) instances(body *hclsyntax.Body) ([]instance, error) {
	if a, ok := body.Attributes["count"]; ok {
		v, err := m.value(a.Expr, nil)
		if err != nil {
			return nil, err
		}
		if v, err = convert.Convert(v, cty.Number); err != nil || v.IsNull() {
			return nil, fmt.Errorf("count is no number (%w)", err)
		}
		if !v.IsKnown() {
			return nil, errUnknown
		}
		n, _ := v.AsBigFloat().Int64()
		out := []instance{}
		for i := range n {
			at := cty.NumberIntVal(i)
			out = append(out, instance{fmt.Sprintf("[%d]", i), at, scope{"count": cty.ObjectVal(map[string]cty.Value{"index": at})}})
		}
		return out, nil
	}
	a, ok := body.Attributes["for_each"]
	if !ok {
		return []instance{{}}, nil
	}
	v, err := m.value(a.Expr, nil)
	if err != nil {
		return nil, err
	}
	if !v.IsWhollyKnown() && (!v.IsKnown() || v.Type().IsSetType()) {
		return nil, errUnknown
	}
	if v.IsNull() || !v.CanIterateElements() {
		return nil, errors.New("for_each is neither a map nor a set")
	}
	out := []instance{}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if v.Type().IsSetType() {
			key = value
		}
		if key.Type() != cty.String {
			return nil, errors.New("for_each has keys that are no strings")
		}
		out = append(out, instance{fmt.Sprintf("[%q]", key.AsString()), key, scope{"each": cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}})
	}
	return out, nil
}

// assembled is what an expression sees of something repeated: a tuple, an object, or
// the one.
func assembled(all []instance, body *hclsyntax.Body, one func(i int) (cty.Value, error)) (cty.Value, error) {
	values := make([]cty.Value, len(all))
	for i := range all {
		var err error
		if values[i], err = one(i); err != nil {
			return cty.NilVal, err
		}
	}
	if body.Attributes["count"] != nil {
		return cty.TupleVal(values), nil
	}
	if body.Attributes["for_each"] == nil {
		return values[0], nil
	}
	out := map[string]cty.Value{}
	for i, at := range all {
		out[at.key.AsString()] = values[i]
	}
	return cty.ObjectVal(out), nil
}

type calls struct {
	at  []instance
	all []*module
}

// children are the instances of a call.
func (m *module) children(name string) (calls, error) {
	if c, ok := m.kids[name]; ok {
		return c, nil
	}
	call := m.calls[name]
	if call == nil {
		return calls{}, fmt.Errorf("there is no module %s%s", m.address, name)
	}
	dir, err := source(m.dir, name, call)
	if err != nil {
		return calls{}, err
	}
	at, err := m.instances(call.Body)
	if err != nil {
		return calls{}, fmt.Errorf("%smodule.%s: %w", m.address, name, err)
	}
	c := calls{at: at}
	for _, i := range at {
		child := &module{reader: m.reader, folder: m.folders[dir], dir: dir, address: m.address + "module." + name + i.suffix + ".", done: map[string]cty.Value{}, busy: map[string]bool{}}
		child.given = func(variable string) (cty.Value, bool, error) {
			a, ok := call.Body.Attributes[variable]
			if !ok {
				return cty.NilVal, false, nil
			}
			v, err := m.value(a.Expr, i.scope)
			return v, true, err
		}
		c.all = append(c.all, child)
	}
	if m.kids == nil {
		m.kids = map[string]calls{}
	}
	m.kids[name] = c
	return c, nil
}

func (m *module) walk(wanted func(string) bool, out *[]Resource) error {
	for _, name := range slices.Sorted(maps.Keys(m.resources)) {
		b := m.resources[name]
		if !wanted(b.Labels[0]) {
			continue
		}
		all, err := m.instances(b.Body)
		if err != nil {
			return fmt.Errorf("%s%s: %w", m.address, name, err)
		}
		for _, i := range all {
			*out = append(*out, Resource{b.Labels[0], m.address + name + i.suffix, m, b.Body, i.scope})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.calls)) {
		c, err := m.children(name)
		if err != nil {
			return err
		}
		for _, child := range c.all {
			if err := child.walk(wanted, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *module) variable(name string) (cty.Value, error) {
	return m.once("var."+name, func() (cty.Value, error) {
		b := m.variables[name]
		if b == nil {
			return cty.NilVal, fmt.Errorf("%svar.%s is not there", m.address, name)
		}
		v, ok, err := m.given(name)
		if err != nil {
			return cty.NilVal, err
		}
		if !ok {
			a := b.Body.Attributes["default"]
			if a == nil {
				return cty.DynamicVal, nil
			}
			if v, err = m.value(a.Expr, nil); err != nil {
				return cty.NilVal, err
			}
		}
		kind := b.Body.Attributes["type"]
		if kind == nil {
			return v, nil
		}
		want, defaults, faults := typeexpr.TypeConstraintWithDefaults(kind.Expr)
		if faults.HasErrors() {
			return cty.NilVal, faults
		}
		if defaults != nil && v.IsKnown() && !v.IsNull() {
			v = defaults.Apply(v)
		}
		if v, err = convert.Convert(v, want); err != nil {
			return cty.NilVal, fmt.Errorf("%svar.%s: %w", m.address, name, err)
		}
		return v, nil
	})
}

func (m *module) local(name string) (cty.Value, error) {
	return m.once("local."+name, func() (cty.Value, error) {
		a := m.locals[name]
		if a == nil {
			return cty.NilVal, fmt.Errorf("%slocal.%s is not there", m.address, name)
		}
		return m.value(a.Expr, nil)
	})
}

func (m *module) output(name string) (cty.Value, error) {
	return m.once("output."+name, func() (cty.Value, error) {
		b := m.outputs[name]
		if b == nil || b.Body.Attributes["value"] == nil {
			return cty.NilVal, fmt.Errorf("%soutput.%s is not there", m.address, name)
		}
		return m.value(b.Body.Attributes["value"].Expr, nil)
	})
}

// called is what an expression sees of a module: the outputs it names, or all.
func (m *module) called(name string, outputs map[string]bool) (cty.Value, error) {
	c, err := m.children(name)
	if err != nil {
		return cty.NilVal, err
	}
	return assembled(c.at, m.calls[name].Body, func(i int) (cty.Value, error) {
		child := c.all[i]
		wanted := slices.Collect(maps.Keys(outputs))
		if outputs == nil {
			wanted = slices.Collect(maps.Keys(child.outputs))
		}
		out := map[string]cty.Value{}
		for _, o := range wanted {
			if out[o], err = child.output(o); err != nil {
				return cty.NilVal, err
			}
		}
		return cty.ObjectVal(out), nil
	})
}

// resource is what an expression sees of a resource: what the configuration says,
// what follows from it (see computed), and unknowns.
func (m *module) resource(name string) (cty.Value, error) {
	return m.once(name, func() (cty.Value, error) {
		b := m.resources[name]
		if b == nil {
			return cty.NilVal, fmt.Errorf("%s%s is not there", m.address, name)
		}
		all, err := m.instances(b.Body)
		if errors.Is(err, errUnknown) {
			return cty.DynamicVal, nil
		}
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s%s: %w", m.address, name, err)
		}
		return assembled(all, b.Body, func(i int) (cty.Value, error) {
			out := map[string]cty.Value{}
			for word := range m.words {
				out[word] = cty.DynamicVal
				if a, ok := b.Body.Attributes[word]; ok {
					if out[word], err = m.value(a.Expr, all[i].scope); err != nil {
						return cty.NilVal, err
					}
				}
			}
			for attribute, v := range computed(b.Labels[0], out) {
				if _, said := b.Body.Attributes[attribute]; !said {
					out[attribute] = v
				}
			}
			return cty.ObjectVal(out), nil
		})
	})
}

// naming are the attributes that name a resource, when it has no other name.
var naming = []string{"name", "secret_id", "repository_id", "workload_identity_pool_id"}

// computed is what Google makes of what the configuration says, where that is known.
// Ids are shortened to the name: they say which, not where.
func computed(kind string, said map[string]cty.Value) map[string]cty.Value {
	text := func(attribute string) (string, bool) {
		v, ok := said[attribute]
		if !ok || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
			return "", false
		}
		return v.AsString(), true
	}
	if kind == "google_service_account" {
		id, ok := text("account_id")
		project, in := text("project")
		if !ok || !in {
			return nil
		}
		email := id + "@" + project + ".iam.gserviceaccount.com"
		name := cty.StringVal("projects/" + project + "/serviceAccounts/" + email)
		return map[string]cty.Value{"email": cty.StringVal(email), "member": cty.StringVal("serviceAccount:" + email), "name": name, "id": name}
	}
	for _, attribute := range naming {
		if name, ok := text(attribute); ok {
			return map[string]cty.Value{"id": cty.StringVal(name), "name": cty.StringVal(name)}
		}
	}
	return nil
}

// value works an expression out.
func (m *module) value(e hcl.Expression, in scope) (cty.Value, error) {
	seen := map[string]map[string]cty.Value{}
	wanted := map[string]map[string]bool{} // outputs of modules; nil is all
	see := func(root, name string, work func(string) (cty.Value, error)) error {
		if seen[root] == nil {
			seen[root] = map[string]cty.Value{}
		}
		v, err := work(name)
		seen[root][name] = v
		return err
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: functions(m.dir)}
	for _, steps := range e.Variables() {
		root := steps.RootName()
		if v, ok := in[root]; ok {
			ctx.Variables[root] = v
			continue
		}
		switch root {
		case "path":
			ctx.Variables[root] = cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(m.dir), "root": cty.DynamicVal, "cwd": cty.DynamicVal})
			continue
		case "data", "terraform", "each", "count", "self":
			ctx.Variables[root] = cty.DynamicVal
			continue
		}
		var name string
		if len(steps) > 1 {
			if a, ok := steps[1].(hcl.TraverseAttr); ok {
				name = a.Name
			}
		}
		var err error
		switch root {
		case "var":
			err = see(root, name, m.variable)
		case "local":
			err = see(root, name, m.local)
		case "module":
			output, one := outputOf(steps)
			have, before := wanted[name]
			switch {
			case !one:
				wanted[name] = nil
			case !before:
				wanted[name] = map[string]bool{output: true}
			case have != nil:
				have[output] = true
			}
		default:
			err = see(root, name, func(string) (cty.Value, error) { return m.resource(root + "." + name) })
		}
		if err != nil {
			return cty.NilVal, err
		}
	}
	for name, outputs := range wanted {
		if err := see("module", name, func(string) (cty.Value, error) { return m.called(name, outputs) }); err != nil {
			return cty.NilVal, err
		}
	}
	for root, values := range seen {
		ctx.Variables[root] = cty.ObjectVal(values)
	}
	v, faults := e.Value(ctx)
	if faults.HasErrors() {
		return cty.NilVal, faults
	}
	return v, nil
}

// outputOf is the one output that module.NAME.OUTPUT asks for. Whoever asks for an
// instance, or for all of them, may look at any.
func outputOf(steps hcl.Traversal) (string, bool) {
	for _, s := range steps[min(2, len(steps)):] {
		switch s := s.(type) {
		case hcl.TraverseAttr:
			return s.Name, true
		case hcl.TraverseIndex:
		default:
			return "", false
		}
	}
	return "", false
}
