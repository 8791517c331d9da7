package stripe

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// params are the parameters of a request by their path: items[0][price] is
// items.0.price.
type params map[string]string

const maxBody = 1 << 20

func parse(r *http.Request) (params, *apiError) {
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost || r.Method == http.MethodDelete {
		b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return nil, invalid("", "The body cannot be read.")
		}
		if raw != "" && len(b) > 0 {
			raw += "&"
		}
		raw += string(b)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("", "Invalid request: the form cannot be read.")
	}
	p := params{}
	for name, all := range values {
		path := strings.ReplaceAll(strings.ReplaceAll(name, "[", "."), "]", "")
		for i, v := range all {
			at := path
			if strings.HasSuffix(path, ".") { // expand[]=…
				at = path + strconv.Itoa(i)
			} else if i > 0 {
				return nil, invalid(name, "Invalid request: "+name+" is given twice.")
			}
			p[at] = v
		}
	}
	return p, nil
}

// only refuses parameters that are not among the allowed paths, in which * is
// one step of any name.
func (p params) only(allowed []string) *apiError {
	for _, path := range slices.Sorted(maps.Keys(p)) {
		if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, path) }) && !matches("expand.*", path) {
			steps := strings.Split(path, ".")
			name := steps[0]
			var nameSb58 strings.Builder
			for _, s := range steps[1:] {
				nameSb58.WriteString("[" + s + "]")
			}
			name += nameSb58.String()
			return &apiError{status: http.StatusBadRequest, Type: invalidRequest, Code: "parameter_unknown", Message: "Received unknown parameter: " + name, Param: name}
		}
	}
	return nil
}

func matches(pattern, path string) bool {
	a, b := strings.Split(pattern, "."), strings.Split(path, ".")
	return slices.EqualFunc(a, b, func(want, got string) bool { return want == got || want == "*" && got != "" })
}

func (p params) has(path string) bool { _, ok := p[path]; return ok }

func (p params) text(path string) string { return p[path] }

// need gives a parameter that must be there.
func (p params) need(path string) (string, error) {
	if v := p[path]; v != "" {
		return v, nil
	}
	return "", missing(path)
}

func (p params) int(path string) (int64, error) {
	v, ok := p[path]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, &apiError{status: http.StatusBadRequest, Type: invalidRequest, Code: "parameter_invalid_integer", Message: "Invalid integer: " + v, Param: path}
	}
	return n, nil
}

func (p params) flag(path string) (bool, error) {
	switch v, ok := p[path]; {
	case !ok:
		return false, nil
	case v == "true", v == "false":
		return v == "true", nil
	default:
		return false, invalid(path, "Invalid boolean: "+v)
	}
}

// one refuses a value that is not of the list. An absent one is the first.
func (p params) one(path string, of ...string) (string, error) {
	v, ok := p[path]
	if !ok {
		return of[0], nil
	}
	if !slices.Contains(of, v) {
		return "", invalid(path, "Invalid "+path+": must be one of "+strings.Join(of, ", "))
	}
	return v, nil
}

// list gives path.0, path.1 ….
func (p params) list(path string) []string {
	var out []string
	for i := 0; ; i++ {
		v, ok := p[path+"."+strconv.Itoa(i)]
		if !ok {
			return out
		}
		out = append(out, v)
	}
}

// rows gives how many of path.0.…, path.1.… there are.
func (p params) rows(path string) int {
	for n := 0; ; n++ {
		prefix := path + "." + strconv.Itoa(n) + "."
		found := false
		for at := range p {
			found = found || strings.HasPrefix(at, prefix)
		}
		if !found {
			return n
		}
	}
}

// merge changes metadata as a request asks: an empty value removes a key.
func (p params) merge(into map[string]string) map[string]string {
	out := map[string]string{}
	if v, whole := p["metadata"]; !whole || v != "" {
		maps.Copy(out, into)
	}
	for path, v := range p {
		if name, ok := strings.CutPrefix(path, "metadata."); ok {
			out[name] = v
			if v == "" {
				delete(out, name)
			}
		}
	}
	return out
}
