// Package openapi reads the platform's own OpenAPI document back, as a client
// would: its operations with references resolved, what kind of thing each makes
// and which each needs. The collection for Postman and the conformance suite
// are written from that alone, so an operation that is added is in both.
//
// Kinds are found by the house's way of naming: /api/v1/projects/{id}/ is a
// project's, user_id in a body is a user's, results of a list are what its path
// ends with. A path that reads otherwise gets a line in synonyms.
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Problem is the media type of errors.
const Problem = "application/problem+json"

// JSON is the media type of everything else.
const JSON = "application/json"

// Document is a document that was read.
type Document struct {
	Operations []*Operation // by path, then method
	// Root is the whole of it, as encoding/json decodes.
	Root map[string]any
}

// Operation is one of its operations.
type Operation struct {
	ID, Method, Path, Tag string
	Summary, Description  string
	Public                bool
	Permission            string
	Parameters            []Parameter
	Body                  *Body // nil where it takes none
	Responses             map[int]*Response
	// Success is the least documented 2xx or 3xx that is not 304.
	Success int
}

// Parameter is in a path, a query or a header.
type Parameter struct {
	Name, In, Description string
	Required              bool
	Schema                map[string]any
}

// Body is that of a request.
type Body struct {
	Media    []string // sorted
	Required bool
	// Pointer leads to the schema within the document, from one of the media.
	Pointer string
	Schema  map[string]any
	Example any
}

// Response is one documented answer.
type Response struct {
	Headers []string
	Content map[string]*Media
}

// Media is one form of an answer's body.
type Media struct {
	// Pointer leads to the schema within the document.
	Pointer string
	Schema  map[string]any
	// Codes are those of the problems that are documented here.
	Codes []string
}

// Read reads a document.
func Read(text []byte) (*Document, error) {
	d := &Document{}
	if err := json.Unmarshal(text, &d.Root); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	paths := object(d.Root["paths"])
	if len(paths) == 0 {
		return nil, errors.New("openapi: the document has no paths")
	}
	for _, path := range sorted(paths) {
		item := object(paths[path])
		for _, method := range sorted(item) {
			if o := object(item[method]); o["responses"] != nil {
				d.Operations = append(d.Operations, d.operation(path, method, o))
			}
		}
	}
	return d, nil
}

// Operation gives the one of an id, or nil.
func (d *Document) Operation(id string) *Operation {
	for _, o := range d.Operations {
		if o.ID == id {
			return o
		}
	}
	return nil
}

func (d *Document) operation(path, method string, o map[string]any) *Operation {
	out := &Operation{
		ID: text(o["operationId"]), Method: strings.ToUpper(method), Path: path,
		Summary: text(o["summary"]), Description: text(o["description"]), Permission: text(o["x-permission"]),
		Responses: map[int]*Response{},
	}
	out.Public, _ = o["x-public"].(bool)
	if tags := list(o["tags"]); len(tags) > 0 {
		out.Tag = text(tags[0])
	}
	for _, raw := range list(o["parameters"]) {
		p := d.Resolve(object(raw))
		required, _ := p["required"].(bool)
		out.Parameters = append(out.Parameters, Parameter{text(p["name"]), text(p["in"]), text(p["description"]), required, d.Resolve(object(p["schema"]))})
	}
	if body := d.Resolve(object(o["requestBody"])); body != nil {
		content := object(body["content"])
		out.Body = &Body{Media: sorted(content)}
		out.Body.Required, _ = body["required"].(bool)
		for _, kind := range out.Body.Media {
			media := object(content[kind])
			out.Body.Schema, out.Body.Example = d.Resolve(object(media["schema"])), media["example"]
			out.Body.Pointer = "/paths/" + escape(path) + "/" + method + "/requestBody/content/" + escape(kind) + "/schema"
		}
	}
	at := "/paths/" + escape(path) + "/" + method + "/responses/"
	responses := object(o["responses"])
	for _, key := range sorted(responses) {
		status, err := strconv.Atoi(key)
		if err != nil {
			continue
		}
		raw, where := object(responses[key]), at+key
		if ref := text(raw["$ref"]); ref != "" {
			raw, where = d.Resolve(raw), strings.TrimPrefix(ref, "#")
		}
		r := &Response{Headers: sorted(object(raw["headers"])), Content: map[string]*Media{}}
		for kind, media := range object(raw["content"]) {
			m := object(media)
			r.Content[kind] = &Media{
				Pointer: where + "/content/" + escape(kind) + "/schema",
				Schema:  d.Resolve(object(m["schema"])),
				Codes:   sorted(object(m["examples"])),
			}
		}
		out.Responses[status] = r
		if status < 400 && status != http.StatusNotModified && (out.Success == 0 || status < out.Success) {
			out.Success = status
		}
	}
	return out
}

// Resolve follows a reference within the document; what is none stays.
func (d *Document) Resolve(v map[string]any) map[string]any {
	for range 16 {
		ref := text(v["$ref"])
		if ref == "" {
			return v
		}
		at := any(d.Root)
		for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = object(at)[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
		}
		v = object(at)
	}
	return v
}

// synonyms are the kinds of paths that do not end with the name of one.
var synonyms = map[string]string{"invite": "invitation", "me": "", "members": "user", "member": "user", "assignee": "user", "owner": "user", "exports": "job"}

func kind(word string) string {
	if k, ok := synonyms[word]; ok {
		return k
	}
	return strings.TrimSuffix(word, "s")
}

// Kind is what a parameter of the path names: {id} in /projects/{id}/ a project.
func (o *Operation) Kind(parameter string) string {
	steps := strings.Split(strings.Trim(o.Path, "/"), "/")
	if i := slices.Index(steps, "{"+parameter+"}"); i > 0 {
		return kind(steps[i-1])
	}
	return ""
}

// Collection is the kind of what the path holds many of, or "" where it ends
// with a thing or with what is done to it.
func (o *Operation) Collection() string {
	steps := strings.Split(strings.Trim(o.Path, "/"), "/")
	last := steps[len(steps)-1]
	if last == "bulk" && len(steps) > 1 {
		last = steps[len(steps)-2]
	}
	if strings.HasPrefix(last, "{") || o.Action() {
		return ""
	}
	return kind(last)
}

// Action reports whether the path ends with something that is done to a thing:
// /tasks/{id}/assign/, and not /tasks/{id}/comments/.
func (o *Operation) Action() bool {
	steps := strings.Split(strings.Trim(o.Path, "/"), "/")
	n := len(steps)
	return n > 1 && strings.HasPrefix(steps[n-2], "{") && !strings.HasSuffix(steps[n-1], "s")
}

// Reference is the kind of thing that a member of a body, or a parameter of a
// query, names by its id: user_id or assignee a user. "" if it names none.
func Reference(name string) string {
	switch base, ok := strings.CutSuffix(name, "_id"); {
	case ok && base != "object" && base != "request" && base != "client" && base != "payment_method":
		return kind(base)
	case name == "owner", name == "assignee", name == "user":
		return "user"
	}
	return ""
}

// Found is a thing that an answer told of.
type Found struct{ Kind, ID string }

// Made lists the things in an answer to the operation: by its Location, its id,
// the ids of its results and of what is named in it.
func (o *Operation) Made(location string, body []byte) []Found {
	var out []Found
	add := func(kind, id string) {
		if f := (Found{kind, id}); kind != "" && id != "" && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	location, _, _ = strings.Cut(location, "?")
	if steps := strings.Split(strings.Trim(location, "/"), "/"); len(steps) > 1 && strings.HasPrefix(location, "/api/") && len(steps[len(steps)-1]) == 36 {
		add(kind(steps[len(steps)-2]), steps[len(steps)-1])
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		return out
	}
	top := object(v)
	if o.Method == http.MethodPost || o.Method == http.MethodGet {
		add(o.Collection(), text(top["id"]))
		for _, one := range list(top["results"]) {
			add(o.Collection(), text(object(one)["id"]))
		}
	}
	for _, name := range []string{"tenant", "user"} {
		add(name, text(object(top[name])["id"]))
	}
	return out
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func list(v any) []any            { l, _ := v.([]any); return l }
func text(v any) string           { s, _ := v.(string); return s }

func sorted(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// escape makes a name a step of a JSON pointer in a fragment.
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B").Replace(name)
}
