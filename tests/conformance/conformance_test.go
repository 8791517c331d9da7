package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/functions/all/openapi"
)

// small is a document of one kind of thing.
const small = `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{
"/api/v1/things/":{"post":{"operationId":"create-thing","tags":["T"],"x-permission":"things:write",
 "parameters":[{"name":"Idempotency-Key","in":"header","schema":{"type":"string"}}],
 "requestBody":{"required":true,"content":{"application/json":{"example":{"name":"a"},"schema":{"$ref":"#/components/schemas/Body"}}}},
 "responses":{"201":{"description":"c","headers":{"Location":{"schema":{"type":"string"}}},"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},
  "400":{"$ref":"#/components/responses/P"},"401":{"$ref":"#/components/responses/P"},"422":{"$ref":"#/components/responses/P"}}}},
"/api/v1/things/{id}/":{"get":{"operationId":"get-thing","tags":["T"],"x-permission":"things:read",
 "parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string","format":"uuid"}},{"name":"part","in":"query","schema":{"type":"integer","minimum":1,"maximum":3}}],
 "responses":{"200":{"description":"c","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},
  "400":{"$ref":"#/components/responses/P"},"401":{"$ref":"#/components/responses/P"},"404":{"$ref":"#/components/responses/P"}}},
 "delete":{"operationId":"delete-thing","tags":["T"],"x-permission":"things:write",
 "parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string","format":"uuid"}}],
 "responses":{"204":{"description":"gone"},"400":{"$ref":"#/components/responses/P"},"401":{"$ref":"#/components/responses/P"},"404":{"$ref":"#/components/responses/P"}}}}},
"components":{"responses":{"P":{"description":"p","content":{"application/problem+json":{"examples":{"no":{"value":{}}},"schema":{"type":"object","required":["code","status"]}}}}},
"schemas":{"Body":{"type":"object","additionalProperties":false,"required":["name"],"properties":{"name":{"type":"string","minLength":1,"maxLength":20},"size":{"type":["integer","null"],"minimum":0}}},
 "Thing":{"type":"object","required":["id","name"],"properties":{"id":{"type":"string","format":"uuid"},"name":{"type":"string"}}}}}}`

// server keeps the small document's promises, but for what spoil does.
type server struct {
	mu     sync.Mutex
	things map[string]bool
	seen   []string
	next   int
	spoil  func(w http.ResponseWriter, r *http.Request, name string) bool
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	s.seen = append(s.seen, r.Method+" "+r.URL.RequestURI()+" "+string(raw))
	w.Header().Set("X-Request-Id", "r")
	refuse := func(status int) {
		w.Header().Set("Content-Type", openapi.Problem)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": "no"})
	}
	id := strings.Trim(strings.TrimPrefix(r.URL.Path, "/api/v1/things/"), "/")
	answer := func(status int, name string) {
		if s.spoil != nil && s.spoil(w, r, name) {
			return
		}
		w.Header().Set("Content-Type", openapi.JSON)
		w.Header().Set("Location", "/api/v1/things/"+id+"/")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "name": "a"})
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer good":
		refuse(http.StatusUnauthorized)
	case r.Method == http.MethodPost:
		if !json.Valid(raw) {
			refuse(http.StatusBadRequest)
			return
		}
		var in map[string]any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		_ = dec.Decode(&in)
		name, _ := in["name"].(string)
		size, sized := in["size"]
		n, err := strconv.ParseInt(fmt.Sprint(size), 10, 64)
		if length := len([]rune(name)); length < 1 || length > 20 || sized && size != nil && (err != nil || n < 0) || len(in) > 1 && !sized || len(in) > 2 {
			refuse(http.StatusUnprocessableEntity)
			return
		}
		s.next++
		id = "0192f0c1-7b7e-7cc3-98c4-" + strings.Repeat("0", 9) + string("0123456789abcdef"[s.next/256%16]) + string("0123456789abcdef"[s.next/16%16]) + string("0123456789abcdef"[s.next%16])
		s.things[id] = true
		answer(http.StatusCreated, name)
	case r.Method == http.MethodGet && r.URL.RawQuery != "" && !slices.Contains([]string{"1", "2", "3"}, r.URL.Query().Get("part")):
		refuse(http.StatusBadRequest)
	case !s.things[id]:
		refuse(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(s.things, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(http.StatusOK, "")
	}
}

// guest is an actor whose things the server makes on demand.
type guest struct {
	s       *server
	renewed int
}

func (g *guest) Token() string { return "good" }
func (g *guest) Renew() (bool, error) {
	g.renewed++
	return g.renewed%2 == 0, nil
}
func (g *guest) Valid(op *openapi.Operation) (Request, error) {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	in := Request{Method: op.Method, Path: op.Path, Arguments: map[string]string{}, Header: http.Header{}, Token: "good"}
	if op.Body != nil {
		in.HasBody, in.Body, in.Media = true, op.Body.Example, openapi.JSON
	} else {
		in.Arguments["id"] = "0192f0c1-7b7e-7cc3-98c4-ffffffffffff"
		g.s.things[in.Arguments["id"]] = true
	}
	return in, nil
}

func start(t *testing.T, spoil func(http.ResponseWriter, *http.Request, string) bool) (*server, Options) {
	t.Helper()
	s := &server{things: map[string]bool{}, spoil: spoil}
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	return s, Options{
		Document: []byte(small), URL: at.URL, Client: at.Client(), Seed: 7, Requests: 2000, Workers: 1,
		Open: func(int) (Actor, error) { return &guest{s: s}, nil },
	}
}

func TestAnHonestServerHasNoFaults(t *testing.T) {
	t.Parallel()
	s, o := start(t, nil)
	r, err := Run(t.Context(), o)
	if err != nil || len(r.Faults) > 0 || len(r.Silent()) > 0 || r.Requests != o.Requests {
		t.Fatalf("%v, %+v", err, r)
	}
	for _, status := range []int{200, 201, 204, 400, 401, 404, 422} {
		if !strings.Contains(r.Summary(), http.StatusText(status)) && !strings.Contains(r.Summary(), "× "+itoa(status)) {
			t.Errorf("no answer was %d: %s", status, r.Summary())
		}
	}
	again, o2 := start(t, nil)
	if _, err := Run(t.Context(), o2); err != nil || !slices.Equal(s.seen, again.seen) {
		t.Errorf("the same seed made other requests (%v)", err)
	}
	other, o3 := start(t, nil)
	o3.Seed++
	if _, err := Run(t.Context(), o3); err != nil || slices.Equal(s.seen, other.seen) {
		t.Errorf("another seed made the same requests (%v)", err)
	}
}

func itoa(n int) string { raw, _ := json.Marshal(n); return string(raw) }

// TestEveryBrokenPromiseIsFound breaks each kind of promise.
func TestEveryBrokenPromiseIsFound(t *testing.T) {
	t.Parallel()
	send := func(w http.ResponseWriter, status int, kind, body string) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
	for name, c := range map[string]struct {
		spoil func(w http.ResponseWriter, r *http.Request, name string) bool
		want  string
	}{
		"a crash": {func(w http.ResponseWriter, _ *http.Request, name string) bool {
			return strings.ContainsRune(name, '\'') && send(w, 500, "text/plain", "syntax error")
		}, "answered 500"},
		"an unknown status": {func(w http.ResponseWriter, _ *http.Request, _ string) bool { return send(w, 202, openapi.JSON, "{}") }, "202 is not documented"},
		"a wrong schema": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			return r.Method == http.MethodGet && send(w, 200, openapi.JSON, `{"id":"x","name":"a"}`)
		}, "does not match its schema"},
		"another type": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			return r.Method == http.MethodGet && send(w, 200, "text/html", "<p>")
		}, "not documented as text/html"},
		"no JSON": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			return r.Method == http.MethodGet && send(w, 200, openapi.JSON, "{")
		}, "is not JSON"},
		"another code": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			return r.Method == http.MethodGet && send(w, 404, openapi.Problem, `{"status":404,"code":"lost"}`)
		}, "404 lost is not documented"},
		"no Location": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			return r.Method == http.MethodPost && send(w, 201, openapi.JSON, `{"id":"0192f0c1-7b7e-7cc3-98c4-000000000000","name":"a"}`)
		}, "without the Location"},
		"no request id": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Header().Del("X-Request-Id")
			return r.Method == http.MethodGet && send(w, 200, openapi.JSON, "{}")
		}, "no X-Request-Id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, o := start(t, c.spoil)
			o.Faults = 3
			r, err := Run(t.Context(), o)
			if err != nil || len(r.Faults) < 3 || r.Requests == o.Requests {
				t.Fatalf("%v, %+v", err, r)
			}
			for _, word := range []string{c.want, "seed 7", "curl -i -X"} {
				if !strings.Contains(r.Faults[0], word) {
					t.Errorf("the fault does not say %q: %s", word, r.Faults[0])
				}
			}
		})
	}
}

// TestWhatIsForbiddenAndTakenIsFound has a server that takes everything.
func TestWhatIsForbiddenAndTakenIsFound(t *testing.T) {
	t.Parallel()
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "r")
		w.Header().Set("Location", "/api/v1/things/0192f0c1-7b7e-7cc3-98c4-000000000000/")
		w.Header().Set("Content-Type", openapi.JSON)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"0192f0c1-7b7e-7cc3-98c4-000000000000","name":"a"}`)
	}))
	t.Cleanup(at.Close)
	var doc map[string]any
	if err := json.Unmarshal([]byte(small), &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc["paths"].(map[string]any), "/api/v1/things/{id}/") //nolint:forcetypeassert // It is above.
	text, _ := json.Marshal(doc)
	s := &server{things: map[string]bool{}}
	r, err := Run(t.Context(), Options{Document: text, URL: at.URL, Client: at.Client(), Seed: 1, Requests: 500, Workers: 2, Open: func(int) (Actor, error) { return &guest{s: s}, nil }})
	if err != nil || !slices.ContainsFunc(r.Faults, func(f string) bool { return strings.Contains(f, "that the document forbids") }) ||
		!slices.ContainsFunc(r.Faults, func(f string) bool { return strings.Contains(f, "is not JSON") }) {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestSilentOperationsAreNamed(t *testing.T) {
	t.Parallel()
	r := &Result{Statuses: map[string]map[int]int{"a": {200: 1, 404: 3}, "b": {404: 3}, "c": {}, "d": {302: 1}}}
	if got := r.Silent(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("silent are %v", got)
	}
}

func TestEndedActorsAreRenewed(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{`{"code":"token_revoked"}`: true, `{"code":"not_a_member"}`: true, `{"code":"tenant_mismatch"}`: false, `garbage`: false} {
		if got := ended(http.StatusForbidden, []byte(body)); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
	if ended(http.StatusOK, []byte(`{"code":"token_revoked"}`)) {
		t.Error("a success ends nobody")
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a b": "'a b'", "it's": `'it'\''s'`, "a\nb": `$'a\x0ab'`, "é'": `$'\xc3\xa9\''`} {
		if got := quote(in); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

// TestTheDocumentOfThePlatform makes requests for each of its operations, all of
// which can be sent.
func TestTheDocumentOfThePlatform(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../router/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	at := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(at.Close)
	s := &server{things: map[string]bool{}}
	r, err := Run(context.Background(), Options{
		Document: text, URL: at.URL, Client: at.Client(), Seed: 3, Requests: 500, Workers: 2, Faults: 1000,
		Open: func(int) (Actor, error) { return &echo{guest{s: s}}, nil },
	})
	if err != nil || r.Requests != 500 || len(r.Faults) != 500 {
		t.Errorf("%v: %d requests, %d faults", err, r.Requests, len(r.Faults))
	}
}

// echo knows no more than the document.
type echo struct{ guest }

func (e *echo) Valid(op *openapi.Operation) (Request, error) {
	in, err := e.guest.Valid(op)
	if op.Body != nil {
		in.Media = op.Body.Media[0]
	}
	for _, p := range op.Parameters {
		if p.In == "path" {
			in.Arguments[p.Name] = "0192f0c1-7b7e-7cc3-98c4-ffffffffffff"
		}
	}
	return in, err
}
