package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
)

// served is an operation as it is mounted.
type served struct {
	Operation
	doc      *huma.Operation
	registry huma.Registry
	handler  func(http.ResponseWriter, *http.Request)
	accepts  []string
}

// mux finds the operation of a request. Both forms of a path are served, with
// and without the trailing slash, neither by a redirect and neither as a
// subtree, which is what a pattern ending in a slash would be.
type mux struct {
	m          *http.ServeMux
	operations map[string]*served
	patterns   map[string]func(http.ResponseWriter, *http.Request)
}

func newMux() *mux {
	return &mux{m: http.NewServeMux(), operations: map[string]*served{}, patterns: map[string]func(http.ResponseWriter, *http.Request){}}
}

// HandleFunc takes what huma registers; add mounts it.
func (m *mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns[pattern] = h
}

// add mounts an operation that huma has registered.
func (m *mux) add(op *served) {
	op.handler = m.patterns[op.Method+" "+op.Path]
	found := func(w http.ResponseWriter, _ *http.Request) { w.(*finder).op = op }
	bare := strings.TrimSuffix(op.Path, "/")
	m.m.HandleFunc(op.Method+" "+bare+"/{$}", found)
	m.m.HandleFunc(op.Method+" "+bare, found)
}

// finder stands in for the response while ServeMux looks: its texts, redirects
// and headers for what it does not find are not ours.
type finder struct {
	op     *served
	status int
	header http.Header
}

func (f *finder) Header() http.Header {
	if f.header == nil {
		f.header = http.Header{}
	}
	return f.header
}
func (f *finder) Write(p []byte) (int, error) { return len(p), nil }
func (f *finder) WriteHeader(status int)      { f.status = status }

var (
	errNoRoute  = errs.ErrNotFound
	errNoMethod = errs.New(errs.MethodUnknown, "method_not_allowed", "The resource does not take this method; see Allow.")
)

// ServeHTTP makes the mux one that huma takes. It is never called: requests
// come through the chain.
func (m *mux) ServeHTTP(http.ResponseWriter, *http.Request) { panic("api: request past the chain") }

func (m *mux) route(_ *Deps, next handle) handle {
	return func(c *call) error {
		f := &finder{}
		m.m.ServeHTTP(f, c.r) // puts the path's values into the request
		switch {
		case f.op != nil:
			c.op = f.op
			return next(c)
		case f.status == http.StatusMethodNotAllowed:
			e := *errNoMethod
			e.Allow = f.header.Get("Allow")
			return &e
		}
		return errNoRoute // cleaning redirects of //x and /a/../b included: those are not canonical
	}
}
