package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/problem"
)

// breach is how the answer differs from what the document promises, as an
// error that says so to the developer; nil when it keeps the promise.
func (c *call) breach(err error) error {
	a := c.answer
	if err != nil || a == nil {
		a = c.refusal(err)
	}
	if fault := c.op.compare(a); fault != nil {
		return errs.Wrap(errors.Join(fault, err), errs.Internal, "response_contract", fmt.Sprintf("%s: %v", c.op.ID, fault))
	}
	return nil
}

func (o *served) compare(a *answer) error {
	status := strconv.Itoa(a.status)
	if a.status == 499 || a.status == http.StatusMethodNotAllowed {
		return nil // nobody reads it; not the operation's
	}
	declared := o.promised.Responses[status]
	if declared == nil {
		return fmt.Errorf("status %s is not declared", status)
	}
	if a.stream != nil {
		return nil
	}
	if a.status >= 400 {
		var p problem.Problem
		if err := json.Unmarshal(a.body, &p); err != nil {
			return fmt.Errorf("the problem does not parse: %w", err)
		}
		if a.status < 500 && declared.Content[problem.MediaType] != nil && declared.Content[problem.MediaType].Examples[p.Code] == nil {
			return fmt.Errorf("the error %d %s is not declared", a.status, p.Code)
		}
	}
	if len(a.body) == 0 {
		if len(declared.Content) > 0 {
			return fmt.Errorf("status %s declares a body, and there is none", status)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(a.contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", a.contentType, err)
	}
	media := declared.Content[kind]
	if media == nil {
		return fmt.Errorf("status %s is not declared with %s", status, kind)
	}
	return conforms(o.schemas, media.Schema, a.body)
}

// conforms checks JSON against a schema.
func conforms(r huma.Registry, s *huma.Schema, text []byte) error {
	if s == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	res := &huma.ValidateResult{}
	huma.Validate(r, s, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, v, res)
	if len(res.Errors) > 0 {
		return fmt.Errorf("the body does not match its schema: %w", errors.Join(res.Errors...))
	}
	return nil
}

// checkExamples holds the examples of an operation against their schemas: an
// example that is wrong is worse than none.
func checkExamples(r huma.Registry, op *huma.Operation) error {
	check := func(where string, media *huma.MediaType) error {
		if media.Example == nil || media.Schema == nil {
			return nil
		}
		text, err := json.Marshal(media.Example)
		if err == nil {
			err = conforms(r, media.Schema, text)
		}
		if err != nil {
			return fmt.Errorf("example of the %s: %w", where, err)
		}
		return nil
	}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			if err := check("request", media); err != nil {
				return err
			}
		}
	}
	for status, response := range op.Responses {
		for kind, media := range response.Content {
			if strings.HasPrefix(status, "2") && kind == jsonType {
				if err := check("answer "+status, media); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
