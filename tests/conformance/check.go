package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coditect/platform/functions/all/openapi"
)

// promises are the schemas of the document, compiled.
type promises struct {
	answers map[*openapi.Media]*jsonschema.Schema
	bodies  map[*openapi.Operation]*jsonschema.Schema
}

const location = "https://api.invalid/openapi.json"

func newPromises(text []byte, doc *openapi.Document) (*promises, error) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	// Answers are held to their formats. Requests are not: what is a mail
	// address is decided by the platform, and more strictly.
	strict, lenient := jsonschema.NewCompiler(), jsonschema.NewCompiler()
	strict.AssertFormat()
	for _, c := range []*jsonschema.Compiler{strict, lenient} {
		if err := c.AddResource(location, root); err != nil {
			return nil, fmt.Errorf("conformance: %w", err)
		}
	}
	p := &promises{answers: map[*openapi.Media]*jsonschema.Schema{}, bodies: map[*openapi.Operation]*jsonschema.Schema{}}
	for _, op := range doc.Operations {
		for status, r := range op.Responses {
			for kind, media := range r.Content {
				if media.Schema == nil {
					return nil, fmt.Errorf("conformance: %s: %d %s has no schema", op.ID, status, kind)
				}
				s, err := strict.Compile(location + "#" + media.Pointer)
				if err != nil {
					return nil, fmt.Errorf("conformance: %s: %w", op.ID, err)
				}
				p.answers[media] = s
			}
		}
		if op.Body != nil && strings.Contains(op.Body.Media[0], "json") {
			s, err := lenient.Compile(location + "#" + op.Body.Pointer)
			if err != nil {
				return nil, fmt.Errorf("conformance: %s: %w", op.ID, err)
			}
			p.bodies[op] = s
		}
	}
	return p, nil
}

// hold says in what an answer breaks a promise; nil when in nothing.
func (p *promises) hold(op *openapi.Operation, in *Request, resp *http.Response, body []byte) error {
	status := resp.StatusCode
	if status >= 500 {
		return fmt.Errorf("answered %d", status)
	}
	declared := op.Responses[status]
	if declared == nil {
		return fmt.Errorf("status %d is not documented", status)
	}
	if resp.Header.Get("X-Request-Id") == "" {
		return errors.New("the answer has no X-Request-Id")
	}
	if len(declared.Content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("status %d is documented without a body", status)
		}
		return p.taken(op, in, status)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("content type %q of status %d: %w", resp.Header.Get("Content-Type"), status, err)
	}
	media := declared.Content[kind]
	if media == nil {
		return fmt.Errorf("status %d is not documented as %s", status, kind)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body of status %d is not JSON: %w", status, err)
	}
	if err := p.answers[media].Validate(v); err != nil {
		return fmt.Errorf("the body of status %d does not match its schema: %w", status, err)
	}
	if made, ok := v.(map[string]any); ok && status == http.StatusCreated && made["id"] != nil && resp.Header.Get("Location") == "" && slices.Contains(declared.Headers, "Location") {
		return errors.New("201 without the Location that is documented")
	}
	if status >= 400 {
		var problem struct {
			Status int
			Code   string
		}
		if err := json.Unmarshal(body, &problem); err != nil {
			return fmt.Errorf("the problem cannot be read: %w", err)
		}
		if problem.Status != status || !slices.Contains(media.Codes, problem.Code) {
			return fmt.Errorf("the problem %d %s is not documented for status %d", problem.Status, problem.Code, status)
		}
	}
	return p.taken(op, in, status)
}

// taken says when a body was accepted that the document forbids.
func (p *promises) taken(op *openapi.Operation, in *Request, status int) error {
	schema := p.bodies[op]
	if status/100 != 2 || schema == nil || !in.HasBody && in.Raw == nil {
		return nil
	}
	if len(in.bytes()) == 0 && !op.Body.Required {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(in.bytes()))
	if err != nil {
		return fmt.Errorf("%d for a body that is not JSON: %w", status, err)
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%d for a body that the document forbids: %w", status, err)
	}
	return nil
}
