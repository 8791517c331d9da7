package staging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/modfile"
)

// entryPoint is the main that the buildpack puts beside a function that
// registers itself: it imports the package for its init and starts the
// framework. (GoogleCloudPlatform/buildpacks, cmd/go/functions_framework.)
const entryPoint = `package main

import (
	"log"
	"net/http"
	"os"

	_ %q
	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
)

func main() {
	http.HandleFunc("/robots.txt", http.NotFound)
	http.HandleFunc("/favicon.ico", http.NotFound)
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	if err := funcframework.%s; err != nil {
		log.Fatal(err)
	}
}
`

// Build unpacks the archive into an empty folder and builds it as the buildpack
// for Go 1.23 and later does with a vendor folder: nothing but what is in the
// archive, no network, an empty module cache, the toolchain at hand. Only the
// build cache is shared, which changes the time it takes and nothing else. It
// returns the size of the program that it leaves at binary.
func Build(ctx context.Context, archive, binary string) (int64, error) {
	return BuildOn(ctx, archive, binary, "")
}

// Recipe changes when the program that is built around the same archive does.
const Recipe = entryPoint + LinkerFlags + Tags

// LinkerFlags are what the buildpack is told by GOOGLE_GOLDFLAGS: without the
// tables of a debugger an image is a third smaller, and stack traces are the same.
const LinkerFlags = "-s -w"

// Tags are what the buildpack is told by GOFLAGS: no gRPC and xDS in the client
// of Cloud Storage, which speaks JSON here (a quarter of the program and of its
// start), no pages of gRPC's own for a debugger, and no HTTP/2 in net/http, which
// Cloud Run does not speak to a function; the clients that are gRPC have their own.
const Tags = "disable_grpc_modules,grpcnotrace,nethttpomithttp2"

// BuildOn is Build of a program that listens on one host's interface only: on a
// person's own machine nobody else is to reach it. An empty host is every
// interface, as a container needs.
func BuildOn(ctx context.Context, archive, binary, host string) (int64, error) {
	start := "Start(port)"
	if host != "" {
		start = fmt.Sprintf("StartHostPort(%q, port)", host)
	}
	work, err := os.MkdirTemp("", "buildpack-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	src := filepath.Join(work, "src")
	if err := unpack(archive, src); err != nil {
		return 0, err
	}
	module, err := accepts(src)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Join(src, "functions.local", "app"), 0o755); err != nil {
		return 0, err
	}
	main := fmt.Appendf(nil, entryPoint, module, start)
	if err := os.WriteFile(filepath.Join(src, "functions.local", "app", "main.go"), main, 0o644); err != nil {
		return 0, err
	}
	cache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return 0, err
	}
	env := []string{
		"GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local", "GOFLAGS=-mod=vendor -tags=" + Tags, "CGO_ENABLED=0",
		"GOPATH=" + filepath.Join(work, "gopath"), "GOMODCACHE=" + filepath.Join(work, "gopath", "mod"),
		"GOCACHE=" + strings.TrimSpace(string(cache)),
	}
	// -trimpath lets two builds in two temporary folders share the cache.
	if err := run(ctx, src, env, "go", "build", "-trimpath", "-ldflags", LinkerFlags, "-o", binary, "./functions.local/app"); err != nil {
		return 0, err
	}
	info, err := os.Stat(binary)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// accepts reports the module path of a folder that the buildpack would take,
// and otherwise what it would say.
func accepts(src string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(src, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("the archive has no go.mod at its root: %w", err)
	}
	module := modfile.ModulePath(raw)
	if first, _, _ := strings.Cut(module, "/"); !strings.Contains(first, ".") {
		return "", fmt.Errorf("the first element of the module path %q needs a dot", module)
	}
	if _, err := os.Stat(filepath.Join(src, "vendor", filepath.FromSlash(framework))); err != nil {
		return "", errors.New("the vendored dependencies do not include funcframework")
	}
	files, err := filepath.Glob(filepath.Join(src, "*.go"))
	if err != nil {
		return "", err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		if bytes.Contains(text, []byte(`functions-framework-go/functions"`)) {
			return module, nil
		}
	}
	return "", errors.New("the root package does not import functions-framework-go/functions: the buildpack would look for an exported handler instead")
}

// placeholders configure a function that has nothing behind it: every address is
// a port that refuses.
var placeholders = []string{
	"DATABASE_URL=postgres://coditect_app:none@127.0.0.1:1/coditect",
	"SYSTEM_DATABASE_URL=postgres://coditect_system:none@127.0.0.1:1/coditect",
	"REDIS_URL=redis://127.0.0.1:1/0",
	"JWKS_URL=http://127.0.0.1:1/.well-known/jwks.json",
	"GOOGLE_CLOUD_PROJECT=none",
}

// Start runs a built function by its entry and waits for an answer that only our
// code gives: a problem document. Without a database that is a 404 for a path it
// does not have, a 401, or a 503; each proves that it is linked, configured and
// served. It returns the status and the time from start to answer.
func Start(ctx context.Context, binary, entry string) (status int, took time.Duration, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return 0, 0, err
	}
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	output := &buffer{}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append([]string{"PORT=" + port, "FUNCTION_TARGET=" + entry, "K_SERVICE=" + strings.ToLower(entry), "PATH=" + os.Getenv("PATH")}, placeholders...)
	cmd.Stdout, cmd.Stderr = output, output
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed below, or ended by itself, which its output explains
	}()
	defer func() {
		stop()
		<-ended
	}()

	client := &http.Client{Timeout: 10 * time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/api/v1/", nil)
		if err != nil {
			return 0, 0, err
		}
		if res, err := client.Do(req); err == nil {
			body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
			res.Body.Close()
			took := time.Since(begin)
			if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
				return res.StatusCode, took, fmt.Errorf("answered %d with %q, not a problem:\n%s\n%s", res.StatusCode, kind, body, output)
			}
			switch res.StatusCode {
			case http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable:
				return res.StatusCode, took, nil
			}
			return res.StatusCode, took, fmt.Errorf("answered %d:\n%s\n%s", res.StatusCode, body, output)
		}
		select {
		case <-ended:
			return 0, 0, fmt.Errorf("ended before it answered:\n%s", output)
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("no answer: %w\n%s", ctx.Err(), output)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tried counts the ports that this process has handed out or found taken, so
// that two functions starting at once do not get the same one.
var tried atomic.Int64

// freePort finds a port below the range that systems hand out by themselves.
func freePort(ctx context.Context) (string, error) {
	const first, count = 20_000, 12_000
	for range count {
		port := first + (os.Getpid()*97+int(tried.Add(1)))%count
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		return strconv.Itoa(port), l.Close()
	}
	return "", errors.New("no free port below 32768")
}

// buffer collects what a program prints while others read it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.text.String())
}
