package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sort"
	"strings"
)

// Request is one request, taken apart so that each part can be changed.
type Request struct {
	Method string
	// Path is the operation's, and Arguments fill its braces.
	Path      string
	Arguments map[string]string
	Query     url.Values
	// RawQuery is used in place of Query where that cannot say it.
	RawQuery string
	Token    string
	Header   http.Header
	// Body is a JSON value as encoding/json decodes it; Raw, if not nil, is sent
	// in its place.
	Body any
	Raw  []byte
	// HasBody tells a body of null from none.
	HasBody bool
	Media   string
	// Mutations say what was done to it, for a person.
	Mutations []string
}

// target is the path with its arguments and the query.
func (r *Request) target() string {
	path := r.Path
	for name, value := range r.Arguments {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	query := r.RawQuery
	if query == "" {
		query = r.Query.Encode()
	}
	if query != "" {
		path += "?" + query
	}
	return path
}

func (r *Request) bytes() []byte {
	switch {
	case r.Raw != nil:
		return r.Raw
	case r.HasBody:
		return encode(r.Body)
	}
	return nil
}

func (r *Request) build(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader
	content := r.bytes()
	if content != nil {
		body = bytes.NewReader(content)
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, base+r.target(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	maps.Copy(out.Header, r.Header)
	if r.Token != "" {
		out.Header.Set("Authorization", "Bearer "+r.Token)
	}
	if content != nil && r.Media != "" {
		out.Header.Set("Content-Type", r.Media)
	}
	return out, nil
}

// curl is the request as a command, with the token left out: it has expired
// when somebody tries.
func (r *Request) curl(base string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "curl -i -X %s %s", r.Method, quote(base+r.target()))
	if r.Token != "" {
		b.WriteString(` -H "Authorization: Bearer $TOKEN"`)
	}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			fmt.Fprintf(&b, " -H %s", quote(name+": "+value))
		}
	}
	if content := r.bytes(); content != nil {
		if r.Media != "" {
			fmt.Fprintf(&b, " -H %s", quote("Content-Type: "+r.Media))
		}
		if len(content) > 4000 {
			fmt.Fprintf(&b, " --data-binary %s # and so on: %d bytes", quote(string(content[:200])), len(content))
		} else {
			fmt.Fprintf(&b, " --data-binary %s", quote(string(content)))
		}
	}
	return b.String()
}

// quote makes one word of bash, in which every byte can be said.
func quote(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c >= 0x7f {
			b.Reset()
			break
		}
		b.WriteByte(c)
	}
	if b.Len() == len(s) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	b.Reset()
	for _, c := range []byte(s) {
		switch {
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}
