package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
)

func document(t testing.TB) (*openapi3.T, string) {
	t.Helper()
	text, err := Document("Coditect", "1.2.3", (&world{}).function())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc, string(text)
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	doc, text := document(t)
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Errorf("%s %s", doc.OpenAPI, doc.Info.Version)
	}
	if strings.Contains(text, "/internal/") || strings.Contains(text, `"Internal"`) {
		t.Error("internal operations are shown")
	}
	for _, name := range []string{"Problem", "Thing", "ThingList", "Owner", "ThingBody", "ProblemField", "Tokens"} {
		if doc.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
}

func TestDocumentOfEveryOperation(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	for _, r := range Routes((&world{}).function()) {
		if r.Permission == identity.Internal {
			continue
		}
		item := doc.Paths.Find(r.Path)
		if item == nil {
			t.Errorf("%s is not in the document", r.Path)
			continue
		}
		op := item.GetOperation(r.Method)
		if op.OperationID != r.OperationID || op.Summary == "" || len(op.Tags) != 1 {
			t.Errorf("%s: %+v", r.OperationID, op)
		}
		if r.Public != (len(*op.Security) == 0) || !r.Public && op.Extensions["x-permission"] != string(r.Permission) {
			t.Errorf("%s: security %v %v", r.OperationID, op.Security, op.Extensions)
		}
		for status, answer := range op.Responses.Map() {
			if status < "400" {
				continue
			}
			media := answer.Value.Content["application/problem+json"]
			if media == nil || len(media.Examples) == 0 {
				t.Errorf("%s %s has no example", r.OperationID, status)
				continue
			}
			for code := range media.Examples {
				if !strings.Contains(*answer.Value.Description, "`"+code+"`") {
					t.Errorf("%s %s does not tell of %s", r.OperationID, status, code)
				}
			}
		}
		for _, name := range wildcards(r.Path) {
			if op.Parameters.GetByInAndName("path", name) == nil {
				t.Errorf("%s: no parameter %s", r.OperationID, name)
			}
		}
	}
	create, get, list, change := doc.Paths.Find(things).Post, doc.Paths.Find("/api/v1/things/{id}/").Get, doc.Paths.Find(things).Get, doc.Paths.Find("/api/v1/things/{id}/").Patch
	for _, c := range []struct {
		what string
		ok   bool
	}{
		{"409 with its codes", create.Responses.Status(409).Value.Content["application/problem+json"].Examples["thing_archived"] != nil},
		{"Idempotency-Key", create.Parameters.GetByInAndName("header", "Idempotency-Key") != nil},
		{"no key on login elsewhere", get.Parameters.GetByInAndName("header", "Idempotency-Key") == nil},
		{"Location", create.Responses.Status(201).Value.Headers["Location"] != nil},
		{"ETag", get.Responses.Status(200).Value.Headers["ETag"] != nil},
		{"RateLimit", get.Responses.Status(200).Value.Headers["RateLimit"] != nil},
		{"304", get.Responses.Status(304) != nil},
		{"If-None-Match", get.Parameters.GetByInAndName("header", "If-None-Match") != nil},
		{"If-Match", change.Parameters.GetByInAndName("header", "If-Match") != nil},
		{"412", change.Responses.Status(412) != nil},
		{"Link", list.Responses.Status(200).Value.Headers["Link"] != nil},
		{"Retry-After", list.Responses.Status(503).Value.Headers["Retry-After"] != nil},
		{"WWW-Authenticate", list.Responses.Status(401).Value.Headers["WWW-Authenticate"] != nil},
		{"no 422 without a body", list.Responses.Status(422) == nil},
		{"both media types of PATCH", change.RequestBody.Value.Content["application/merge-patch+json"].Schema != nil && change.RequestBody.Value.Content["application/json"].Schema != nil},
		{"example", change.RequestBody.Value.Content["application/json"].Example != nil && get.Responses.Status(200).Value.Content["application/json"].Example != nil},
	} {
		if !c.ok {
			t.Errorf("missing: %s", c.what)
		}
	}
}

func TestWrongExampleIsRefused(t *testing.T) {
	t.Parallel()
	bad := New(Spec{ID: "a", Method: "GET", Path: "/a/", Summary: "s", Tag: "t", Public: true, ResponseExample: map[string]any{"name": 1}},
		func(context.Context, identity.Caller, *struct{}) (*Item[Owner], error) { return nil, nil })
	if _, err := Document("t", "1", Function{Name: "f", Operations: []Operation{bad}}); err == nil {
		t.Error("an example without an id passed")
	}
}

// JSON Schema's enum and type hold together: null is among the values of what
// may be null.
func TestNullIsAmongTheValues(t *testing.T) {
	t.Parallel()
	type out struct {
		Colour *string `json:"colour" enum:"red,blue" doc:"Or none."`
		Shape  string  `json:"shape" enum:"round,square" doc:"One of them."`
	}
	op := New(Spec{ID: "a", Method: "GET", Path: "/a/", Summary: "s", Tag: "t", Public: true, ResponseExample: out{Shape: "round"}},
		func(context.Context, identity.Caller, *struct{}) (*Item[out], error) { return nil, nil })
	text, err := Document("t", "1", Function{Name: "f", Operations: []Operation{op}})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []any }
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]any{"colour": {"red", "blue", nil}, "shape": {"round", "square"}} {
		found := false
		for _, s := range doc.Components.Schemas {
			if p, ok := s.Properties[name]; ok {
				found = slices.Equal(p.Enum, want)
			}
		}
		if !found {
			t.Errorf("%s does not have the values %v:\n%s", name, want, text)
		}
	}
}

func TestResponseCheck(t *testing.T) {
	t.Parallel()
	type out struct {
		Name  string `json:"name" enum:"a,b"`
		Extra any    `json:"extra,omitempty"`
	}
	answer := out{Name: "a"}
	status := http.StatusOK
	op := New(Spec{ID: "a", Method: "POST", Path: "/a/", Summary: "s", Tag: "t", Public: true, ResponseExample: out{Name: "a"}},
		func(context.Context, identity.Caller, *struct{}) (*Item[out], error) {
			if status == http.StatusCreated {
				return Created("/a/1/", 1, answer), nil
			}
			return NewItem(1, answer), nil
		})
	h := Handler(Function{Name: "f", Operations: []Operation{op}}, Deps{CheckResponses: true})
	b := &bench{h: h}
	is(t, b.ask(t, "POST /a/", ""), "200")
	answer.Name = "c"
	is(t, b.ask(t, "POST /a/", ""), "500 response_contract")
	answer.Name, status = "a", http.StatusCreated
	is(t, b.ask(t, "POST /a/", ""), "500 response_contract")
}

type hidden struct {
	ID ids.ID `path:"id"`
}

// What would be wrong in production does not start.
func TestDeclarationsThatPanic(t *testing.T) {
	t.Parallel()
	good := Spec{ID: "a-b", Method: "GET", Path: "/a/", Summary: "s", Tag: "t", Permission: identity.Member}
	spec := func(change func(*Spec)) Spec {
		s := good
		change(&s)
		return s
	}
	empty := func(s Spec) func() {
		return func() { New(s, func(context.Context, identity.Caller, *struct{}) (*Empty, error) { return nil, nil }) }
	}
	type plain struct{ Body string }
	for want, build := range map[string]func(){
		"needs a permission":     empty(spec(func(s *Spec) { s.Permission = "" })),
		"no permission":          empty(spec(func(s *Spec) { s.Public = true })),
		"there is no permission": empty(spec(func(s *Spec) { s.Permission = "tasks:fly" })),
		"kebab-case":             empty(spec(func(s *Spec) { s.ID = "A_b" })),
		"not one of":             empty(spec(func(s *Spec) { s.Method = "BREW" })),
		"absolute":               empty(spec(func(s *Spec) { s.Path = "a" })),
		"not a subtree":          empty(spec(func(s *Spec) { s.Path = "/a/{rest...}" })),
		"under /internal/":       empty(spec(func(s *Spec) { s.Permission = identity.Internal })),
		"internal operations":    empty(spec(func(s *Spec) { s.Path = "/internal/a/" })),
		"summary":                empty(spec(func(s *Spec) { s.Summary = "" })),
		"needs a token":          empty(spec(func(s *Spec) { s.Public, s.Permission, s.Essential = true, "", true })),
		"only POST":              empty(spec(func(s *Spec) { s.IdempotencyKey = true })),
		"does not read {id}":     empty(spec(func(s *Spec) { s.Path = "/a/{id}/" })),
		"must be exported": func() {
			New(spec(func(s *Spec) { s.Path = "/a/{id}/" }), func(context.Context, identity.Caller, *struct{ hidden }) (*Empty, error) { return nil, nil })
		},
		"the path has no {id}": func() { New(good, func(context.Context, identity.Caller, *ByID) (*Empty, error) { return nil, nil }) },
		"GET and DELETE": func() {
			New(good, func(context.Context, identity.Caller, *struct{ Body struct{} }) (*Empty, error) { return nil, nil })
		},
		"needs a RequestExample": func() {
			New(spec(func(s *Spec) { s.Method = "PUT" }), func(context.Context, identity.Caller, *struct{ Body struct{} }) (*Empty, error) { return nil, nil })
		},
		"needs a ResponseExample": func() {
			New(good, func(context.Context, identity.Caller, *struct{}) (*Item[Owner], error) { return nil, nil })
		},
		"needs Accepts": func() {
			New(spec(func(s *Spec) { s.Method = "POST" }), func(context.Context, identity.Caller, *struct{ RawBody []byte }) (*Empty, error) { return nil, nil })
		},
		"answers with api.Item": func() {
			New(good, func(context.Context, identity.Caller, *struct{}) (*plain, error) { return nil, nil })
		},
		"larger numbers wrap": func() {
			New(good, func(context.Context, identity.Caller, *struct {
				N int32 `query:"n"`
			}) (*Empty, error) {
				return nil, nil
			})
		},
		"unexported field": func() {
			New(good, func(context.Context, identity.Caller, *struct {
				n int `query:"n"`
			}) (*Empty, error) {
				return nil, nil
			})
		},
		"overwrite an explicit": func() {
			New(spec(func(s *Spec) { s.Method = "PUT" }), func(context.Context, identity.Caller, *struct {
				Body struct {
					On []struct {
						A bool `json:"a" default:"true"`
					}
				}
			}) (*Empty, error) {
				return nil, nil
			})
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panicked with %q, want %q", got, want)
				}
			}()
			build()
		})
	}
}

func TestRoutesThatClash(t *testing.T) {
	t.Parallel()
	op := func(id, path string) Operation {
		return New(Spec{ID: id, Method: "GET", Path: path, Summary: "s", Tag: "t", Public: true},
			func(context.Context, identity.Caller, *struct{}) (*Empty, error) { return nil, nil })
	}
	for _, ops := range [][]Operation{{op("a", "/a/"), op("b", "/a/")}, {op("a", "/a/"), op("a", "/b/")}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a clash passed")
				}
			}()
			Routes(Function{Name: "x", Operations: ops[:1]}, Function{Name: "y", Operations: ops[1:]})
		}()
	}
	routes := Routes((&world{}).function())
	i := slices.IndexFunc(routes, func(r Route) bool { return r.OperationID == "restore-thing" })
	if want := (Route{Function: "things", OperationID: "restore-thing", Method: "POST", Path: "/api/v1/things/{id}/restore/", Permission: identity.Member, OpenWhenSuspended: true, Essential: true, MaxBody: DefaultMaxBody}); routes[i] != want {
		t.Errorf("route %+v", routes[i])
	}
	for _, r := range routes { // what acts in an organization, and no plan must spare
		if want := !r.Public && r.Permission != identity.SignedIn && r.Permission != identity.Internal && !r.Essential; r.Quota != want {
			t.Errorf("%s: the month's requests end it: %v", r.OperationID, r.Quota)
		}
	}
}

func TestRawBody(t *testing.T) {
	t.Parallel()
	op := New(Spec{ID: "hook", Method: "POST", Path: "/hook/", Summary: "s", Tag: "t", Public: true, Accepts: []string{"application/json"}, MaxBody: 10},
		func(_ context.Context, _ identity.Caller, in *struct {
			Signature string `header:"Stripe-Signature"`
			RawBody   []byte
		}) (*Empty, error) {
			if string(in.RawBody) != `{"a":1 ,}` || in.Signature != "s" {
				return nil, errs.New(errs.Malformed, "bad_signature", string(in.RawBody))
			}
			return nil, nil
		})
	b := &bench{h: Handler(Function{Name: "f", Operations: []Operation{op}}, Deps{})}
	is(t, b.ask(t, "POST /hook/", `{"a":1 ,}`, "Stripe-Signature", "s"), "204")
	is(t, b.ask(t, "POST /hook/", `{"a":1 ,}   `, "Stripe-Signature", "s"), "413 body_too_large")
	is(t, b.ask(t, "POST /hook/", `x`, "Content-Type", "text/plain"), "415 unsupported_media_type")
}

// BenchmarkHandler is what a function does before its first answer, and what
// huma does for the first request of an operation, of one and of all.
func BenchmarkHandler(b *testing.B) {
	fn := (&world{}).function()
	b.Run("start", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Handler(fn, Deps{})
		}
	})
	for name, ops := range map[string][]Operation{"one": fn.Operations[:1], "all": fn.Operations} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, op := range ops {
					serve(op).ready()
				}
			}
		})
	}
}

func BenchmarkChain(b *testing.B) {
	s := setup(b, func(d *Deps) { d.CheckResponses = false })
	for i := range 51 {
		s.things = append(s.things, Thing{ID: id(byte(i)), Name: "Apollo", CreatedAt: example.CreatedAt.Add(-1)})
	}
	body, err := json.Marshal(thingBody{Name: "Apollo"})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, line, body string }{
		{"GET item", "GET " + one, ""}, {"list of 50", "GET " + things + "?page_size=50", ""}, {"POST", "POST " + things, string(body)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := s.ask(b, c.line, c.body, "token", tokOwner); w.Code >= 300 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

func TestKebab(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"list": true, "list-tasks": true, "a1-2b": true,
		"": false, "1a": false, "-a": false, "a-": false, "a--b": false, "A": false, "a_b": false, "a b": false, "ä": false, "a\n": false,
	} {
		if kebab(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
	if got := wildcards("/a/{b}/c/{d}/"); !slices.Equal(got, []string{"b", "d"}) {
		t.Errorf("wildcards %v", got)
	}
}
