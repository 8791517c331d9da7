package gcp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

type recorder func(*http.Request) (*http.Response, error)

func (f recorder) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func token(n int, exp time.Time) string {
	return "h." + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"exp":%d,"n":%d}`, exp.Unix(), n))) + ".s"
}

func TestEachAudienceHasItsToken(t *testing.T) {
	t.Parallel()
	var asked []string
	var sent []*http.Request
	rt := Transport(recorder(func(r *http.Request) (*http.Response, error) { sent = append(sent, r); return &http.Response{}, nil }),
		func(_ context.Context, audience string) (string, error) {
			asked = append(asked, audience)
			return token(len(asked), time.Now().Add(time.Hour)), nil
		})
	for _, u := range []string{"https://auth.example/api/v1/", "https://auth.example/other/", "https://tasks.example/"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer person")
		if _, err := rt.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if r.Header.Get(header) != "" {
			t.Error("the caller's request was changed")
		}
	}
	if strings.Join(asked, " ") != "https://auth.example https://tasks.example" {
		t.Errorf("asked %v", asked)
	}
	for _, r := range sent {
		if !strings.HasPrefix(r.Header.Get(header), "Bearer h.") || r.Header.Get("Authorization") != "Bearer person" {
			t.Errorf("sent %v", r.Header)
		}
	}
	if sent[0].Header.Get(header) != sent[1].Header.Get(header) || sent[0].Header.Get(header) == sent[2].Header.Get(header) {
		t.Error("tokens are not by audience")
	}
}

func TestNothingIsSentWithoutAToken(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]Source{
		"error":     func(context.Context, string) (string, error) { return "", errors.New("no metadata") },
		"no token":  func(context.Context, string) (string, error) { return "x", nil },
		"no base64": func(context.Context, string) (string, error) { return "a.!.c", nil },
		"no end":    func(context.Context, string) (string, error) { return "a.e30.c", nil },
	} {
		rt := Transport(recorder(func(*http.Request) (*http.Response, error) { t.Error(name, "was sent"); return nil, nil }), source)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://auth.example/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.RoundTrip(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOnCloudRun(t *testing.T) {
	t.Parallel()
	for _, set := range []bool{true, false} {
		if got := OnCloudRun(func(n string) (string, bool) { return "router", set && n == "K_SERVICE" }); got != set {
			t.Errorf("%v: %v", set, got)
		}
	}
}
