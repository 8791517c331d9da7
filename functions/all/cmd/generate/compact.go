package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// compact says once what the document says under every operation: response
// headers, examples of problems, and whole responses that are alike become
// components. Every reader of the docs loads the document; this way it is a
// quarter of the size.
func compact(document []byte) ([]byte, error) {
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	components, ok := doc["components"].(map[string]any)
	if !ok {
		return nil, errors.New("the document has no components")
	}
	shared := map[string]*pool{"headers": newPool(), "examples": newPool(), "responses": newPool()}
	for _, op := range operations(doc) {
		responses, _ := op["responses"].(map[string]any)
		for _, status := range keys(responses) {
			r, _ := responses[status].(map[string]any)
			if h, _ := r["headers"].(map[string]any); h != nil {
				for _, name := range keys(h) {
					h[name] = shared["headers"].ref("headers", name, h[name])
				}
			}
			content, _ := r["content"].(map[string]any)
			problem, _ := content["application/problem+json"].(map[string]any)
			if examples, _ := problem["examples"].(map[string]any); examples != nil {
				for _, code := range keys(examples) {
					e, _ := examples[code].(map[string]any)
					if v, _ := e["value"].(map[string]any); v != nil {
						v["instance"] = "/api/v1/projects/" // one path stands for all
					}
					examples[code] = shared["examples"].ref("examples", code, e)
				}
				responses[status] = shared["responses"].ref("responses", "Problem"+status, r)
			}
		}
	}
	for kind, p := range shared {
		if len(p.values) > 0 {
			components[kind] = p.values
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(doc)
	return out.Bytes(), err
}

// operations lists every operation of the document, in a fixed order, so that
// names are given alike each time.
func operations(doc map[string]any) (out []map[string]any) {
	paths, _ := doc["paths"].(map[string]any)
	for _, path := range keys(paths) {
		item, _ := paths[path].(map[string]any)
		for _, method := range keys(item) {
			if op, ok := item[method].(map[string]any); ok && op["responses"] != nil {
				out = append(out, op)
			}
		}
	}
	return out
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// pool holds values by name; different values that want one name are numbered.
type pool struct {
	values map[string]any
	names  map[string]string // by content
}

func newPool() *pool { return &pool{map[string]any{}, map[string]string{}} }

// component is what a name in components may consist of.
var component = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

func (p *pool) ref(kind, name string, v any) any {
	raw, err := json.Marshal(v)
	if err != nil || strings.Contains(string(raw[:min(len(raw), 9)]), `"$ref"`) {
		return v
	}
	name = component.ReplaceAllString(name, "-")
	content := name + string(raw)
	known, ok := p.names[content]
	if !ok {
		known = name
		for n := 2; p.values[known] != nil; n++ {
			known = fmt.Sprintf("%s-%d", name, n)
		}
		p.names[content] = known
		p.values[known] = v
	}
	return map[string]any{"$ref": "#/components/" + kind + "/" + known}
}
