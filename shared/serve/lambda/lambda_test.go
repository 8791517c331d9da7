package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// over serves an HTTP event by way of its JSON.
func over(ctx context.Context, h http.Handler, event events.APIGatewayV2HTTPRequest) (out events.APIGatewayV2HTTPResponse, err error) {
	event.Version = "2.0"
	payload, err := json.Marshal(event)
	if err != nil {
		return out, err
	}
	raw, err := Handler(h).Invoke(ctx, payload)
	if err != nil {
		return out, err
	}
	err = json.Unmarshal(raw, &out)
	return out, err
}

func invoke(t *testing.T, h http.HandlerFunc, text string) (events.APIGatewayV2HTTPResponse, error) {
	t.Helper()
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatal(err)
	}
	return over(t.Context(), h, event)
}

// event is as API Gateway sends it; a function URL's differs only in its
// stage ($default) and domain.
func event(stage, path, rest string) string {
	return fmt.Sprintf(`{"version":"2.0","rawPath":%q,"rawQueryString":"a=1&a=2&b=%%2F",
		"headers":{"host":"api.example.com","content-type":"application/json","x-forwarded-for":"198.51.100.1"},
		"cookies":["a=1","b=2"],
		"requestContext":{"stage":%q,"domainName":"x.execute-api.eu-west-1.amazonaws.com",
			"http":{"method":"POST","path":%q,"protocol":"HTTP/1.1","sourceIp":"203.0.113.7"}}%s}`, path, stage, path, rest)
}

func TestRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, stage, path, rest, wantPath, wantBody string }{
		{"default stage", "$default", "/api/v1/tasks/", `,"body":"{}"`, "/api/v1/tasks/", "{}"},
		{"named stage", "prod", "/prod/api/v1/tasks/", `,"body":"{}"`, "/api/v1/tasks/", "{}"},
		{"stage alone", "prod", "/prod", ``, "/", ""},
		{"a path that only looks like the stage", "prod", "/production/", ``, "/production/", ""},
		{"no path", "$default", "", ``, "/", ""},
		{"base64", "$default", "/", `,"body":"AP8=","isBase64Encoded":true`, "/", "\x00\xff"},
		{"escapes", "$default", "/a%2Fb/%C3%A4/", ``, "/a%2Fb/%C3%A4/", ""},
		{"double slash", "$default", "//evil.example.com/x", ``, "//evil.example.com/x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := invoke(t, func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.URL.EscapedPath() != c.wantPath || string(body) != c.wantBody || r.ContentLength != int64(len(body)) {
					t.Errorf("path %s body %q length %d", r.URL.EscapedPath(), body, r.ContentLength)
				}
				if r.Method != http.MethodPost || r.Host != "api.example.com" || r.RemoteAddr != "203.0.113.7:0" || r.URL.Query()["a"][1] != "2" || r.URL.Query().Get("b") != "/" {
					t.Errorf("%s %s %s %v", r.Method, r.Host, r.RemoteAddr, r.URL.Query())
				}
				if b, err := r.Cookie("b"); err != nil || b.Value != "2" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Host") != "" {
					t.Errorf("headers %v", r.Header)
				}
			}, event(c.stage, c.path, c.rest))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadEvents(t *testing.T) {
	t.Parallel()
	for _, text := range []string{event("$default", "/", `,"body":"*","isBase64Encoded":true`), event("$default", "/%zz", ""), strings.Replace(event("$default", "/", ""), "POST", "P ST", 1)} {
		out, err := invoke(t, func(http.ResponseWriter, *http.Request) { t.Error("served") }, text)
		if err != nil || out.StatusCode != http.StatusBadRequest {
			t.Errorf("%v %v", out, err)
		}
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		h      http.HandlerFunc
		status int
		body   string
		base64 bool
		header map[string]string
	}{
		{"json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusTeapot)
			w.Header().Set("Late", "x")
			_, _ = io.WriteString(w, `{"a":"ä"}`)
		}, 201, `{"a":"ä"}`, false, map[string]string{"Content-Type": "application/json", "Late": ""}},
		{"problem", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{}`)
		}, 404, `{}`, false, nil},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte{0x1f, 0x8b})
		}, 200, "H4s=", true, nil},
		{"binary", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0, 255}) }, 200, "AP8=", true, map[string]string{"Content-Type": "application/octet-stream"}},
		{"text that is none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte{0xff})
		}, 200, "/w==", true, nil},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, 200, "", false, nil},
		{"repeated", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Link", "<a>")
			w.Header().Add("Link", "<b>")
			w.WriteHeader(204)
		}, 204, "", false, map[string]string{"Link": "<a>,<b>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := invoke(t, c.h, event("$default", "/", ""))
			if err != nil || out.StatusCode != c.status || out.Body != c.body || out.IsBase64Encoded != c.base64 {
				t.Errorf("%+v %v", out, err)
			}
			for name, want := range c.header {
				if out.Headers[name] != want {
					t.Errorf("%s: %q", name, out.Headers[name])
				}
			}
		})
	}
}

func TestCookiesGoTheirOwnWay(t *testing.T) {
	t.Parallel()
	out, err := invoke(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
	}, event("$default", "/", ""))
	if err != nil || len(out.Cookies) != 2 || out.Cookies[1] != "b=2" || out.Headers["Set-Cookie"] != "" {
		t.Errorf("%+v %v", out, err)
	}
}

// TestTimeLeft holds that a function stops early enough to still answer, and
// that the answer of one that was too slow is its own.
func TestTimeLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		left    time.Duration // 0 for no deadline
		bounded bool
		over    bool // when the function begins
	}{
		{"no deadline", 0, false, false},
		{"plenty", time.Hour, true, false},
		{"less than an answer takes", reserve / 2, true, true},
		{"none", -time.Second, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, end := context.Background(), time.Now().Add(c.left)
			if c.bounded {
				var stop context.CancelFunc
				ctx, stop = context.WithDeadline(ctx, end)
				defer stop()
			}
			out, err := over(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, bounded := r.Context().Deadline()
				if over := r.Context().Err() != nil; bounded != c.bounded || over != c.over {
					t.Errorf("bounded %v over %v", bounded, over)
				}
				if c.left > 0 && !c.over && !got.Equal(end.Add(-reserve)) {
					t.Errorf("deadline %v, want %v", got, end.Add(-reserve))
				}
				if r.Context().Err() != nil {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}), events.APIGatewayV2HTTPRequest{})
			want := http.StatusOK
			if c.over {
				want = http.StatusServiceUnavailable
			}
			if err != nil || out.StatusCode != want {
				t.Errorf("%d %v", out.StatusCode, err)
			}
		})
	}
}

func TestBrokenOff(t *testing.T) {
	t.Parallel()
	if _, err := invoke(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}, event("$default", "/", "")); err == nil {
		t.Error("half an answer passed for whole")
	}
	defer func() {
		if recover() != "x" {
			t.Error("another panic was swallowed")
		}
	}()
	_, _ = invoke(t, func(http.ResponseWriter, *http.Request) { panic("x") }, event("$default", "/", ""))
}
