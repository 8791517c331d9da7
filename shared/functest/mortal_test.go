package functest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/serve"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// What dies at a point does nothing behind it, and nothing before is lost.
func TestMortal(t *testing.T) {
	t.Parallel()
	passed := make(chan string, 8)
	open := func(_ config.Lookup, at func(string)) (*serve.App, error) {
		return &serve.App{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			for _, point := range []string{"one", "two", "three"} {
				at(point)
				passed <- point
			}
		})}, nil
	}
	where, out := io.Pipe()
	l, ended := listen(t), make(chan error, 1)
	go func() { ended <- mortal{open, "two", func() { panic(http.ErrAbortHandler) }, out}.serve(l) }()
	address, err := bufio.NewReader(where).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+strings.TrimSpace(address), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(r); err == nil {
		t.Errorf("it answered %s", resp.Status)
		_ = resp.Body.Close()
	}
	if one := <-passed; one != "one" || len(passed) > 0 {
		t.Errorf("it passed %s and %d more", one, len(passed))
	}
	_ = l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
}

// What cannot be opened says why, and not where it is.
func TestMortalThatCannotOpen(t *testing.T) {
	t.Parallel()
	fault := errors.New("no such key")
	var said strings.Builder
	err := mortal{func(config.Lookup, func(string)) (*serve.App, error) { return nil, fault }, "", kill, &said}.serve(listen(t))
	if !errors.Is(err, fault) || said.Len() > 0 {
		t.Errorf("%v, %q", err, said.String())
	}
	deaf, nobody := io.Pipe()
	_ = deaf.Close()
	open := func(config.Lookup, func(string)) (*serve.App, error) { return &serve.App{}, nil }
	if err := (mortal{open, "", kill, nobody}).serve(listen(t)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("nobody hears it: %v", err)
	}
}
