package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/problem"
)

// What huma or encoding/json would let through or word badly.
func TestStrictBodies(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return `{"name":"a","zz":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	for _, c := range []struct{ name, body, want, location string }{
		{"fine", `{"name":"a","note":"n","count":3,"labels":["x"]}`, "201", ""},
		{"empty", ` `, "400 malformed_json", ""},
		{"trailing", `{"name":"a"} x`, "400 malformed_json", ""},
		{"two documents", `{"name":"a"}{"name":"b"}`, "400 malformed_json", ""},
		{"duplicate", `{"name":"a","name":"b"}`, "400 malformed_json", ""},
		{"duplicate escaped", `{"name":"a","na\u006de":"b"}`, "400 malformed_json", ""},
		{"duplicate inside", `{"name":"a","owner":{"id":1,"id":2}}`, "400 malformed_json", ""},
		{"invalid UTF-8", "{\"name\":\"\xff\"}", "400 malformed_json", ""},
		{"NUL", `{"name":"\u0000"}`, "400 malformed_json", ""},
		{"a number beyond a float64", `{"name":1e999}`, "400 malformed_json", ""},
		{"one of many digits", `{"name":-` + strings.Repeat("9", 400) + `}`, "400 malformed_json", ""},
		{"the largest number", `{"name":1.7976931348623157e308}`, "422 validation_failed", "body.name"},
		{"lone surrogate", `{"name":"\ud800"}`, "400 malformed_json", ""},
		{"lone low surrogate", `{"name":"\udc00"}`, "400 malformed_json", ""},
		{"broken pair", `{"name":"\ud800\u0041"}`, "400 malformed_json", ""},
		{"pair", `{"name":"\ud83d\ude00"}`, "201", ""},
		{"escapes", `{"name":"a\"\\\n"}`, "201", ""},
		{"depth 32", deep(31), "422 validation_failed", "body.zz"},
		{"depth 33", deep(32), "400 malformed_json", ""},
		{"unknown", `{"name":"a","zzz":{"secret":1}}`, "422 validation_failed", "body.zzz"},
		{"case", `{"Name":"a"}`, "422 validation_failed", "body.name"},
		{"missing", `{}`, "422 validation_failed", "body.name"},
		{"wrong type", `{"name":7}`, "422 validation_failed", "body.name"},
		{"too long", `{"name":"aaaaaaaaaaa"}`, "422 validation_failed", "body.name"},
		{"null required", `{"name":null}`, "422 validation_failed", "body.name"},
		{"null optional", `{"name":"a","note":null}`, "422 validation_failed", "body.note"},
		{"null bool", `{"name":"a","on":null}`, "422 validation_failed", "body.on"},
		{"null in a list", `{"name":"a","labels":[null]}`, "422 validation_failed", "body.labels[0]"},
		{"null allowed id", `{"name":"a","parent_id":null}`, "201", ""},
		{"null allowed object", `{"name":"a","owner":null}`, "201", ""},
		{"object", `{"name":"a","owner":{"id":"0192f0c1-7b7e-7cc3-98c4-dc0c0c070003","name":"x"}}`, "201", ""},
		{"object wrong", `{"name":"a","owner":{"name":"x"}}`, "422 validation_failed", "body.owner"},
		{"id form", `{"name":"a","parent_id":"0192f0c17b7e7cc398c4dc0c0c070003"}`, "422 validation_failed", "body.parent_id"},
		{"overflow", `{"name":"a","count":9223372036854775808}`, "422 validation_failed", "body"},
		{"float integer", `{"name":"a","count":1e0}`, "422 validation_failed", "body"},
		{"negative", `{"name":"a","count":-1}`, "422 validation_failed", "body.count"},
		{"array", `[1]`, "422 validation_failed", "body"},
		{"null", `null`, "422 validation_failed", "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t).ask(t, "POST "+things, c.body, "token", tokOwner)
			is(t, w, c.want)
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "Go ") || strings.Contains(w.Body.String(), "thingBody") {
				t.Errorf("tells too much: %s", w.Body)
			}
			if c.location != "" {
				p := problemOf(t, w)
				if !slices.ContainsFunc(p.Errors, func(f problem.Field) bool { return f.Location == c.location }) {
					t.Errorf("no fault at %s: %s", c.location, w.Body)
				}
			}
		})
	}
}

func TestEveryFaultAtOnceAndNoSecretEchoed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.ask(t, "POST "+things, `{"name":"","count":-1,"note":null,"password":"hunter2"}`, "token", tokOwner)
	is(t, w, "422 validation_failed")
	if p := problemOf(t, w); len(p.Errors) != 4 {
		t.Errorf("faults: %+v", p.Errors)
	}
	if strings.Contains(w.Body.String(), "hunter2") || strings.Contains(b.logs.String(), "hunter2") {
		t.Errorf("the password is echoed: %s", w.Body)
	}
	huge := b.ask(t, "POST "+things, `{"name":"`+strings.Repeat("x", 5000)+`"}`, "token", tokOwner)
	if huge.Body.Len() > 1000 {
		t.Errorf("%d bytes of answer", huge.Body.Len())
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, kind, want string }{
		{"POST " + things, "application/json; charset=UTF-8", "201"},
		{"POST " + things, "Application/JSON", "201"},
		{"POST " + things, "application/json ; charset=utf-8", "201"},
		{"POST " + things, "application/json; charset=latin1", "415 unsupported_media_type"},
		{"POST " + things, "application/merge-patch+json", "415 unsupported_media_type"},
		{"POST " + things, "application/vnd.x+json", "415 unsupported_media_type"},
		{"POST " + things, "text/json", "415 unsupported_media_type"},
		{"POST " + things, "a/b/c", "415 unsupported_media_type"},
		{"POST " + things, "-", "415 unsupported_media_type"},
		{"PATCH " + one, "application/merge-patch+json", "200"},
		{"PATCH " + one, "application/json", "200"},
		{"PATCH " + one, "application/json-patch+json", "415 unsupported_media_type"},
		{"POST " + one + "restore/", "text/plain", "200"}, // takes no body and reads none
	} {
		is(t, setup(t).ask(t, c.line, `{"name":"a"}`, "token", tokOwner, "Content-Type", c.kind), c.want)
	}
	is(t, setup(t).ask(t, "POST "+things, "", "token", tokOwner), "400 body_required")
}

func TestOptionalBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	is(t, b.ask(t, "POST /api/v1/auth/logout/", "", "token", tokNoTenant), "204")
	is(t, b.ask(t, "POST /api/v1/auth/logout/", `{"refresh_token":"r"}`, "token", tokNoTenant), "204")
	is(t, b.ask(t, "POST /api/v1/auth/logout/", `{"x":"r"}`, "token", tokNoTenant), "422 validation_failed")
	is(t, b.ask(t, "POST /api/v1/auth/logout/", `x`, "token", tokNoTenant, "Content-Type", "-"), "415 unsupported_media_type")
}

// A body of exactly the limit is taken, one byte more is not, whether or not
// its length is announced.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := httptest.NewServer(b.h)
	defer s.Close()
	post := func(size int, chunked bool) int {
		body := `{"name":"a"}` + strings.Repeat(" ", size-len(`{"name":"a"}`))
		var reader io.Reader = strings.NewReader(body)
		if chunked {
			reader = struct{ io.Reader }{reader}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+things, reader)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tokOwner)
		r.Header.Set("Content-Type", "application/json")
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	for _, chunked := range []bool{false, true} {
		if got := post(DefaultMaxBody, chunked); got != http.StatusCreated {
			t.Errorf("chunked %v: the limit itself is %d", chunked, got)
		}
		if got := post(DefaultMaxBody+1, chunked); got != http.StatusRequestEntityTooLarge {
			t.Errorf("chunked %v: one more is %d", chunked, got)
		}
	}
}

// A slow body is 408, and the limit on it does not cut off the work after it.
func TestBodyTimeout(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *Deps) { d.BodyTimeout = 50 * time.Millisecond })
	b.beforeAct = func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(150 * time.Millisecond): // three times the body's limit
			return nil
		}
	}
	s := httptest.NewServer(b.h)
	defer s.Close()
	send := func(body string, length int) int {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer owner\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", things, length, body)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := send(`{"name"`, 20); got != http.StatusRequestTimeout {
		t.Errorf("slow body: %d", got)
	}
	if got := send(`{"name":"a"}`, 12); got != http.StatusCreated {
		t.Errorf("slow work: %d", got)
	}
}

// Who may not write must not make us read.
func TestRefusedBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := httptest.NewRequest(http.MethodPost, things, io.NopCloser(readerFunc(func([]byte) (int, error) {
		t.Error("the body was read")
		return 0, io.EOF
	})))
	r.Header.Set("Authorization", "Bearer "+tokViewer)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	is(t, w, "403 permission_denied")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestQueries(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                                   "200",
		"status=open&page_size=200":          "200",
		"status=OPEN":                        "400 invalid_request",
		"status=open&status=open":            "400 invalid_request",
		"status=":                            "400 invalid_request",
		"Status=open":                        "400 invalid_request",
		"zzz=1":                              "400 invalid_request",
		"status=%zz":                         "400 malformed_query",
		"a;b":                                "400 malformed_query",
		"status=%00":                         "400 invalid_request",
		"status=%ff":                         "400 invalid_request",
		"page_size=0":                        "400 invalid_request",
		"page_size=201":                      "400 invalid_request",
		"page_size=4294967297":               "400 invalid_request",
		"page_size=99999999999999999999":     "400 invalid_request",
		"page_size=x":                        "400 invalid_request",
		"owner=zz":                           "400 invalid_request",
		"owner=":                             "400 invalid_request",
		"owner=0192f0c17b7e7cc398c4dc0c0c07": "400 invalid_request",
		"ordering=name":                      "400 invalid_ordering",
		"ordering=created_at":                "200",
		"search=":                            "200",
		"cursor=":                            "400 invalid_cursor",
		"cursor=zz":                          "400 invalid_cursor",
		"cursor=" + strings.Repeat("A", 400): "400 invalid_cursor",
	} {
		is(t, setup(t).ask(t, "GET "+things+"?"+query, "", "token", tokOwner), want)
	}
	is(t, setup(t).ask(t, "GET "+one+"?x=1", "", "token", tokOwner), "400 invalid_request")
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":{"b":[1,"x\ud83d\ude00"]},"c":null}`, `"\u0000"`, `[[[`, `{"a":1,"a":2}`, "\xff", `"\ud800"`, `1e999`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		seen, err := scan(b)
		if err != nil {
			return
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("took what the decoder refuses: %q: %v", b, err)
		}
		if !strings.Contains(string(b), "null") && seen.null {
			t.Fatalf("saw a null in %q", b)
		}
	})
}

func TestManyMembersStayLinear(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteByte('{')
	for i := range 50_000 {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	b.WriteString(`"k7":2}`)
	if _, err := scan([]byte(b.String())); err == nil {
		t.Error("the repeat was not seen")
	}
	var l level
	for i := range linearKeys + 1 {
		if l.set != nil {
			t.Fatalf("a set was made for %d names", i)
		}
		l.add(fmt.Append(nil, i), false)
	}
	if l.set == nil {
		t.Error("names are compared one by one, however many there are")
	}
}
