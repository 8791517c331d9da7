package tests

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coditect/platform/tests/platform"
)

// An answer that takes several writes arrives whole, also one that comes before
// the function has read the request's body.
func TestLongAnswersAreWhole(t *testing.T) {
	t.Parallel()
	p := platform.Start(t, nil)
	token := stage(t, p).owner.Token
	many := `{"name":"auditor","permissions":[` + strings.TrimSuffix(strings.Repeat("null,", 110), ",") + `]}`
	for _, c := range []struct {
		name, token, body string
		chunked           bool
		want              int
	}{
		{"many faults", token, many, false, http.StatusUnprocessableEntity},
		{"many faults, chunked", token, many, true, http.StatusUnprocessableEntity},
		{"a body too large", token, `{"name":"` + strings.Repeat("a", 1<<20) + `"}`, false, http.StatusRequestEntityTooLarge},
		{"nobody", "", many, false, http.StatusUnauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range 60 {
				var body io.Reader = strings.NewReader(c.body)
				if c.chunked {
					body = io.MultiReader(body)
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/api/v1/roles/", body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				if c.token != "" {
					req.Header.Set("Authorization", "Bearer "+c.token)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != c.want || fmt.Sprint(len(text)) != resp.Header.Get("Content-Length") {
					t.Fatalf("time %d: status %d, %d of %s bytes, %v", i, resp.StatusCode, len(text), resp.Header.Get("Content-Length"), err)
				}
			}
		})
	}
}
