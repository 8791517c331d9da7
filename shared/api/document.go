package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/page"
	"github.com/coditect/platform/shared/problem"
)

// Document is the OpenAPI 3.1 document of the functions, as JSON. It needs
// nothing but their declarations. Internal operations are not in it. It fails
// when an example does not match its schema.
func Document(title, version string, fns ...Function) ([]byte, error) {
	Routes(fns...)
	var ops []Operation
	for _, fn := range fns {
		ops = append(ops, fn.Operations...)
	}
	a, _ := build(title, version, true, ops...)
	doc := a.OpenAPI()
	doc.Info.Description = about
	doc.Info.Contact = &huma.Contact{Name: "The Coditect platform authors", URL: "https://github.com/coditect/platform"}
	doc.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	doc.Servers = []*huma.Server{{URL: "/", Description: "Where this document was read."}}
	doc.Tags = tagsOf(fns)
	for _, op := range ops {
		if op.Permission == identity.Internal {
			continue
		}
		if err := checkExamples(doc.Components.Schemas, documented(a, op)); err != nil {
			return nil, fmt.Errorf("api: %s: %w", op.ID, err)
		}
	}
	dropInternal(doc)
	for _, s := range doc.Components.Schemas.Map() {
		allowNull(s)
	}
	return json.MarshalIndent(doc, "", "  ")
}

// allowNull adds null to the values of what may be null. huma takes null for
// such a member whatever its enum; JSON Schema looks at each keyword by itself.
func allowNull(s *huma.Schema) {
	if s.Nullable && len(s.Enum) > 0 && !slices.Contains(s.Enum, nil) {
		s.Enum = append(slices.Clone(s.Enum), nil)
	}
	for _, p := range s.Properties {
		allowNull(p)
	}
	if s.Items != nil {
		allowNull(s.Items)
	}
}

// about opens the document: what holds for every operation and would be
// repeated under each.
const about = `Organizations, people, projects and tasks.

Sign in for an access token and send it as ` + "`Authorization: Bearer …`" + `; it lasts an hour and names the organization that requests act in.
Bodies are JSON in UTF-8, times RFC 3339 in UTC, ids UUIDs. Errors are RFC 9457 problems; ` + "`code`" + ` is what programs tell them apart by.
Lists come in pages: follow ` + "`next`" + `. A single resource carries an ` + "`ETag`" + `; sent back in ` + "`If-Match`" + `, it makes a write fail that would undo another's.
A POST repeated with its ` + "`Idempotency-Key`" + ` answers what it answered the first time. Within v1 only additions are made: a client ignores members that it does not know.`

func discard(io.Writer, any) error { return nil }

func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The access token that signing in gives."},
	}
}

func tagsOf(fns []Function) (tags []*huma.Tag) {
	seen := map[string]bool{}
	for _, fn := range fns {
		for _, op := range fn.Operations {
			if op.Permission != identity.Internal && !seen[op.Tag] {
				seen[op.Tag] = true
				tags = append(tags, &huma.Tag{Name: op.Tag})
			}
		}
	}
	return tags
}

func dropInternal(doc *huma.OpenAPI) {
	for path := range doc.Paths {
		if strings.HasPrefix(path, "/internal/") {
			delete(doc.Paths, path)
		}
	}
	dropUnused(doc)
}

// mediaTypes lists what the body may be sent as, the canonical first.
func (o Operation) mediaTypes() []string {
	switch {
	case len(o.Accepts) > 0:
		return o.Accepts
	case o.Method == http.MethodPatch:
		return []string{"application/merge-patch+json", jsonType}
	}
	return []string{jsonType}
}

// huma is the operation as huma serves it and, if told, as the document has it.
// Who only serves need not be told what is answered, which is the most of it and
// four fifths of the memory that a function takes before its first answer.
func (o Operation) huma(schemas huma.Registry, told bool) huma.Operation {
	op := huma.Operation{
		OperationID: o.ID, Method: o.Method, Path: o.Path, DefaultStatus: o.Status,
		// The chain has read the body within its own limits; huma refuses a
		// body of exactly the limit, so it gets a larger one.
		MaxBodyBytes: o.MaxBody + 1,
		Responses:    map[string]*huma.Response{},
	}
	if o.shape.body != nil {
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{}, Required: !o.shape.bodyOptional}
		for _, kind := range o.mediaTypes() {
			op.RequestBody.Content[kind] = &huma.MediaType{Example: o.RequestExample}
		}
	}
	if told {
		o.describe(&op, schemas)
	}
	return op
}

// describe adds to an operation what only readers of the document want to know.
func (o Operation) describe(op *huma.Operation, schemas huma.Registry) {
	op.Summary, op.Description, op.Tags, op.Errors = o.Summary, o.Description, []string{o.Tag}, o.statuses()
	switch {
	case o.Public:
		op.Extensions = map[string]any{"x-public": true}
		op.Security = []map[string][]string{}
	default:
		op.Extensions = map[string]any{"x-permission": string(o.Permission)}
		op.Security = []map[string][]string{{"bearer": {}}}
	}
	if o.OpenWhenSuspended {
		op.Extensions["x-open-when-suspended"] = true
	}
	if o.Essential {
		op.Extensions["x-essential"] = true
	}
	if o.takesKey() {
		op.Parameters = append(op.Parameters, header("Idempotency-Key",
			"Makes a repeat within 24 hours answer what the first request answered, with Idempotent-Replayed: true. The same key with another body is 422.",
			&huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(255)}))
	}
	if o.shape.etag && o.Method == http.MethodGet {
		op.Parameters = append(op.Parameters, header("If-None-Match", "ETags already held; a match is answered 304.", &huma.Schema{Type: huma.TypeString}))
	}
	if o.needsTenant() || o.Permission == identity.SignedIn {
		op.Parameters = append(op.Parameters, header("X-Tenant-ID", "Must name the token's organization, when sent.", &huma.Schema{Type: huma.TypeString, Format: "uuid"}))
	}
	success := strconv.Itoa(o.Status)
	op.Responses[success] = &huma.Response{Description: http.StatusText(o.Status), Headers: o.successHeaders()}
	if o.hasAnswer() {
		body, _ := o.output.FieldByName("Body")
		op.Responses[success].Content = map[string]*huma.MediaType{jsonType: {Schema: huma.SchemaFromField(schemas, body, o.ID+"Response"), Example: o.ResponseExample}}
	}
	if o.Also != 0 {
		also := *op.Responses[success]
		also.Description = http.StatusText(o.Also)
		op.Responses[strconv.Itoa(o.Also)] = &also
	}
}

func header(name, doc string, s *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: doc, Schema: s}
}

func (o Operation) successHeaders() map[string]*huma.Header {
	text := func(doc string) *huma.Header {
		return &huma.Header{Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	h := commonHeaders()
	if o.shape.etag {
		h["ETag"] = text(`"<version>.<hash of the body>": send it back in If-None-Match and If-Match.`)
	}
	if o.Status == http.StatusCreated || o.Status == http.StatusAccepted || o.Status == http.StatusFound {
		h["Location"] = text("Where the resource, or the outcome, is.")
	}
	if o.shape.paged {
		h["Link"] = text(`The pages around this one, rel="next" and rel="prev" (RFC 8288).`)
	}
	if o.takesKey() {
		h["Idempotent-Replayed"] = text("true when this is the answer to an earlier request with the same Idempotency-Key.")
	}
	return h
}

func commonHeaders() map[string]*huma.Header {
	text := func(doc string) *huma.Header {
		return &huma.Header{Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return map[string]*huma.Header{
		"X-Request-Id":     text("The request's id: the client's own, or ours."),
		"RateLimit":        text("What is left of the limits (draft-ietf-httpapi-ratelimit-headers)."),
		"RateLimit-Policy": text("The limits that apply."),
	}
}

// conventional are the errors that every operation of its kind may answer with.
func (o Operation) conventional() []errs.Error {
	list := []*errs.Error{
		{Kind: errs.Malformed, Code: "invalid_request", Detail: "A parameter or header of the request is not valid."},
		errQuery,
		// The router's, which come before any of ours.
		{Kind: errs.NotFound, Code: "unknown_host", Detail: "This host serves nothing."},
		{Kind: errs.HeadersTooLarge, Code: "headers_too_large", Detail: "The request's headers are larger than 16 KiB."},
		{Kind: errs.TooMany, Code: "rate_limited", Detail: "Too many requests; wait as long as Retry-After says."},
		{Kind: errs.Internal, Code: "internal", Detail: "Something went wrong on our side."},
		{Kind: errs.Unavailable, Code: "unavailable", Detail: "The service is not available at the moment."},
		{Kind: errs.Timeout, Code: "timeout", Detail: "The request took too long."},
	}
	if !o.Public {
		list = append(list, identity.ErrTokenMissing, identity.ErrTokenInvalid, identity.ErrTokenExpired, errRevoked, errMismatch)
	}
	if o.needsTenant() {
		list = append(list, errNoTenant, errNotMember, errDeleted)
		if !o.OpenWhenSuspended {
			list = append(list, errSuspended)
		}
		if o.Permission != identity.Member {
			list = append(list, errPermission)
		}
	}
	if o.underQuota() {
		list = append(list, errQuota)
	}
	if len(o.shape.pathParams) > 0 || o.Permission == identity.Internal {
		list = append(list, errs.ErrNotFound)
	}
	if o.shape.body != nil || o.shape.raw {
		list = append(list, errMediaType, errTooLarge, errSlowBody, func() *errs.Error {
			target := &errs.Error{}
			_ = errors.As(errSyntax, &target)
			return target
		}(), errNoBody, errBroken, errUnreadable, invalidExample)
	}
	if o.shape.paged {
		list = append(list, page.ErrCursor, page.ErrOrdering)
	}
	if o.shape.ifMatch {
		list = append(list, ErrPrecondition, errIfMatch)
	}
	if o.takesKey() {
		list = append(list, errTooLarge, errSlowBody, errBroken, errKey, errKeyInFlight, errKeyReused)
	}
	out := make([]errs.Error, 0, len(list)+len(o.Errors))
	for i := range o.Errors {
		out = append(out, *(&o.Errors[i]).WithCause(nil))
	}
	for _, e := range list {
		out = append(out, *e.WithCause(nil))
	}
	return out
}

// errUnreadable is what the router answers for a body that breaks off.
var errUnreadable = errs.New(errs.Malformed, "body_unreadable", "The request body cannot be read.")

// errRevoked is what the router answers for a session that has ended.
var errRevoked = errs.New(errs.Unauthenticated, "token_revoked", "The session of this access token has ended.")

// errQuota is what the router answers, with the moment in words, when the
// organization has used up its month.
var errQuota = (&errs.Error{Kind: errs.Payment, Code: "quota_exceeded",
	Detail: "The organization has used all requests of the month that its plan includes; they begin anew at 2026-12-01T00:00:00Z. An owner can upgrade the plan before then."}).WithRetry(24 * time.Hour)

// errNotMember is what Deps.Access answers for who is no member.
var errNotMember = errs.New(errs.Forbidden, "not_a_member", "You are not an active member of this organization.")

var invalidExample = &errs.Error{
	Kind: errs.Invalid, Code: "validation_failed", Detail: "One or more fields are not valid.",
	Fields: []errs.Field{{Location: "body.name", Message: "expected length >= 1"}},
}

func (o Operation) statuses() (statuses []int) {
	for _, e := range o.conventional() {
		if s := problem.Status(e.Kind); !slices.Contains(statuses, s) {
			statuses = append(statuses, s)
		}
	}
	slices.Sort(statuses)
	return statuses
}

// finishBody gives the body's schema, which huma gives to one media type, to all
// that are taken.
func (o Operation) finishBody(doc *huma.Operation) {
	if doc.RequestBody != nil && o.shape.body != nil {
		for _, kind := range o.mediaTypes() {
			if s := doc.RequestBody.Content[jsonType]; kind != jsonType && s != nil && s.Schema != nil {
				doc.RequestBody.Content[kind].Schema = s.Schema
			}
		}
		for kind := range doc.RequestBody.Content {
			if !slices.Contains(o.mediaTypes(), kind) {
				delete(doc.RequestBody.Content, kind)
			}
		}
	}
	if doc.RequestBody != nil && o.shape.raw {
		// huma takes bytes for a file; these are JSON whose bytes are signed.
		doc.RequestBody.Content = map[string]*huma.MediaType{}
		for _, kind := range o.mediaTypes() {
			doc.RequestBody.Content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}, Example: o.RequestExample}
		}
	}
}

// finishAnswers completes what huma has documented: the codes of each status,
// with an example of each.
func (o Operation) finishAnswers(doc *huma.Operation) {
	for _, e := range o.conventional() {
		r := doc.Responses[strconv.Itoa(problem.Status(e.Kind))]
		media := r.Content[problem.MediaType]
		if media == nil {
			continue
		}
		if media.Examples == nil {
			media.Examples = map[string]*huma.Example{}
			r.Description = ""
			r.Headers = commonHeaders()
		}
		if _, told := media.Examples[e.Code]; told {
			continue
		}
		if r.Description != "" {
			r.Description += " "
		}
		r.Description += "`" + e.Code + "`: " + e.Detail
		h := http.Header{}
		problem.Headers(h, &e)
		for name := range h {
			if name == "Www-Authenticate" {
				name = "WWW-Authenticate" // as it is written, not as Go keeps it
			}
			r.Headers[name] = &huma.Header{Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{h.Get(name)}}}
		}
		media.Examples[e.Code] = &huma.Example{Summary: e.Detail, Value: problem.New(&e, o.examplePath(), "0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f")}
	}
	if o.shape.etag && o.Method == http.MethodGet {
		doc.Responses["304"] = &huma.Response{Description: "The resource is the one that If-None-Match names.", Headers: o.successHeaders()}
	}
	// 422 for parameters alone does not occur: those are 400 and 404.
	if o.shape.body == nil && !slices.Contains(o.statuses(), http.StatusUnprocessableEntity) {
		delete(doc.Responses, "422")
	}
}

func (o Operation) examplePath() string {
	path := o.Path
	for _, name := range wildcards(path) {
		path = strings.ReplaceAll(path, "{"+name+"}", "0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f")
	}
	return path
}

// dropUnused removes the schemas that nothing in the document refers to.
func dropUnused(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	for {
		text, _ := json.Marshal(doc.Paths)
		all, _ := json.Marshal(schemas)
		used := string(text) + string(all)
		dropped := false
		for name := range schemas {
			if !strings.Contains(used, `"#/components/schemas/`+name+`"`) {
				delete(schemas, name)
				dropped = true
			}
		}
		if !dropped {
			return
		}
	}
}
