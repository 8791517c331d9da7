package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
)

func TestItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.ask(t, "GET "+one, "", "token", tokOwner)
	is(t, w, "200")
	tag := w.Header().Get("ETag")
	if !strings.HasPrefix(tag, `"7.`) || w.Header().Get("Cache-Control") != "private, no-cache" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.Header())
	}
	opaque := strings.Trim(tag, `"`)
	for header, want := range map[string]string{
		tag: "304", "W/" + tag: "304", `"x", ` + tag: "304", `"x",W/` + tag + `,"y"`: "304", "*": "304",
		`"x"`: "200", opaque: "200", `"7.` + opaque[2:len(opaque)-1] + `A"`: "200", "": "200", `"a` + "\x01" + `"`: "200",
	} {
		w := b.ask(t, "GET "+one, "", "token", tokOwner, "If-None-Match", header)
		is(t, w, want)
		if want == "304" && (w.Body.Len() != 0 || w.Header().Get("ETag") != tag || w.Header().Get("Content-Type") != "") {
			t.Errorf("304 with %v %q", w.Header(), w.Body)
		}
	}
	// The same version looks different once its owner is renamed.
	b.thing.Owner = &Owner{ID: user, Name: "New"}
	if again := b.ask(t, "GET "+one, "", "token", tokOwner).Header().Get("ETag"); again == tag || !strings.HasPrefix(again, `"7.`) {
		t.Errorf("tag %s after %s", again, tag)
	}
	w = b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner)
	is(t, w, "201")
	if w.Header().Get("Location") != one || !strings.HasPrefix(w.Header().Get("ETag"), `"1.`) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("created: %v", w.Header())
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		`"7.anything"`: "200", `"6.a"`: "412 precondition_failed", `*`: "200", `"1.a", "7.b"`: "200",
		`W/"7.a"`: "412 precondition_failed", `"7"`: "412 precondition_failed", `"abc"`: "412 precondition_failed", `"-1.a"`: "412 precondition_failed",
		`7`: "400 invalid_if_match", `"7.a`: "400 invalid_if_match", `"7.a" "8.b"`: "400 invalid_if_match", `,`: "400 invalid_if_match",
	} {
		is(t, setup(t).ask(t, "PATCH "+one, `{"name":"a"}`, "token", tokOwner, "If-Match", header), want)
	}
	for header, want := range map[string]struct {
		version     int64
		conditional bool
		bad         bool
	}{
		``: {}, `*`: {}, `"7.a"`: {7, true, false}, `"7.a","7.b"`: {7, true, false}, `"7.a","8.b"`: {0, false, true},
		`"x"`: {NoVersion, true, false}, `x`: {0, false, true},
	} {
		v, conditional, err := IfMatch{Header: header}.Version()
		if v != want.version || conditional != want.conditional || (err != nil) != want.bad {
			t.Errorf("%s: %d %v %v", header, v, conditional, err)
		}
	}
}

func TestMergePatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	is(t, b.ask(t, "PATCH "+one, `{"note":null,"due":"0192f0c1-7b7e-7cc3-98c4-dc0c0c070003"}`, "token", tokOwner), "200")
	in, ok := b.got.(*patchThing)
	if !ok {
		t.Fatalf("got %T", b.got)
	}
	if in.Body.Name.Set || !in.Body.Note.Null || in.Body.Due.V != object || in.Body.Owner.Set {
		t.Errorf("read %+v", in.Body)
	}
	old := "old"
	if in.Body.Name.Or("kept") != "kept" || in.Body.Note.Or(&old) != nil || Present("x").Or(nil) == nil || (Nullable[string]{}).Or(&old) != &old || Some(3).Or(1) != 3 {
		t.Error("merging")
	}
	for body, want := range map[string]string{
		`{}`: "200", `{"name":null}`: "422 validation_failed", `{"name":""}`: "422 validation_failed", `{"note":7}`: "422 validation_failed",
		`{"owner":null}`: "200", `{"owner":{"id":"0192f0c1-7b7e-7cc3-98c4-dc0c0c070003","name":"a"}}`: "200", `{"owner":{}}`: "422 validation_failed",
		`{"due":"x"}`: "422 validation_failed", `{"tags":["a"]}`: "200", `{"tags":[1]}`: "422 validation_failed", `{"zzz":1}`: "422 validation_failed",
	} {
		is(t, setup(t).ask(t, "PATCH "+one, body, "token", tokOwner), want)
	}
	text, err := json.Marshal(map[string]any{"a": Some("x"), "b": Present(1), "c": Null[int]()})
	if err != nil || string(text) != `{"a":"x","b":1,"c":null}` {
		t.Errorf("%s %v", text, err)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 7 {
		b.things = append(b.things, Thing{ID: id(byte(i)), Name: fmt.Sprint(i), CreatedAt: example.CreatedAt.Add(-time.Duration(i) * time.Hour)})
	}
	type body struct {
		Results        []Thing
		Next, Previous *string
	}
	read := func(target string) (body, http.Header) {
		w := b.ask(t, "GET "+target, "", "token", tokOwner)
		is(t, w, "200")
		var out body
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out, w.Header()
	}
	var names string
	page, header := read(things + "?page_size=3&status=open")
	if page.Previous != nil || !strings.HasPrefix(*page.Next, things+"?cursor=") || !strings.Contains(*page.Next, "&page_size=3&status=open") {
		t.Errorf("addresses: %v %v", page.Previous, page.Next)
	}
	if header.Get("Link") != "<"+*page.Next+`>; rel="next"` {
		t.Errorf("link %s", header.Get("Link"))
	}
	foreign := *page.Next
	for {
		for _, r := range page.Results {
			names += r.Name
		}
		if page.Next == nil {
			break
		}
		page, _ = read(*page.Next)
	}
	for page.Previous != nil {
		page, _ = read(*page.Previous)
		for _, r := range page.Results {
			names += r.Name
		}
	}
	if names != "0123456"+"345"+"012" {
		t.Errorf("walked %s", names)
	}
	// A cursor holds for its list only.
	cursor := foreign[strings.Index(foreign, "cursor=")+7:]
	cursor = cursor[:strings.IndexByte(cursor, '&')]
	// The last character but one says six bits of the cursor, the last may say fewer.
	other := "A"
	if strings.HasSuffix(cursor[:len(cursor)-1], other) {
		other = "B"
	}
	changed := cursor[:len(cursor)-2] + other + cursor[len(cursor)-1:]
	for _, target := range []string{
		things + "?cursor=" + cursor, things + "?status=closed&cursor=" + cursor, things + "?status=open&ordering=created_at&cursor=" + cursor,
		things + "?status=open&cursor=" + changed, things + "?status=open&cursor=" + cursor + "A",
	} {
		is(t, b.ask(t, "GET "+target, "", "token", tokOwner), "400 invalid_cursor")
	}
	is(t, b.ask(t, "GET "+things+"?status=open&page_size=5&cursor="+cursor, "", "token", tokViewer), "200") // same tenant, another size
	b.things = nil
	if w := b.ask(t, "GET "+things, "", "token", tokOwner); strings.TrimSpace(w.Body.String()) != `{"results":[],"next":null,"previous":null}` || w.Header().Get("Link") != "" {
		t.Errorf("empty: %s", w.Body)
	}
}

func TestSmallAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	is(t, b.ask(t, "DELETE "+one, "", "token", tokOwner), "204")
	w := b.ask(t, "POST /api/v1/auth/login/", `{"email":"a@example.com"}`)
	is(t, w, "200")
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("ETag") != "" {
		t.Errorf("tokens: %v", w.Header())
	}
	w = b.ask(t, "GET /api/v1/auth/sso/authorize/", "")
	is(t, w, "302")
	if w.Header().Get("Location") != "https://issuer.example.com/auth?a=1&b=2" {
		t.Errorf("redirect: %v", w.Header())
	}
	w = b.ask(t, "GET /api/v1/things/stream/", "", "token", tokOwner)
	if w.Code != 200 || w.Body.String() != "a,b\n" || w.Header().Get("Content-Type") != "text/csv" {
		t.Errorf("stream: %d %v %q", w.Code, w.Header(), w.Body)
	}
	c := &call{op: &served{Operation: Operation{Spec: Spec{Status: 202}}}}
	if a, err := Accepted("/api/v1/jobs/1/", 1).render(c); err != nil || a.location != "/api/v1/jobs/1/" || a.status != 202 {
		t.Errorf("accepted: %+v %v", a, err)
	}
	if _, err := NewRedirect("").render(c); err == nil {
		t.Error("a redirect to nowhere")
	}
	if _, err := NewValue(func() {}).render(c); err == nil {
		t.Error("a function became JSON")
	}
}

// A stream that fails after its first byte must not look whole.
func TestBrokenStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fail = errors.New("disk full")
	s := httptest.NewServer(b.h)
	defer s.Close()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1/things/stream/", nil)
	r.Header.Set("Authorization", "Bearer owner")
	res, err := s.Client().Do(r)
	if err == nil {
		defer res.Body.Close()
		if _, err = io.ReadAll(res.Body); err == nil {
			t.Error("the broken stream looks whole")
		}
	}
	if !strings.Contains(b.logs.String(), "disk full") {
		t.Error("nothing in the log")
	}
}

func TestFailuresOfTheOperation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{errArchived, "409 thing_archived"},
		{fmt.Errorf("wrapped: %w", errArchived.WithCause(errors.New("x"))), "409 thing_archived"},
		{errors.New(`pq: password "hunter2" in /srv/store.go:17`), "500 internal"},
		{errs.New(errs.Conflict, "undeclared", "x"), "500 response_contract"},
		{context.DeadlineExceeded, "504 timeout"},
		{errs.New(errs.Unavailable, "try_again", "x").WithRetry(1500 * time.Millisecond), "503 try_again"},
		{errs.InvalidField("body.name", "is taken"), "422 validation_failed"},
	} {
		b := setup(t)
		b.fail = c.err
		w := b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner)
		is(t, w, c.want)
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("TestTrapT35: told %s", w.Body)
		}
		if w.Code >= 500 && !strings.Contains(b.logs.String(), `"operation":"create-thing"`) {
			t.Errorf("the log says %q", b.logs)
		}
		if w.Code == 503 && w.Header().Get("Retry-After") != "2" {
			t.Errorf("retry after %q", w.Header().Get("Retry-After"))
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.beforeAct = func(context.Context) error { panic("hunter2") }
	w := b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner)
	is(t, w, "500 internal")
	if strings.Contains(w.Body.String(), "hunter2") || !strings.Contains(b.logs.String(), "answer_test.go") {
		t.Errorf("answer %s, log %s", w.Body, b.logs)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *Deps) { d.Timeout = 10 * time.Millisecond })
	b.beforeAct = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	is(t, b.ask(t, "GET "+one, "", "token", tokOwner), "504 timeout")
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for sent, kept := range map[string]bool{
		"abc-123_X.y": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "a b": false, "a\"b": false, "": false, "ä": false,
	} {
		w := b.ask(t, "GET "+one, "", "token", tokOwner, "X-Request-Id", sent)
		got := w.Header().Get("X-Request-Id")
		if (got == sent) != kept || got == "" {
			t.Errorf("%q became %q", sent, got)
		}
		if b.by.RequestID != got {
			t.Errorf("the operation knows %q, the client %q", b.by.RequestID, got)
		}
	}
	b.beforeAct = func(ctx context.Context) error {
		if RequestID(ctx) != "r1" {
			t.Errorf("context knows %q", RequestID(ctx))
		}
		return nil
	}
	b.ask(t, "GET "+one, "", "token", tokOwner, "X-Request-Id", "r1")
	if RequestID(t.Context()) != "" {
		t.Error("an id from nowhere")
	}
}

func TestOutboxNudge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if b.ask(t, "GET "+one, "", "token", tokOwner).Header().Get("X-Coditect-Outbox") != "" {
		t.Error("a nudge for nothing")
	}
	b.beforeAct = func(ctx context.Context) error { outbox.Committed(ctx, 2); return nil }
	if b.ask(t, "GET "+one, "", "token", tokOwner).Header().Get("X-Coditect-Outbox") != "1" {
		t.Error("no nudge")
	}
	b.fail = errArchived // the commit happened all the same
	if b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner).Header().Get("X-Coditect-Outbox") != "1" {
		t.Error("no nudge with a refusal")
	}
}

// TestTrapT28: the client's address comes from the hop's signature, and never
// from a header that anyone may send.
func TestTrapT28ClientAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ask(t, "GET "+one, "", "token", tokOwner, "X-Forwarded-For", "198.51.100.1", "X-User-ID", user.String())
	if b.by.IP.IsValid() || b.by.UserID == user {
		t.Errorf("believed %v %v", b.by.IP, b.by.UserID)
	}
	b.ask(t, "GET "+one, "", "token", tokOwner, "X-Coditect-Hop", "good", "User-Agent", "curl")
	if b.by.IP.String() != "203.0.113.9" || b.by.UserAgent != "curl" || b.by.TenantID != tenant || !b.by.May(identity.BillingWrite) {
		t.Errorf("caller %+v", b.by)
	}
}

func TestInternalOperations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	is(t, b.ask(t, "GET /internal/health/", "", "token", tokOwner), "404 not_found")
	is(t, b.ask(t, "GET /internal/health/", "", "X-Coditect-Hop", "bad"), "404 not_found")
	is(t, b.ask(t, "GET /internal/health/", "", "X-Coditect-Hop", "good"), "200")
	if b.runs() != 1 {
		t.Errorf("ran %d times", b.runs())
	}
}

func TestPublicOperations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for token, who := range map[string]ids.ID{"": ids.Nil, "stale": ids.Nil, "down": ids.Nil, tokOwner: id(10)} {
		is(t, b.ask(t, "POST /api/v1/auth/login/", `{"email":"a@example.com"}`, "token", token), "200")
		if b.by.UserID != who {
			t.Errorf("%q is %v", token, b.by.UserID)
		}
	}
}

func TestTenants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	is(t, b.ask(t, "POST "+one+"restore/", "", "token", tokSuspended), "200")
	is(t, b.ask(t, "POST "+one+"restore/", "", "token", tokDeleted), "403 tenant_deleted")
	is(t, b.ask(t, "POST "+one+"restore/", "", "token", tokViewer), "200") // any member
	is(t, b.ask(t, "POST "+one+"restore/", "", "token", tokStranger), "403 not_a_member")
	is(t, b.ask(t, "GET "+one, "", "token", tokViewer, "X-Tenant-ID", tenant.String()), "200")
	is(t, b.ask(t, "POST /api/v1/auth/logout/", "", "token", tokNoTenant, "X-Tenant-ID", tenant.String()), "403 tenant_mismatch")
}

// A piece that is missing closes the door that it guards.
func TestNilDepsFailClosed(t *testing.T) {
	t.Parallel()
	none := setup(t, func(d *Deps) { *d = Deps{Logger: d.Logger} })
	for _, line := range []string{"GET " + one, "POST " + things, "GET " + things} {
		is(t, none.ask(t, line, "", "token", tokOwner), "500 internal")
	}
	is(t, none.ask(t, "GET /internal/health/", "", "X-Coditect-Hop", "good"), "404 not_found")
	is(t, none.ask(t, "POST /api/v1/auth/login/", `{"email":"a@example.com"}`), "200")
	is(t, none.ask(t, "POST /api/v1/auth/login/", `{"email":"a@example.com"}`, "Idempotency-Key", "k"), "500 internal")
	noAccess := setup(t, func(d *Deps) { d.Access = nil })
	is(t, noAccess.ask(t, "GET "+one, "", "token", tokOwner), "500 internal")
	noCursors := setup(t, func(d *Deps) { d.Cursors = nil })
	is(t, noCursors.ask(t, "GET "+things+"?cursor=x", "", "token", tokOwner), "500 internal")
	noCursors.things = []Thing{example, example}
	is(t, noCursors.ask(t, "GET "+things+"?page_size=1", "", "token", tokOwner), "500 internal")
	if Handler(Function{}, Deps{}) == nil || (Deps{}).withDefaults().Logger != slog.Default() {
		t.Error("defaults")
	}
}

// An operation is made ready by its first requests, whichever come first and
// however many at once.
func TestFirstRequestsAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, func(d *Deps) { d.CheckResponses = false })
	s.things = []Thing{example}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { is(t, s.ask(t, "GET "+one, "", "token", tokOwner), "200") })
		all.Go(func() { is(t, s.ask(t, "GET "+things, "", "token", tokOwner), "200") })
		all.Go(func() { is(t, s.ask(t, "POST "+things, `{"name":null}`, "token", tokOwner), "422 validation_failed") })
		all.Go(func() { is(t, s.ask(t, "GET "+one+"?x=1", "", "token", tokOwner), "400 invalid_request") })
	}
	all.Wait()
}

// What huma refuses to register is an error of that operation, each time, and
// of no other.
func TestOperationHumaRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t)
	fn := s.function()
	broken := New(Spec{ID: "broken", Method: http.MethodGet, Path: "/api/v1/broken/", Summary: "s", Tag: "t", Public: true},
		func(context.Context, identity.Caller, *struct {
			Before chan int `query:"before"`
		}) (*Empty, error) {
			return nil, nil
		})
	fn.Operations = append(fn.Operations, broken)
	s.h = Handler(fn, Deps{Verifier: verifier{}, Logger: slog.New(slog.DiscardHandler)})
	for range 2 {
		is(t, s.ask(t, "GET /api/v1/broken/?before=1", ""), "500 internal")
	}
	is(t, s.ask(t, "GET "+one, ""), "401 token_missing")
}

// An operation that is reached past the chain does nothing.
func TestOperationWithoutTheChain(t *testing.T) {
	t.Parallel()
	w := &world{}
	_, made := build("t", "1", false, w.function().Operations...)
	for pattern, serve := range made {
		method, path, _ := strings.Cut(pattern, " ")
		r := httptest.NewRequest(method, strings.ReplaceAll(path, "{id}", object.String()), bytes.NewReader([]byte(`{"name":"a"}`)))
		serve(httptest.NewRecorder(), r)
	}
	if w.runs() != 0 {
		t.Errorf("%d operations ran", w.runs())
	}
}
