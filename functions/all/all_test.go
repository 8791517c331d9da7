package all_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/config"
)

// TestTransport reaches every function by its name, and none by another. With
// nothing configured a function answers 503 and says when to come back.
func TestTransport(t *testing.T) {
	t.Parallel()
	apps, err := all.Open(t.Context(), config.Map(nil))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: apps.Transport(), Timeout: 10 * time.Second}
	for _, f := range all.Functions() {
		resp, err := client.Get("http://" + f.Name + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `"unavailable"`) {
			t.Errorf("%s: %d %v %s", f.Name, resp.StatusCode, err, body)
		}
		if strings.Contains(string(body), "DATABASE_URL") {
			t.Errorf("%s tells strangers what is wrong with its configuration: %s", f.Name, body)
		}
	}
	if _, err := client.Get("http://nobody/"); err == nil {
		t.Error("a function that there is not answered")
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := apps.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := client.Get("http://tasks/"); err == nil {
		t.Error("a closed function answered")
	}
}
