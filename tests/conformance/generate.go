package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/functions/all/openapi"
)

// request makes the next request for an operation: one that the document calls
// valid, more often than not with something done to it.
func (w *worker) request(op *openapi.Operation) (*Request, error) {
	var in Request
	if !w.done[op.ID] || w.rng.IntN(50) == 0 {
		known, err := w.actor.Valid(op)
		if err != nil {
			return nil, err
		}
		in = known
		if !w.done[op.ID] {
			return &in, nil
		}
	} else {
		in = w.valid(op)
	}
	if w.rng.IntN(4) != 0 {
		for range 1 + w.rng.IntN(2) {
			w.mutate(op, &in)
		}
	}
	return &in, nil
}

// valid makes a request from the document: with the ids of things that there
// are, or were.
func (w *worker) valid(op *openapi.Operation) Request {
	in := Request{
		Method: op.Method, Path: op.Path, Arguments: map[string]string{}, Query: url.Values{}, Header: http.Header{}, Token: w.actor.Token(),
	}
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			in.Arguments[p.Name] = w.id(op.Kind(p.Name))
		case p.In == "query" && (p.Required || w.rng.IntN(5) == 0):
			in.Query.Set(p.Name, w.parameter(p))
		case p.In == "header" && w.rng.IntN(8) == 0 && (p.Name != "X-Tenant-ID" || w.rng.IntN(3) == 0):
			in.Header.Set(p.Name, w.header(p))
		}
	}
	if op.Body != nil {
		in.HasBody, in.Media = true, one(w.rng, op.Body.Media)
		in.Body = w.value(op.Body.Schema, "", op.Body.Example, 0)
	}
	return in
}

// id is that of a thing of a kind, the newest most likely.
func (w *worker) id(kind string) string {
	known := w.known.things[kind]
	if len(known) == 0 || w.rng.IntN(40) == 0 {
		return w.uuid()
	}
	if w.rng.IntN(2) == 0 {
		return known[len(known)-1]
	}
	return one(w.rng, known)
}

func (w *worker) uuid() string {
	return fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", w.rng.Uint32(), w.rng.IntN(1<<16), w.rng.IntN(1<<12), w.rng.IntN(1<<12), w.rng.Int64N(1<<48))
}

func (w *worker) parameter(p openapi.Parameter) string {
	if p.Name == "cursor" && len(w.known.cursors) > 0 {
		return one(w.rng, w.known.cursors)
	}
	v := w.value(p.Schema, p.Name, nil, 0)
	if s, ok := v.(string); ok {
		return s
	}
	return string(encode(v))
}

func (w *worker) header(p openapi.Parameter) string {
	switch p.Name {
	case "If-Match", "If-None-Match":
		if len(w.known.etags) > 0 {
			return one(w.rng, w.known.etags)
		}
		return `"1.0"`
	case "X-Tenant-ID":
		return w.id("tenant")
	case "Idempotency-Key":
		if len(w.known.keys) > 0 && w.rng.IntN(3) == 0 {
			return one(w.rng, w.known.keys)
		}
		return "key-" + w.uuid()
	}
	return w.parameter(p)
}

// value makes one that a schema allows. name is the member's, and example what
// the document shows in its place, if anything.
func (w *worker) value(schema map[string]any, name string, example any, depth int) any {
	schema = w.doc.Resolve(schema)
	for _, of := range []string{"anyOf", "oneOf"} {
		if choices, ok := schema[of].([]any); ok && len(choices) > 0 {
			choice, _ := one(w.rng, choices).(map[string]any)
			return w.value(choice, name, example, depth+1)
		}
	}
	if values, ok := schema["enum"].([]any); ok {
		return one(w.rng, values)
	}
	if values, ok := schema["examples"].([]any); ok && example == nil && len(values) > 0 {
		example = values[0]
	}
	kinds := types(schema)
	kind := one(w.rng, kinds)
	if kind == "null" && len(kinds) > 1 && w.rng.IntN(2) == 0 {
		kind = kinds[0]
	}
	switch kind {
	case "object":
		return w.object(schema, example, depth)
	case "array":
		return w.array(schema, name, example, depth)
	case "string":
		s, _ := example.(string)
		return w.text(schema, name, s)
	case "integer", "number":
		return w.integer(schema)
	case "boolean":
		return w.rng.IntN(2) == 0
	case "null":
		return nil
	}
	if example != nil {
		return example
	}
	return w.anything(depth)
}

func types(schema map[string]any) []string {
	switch t := schema["type"].(type) {
	case string:
		return []string{t}
	case []any:
		out := make([]string, 0, len(t))
		for _, v := range t {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	if schema["properties"] != nil {
		return []string{"object"}
	}
	return []string{""}
}

func (w *worker) object(schema map[string]any, example any, depth int) any {
	shown, _ := example.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	out := map[string]any{}
	required, _ := schema["required"].([]any)
	for _, name := range sortedKeys(properties) {
		p, _ := properties[name].(map[string]any)
		needed := slices.Contains(required, any(name))
		_, usual := shown[name]
		if !needed && w.rng.IntN(10) > 3 && !(usual && w.rng.IntN(10) < 8) || depth > 8 {
			continue
		}
		out[name] = w.value(p, name, shown[name], depth+1)
	}
	if extra, ok := schema["additionalProperties"].(map[string]any); ok && w.rng.IntN(2) == 0 {
		out["key"+strconv.Itoa(w.rng.IntN(10))] = w.value(extra, "", nil, depth+1)
	} else if schema["additionalProperties"] != false && properties == nil {
		maps.Copy(out, shown)
	}
	return out
}

func (w *worker) array(schema map[string]any, name string, example any, depth int) any {
	items, _ := schema["items"].(map[string]any)
	shown, _ := example.([]any)
	least, most := number(schema, "minItems", 0), number(schema, "maxItems", 4)
	n := int(least) + w.rng.IntN(max(1, min(4, int(most-least)+1)))
	out := make([]any, 0, n)
	for i := range n {
		var e any
		if i < len(shown) {
			e = shown[i]
		}
		out = append(out, w.value(items, name, e, depth+1))
	}
	return out
}

var words = []string{"Apollo", "landing", "Ada", "guidance", "x", "Übung", "计划", "naïve café", "مشروع", "🚀 launch", "O'Brien", "a b", "Zoë", "ещё"}

func (w *worker) text(schema map[string]any, name, example string) string {
	if kind := openapi.Reference(name); kind != "" && (schema["format"] == "uuid" || example == "" || len(example) == 36) {
		return w.id(kind)
	}
	switch {
	case schema["format"] == "email":
		if example != "" && w.rng.IntN(8) == 0 {
			return example
		}
		return "c" + w.uuid() + "@example.com"
	case schema["format"] == "uuid":
		if len(example) == 36 && w.rng.IntN(2) == 0 {
			return example
		}
		return w.uuid()
	case schema["format"] == "date":
		return day(w.rng).Format(time.DateOnly)
	case schema["format"] == "date-time":
		return day(w.rng).Format(time.RFC3339)
	case name == "subdomain" || name == "domain":
		host := "c" + strings.ReplaceAll(w.uuid(), "-", "")
		if name == "domain" {
			host += ".example.com"
		}
		return host
	}
	// A text with a form of its own, such as a time zone or a token, is best
	// taken from the example; a free one may be anything.
	if example != "" && (w.rng.IntN(3) > 0 || schema["pattern"] != nil) {
		return example
	}
	least, most := int(number(schema, "minLength", 0)), int(number(schema, "maxLength", 40))
	s := []rune(one(w.rng, words))
	for len(s) < least {
		s = append(s, 'x')
	}
	if len(s) > most {
		s = s[:most]
	}
	return string(s)
}

func day(rng *rand.Rand) time.Time {
	return time.Date(2026, 1, 1, 0, 0, rng.IntN(86400), 0, time.UTC).AddDate(0, 0, rng.IntN(700))
}

func (w *worker) integer(schema map[string]any) any {
	least, most := number(schema, "minimum", 0), number(schema, "maximum", 1000)
	switch w.rng.IntN(6) {
	case 0:
		return int64(least)
	case 1:
		return int64(min(most, math.MaxInt32))
	}
	return int64(least) + w.rng.Int64N(max(1, int64(min(most, 1<<40)-least)))
}

// anything is some JSON.
func (w *worker) anything(depth int) any {
	switch n := w.rng.IntN(7); {
	case n == 0 && depth < 6:
		return map[string]any{one(w.rng, words): w.anything(depth + 1)}
	case n == 1 && depth < 6:
		return []any{w.anything(depth + 1)}
	case n == 2:
		return nil
	case n == 3:
		return w.rng.IntN(2) == 0
	case n == 4:
		return w.rng.Int64()
	}
	return one(w.rng, words)
}

func number(schema map[string]any, name string, otherwise float64) float64 {
	if f, ok := schema[name].(float64); ok {
		return f
	}
	return otherwise
}

func one[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// encode writes a value as JSON, its members in order. Literals that no Go
// value has are json.RawMessage.
func encode(v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		out := []byte{'{'}
		for i, k := range sortedKeys(v) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(append(append(out, encode(k)...), ':'), encode(v[k])...)
		}
		return append(out, '}')
	case []any:
		out := []byte{'['}
		for i, e := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, encode(e)...)
		}
		return append(out, ']')
	case json.RawMessage:
		return v
	}
	out, err := json.Marshal(v)
	if err != nil {
		return []byte("null") // nothing that is made here cannot be written
	}
	return out
}
