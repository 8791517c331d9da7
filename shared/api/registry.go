package api

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/coditect/platform/shared/ids"
)

// install sets huma's package variables: one policy for the process, before the
// first operation is registered.
var install = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, msg string, faults ...error) huma.StatusError {
		_ = fromHuma(nil, status, msg, faults)
		return &refused{}
	}
	huma.NewErrorWithContext = func(hc huma.Context, status int, msg string, faults ...error) huma.StatusError {
		_ = fromHuma(hc, status, msg, faults)
		return &refused{}
	}
})

// jsonFormat decodes; the call has scanned the bytes already. What huma would
// write goes nowhere, so it is not made either.
var jsonFormat = huma.Format{Marshal: discard, Unmarshal: huma.DefaultJSONFormat.Unmarshal}

// build registers operations with huma, in an API of their own, and gives the
// handlers that huma made of them. Told, huma knows all that the document says;
// to serve, it need not.
func build(title, version string, told bool, ops ...Operation) (huma.API, handlers) {
	install()
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	registry.RegisterTypeAlias(reflect.TypeFor[ids.ID](), reflect.TypeFor[uuidSchema]())
	made := handlers{}
	a := humago.New(made, huma.Config{ // not DefaultConfig, whose routes, $schema member and Link header are not ours
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0", Info: &huma.Info{Title: title, Version: version},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: securitySchemes()},
		},
		// "json" is what huma looks for behind a +json suffix.
		Formats:       map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat: "application/json",
	})
	for _, op := range ops {
		op.register(a, told)
		doc := documented(a, op)
		op.finishBody(doc)
		if told {
			op.finishAnswers(doc)
		}
	}
	allowNulls(registry)
	return a, made
}

// handlers are what huma makes of operations, by "METHOD path".
type handlers map[string]func(http.ResponseWriter, *http.Request)

// HandleFunc takes what huma registers; the chain calls it.
func (h handlers) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	h[pattern] = f
}

// ServeHTTP makes it a mux that huma takes. It is never called: requests come
// through the chain.
func (handlers) ServeHTTP(http.ResponseWriter, *http.Request) {
	panic("api: request past the chain")
}

func documented(a huma.API, op Operation) *huma.Operation {
	item := a.OpenAPI().Paths[op.Path]
	switch op.Method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	}
	return item.Delete
}

// uuidSchema is the schema of an id: the canonical form only, as ids.Parse has
// it. The braces and prefixes of format uuid are longer.
type uuidSchema struct{}

func (uuidSchema) Schema(huma.Registry) *huma.Schema {
	n := 36
	return &huma.Schema{Type: huma.TypeString, Format: "uuid", MinLength: &n, MaxLength: &n}
}

// schemaName names a type in the document. Types of functions get their
// package in front unless they are named after it already, since two functions
// may both have a Person.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	name, args, generic := strings.Cut(t.Name(), "[")
	if name == "" {
		return upper(hint)
	}
	if name == "refused" {
		return "Problem"
	}
	if !generic {
		return qualified(t.PkgPath(), name)
	}
	args = strings.TrimSuffix(args, "]")
	at := strings.LastIndexByte(args, '.')
	if at < 0 {
		return upper(args) + upper(name)
	}
	arg := qualified(args[:at], args[at+1:])
	if name == "ListBody" {
		return arg + "List"
	}
	return arg + upper(name)
}

func qualified(pkg, name string) string {
	pkg = pkg[strings.LastIndexByte(pkg, '/')+1:]
	if pkg == "api" || pkg == "" {
		return upper(name)
	}
	if strings.Contains(strings.ToLower(name), strings.TrimSuffix(pkg, "s")) {
		return upper(name)
	}
	return upper(pkg) + upper(name)
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// orNull makes a schema take null as well. A reference cannot say so itself
// (huma panics), so it becomes one of two.
func orNull(s *huma.Schema) {
	if s.Ref == "" {
		s.Nullable = true
		return
	}
	null := &huma.Schema{Type: "null", Enum: []any{nil}}
	null.PrecomputeMessages()
	s.AnyOf, s.Ref = []*huma.Schema{{Ref: s.Ref}, null}, ""
	s.PrecomputeMessages()
}

func nullable(r huma.Registry, s *huma.Schema) bool {
	for s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	if s.Nullable || s.Type == "" && len(s.AnyOf) == 0 {
		return true // a schema without a type takes anything
	}
	return slices.ContainsFunc(s.AnyOf, func(either *huma.Schema) bool { return either.Type == "null" })
}

// allowNulls says in every object what a pointer says in Go: null, unless the
// member is left out instead. huma knows it for scalars, not for ids and
// objects.
func allowNulls(r huma.Registry) {
	for name, s := range r.Map() {
		t := r.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range reflect.VisibleFields(t) {
			member, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[member]
			if p == nil || f.Type.Kind() != reflect.Pointer || strings.Contains(options, "omitempty") || nullable(r, p) {
				continue
			}
			if f.Tag.Get("nullable") == "false" {
				continue
			}
			orNull(p)
		}
	}
}
