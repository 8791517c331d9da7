package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
)

func TestRunServesAndEnds(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	env := map[string]string{"HOST": "127.0.0.1", "PORT": port, "REDIS_URL": "redis://127.0.0.1:1", "DRAIN_NOTICE": "50ms",
		"UPSTREAMS": nowhere(t)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, config.Map(env)) }()
	status := func(path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for status("/livez") != 200 {
		select {
		case err := <-ended:
			t.Fatalf("ended early: %v", err)
		case <-tick.C:
		}
	}
	if got := status("/health/"); got != 503 {
		t.Errorf("health without functions: %d", got)
	}
	if err := command(t.Context(), []string{"check"}, config.Map(env)); err == nil || !strings.Contains(err.Error(), `503 {"status":"unhealthy"`) {
		t.Errorf("checked without functions: %v", err)
	}
	if err := run(t.Context(), config.Map(env)); err == nil {
		t.Error("a second one took the same port")
	}
	stop()
	select {
	case <-ended: // the usage of a Redis that is not there may be an error
	case <-time.After(10 * time.Second):
		t.Fatal("did not end")
	}
	if got := status("/livez"); got != 0 {
		t.Errorf("still there: %d", got)
	}
	if err := command(t.Context(), []string{"check"}, config.Map(env)); err == nil {
		t.Error("checked what has ended")
	}
}

func TestCheckPassesOnA200Alone(t *testing.T) {
	t.Parallel()
	for status, passes := range map[int]bool{200: true, 204: false, 503: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health/" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.WriteHeader(status)
		}))
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := command(t.Context(), []string{"check"}, config.Map(map[string]string{"PORT": port})); (err == nil) != passes {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
	}
	for _, args := range [][]string{nil, {"/run/router-1.pid"}} { // serving, which these settings do not allow
		if err := command(t.Context(), args, config.Map(map[string]string{"PORT": "none"})); err == nil || strings.Contains(err.Error(), "health") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := command(t.Context(), []string{"check"}, config.Map(map[string]string{"DRAIN_TIMEOUT": "soon"})); err == nil {
		t.Error("a configuration that is none")
	}
}

// nowhere is an address for every function, where none is.
func nowhere(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../routes.json")
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, m := range regexp.MustCompile(`"function": ?"([a-z]+)"`).FindAllStringSubmatch(string(raw), -1) {
		if pair := m[1] + "=http://127.0.0.1:1"; !slices.Contains(at, pair) {
			at = append(at, pair)
		}
	}
	return strings.Join(at, ",")
}

func TestRunRefusesABadConfiguration(t *testing.T) {
	t.Parallel()
	for _, env := range []map[string]string{{"DRAIN_TIMEOUT": "soon"}, {"K_SERVICE": "router"}} {
		if err := run(t.Context(), config.Map(env)); err == nil {
			t.Errorf("accepted %v", env)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	for port := 21000; port < 32768; port++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = ln.Close()
			return fmt.Sprint(port)
		}
	}
	t.Fatal("no free port")
	return ""
}
