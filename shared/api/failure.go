package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/problem"
)

// refused is how huma learns that a request has failed. It carries nothing: the
// reason waits in the call, and shared/problem renders it. Its fields are the
// schema of every error answer.
type refused struct {
	problem.Problem
}

func (*refused) Error() string             { return "refused" }
func (*refused) GetStatus() int            { return http.StatusInternalServerError }
func (*refused) ContentType(string) string { return problem.MediaType }

// fromHuma turns the faults that huma has found into one of our errors, by
// where they are: what is checked first is reported first.
func fromHuma(hc huma.Context, status int, msg string, faults []error) error {
	var c *call
	if hc != nil {
		c = callOf(hc.Context())
	}
	if c == nil {
		return &refused{}
	}
	if status >= http.StatusInternalServerError {
		return c.refuse(errors.Join(faults...))
	}
	return c.refuse(verdict(status, msg, faults, c.nulls))
}

// verdict orders the faults: 400 for query and headers, then 422 for the body,
// then 404 for the path, where a strange id is an absent resource.
func verdict(status int, msg string, faults []error, nulls []errs.Field) error {
	var request, body []errs.Field
	var only *errs.Error
	path := false
	for _, f := range faults {
		var own *errs.Error
		if errors.As(f, &own) {
			if own.Kind != errs.Malformed && own.Kind != errs.Invalid {
				return own // a dependency failed while the input was read
			}
			only = own
			if own.Kind == errs.Malformed {
				request = append(request, own.Fields...)
			} else {
				body = append(body, own.Fields...)
			}
			continue
		}
		field := fieldOf(f)
		switch place, _, _ := strings.Cut(field.Location, "."); place {
		case "query", "header", "cookie":
			request = append(request, field)
		case "path":
			path = true
		default:
			body = append(body, field)
		}
	}
	body = append(body, nulls...)
	switch {
	case len(request) > 0:
		return badRequest(request, only)
	case status == http.StatusUnsupportedMediaType:
		return errMediaType
	case status == http.StatusBadRequest:
		return errs.New(errs.Malformed, "malformed_json", "The body is not valid JSON.")
	case len(body) > 0:
		return errs.InvalidFields(body...)
	case path:
		return errs.ErrNotFound
	}
	return errs.New(errs.Invalid, "validation_failed", msg)
}

// ownCodes are the faults of one parameter that have a code of their own.
var ownCodes = map[string]*errs.Error{"query.cursor": page.ErrCursor, "query.ordering": page.ErrOrdering}

func badRequest(fields []errs.Field, only *errs.Error) error {
	at := fields[0].Location
	for _, f := range fields {
		if f.Location != at {
			at = ""
		}
	}
	if known := ownCodes[at]; known != nil {
		return known
	}
	if len(fields) == 1 && only != nil {
		return only
	}
	e := errs.New(errs.Malformed, "invalid_request", "A parameter or header of the request is not valid.")
	e.Fields = fields
	return e
}

func fieldOf(err error) errs.Field {
	var detailer huma.ErrorDetailer
	if !errors.As(err, &detailer) {
		return errs.Field{Location: "body", Message: "is not valid"} // the text of a foreign error is not for clients
	}
	d := detailer.ErrorDetail()
	f := errs.Field{Location: d.Location, Message: d.Message, Value: scalar(d.Value)}
	if strings.HasPrefix(d.Location, "header.") || strings.HasPrefix(d.Location, "cookie.") || secretive(d.Location) {
		f.Value = nil
	}
	if name, missing := strings.CutPrefix(d.Message, "expected required property "); missing {
		name, _, _ = strings.Cut(name, " ")
		return errs.Field{Location: d.Location + "." + name, Message: "is required"}
	}
	if d.Location == "body" {
		// What passes the schema and fails in the typed decoder (1e3 into an
		// int, an overflow) comes with the decoder's text and type names.
		f.Value = nil
		if strings.HasPrefix(d.Message, "json: ") || strings.HasPrefix(d.Message, "invalid ") || strings.HasPrefix(d.Message, "parsing time") || strings.Contains(d.Message, "cannot unmarshal") {
			f.Message = "a value does not fit its field"
		}
	}
	if strings.HasPrefix(f.Message, "invalid value: ") {
		f.Message = "is not valid"
	}
	return f
}

// secretive keeps what a person typed into a secret field out of the answer,
// and so out of whatever logs it.
func secretive(location string) bool {
	for _, word := range []string{"password", "token", "secret", "code", "authorization"} {
		if strings.Contains(location, word) {
			return true
		}
	}
	return false
}

// scalar is v where echoing it is harmless: not a whole object, not megabytes.
func scalar(v any) any {
	switch x := v.(type) {
	case string:
		if len(x) <= 64 {
			return x
		}
	case bool, float64, int64, int, uint64:
		return x
	}
	return nil
}
