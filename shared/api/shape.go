package api

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/coditect/platform/shared/identity"
)

// shape is what the types of an operation say about its requests.
type shape struct {
	body         reflect.Type // nil without one
	bodyOptional bool
	raw          bool
	pathParams   []string
	queryParams  []string
	freeText     []string // query parameters that may be empty
	ifMatch      bool
	paged        bool
	etag         bool // answers carry one
	created      bool // answers carry Location
	faults       []string
}

func inspect(in, out reflect.Type) shape {
	var s shape
	s.walk(in)
	probe := reflect.New(out).Interface()
	_, s.etag = probe.(interface{ versioned() })
	_, s.created = probe.(interface{ versioned() })
	return s
}

func (s *shape) walk(t reflect.Type) {
	switch t {
	case reflect.TypeFor[IfMatch]():
		s.ifMatch = true
	case reflect.TypeFor[PageInput]():
		s.paged = true
	}
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			// huma skips unexported embedded structs without a word, so that
			// their parameters would always be zero.
			if !f.IsExported() {
				s.fault("the input embeds %s, whose name must be exported", f.Name)
			}
			s.walk(f.Type)
		case f.Name == "Body":
			s.body, s.bodyOptional = f.Type, f.Type.Kind() == reflect.Pointer
			s.checkBody(f.Type, map[reflect.Type]bool{})
		case f.Name == "RawBody":
			s.raw = true
		default:
			s.param(f)
		}
	}
}

func (s *shape) param(f reflect.StructField) {
	for _, in := range []string{"path", "query", "header", "cookie"} {
		name := f.Tag.Get(in)
		if name == "" {
			continue
		}
		if !f.IsExported() {
			s.fault("parameter %s is read into an unexported field", name)
		}
		name, _, _ = strings.Cut(name, ",")
		switch in {
		case "path":
			s.pathParams = append(s.pathParams, name)
		case "query":
			s.queryParams = append(s.queryParams, name)
			if freeText(f) {
				s.freeText = append(s.freeText, name)
			}
		}
		switch f.Type.Kind() {
		case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
			s.fault("parameter %s is a %s, into which larger numbers wrap: use int with minimum and maximum", name, f.Type)
		}
	}
}

// freeText reports whether an empty value of the parameter means the same as
// none: a search for nothing. Of a choice or a form it is a wrong value.
func freeText(f reflect.StructField) bool {
	for _, limit := range []string{"enum", "format", "pattern", "minLength"} {
		if _, has := f.Tag.Lookup(limit); has {
			return false
		}
	}
	return f.Type.Kind() == reflect.String
}

// checkBody refuses what huma does behind a client's back: `default` overwrites
// an explicit false, 0 or "".
func (s *shape) checkBody(t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		if _, has := f.Tag.Lookup("default"); has {
			s.fault("body member %s has a default, which would overwrite an explicit zero", f.Name)
		}
		s.checkBody(f.Type, seen)
	}
}

func (s *shape) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// kebab reports whether s is words of small letters and digits with hyphens
// between them, the first beginning with a letter.
func kebab(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for word := range strings.SplitSeq(s, "-") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

// wildcards are the names of a path's parameters. Each is a segment of its own,
// or net/http would not take the path.
func wildcards(path string) (names []string) {
	for segment := range strings.SplitSeq(path, "/") {
		if name, is := strings.CutPrefix(segment, "{"); is {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// fault is what is wrong with the declaration, or empty.
func (o Operation) fault() string {
	switch {
	case !kebab(o.ID):
		return "the id must be kebab-case"
	case !slices.Contains(methods, o.Method):
		return "the method is not one of " + strings.Join(methods, ", ")
	case !strings.HasPrefix(o.Path, "/") || o.Path == "/":
		return "the path must be absolute and not the root"
	case strings.Contains(o.Path, "{$}") || strings.Contains(o.Path, "...}"):
		return "the path must name one resource, not a subtree"
	case o.Permission == "" && !o.Public:
		return "an operation needs a permission, or Public"
	case o.Permission != "" && o.Public:
		return "a public operation has no permission"
	case o.Permission != "" && !o.Permission.Valid():
		return "there is no permission " + string(o.Permission)
	case o.Essential && (o.Public || o.Permission == identity.Internal):
		return "only what needs a token has limits of a plan to be kept from"
	case (o.Permission == identity.Internal) != strings.HasPrefix(o.Path, "/internal/"):
		return "internal operations, and no others, live under /internal/"
	case o.Summary == "" || o.Tag == "":
		return "a summary and a tag are for the reader of the document"
	case o.IdempotencyKey && o.Method != http.MethodPost:
		return "only POST takes an Idempotency-Key"
	case len(o.shape.faults) > 0:
		return strings.Join(o.shape.faults, "; ")
	case o.shape.body != nil && (o.Method == http.MethodGet || o.Method == http.MethodDelete):
		return "GET and DELETE have no body"
	case o.shape.raw && len(o.Accepts) == 0:
		return "a RawBody needs Accepts"
	case o.shape.body != nil && o.RequestExample == nil:
		return "an operation with a body needs a RequestExample"
	case o.hasAnswer() && o.ResponseExample == nil:
		return "an operation with an answer needs a ResponseExample"
	}
	for _, name := range wildcards(o.Path) {
		if !slices.Contains(o.shape.pathParams, name) {
			return "the input does not read {" + name + "}"
		}
	}
	for _, name := range o.shape.pathParams {
		if !strings.Contains(o.Path, "{"+name+"}") {
			return "the path has no {" + name + "}"
		}
	}
	return ""
}

func (o Operation) hasAnswer() bool {
	f, ok := o.output.FieldByName("Body")
	return ok && f.Type.Kind() != reflect.Func
}
