package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/errs"
)

// Every kind has a status of its own, and a new kind fails here until it has.
func TestStatusOfEveryKind(t *testing.T) {
	t.Parallel()
	want := map[errs.Kind]int{
		errs.Internal: 500, errs.NotFound: 404, errs.MethodUnknown: 405, errs.Unauthenticated: 401, errs.Forbidden: 403,
		errs.TooMany: 429, errs.Unsupported: 415, errs.TooLarge: 413, errs.HeadersTooLarge: 431, errs.TooSlow: 408, errs.Malformed: 400, errs.Invalid: 422,
		errs.Payment: 402, errs.Precondition: 412, errs.NotModified: 304, errs.Conflict: 409, errs.Unavailable: 503,
		errs.Timeout: 504, errs.Canceled: 499,
	}
	for k := errs.Internal; k <= errs.Canceled; k++ {
		if _, mapped := statuses[k]; !mapped {
			t.Errorf("kind %d has no status", k)
		}
		if Status(k) != want[k] {
			t.Errorf("kind %d is %d, want %d", k, Status(k), want[k])
		}
	}
	if len(statuses) != len(want) {
		t.Errorf("%d kinds are mapped, %d are known", len(statuses), len(want))
	}
	if Status(errs.Kind(250)) != http.StatusInternalServerError {
		t.Error("an unknown kind is not our fault")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	conflict := errs.New(errs.Conflict, "taken", "It is taken.")
	for _, c := range []struct {
		err  error
		kind errs.Kind
		code string
	}{
		{conflict, errs.Conflict, "taken"},
		{fmt.Errorf("store: %w", conflict), errs.Conflict, "taken"},
		{errors.New("pq: relation"), errs.Internal, "internal"},
		{&http.MaxBytesError{Limit: 1}, errs.TooLarge, "body_too_large"},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), errs.TooSlow, "body_timeout"},
		{context.DeadlineExceeded, errs.Timeout, "timeout"},
		{context.Canceled, errs.Canceled, "client_closed_request"},
	} {
		e := Classify(c.err)
		if e.Kind != c.kind || e.Code != c.code || !errors.Is(e, c.err) && e != conflict {
			t.Errorf("%v is %v %s", c.err, e.Kind, e.Code)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		header map[string]string
	}{
		{errs.New(errs.Unauthenticated, "token_missing", "x"), 401, map[string]string{"WWW-Authenticate": `Bearer realm="coditect"`}},
		{errs.New(errs.Unauthenticated, "token_expired", "x"), 401, map[string]string{"WWW-Authenticate": `Bearer realm="coditect", error="invalid_token"`}},
		{errs.New(errs.TooMany, "rate_limited", "x").WithRetry(1100 * time.Millisecond), 429, map[string]string{"Retry-After": "2"}},
		{errs.New(errs.Unavailable, "unavailable", "x"), 503, map[string]string{"Retry-After": "1"}},
		{errs.New(errs.Payment, "quota_exceeded", "x").WithRetry(time.Hour), 402, map[string]string{"Retry-After": "3600"}},
		{errs.New(errs.Payment, "plan_limit", "x"), 402, map[string]string{"Retry-After": ""}},
		{&errs.Error{Kind: errs.MethodUnknown, Code: "x", Detail: "x", Allow: "GET, HEAD"}, 405, map[string]string{"Allow": "GET, HEAD"}},
		{&errs.Error{Kind: errs.Precondition, Code: "x", Detail: "x", ETag: `"2.a"`}, 412, map[string]string{"ETag": `"2.a"`}},
		{errs.New(errs.Precondition, "x", "x"), 412, map[string]string{"ETag": ""}},
		{errors.New("hunter2"), 500, nil},
		{context.Canceled, 499, nil},
	} {
		w := httptest.NewRecorder()
		for _, stale := range []string{"Content-Length", "Etag", "Location", "Link", "Content-Encoding", "Last-Modified"} {
			w.Header().Set(stale, "of the answer that failed")
		}
		Write(w, httptest.NewRequest(http.MethodGet, "/api/v1/x/?token=hunter2", nil), "r1", c.err)
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.status || p.Status != c.status || p.Instance != "/api/v1/x/" || p.RequestID != "r1" || p.Type != "about:blank" || p.Title == "" || p.Code == "" || p.Detail == "" {
			t.Errorf("%v: %d %+v", c.err, w.Code, p)
		}
		if strings.Contains(w.Body.String(), "hunter2") || strings.Contains(fmt.Sprint(w.Header()), "of the answer") {
			t.Errorf("%v: %v %s", c.err, w.Header(), w.Body)
		}
		if w.Header().Get("Content-Type") != MediaType || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v: %v", c.err, w.Header())
		}
		for name, want := range c.header {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%v: %s %q, want %q", c.err, name, got, want)
			}
		}
	}
}

func TestBodyless(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Write(w, httptest.NewRequest(http.MethodGet, "/", nil), "r", &errs.Error{Kind: errs.NotModified, ETag: `"1.a"`})
	if w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != `"1.a"` || w.Header().Get("Content-Type") != "" {
		t.Errorf("304: %v %s", w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	Write(w, httptest.NewRequest(http.MethodHead, "/", nil), "r", errs.ErrNotFound)
	if w.Code != 404 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %s", w.Code, w.Body)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	p := New(errs.InvalidFields(errs.Field{Location: "body.a", Message: "m", Value: 3}, errs.Field{Location: "body.b", Message: "n"}), "/", "r")
	text, err := json.Marshal(p)
	if err != nil || !strings.Contains(string(text), `"errors":[{"location":"body.a","message":"m","value":3},{"location":"body.b","message":"n"}]`) {
		t.Errorf("%s %v", text, err)
	}
	if text, _ := json.Marshal(New(errs.ErrNotFound, "/", "r")); strings.Contains(string(text), "errors") {
		t.Errorf("%s", text)
	}
}
