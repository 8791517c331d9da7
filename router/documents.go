package router

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"

	swagger "github.com/swaggo/files/v2"
	"go.yaml.in/yaml/v3"

	"github.com/coditect/platform/shared/errs"
)

//go:embed openapi.json
var generatedOpenAPI []byte

//go:embed docs.html
var docsPage []byte

//go:embed docs.js
var docsScript []byte

// document is something that the router itself serves, to anybody.
type document struct {
	pattern string
	answer  func(a *App, x *exchange, r *http.Request) error
}

func (d *document) serve(a *App, x *exchange, r *http.Request, allowed bool) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		a.admission.stranger(x.client).SetHeaders(x.Header())
		return d.answer(a, x, r)
	case http.MethodOptions:
		preflight(x.Header(), r, "GET, HEAD, OPTIONS", allowed)
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
	e := *errMethod
	e.Allow = "GET, HEAD, OPTIONS"
	return &e
}

// documents are keyed by path without its trailing slash.
func (a *App) ownDocuments() map[string]*document {
	out := map[string]*document{}
	add := func(path string, answer func(*App, *exchange, *http.Request) error) {
		out[bare(path)] = &document{path, answer}
	}
	add("/livez", (*App).livez)
	add("/health/", (*App).healthy)
	add("/api/schema/", (*App).schema)
	add("/api/docs/", asset("text/html; charset=utf-8", func() ([]byte, error) { return docsPage, nil }))
	add("/api/docs/docs.js", asset("text/javascript; charset=utf-8", func() ([]byte, error) { return docsScript, nil }))
	for name, mediaType := range map[string]string{
		"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8", "favicon-32x32.png": "image/png",
	} {
		add("/api/docs/"+name, asset(mediaType, func() ([]byte, error) { return fs.ReadFile(swagger.FS, name) }))
	}
	return out
}

// docsPolicy lets the page run our files and nothing else. The interface sets
// styles on elements, which no other directive allows.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func asset(mediaType string, read func() ([]byte, error)) func(*App, *exchange, *http.Request) error {
	load := sync.OnceValues(func() (text, error) {
		data, err := read()
		return newText(data), err
	})
	return func(_ *App, x *exchange, r *http.Request) error {
		t, err := load()
		if err != nil {
			return err
		}
		x.Header().Set("Content-Security-Policy", docsPolicy)
		x.Header().Set("Cache-Control", "public, max-age=3600")
		t.serve(x, r, mediaType)
		return nil
	}
}

// text is bytes with the tag by which clients know them again.
type text struct {
	data []byte
	etag string
}

func newText(data []byte) text {
	sum := sha256.Sum256(data)
	return text{data, `"` + hex.EncodeToString(sum[:12]) + `"`}
}

func (t text) serve(x *exchange, r *http.Request, mediaType string) {
	h := x.Header()
	h.Set("ETag", t.etag)
	for _, line := range r.Header["If-None-Match"] {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == t.etag || tag == "*" {
				x.WriteHeader(http.StatusNotModified)
				return
			}
		}
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(t.data)))
	x.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = x.Write(t.data) // a client that left has nothing to be told
	}
}

// schema serves the OpenAPI document as JSON, or as YAML on demand.
func (a *App) schema(x *exchange, r *http.Request) error {
	q := r.URL.Query()
	format := q.Get("format")
	for name := range q {
		if name != "format" {
			return &errs.Error{Kind: errs.Malformed, Code: "invalid_query", Detail: "A query parameter is not valid.",
				Fields: []errs.Field{{Location: "query." + name, Message: "is not a parameter of this resource"}}}
		}
	}
	h := x.Header()
	h.Set("Cache-Control", "public, max-age=60")
	h.Add("Vary", "Accept")
	switch {
	case format == "yaml", format == "" && strings.Contains(r.Header.Get("Accept"), "yaml"):
		t, err := a.yaml()
		if err != nil {
			return err
		}
		t.serve(x, r, "application/yaml")
	case format == "json", format == "":
		a.openapi.serve(x, r, "application/json")
	default:
		return &errs.Error{Kind: errs.Malformed, Code: "invalid_query", Detail: "A query parameter is not valid.",
			Fields: []errs.Field{{Location: "query.format", Message: "is json or yaml"}}}
	}
	return nil
}

// toYAML writes JSON as YAML of the same order. JSON is YAML already; only the
// style of its nodes changes.
func toYAML(data []byte) (text, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return text{}, fmt.Errorf("router: openapi: %w", err)
	}
	restyle(&doc)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return text{}, fmt.Errorf("router: openapi: %w", err)
	}
	return newText(out.Bytes()), nil
}

func restyle(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
	for _, c := range n.Content {
		restyle(c)
	}
}

var errHeaders = errs.New(errs.HeadersTooLarge, "headers_too_large", "The request's headers are larger than 16 KiB.")
