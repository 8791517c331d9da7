package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
)

var (
	errMediaType = errs.New(errs.Unsupported, "unsupported_media_type", "The body must be JSON in UTF-8: Content-Type: application/json.")
	errTooLarge  = errs.New(errs.TooLarge, "body_too_large", "The request body is larger than the limit.")
	errSlowBody  = errs.New(errs.TooSlow, "body_timeout", "The request body came too slowly.")
	errQuery     = errs.New(errs.Malformed, "malformed_query", "The query string cannot be read.")
	errNoBody    = errs.New(errs.Malformed, "body_required", "The request needs a body.")
	errBroken    = errs.New(errs.Malformed, "body_incomplete", "The request body ended early.")
)

// mediaType refuses bodies that we do not read. A body without a Content-Type
// is refused too: guessing is how parsers are confused.
func mediaType(_ *Deps, next handle) handle {
	return func(c *call) error {
		if !c.op.readsBody() || c.r.ContentLength == 0 {
			return next(c)
		}
		kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
		if err != nil || !slices.Contains(c.op.accepts, kind) {
			if c.r.ContentLength < 0 && c.r.Header.Get("Content-Type") == "" && emptyStream(c.r) {
				return next(c)
			}
			return errMediaType
		}
		if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
			return errMediaType
		}
		if c.r.Header.Get("Content-Type") != kind {
			c.r.Header.Set("Content-Type", kind) // huma compares letter by letter
		}
		return next(c)
	}
}

// emptyStream finds out whether a body of unknown length has any byte.
func emptyStream(r *http.Request) bool {
	var first [1]byte
	n, err := io.ReadFull(r.Body, first[:])
	if n == 1 {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(first[:]), r.Body), r.Body}
	}
	return n == 0 && err == io.EOF
}

func (o *served) readsBody() bool { return o.shape.body != nil || o.shape.raw }

// readBody reads the whole body, within its limits of size and time, and
// refuses JSON that two parsers could read differently.
func readBody(d *Deps, next handle) handle {
	return func(c *call) error {
		if c.r.Body == nil || c.r.Body == http.NoBody || !c.op.readsBody() && !c.op.takesKey() {
			return c.withBody(nil, next)
		}
		if c.r.ContentLength > c.op.MaxBody {
			return errTooLarge
		}
		body, err := c.read(d)
		if err != nil {
			return err
		}
		return c.withBody(body, next)
	}
}

func (c *call) read(d *Deps) ([]byte, error) {
	control := http.NewResponseController(c.w)
	// Where the server has no connection to set it on, the request's own
	// deadline is what is left.
	_ = control.SetReadDeadline(time.Now().Add(d.BodyTimeout))
	size := c.r.ContentLength
	if size < 0 {
		size = 512
	}
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := buf.ReadFrom(http.MaxBytesReader(c.w, c.r.Body, c.op.MaxBody))
	var large *http.MaxBytesError
	var network net.Error
	switch {
	case err == nil:
		// Not extended to the work that follows: the connection is read in the
		// background for its end, and a deadline there would cancel the
		// request. After a failure it stays, or the server would wait for the
		// rest before it answers.
		_ = control.SetReadDeadline(time.Time{})
		return buf.Bytes(), nil
	case errors.As(err, &large):
		return nil, errTooLarge
	case errors.As(err, &network) && network.Timeout():
		return nil, errSlowBody.WithCause(err)
	case c.r.Context().Err() != nil:
		return nil, c.r.Context().Err()
	}
	return nil, errBroken.WithCause(err)
}

func (c *call) withBody(body []byte, next handle) error {
	c.body = body
	switch {
	case !c.op.readsBody():
		c.r.Body = http.NoBody
		return next(c)
	case len(body) == 0 && c.op.shape.body != nil && !c.op.shape.bodyOptional:
		return errNoBody
	}
	if c.op.shape.body != nil && len(body) > 0 {
		seen, err := scan(body)
		if err != nil {
			return err
		}
		if seen.null {
			c.nulls = c.op.forbiddenNulls(body)
		}
	}
	c.r.Body = io.NopCloser(bytes.NewReader(body))
	return next(c)
}

// forbiddenNulls finds members that are null and may not be. huma takes null
// for a member that is not required as if it were absent.
func (o *served) forbiddenNulls(body []byte) []errs.Field {
	media := o.ready().doc.RequestBody.Content[o.accepts[0]]
	var v any
	if media == nil || json.Unmarshal(body, &v) != nil {
		return nil // huma reports it
	}
	var out []errs.Field
	o.nulls(media.Schema, v, "body", &out)
	slices.SortFunc(out, func(a, b errs.Field) int { return strings.Compare(a.Location, b.Location) })
	return out
}

func (o *served) nulls(s *huma.Schema, v any, at string, out *[]errs.Field) {
	for s != nil && s.Ref != "" {
		s = o.ready().schemas.SchemaFromRef(s.Ref)
	}
	if s == nil {
		return
	}
	for _, either := range s.AnyOf {
		o.nulls(either, v, at, out)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			child := s.Properties[name]
			if child == nil {
				child, _ = s.AdditionalProperties.(*huma.Schema)
			}
			if child == nil {
				continue
			}
			if member == nil && !slices.Contains(s.Required, name) && !nullable(o.ready().schemas, child) {
				*out = append(*out, errs.Field{Location: at + "." + name, Message: "null is not allowed"})
			}
			o.nulls(child, member, at+"."+name, out)
		}
	case []any:
		for _, member := range v {
			o.nulls(s.Items, member, at, out)
		}
	}
}

// checkQuery refuses query strings that parsers disagree about: what does not
// decode, parameters given twice, NUL and bytes that are no text.
func checkQuery(_ *Deps, next handle) handle {
	return func(c *call) error {
		if !clean(c.r.URL.Path) {
			return errs.ErrNotFound
		}
		if c.r.URL.RawQuery == "" {
			return next(c)
		}
		query, err := url.ParseQuery(c.r.URL.RawQuery)
		if err != nil {
			return errQuery
		}
		c.query = query
		var faults []errs.Field
		for name, values := range query {
			at := "query." + strings.ToValidUTF8(name, "?")
			switch {
			case !slices.Contains(c.op.shape.queryParams, name):
				faults = append(faults, errs.Field{Location: at, Message: "unknown parameter"})
			case len(values) > 1:
				faults = append(faults, errs.Field{Location: at, Message: "given more than once"})
			case !clean(values[0]):
				faults = append(faults, errs.Field{Location: at, Message: "is not text"})
			case values[0] == "" && !slices.Contains(c.op.shape.freeText, name):
				// huma takes an empty value for an absent parameter, and a
				// filter that is silently off shows what was to be hidden.
				faults = append(faults, errs.Field{Location: at, Message: "must not be empty"})
			}
		}
		if len(faults) > 0 {
			slices.SortFunc(faults, func(a, b errs.Field) int { return strings.Compare(a.Location, b.Location) })
			return badRequest(faults, nil)
		}
		return next(c)
	}
}

func clean(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
