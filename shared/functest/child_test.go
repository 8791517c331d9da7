package functest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/serve"
)

// TestMain makes a function that says what it was told and passes two points.
func TestMain(m *testing.M) {
	functest.Main(m, func(lookup config.Lookup, at func(string)) (*serve.App, error) {
		said, _ := lookup("SAID")
		return &serve.App{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			at("before")
			_, _ = io.WriteString(w, said)
			at("after")
		})}, nil
	})
}

func TestChildren(t *testing.T) {
	t.Parallel()
	e := functest.Env{Vars: map[string]string{"SAID": "hello"}}
	ask := functest.Request{Method: http.MethodGet, Path: "/"}
	for _, point := range []string{"before", "after"} {
		child := e.Spawn(t, point)
		e.Do(t, child.Handler, ask).Want(t, http.StatusBadGateway)
		child.WantKilled(t)
	}
	child := e.Spawn(t, "")
	for range 2 {
		if got := e.Do(t, child.Handler, ask).Want(t, http.StatusOK); string(got.Body) != "hello" {
			t.Errorf("it said %q", got.Body)
		}
	}
	child.Kill()
	e.Do(t, child.Handler, ask).Want(t, http.StatusBadGateway)
	child.WantKilled(t)
}
