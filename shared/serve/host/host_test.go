package host

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/serve"
)

func open(context.Context, config.Lookup) (*serve.App, error) {
	return &serve.App{Handler: http.NotFoundHandler()}, nil
}

func TestRunUntilTheEnd(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, open, config.Map(map[string]string{"HOST": "127.0.0.1", "PORT": fmt.Sprint(port)}))
	}()
	answers := func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusNotFound
	}
	for begun := time.Now(); !answers(); {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("nobody answers")
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), open, config.Map(map[string]string{"PORT": "many"})); err == nil {
		t.Error("listened on port many")
	}
}
