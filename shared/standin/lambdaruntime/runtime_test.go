package lambdaruntime_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/serve/lambda"
	"github.com/coditect/platform/shared/standin/lambdaruntime"
)

const base = "/2018-06-01/runtime/"

// instance speaks the Runtime API as a function's process does.
type instance struct {
	url string
}

func start(t *testing.T, r *lambdaruntime.Runtime) instance {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(func() { r.Close(); server.Close() })
	return instance{server.URL + base}
}

// next takes an invocation. It fails quietly when the runtime ends.
func (i instance) next(ctx context.Context) (id string, deadline time.Time, event []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"invocation/next", http.NoBody)
	if err != nil {
		return "", deadline, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", deadline, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", deadline, nil, errors.New(res.Status)
	}
	ms, err := strconv.ParseInt(res.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if err != nil {
		return "", deadline, nil, err
	}
	event, err = io.ReadAll(res.Body)
	return res.Header.Get("Lambda-Runtime-Aws-Request-Id"), time.UnixMilli(ms), event, err
}

func (i instance) post(t *testing.T, path string, body []byte) int {
	t.Helper()
	res, err := http.Post(i.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// serve answers invocations with h, through the adapter that functions use.
func (i instance) serve(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	act := lambda.Handler(h).Invoke
	go func() {
		for {
			id, deadline, text, err := i.next(t.Context())
			if err != nil {
				return
			}
			ctx, stop := context.WithDeadline(t.Context(), deadline)
			body, err := act(ctx, text)
			stop()
			if err != nil {
				i.post(t, "invocation/"+id+"/error", []byte(`{"errorType":"x","errorMessage":"y"}`))
				continue
			}
			i.post(t, "invocation/"+id+"/response", body)
		}
	}()
}

// TestRequestsArriveAsTheyWere sends a request through every front door and the
// functions' adapter, and back.
func TestRequestsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]*lambdaruntime.Gateway{
		"HTTP API":            {Kind: lambdaruntime.HTTPAPI},
		"HTTP API in a stage": {Kind: lambdaruntime.HTTPAPI, Stage: "prod"},
		"function URL":        {Kind: lambdaruntime.FunctionURL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.Runtime = lambdaruntime.New(time.Minute)
			start(t, g.Runtime).serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("X-Path", r.URL.EscapedPath()+"?"+r.URL.RawQuery)
				w.Header().Set("X-Method", r.Method)
				w.Header().Set("X-Many", r.Header.Get("X-Many"))
				w.Header().Set("X-From", r.RemoteAddr)
				w.Header().Set("X-Forwarded", r.Header.Get("X-Forwarded-For"))
				w.Header().Add("Link", "<a>")
				w.Header().Add("Link", "<b>")
				for _, c := range r.Cookies() {
					http.SetCookie(w, c)
				}
				w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
				w.WriteHeader(http.StatusAccepted)
				_, _ = w.Write(body)
			})
			for kind, body := range map[string]string{
				"application/json": `{"a":"ä"}`, "application/octet-stream": "\x00\xff", "text/plain": "\xff", "application/problem+json": "",
			} {
				r := httptest.NewRequest(http.MethodPut, "/a%2Fb/%C3%A4/?q=1&q=%2F", strings.NewReader(body))
				r.Header.Set("Content-Type", kind)
				r.Header.Add("X-Many", "1")
				r.Header.Add("X-Many", "2")
				r.Header.Set("X-Forwarded-For", "198.51.100.1")
				r.Header.Set("Cookie", "a=1; b=2")
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				h := w.Result().Header
				if w.Code != http.StatusAccepted || w.Body.String() != body || h.Get("Content-Type") != kind {
					t.Errorf("%s: %d %v %q", kind, w.Code, h, w.Body)
				}
				if h.Get("X-Path") != "/a%2Fb/%C3%A4/?q=1&q=%2F" || h.Get("X-Method") != http.MethodPut || h.Get("X-Many") != "1,2" ||
					h.Get("X-From") != "192.0.2.1:0" || h.Get("X-Forwarded") != "198.51.100.1, 192.0.2.1" || h.Get("Link") != "<a>,<b>" {
					t.Errorf("%s: %v", kind, h)
				}
				if set := h.Values("Set-Cookie"); len(set) != 2 || set[1] != "b=2" {
					t.Errorf("cookies %v", set)
				}
			}
		})
	}
}

// TestFailures holds what the front doors make of functions that fail.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path, result string
		kind               lambdaruntime.Kind
		status             int
		body               string
	}{
		{"an error", "error", `{"errorType":"x","errorMessage":"y"}`, lambdaruntime.HTTPAPI, 500, ""},
		{"an error, by URL", "error", `{"errorType":"x","errorMessage":"y"}`, lambdaruntime.FunctionURL, 502, ""},
		{"no JSON", "response", `<`, lambdaruntime.HTTPAPI, 500, ""},
		{"no base64", "response", `{"statusCode":200,"body":"*","isBase64Encoded":true}`, lambdaruntime.HTTPAPI, 500, ""},
		{"no status", "response", `{"statusCode":7}`, lambdaruntime.HTTPAPI, 500, ""},
		{"a bare value", "response", `[1]`, lambdaruntime.HTTPAPI, 200, "[1]"},
		{"an object of its own", "response", `{"ok":true}`, lambdaruntime.HTTPAPI, 200, `{"ok":true}`},
		{"too much", "response", `"` + strings.Repeat("x", lambdaruntime.MaxPayload) + `"`, lambdaruntime.HTTPAPI, 500, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := &lambdaruntime.Gateway{Kind: c.kind, Runtime: lambdaruntime.New(time.Minute)}
			i := start(t, g.Runtime)
			accepted := make(chan int, 2)
			go func() {
				id, _, _, err := i.next(t.Context())
				if err != nil {
					t.Error(err)
				}
				accepted <- i.post(t, "invocation/"+id+"/"+c.path, []byte(c.result))
				accepted <- i.post(t, "invocation/"+id+"/"+c.path, []byte(c.result))
			}()
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
			if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			want := http.StatusAccepted
			if c.name == "too much" {
				want = http.StatusRequestEntityTooLarge
			}
			if got := <-accepted; got != want {
				t.Errorf("the runtime answered %d", got)
			}
			if got := <-accepted; got != http.StatusBadRequest {
				t.Errorf("a second result was answered %d", got)
			}
		})
	}
}

func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	g := &lambdaruntime.Gateway{Runtime: lambdaruntime.New(50 * time.Millisecond)}
	i := start(t, g.Runtime)
	told := make(chan time.Duration, 1)
	go func() {
		_, deadline, _, err := i.next(t.Context())
		if err != nil {
			t.Error(err)
		}
		told <- time.Until(deadline)
	}()
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if left := <-told; left > 50*time.Millisecond {
		t.Errorf("the function was told that it had %s", left)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	r := lambdaruntime.New(time.Minute)
	i := start(t, r)
	if _, err := r.Invoke(t.Context(), make([]byte, lambdaruntime.MaxPayload+1)); !errors.Is(err, lambdaruntime.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := r.Invoke(gone, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
	if got := i.post(t, "init/error", []byte(`{}`)); got != http.StatusAccepted {
		t.Errorf("init error: %d", got)
	}
	if got := i.post(t, "invocation/x/error", []byte(`<`)); got != http.StatusBadRequest {
		t.Errorf("an error that is none: %d", got)
	}
	r.Close()
	if _, err := r.Invoke(t.Context(), nil); !errors.Is(err, lambdaruntime.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, _, _, err := i.next(t.Context()); err == nil {
		t.Error("work after the end")
	}
	fault := &lambdaruntime.FunctionError{Type: "a", Message: "b"}
	if !strings.Contains(fault.Error(), "a: b") {
		t.Error(fault)
	}
}
