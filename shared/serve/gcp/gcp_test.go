package gcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/config"
)

type app struct {
	http.Handler
	closed chan struct{}
	err    error
}

func (a *app) Close(context.Context) error { close(a.closed); return a.err }

// At the end, requests in flight finish, then the app is closed.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	arrived, finish := make(chan struct{}), make(chan struct{})
	a := &app{closed: make(chan struct{}), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "done")
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, terminate := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ServeListener(ctx, listener, a) }()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- string(body)
	}()
	<-arrived
	terminate()
	select {
	case <-a.closed:
		t.Error("closed under a request")
	default:
	}
	close(finish)
	if got := <-answer; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-a.closed
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	a := &app{closed: make(chan struct{})}
	if err := Serve(t.Context(), Config{Host: "127.0.0.1", Port: port}, a); err == nil {
		t.Error("two listen on one port")
	}
	broken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken.Close()
	a.err = errors.New("x")
	if err := ServeListener(t.Context(), broken, a); !errors.Is(err, a.err) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if cfg, err := config.Load[Config](config.Map(nil)); err != nil || cfg.Port != 8080 || cfg.Host != "" {
		t.Errorf("%+v %v", cfg, err)
	}
	if _, err := config.Load[Config](config.Map(map[string]string{"PORT": "70000"})); err == nil {
		t.Error("port 70000")
	}
}
