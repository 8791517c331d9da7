package router

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

//go:embed routes.json
var generatedRoutes []byte

// Route is one line of the table: which function serves what. The table is
// generated from the functions' own operations.
type Route struct {
	Function          string `json:"function"`
	OperationID       string `json:"operation_id"`
	Method            string `json:"method"`
	Path              string `json:"path"`
	Permission        string `json:"permission,omitempty"`
	Public            bool   `json:"public,omitempty"`
	OpenWhenSuspended bool   `json:"open_when_suspended,omitempty"`
	// Essential routes are never blocked by a plan's limits.
	Essential bool `json:"essential,omitempty"`
	// Quota routes are, when the requests of the month are used up.
	Quota   bool  `json:"quota,omitempty"`
	MaxBody int64 `json:"max_body"`
}

// table finds the route of a method and a canonical path. Where several
// patterns fit, a literal segment beats a parameter, as in http.ServeMux.
type table struct{ root node }

type node struct {
	literal map[string]*node
	param   *node
	routes  []*Route // what ends here, by method
}

// parseTable reads the generated table and refuses one that it does not
// understand. Internal operations are left out: from outside they do not exist.
func parseTable(data []byte) (*table, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var routes []Route
	if err := dec.Decode(&routes); err != nil {
		return nil, fmt.Errorf("router: the table of routes: %w", err)
	}
	t := &table{}
	for _, r := range routes {
		if err := t.add(r); err != nil {
			return nil, fmt.Errorf("router: the table of routes: %s %s: %w", r.Method, r.Path, err)
		}
	}
	return t, nil
}

func (t *table) add(r Route) error {
	switch {
	case r.Permission == "internal":
		return nil
	case r.Function == "" || r.OperationID == "" || r.Method == "" || !strings.HasPrefix(r.Path, "/"):
		return errors.New("a part is missing")
	case r.Public == (r.Permission != ""):
		return errors.New("a route is either public or has a permission")
	case r.Quota && (r.Public || r.Essential):
		return errors.New("a route that no plan blocks has no quota")
	case r.MaxBody < 0:
		return errors.New("a limit below 0")
	case strings.HasPrefix(r.Path, "/internal/"):
		return errors.New("an internal path with another permission")
	}
	if r.MaxBody == 0 {
		r.MaxBody = defaultMaxBody
	}
	n := &t.root
	for segment := range strings.SplitSeq(strings.Trim(r.Path, "/"), "/") {
		switch {
		case segment == "":
			return errors.New("an empty segment")
		case segment[0] == '{':
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
		default:
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			if n.literal[segment] == nil {
				n.literal[segment] = &node{}
			}
			n = n.literal[segment]
		}
	}
	if n.route(r.Method) != nil {
		return errors.New("served twice")
	}
	n.routes = append(n.routes, &r)
	return nil
}

func (n *node) route(method string) *Route {
	for _, r := range n.routes {
		if r.Method == method {
			return r
		}
	}
	return nil
}

// find gives the route, or nil. HEAD is served by GET.
func (t *table) find(method, path string) *Route {
	end := t.at(path)
	if end == nil {
		return nil
	}
	if r := end.route(method); r != nil || method != http.MethodHead {
		return r
	}
	return end.route(http.MethodGet)
}

// at gives the node where a path ends, or nil.
func (t *table) at(path string) *node {
	path = bare(path)
	if path == "" {
		return nil
	}
	return t.root.at(path)
}

// at takes a rest that is empty or begins with a slash. A literal segment beats
// a parameter whatever the method is: DELETE of /users/me/ is a method which
// that path does not have, not somebody whose id is "me".
func (n *node) at(rest string) *node {
	if rest == "" {
		if len(n.routes) == 0 {
			return nil
		}
		return n
	}
	segment, rest := cut(rest)
	if segment == "" {
		return nil
	}
	if next := n.literal[segment]; next != nil {
		if end := next.at(rest); end != nil {
			return end
		}
	}
	if n.param != nil {
		return n.param.at(rest)
	}
	return nil
}

func cut(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// allow lists the methods of a path for an Allow header; "" is no such path.
func (t *table) allow(path string) string {
	end := t.at(path)
	if end == nil {
		return ""
	}
	var methods []string
	for _, r := range end.routes {
		methods = append(methods, r.Method)
	}
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	methods = append(methods, http.MethodOptions)
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// functions lists the functions of the table, with those that the router asks
// itself.
func (t *table) functions() []string {
	names := t.root.functions([]string{"auth", "tenants"})
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *node) functions(have []string) []string {
	for _, r := range n.routes {
		have = append(have, r.Function)
	}
	for _, next := range n.literal {
		have = next.functions(have)
	}
	if n.param != nil {
		have = n.param.functions(have)
	}
	return have
}
