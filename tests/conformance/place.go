package conformance

import (
	"fmt"
	"strings"

	"github.com/coditect/platform/functions/all/openapi"
)

// place is somewhere in a body.
type place struct {
	path   []any // names and numbers
	value  any
	schema map[string]any
}

// placesOf lists the places of a value, the whole first.
func placesOf(v any, schema map[string]any, doc *openapi.Document, path []any) []place {
	schema = doc.Resolve(schema)
	at := append([]any{}, path...)
	out := []place{{at, v, schema}}
	switch v := v.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range sortedKeys(v) {
			of, ok := properties[name].(map[string]any)
			if !ok {
				of, _ = schema["additionalProperties"].(map[string]any)
			}
			out = append(out, placesOf(v[name], of, doc, append(at, name))...)
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, e := range v {
			out = append(out, placesOf(e, items, doc, append(at, i))...)
		}
	}
	return out
}

func (p place) name() string {
	for i := len(p.path) - 1; i >= 0; i-- {
		if s, ok := p.path[i].(string); ok {
			return s
		}
	}
	return ""
}

func (p place) String() string {
	steps := []string{"body"}
	for _, s := range p.path {
		steps = append(steps, fmt.Sprint(s))
	}
	return strings.Join(steps, ".")
}

// replace gives the body with another value at the place; the body itself, which
// others may hold, stays.
func (p place) replace(body, v any) any {
	return edit(body, p.path, func(any) (any, bool) { return v, true })
}

// remove gives the body without the place.
func (p place) remove(body any) any {
	return edit(body, p.path, func(any) (any, bool) { return nil, false })
}

func edit(v any, path []any, change func(any) (any, bool)) any {
	out, _ := descend(v, path, change)
	return out
}

func descend(v any, path []any, change func(any) (any, bool)) (any, bool) {
	if len(path) == 0 {
		return change(v)
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if k == path[0] {
				changed, stays := descend(e, path[1:], change)
				if !stays {
					continue
				}
				e = changed
			}
			out[k] = e
		}
		return out, true
	case []any:
		out := []any{}
		for i, e := range v {
			if i == path[0] {
				changed, stays := descend(e, path[1:], change)
				if !stays {
					continue
				}
				e = changed
			}
			out = append(out, e)
		}
		return out, true
	}
	return v, true
}
