package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
)

// served is an operation as it is mounted.
type served struct {
	Operation
	accepts []string
	// ready gives what huma makes of the operation, which it does when the first
	// request wants it: a function starts for one request and has many
	// operations.
	ready func() *ready
	// promised is what the document says of the operation, where answers are
	// held against it.
	promised *huma.Operation
	schemas  huma.Registry // of promised
}

// ready is an operation that huma knows, in an API of its own: what serves
// another at the same moment reads its schemas without a lock.
type ready struct {
	doc     *huma.Operation
	schemas huma.Registry
	handler func(http.ResponseWriter, *http.Request)
}

func serve(op Operation) *served {
	return &served{Operation: op, accepts: op.mediaTypes(), ready: sync.OnceValue(func() *ready {
		a, made := build(op.ID, "", false, op)
		return &ready{doc: documented(a, op), schemas: a.OpenAPI().Components.Schemas, handler: made[op.Method+" "+op.Path]}
	})}
}

// mux finds the operation of a request. Both forms of a path are served, with
// and without the trailing slash, neither by a redirect and neither as a
// subtree, which is what a pattern ending in a slash would be.
//
// The path is found first and the method then, so that a literal segment beats
// a parameter whatever the method: DELETE of /users/me/ is a method which that
// path does not have, not somebody whose id is "me".
type mux struct {
	m         *http.ServeMux
	resources map[string]resource // by path
}

// resource is what there is at one path, by method.
type resource map[string]*served

func (r resource) find(method string) *served {
	if op := r[method]; op != nil || method != http.MethodHead {
		return op
	}
	return r[http.MethodGet]
}

// allow lists the methods for an Allow header.
func (r resource) allow() string {
	methods := slices.Collect(maps.Keys(r))
	if r[http.MethodGet] != nil {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

func newMux() *mux {
	return &mux{m: http.NewServeMux(), resources: map[string]resource{}}
}

// add mounts an operation.
func (m *mux) add(op *served) {
	at := m.resources[op.Path]
	if at == nil {
		at = resource{}
		m.resources[op.Path] = at
		found := func(w http.ResponseWriter, _ *http.Request) { w.(*finder).at = at }
		bare := strings.TrimSuffix(op.Path, "/")
		m.m.HandleFunc(bare+"/{$}", found)
		m.m.HandleFunc(bare, found)
	}
	at[op.Method] = op
}

// promise keeps what the document says of each operation.
func (m *mux) promise(document huma.API) {
	for _, at := range m.resources {
		for _, op := range at {
			op.promised, op.schemas = documented(document, op.Operation), document.OpenAPI().Components.Schemas
		}
	}
}

// finder stands in for the response while ServeMux looks: its texts, redirects
// and headers for what it does not find are not ours.
type finder struct {
	at     resource
	header http.Header
}

func (f *finder) Header() http.Header {
	if f.header == nil {
		f.header = http.Header{}
	}
	return f.header
}
func (f *finder) Write(p []byte) (int, error) { return len(p), nil }
func (f *finder) WriteHeader(int)             {}

var (
	errNoRoute  = errs.ErrNotFound
	errNoMethod = errs.New(errs.MethodUnknown, "method_not_allowed", "The resource does not take this method; see Allow.")
)

func (m *mux) route(_ *Deps, next handle) handle {
	return func(c *call) error {
		f := &finder{}
		m.m.ServeHTTP(f, c.r) // puts the path's values into the request
		if f.at == nil {
			return errNoRoute // cleaning redirects of //x and /a/../b included: those are not canonical
		}
		if c.op = f.at.find(c.r.Method); c.op == nil {
			e := *errNoMethod
			e.Allow = f.at.allow()
			return &e
		}
		return next(c)
	}
}
