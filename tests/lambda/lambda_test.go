// Package lambda_test runs the platform as AWS Lambda runs it: the program of
// every function, built as it is packaged, asks a stand-in of the Runtime API
// for work, and the router reaches it through an HTTP API or a function URL;
// job functions get theirs from a queue, and schedules from a clock.
package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/router"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/standin/lambdaruntime"
	"github.com/coditect/platform/tests/platform"
)

const root = "../.."

// limit is an invocation's time, functions.json's.
const limit = 30 * time.Second

// built are programs by the function's name, built when a test needs them.
type built struct {
	once     sync.Once
	programs map[string]string
	err      error
}

var (
	operations, background built
	scratch                string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lambda-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// programs builds every HTTP function once, one after the other.
func programs(t *testing.T) map[string]string {
	t.Helper()
	return operations.get(t, func(_, kind string) bool { return kind == "http" })
}

func (b *built) get(t *testing.T, wanted func(name, kind string) bool) map[string]string {
	t.Helper()
	b.once.Do(func() { b.programs, b.err = build(wanted) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.programs
}

func build(wanted func(name, kind string) bool) (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(root, "functions/functions.json"))
	if err != nil {
		return nil, err
	}
	var list struct {
		Functions []struct{ Name, Folder, Kind string }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, f := range list.Functions {
		if !wanted(f.Name, f.Kind) {
			continue
		}
		out[f.Name] = filepath.Join(scratch, f.Name)
		cmd := exec.Command("go", "build", "-tags", "lambda.norpc,aws", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out[f.Name], "./cmd")
		cmd.Dir = filepath.Join(root, f.Folder)
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, &buildError{f.Name, string(text), err}
		}
	}
	return out, nil
}

type buildError struct {
	name, output string
	cause        error
}

func (e *buildError) Error() string {
	return "build " + e.name + ": " + e.cause.Error() + "\n" + e.output
}

// output keeps what a process said.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// deploy starts instances of a function and gives the address of its front
// door.
func deploy(t *testing.T, program string, vars map[string]string, g lambdaruntime.Gateway, instances int) string {
	t.Helper()
	g.Runtime = lambdaruntime.New(limit)
	start(t, program, vars, g.Runtime, instances)
	door := httptest.NewServer(&g)
	t.Cleanup(door.Close)
	return door.Listener.Addr().String()
}

// start starts instances of a function that ask the runtime for work.
func start(t *testing.T, program string, vars map[string]string, runtime *lambdaruntime.Runtime, instances int) {
	t.Helper()
	api := httptest.NewServer(runtime)
	said := &output{}
	env := []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "AWS_LAMBDA_FUNCTION_NAME=" + filepath.Base(program)}
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	var running []*exec.Cmd
	for range instances {
		cmd := exec.Command(program)
		cmd.Env, cmd.Stdout, cmd.Stderr = env, said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	t.Cleanup(func() {
		for _, cmd := range running {
			_ = cmd.Process.Kill() // as the service does; there is nothing to drain between invocations
			_ = cmd.Wait()
		}
		runtime.Close()
		api.Close()
		if t.Failed() && said.String() != "" {
			t.Logf("%s said:\n%s", filepath.Base(program), said)
		}
	})
}

// lambdas is the router in front of functions on Lambda.
type lambdas struct {
	*functest.Env
	url   string
	doors map[string]string
}

func open(t *testing.T, g lambdaruntime.Gateway, instances int) *lambdas {
	t.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	p := &lambdas{Env: functest.New(t), doors: map[string]string{}}
	vars := maps.Clone(p.Vars)
	vars["BASE_DOMAIN"], vars["LOG_LEVEL"] = "localhost", "error"
	// Twelve processes start at once here, on however few cores.
	vars["UPSTREAM_INTERNAL_TIMEOUT"] = "20s"
	vars["DATABASE_MAX_CONNS"] = "2"
	for name, program := range programs(t) {
		p.doors[name] = deploy(t, program, vars, g, instances)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		name, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, p.doors[name])
	}}
	edge, err := router.Open(t.Context(), config.Map(vars), router.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(edge.Handler)
	t.Cleanup(func() {
		server.Close()
		_ = edge.Close()
		transport.CloseIdleConnections()
	})
	p.url = server.URL
	return p
}

// send sends a request to base over the network.
func (p *lambdas) send(t *testing.T, base string, in functest.Request, status int) functest.Response {
	t.Helper()
	r := p.NewRequest(t, in)
	r.URL, _ = r.URL.Parse(base + r.URL.RequestURI())
	r.RequestURI, r.Host = "", strings.TrimPrefix(base, "http://")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return functest.Response{Status: resp.StatusCode, Header: resp.Header, Body: body}.Want(t, status)
}

// TestJourney is the README's journey, behind each front door.
func TestJourney(t *testing.T) {
	for name, c := range map[string]struct {
		gateway   lambdaruntime.Gateway
		instances int
	}{
		"an HTTP API in a stage, two instances": {lambdaruntime.Gateway{Kind: lambdaruntime.HTTPAPI, Stage: "prod"}, 2},
		"function URLs":                         {lambdaruntime.Gateway{Kind: lambdaruntime.FunctionURL}, 1},
	} {
		t.Run(name, func(t *testing.T) { journey(t, open(t, c.gateway, c.instances)) })
	}
}

func journey(t *testing.T, p *lambdas) {
	t.Helper()
	platform.At(p.url).Journey(t)
	p.conditions(t)
	p.refusals(t)
}

// conditions are what events and results could lose: text beyond ASCII, headers
// that decide, answers without a body.
func (p *lambdas) conditions(t *testing.T) {
	t.Helper()
	me := p.Tenant(t)
	ask := func(method, path string, body any, header map[string]string, status int) functest.Response {
		t.Helper()
		return p.send(t, p.url, functest.Request{Method: method, Path: path, Token: me.Token, Body: body, Header: header}, status)
	}
	project := ask(http.MethodPost, "/api/v1/projects/", map[string]any{"name": "Zürich ✓"}, map[string]string{"Idempotency-Key": "k"}, http.StatusCreated)
	again := ask(http.MethodPost, "/api/v1/projects/", map[string]any{"name": "Zürich ✓"}, map[string]string{"Idempotency-Key": "k"}, http.StatusCreated)
	if project.String(t, "name") != "Zürich ✓" || again.String(t, "id") != project.String(t, "id") || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the project is %s, then %v %s", project.Body, again.Header, again.Body)
	}
	at, tag := project.Header.Get("Location"), project.Header.Get("ETag")
	ask(http.MethodGet, at, nil, map[string]string{"If-None-Match": tag}, http.StatusNotModified)
	ask(http.MethodPatch, at, map[string]any{"name": "Bern"}, map[string]string{"If-Match": tag}, http.StatusOK)
	ask(http.MethodPatch, at, map[string]any{"name": "Late"}, map[string]string{"If-Match": tag}, http.StatusPreconditionFailed)
	if found := ask(http.MethodGet, "/api/v1/projects/?search=b%65rn&page_size=1", nil, nil, http.StatusOK); found.String(t, "results.0.name") != "Bern" {
		t.Errorf("found %s", found.Body)
	}
}

// refusals asks functions directly what the router would not let through: each
// holds its own, on Lambda as elsewhere.
func (p *lambdas) refusals(t *testing.T) {
	t.Helper()
	me := p.Tenant(t)
	tasks := "http://" + p.doors["tasks"]
	p.send(t, tasks, functest.Request{Method: http.MethodGet, Path: "/api/v1/tasks/"}, http.StatusUnauthorized)
	// Arrives in base64, and as the very bytes.
	p.send(t, tasks, functest.Request{
		Method: http.MethodPost, Path: "/api/v1/projects/" + ids.New().String() + "/tasks/", Token: me.Token,
		Body: "{\"title\":\"\xff\"}", Header: map[string]string{"Content-Type": "application/json"},
	}, http.StatusBadRequest)
	p.send(t, tasks, functest.Request{
		Method: http.MethodPost, Path: "/api/v1/projects/" + ids.New().String() + "/tasks/", Token: me.Token,
		Body: "\x00\xff", Header: map[string]string{"Content-Type": "application/octet-stream"},
	}, http.StatusUnsupportedMediaType)
	tenants := "http://" + p.doors["tenants"]
	p.send(t, tenants, functest.Request{Method: http.MethodGet, Path: "/internal/health/"}, http.StatusNotFound)
	p.send(t, tenants, functest.Request{Method: http.MethodGet, Path: "/internal/health/", Internal: true}, http.StatusOK)
	if got := p.send(t, p.url, functest.Request{Method: http.MethodGet, Path: "/health/"}, http.StatusOK); len(got.Body) == 0 {
		t.Error("no health")
	}
}
