package objects_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/standin/objects"
)

type fixture struct {
	store *blob.Store
	links *blob.Links
	key   string
}

func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	cfg := blob.Config{
		URL: "file://" + t.TempDir(), PublicURL: "http://" + server.Listener.Addr().String() + "/_local/objects/",
		SigningKey: "0123456789abcdef0123456789abcdef",
	}
	handler, err := objects.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/_local/objects/", handler)
	server.Config.Handler = mux
	server.Start()
	t.Cleanup(server.Close)
	store, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	links, err := blob.NewLinks(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{store, links, blob.Key(ids.New(), "attachments", "x")}
}

func (f *fixture) do(t *testing.T, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	b, _ := io.ReadAll(w.Body)
	return w, string(b)
}

func (f *fixture) upload(t *testing.T, size int64) string {
	t.Helper()
	l, err := f.store.UploadURL(t.Context(), f.key, blob.Upload{ContentType: "text/html", Size: size, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return l.URL
}

func TestUploadAndDownload(t *testing.T) {
	f := setup(t)
	up := f.upload(t, 5)
	if w, body := f.do(t, http.MethodPut, up, strings.NewReader("hello"), "Content-Type", "text/html"); w.StatusCode != http.StatusOK {
		t.Fatalf("put: %d %s", w.StatusCode, body)
	}
	down, err := f.store.DownloadURL(t.Context(), f.key, blob.Download{Filename: "page.html", ContentType: "text/html", For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	w, body := f.do(t, http.MethodGet, down.URL, nil)
	if w.StatusCode != http.StatusOK || body != "hello" {
		t.Errorf("get: %d %q", w.StatusCode, body)
	}
	for name, want := range map[string]string{
		"Content-Disposition": "attachment; filename=page.html", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Type": "text/html", "Cache-Control": "private, no-store",
	} {
		if got := w.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w, body := f.do(t, http.MethodGet, down.URL, nil, "Range", "bytes=1-3"); w.StatusCode != http.StatusPartialContent || body != "ell" {
		t.Errorf("range: %d %q", w.StatusCode, body)
	}
	if w, body := f.do(t, http.MethodHead, down.URL, nil); w.StatusCode != http.StatusOK || w.ContentLength != 5 || body != "" {
		t.Errorf("head: %d, %d bytes", w.StatusCode, w.ContentLength)
	}
	if w, _ := f.do(t, http.MethodOptions, up, nil); w.StatusCode != http.StatusNoContent || !strings.Contains(w.Header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("preflight: %d %v", w.StatusCode, w.Header)
	}
}

// TestTrapT38 holds that an upload is of the signed size and type, and that a
// link serves nothing else.
func TestTrapT38(t *testing.T) {
	f := setup(t)
	up := f.upload(t, 5)
	down, err := f.store.DownloadURL(t.Context(), f.key, blob.Download{For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	expired := f.links.Sign(blob.Grant{Method: http.MethodGet, Key: f.key}, time.Now().Add(-time.Second))
	chunked := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) } // a length that nobody declares
	for name, c := range map[string]struct {
		method, url string
		body        io.Reader
		kind        string
		want        int
	}{
		"another type":         {http.MethodPut, up, strings.NewReader("hello"), "image/png", http.StatusForbidden},
		"no type":              {http.MethodPut, up, strings.NewReader("hello"), "", http.StatusForbidden},
		"too long":             {http.MethodPut, up, strings.NewReader("hello!"), "text/html", http.StatusBadRequest},
		"too short":            {http.MethodPut, up, strings.NewReader("hell"), "text/html", http.StatusBadRequest},
		"longer than it says":  {http.MethodPut, up, chunked("hello!"), "text/html", http.StatusBadRequest},
		"shorter than it says": {http.MethodPut, up, chunked("hell"), "text/html", http.StatusBadRequest},
		"read with a write":    {http.MethodGet, up, nil, "", http.StatusForbidden},
		"delete with a write":  {http.MethodDelete, up, nil, "", http.StatusForbidden},
		"write with a read":    {http.MethodPut, down.URL, strings.NewReader(""), "", http.StatusForbidden},
		"post":                 {http.MethodPost, up, strings.NewReader("hello"), "text/html", http.StatusForbidden},
		"tampered":             {http.MethodGet, down.URL + "x", nil, "", http.StatusForbidden},
		"expired":              {http.MethodGet, expired, nil, "", http.StatusForbidden},
		"unsigned":             {http.MethodGet, strings.Split(down.URL, "?")[0], nil, "", http.StatusForbidden},
		"absent":               {http.MethodGet, down.URL, nil, "", http.StatusNotFound},
		"far too long": {http.MethodPut, f.links.Sign(blob.Grant{Method: http.MethodPut, Key: f.key, ContentType: "a/b", Size: objects.MaxUpload + 1}, time.Now().Add(time.Minute)),
			chunked(""), "a/b", http.StatusRequestEntityTooLarge},
	} {
		header := []string{}
		if c.kind != "" {
			header = []string{"Content-Type", c.kind}
		}
		if w, body := f.do(t, c.method, c.url, c.body, header...); w.StatusCode != c.want {
			t.Errorf("%s: %d %s", name, w.StatusCode, body)
		}
		if _, err := f.store.Stat(t.Context(), f.key); err == nil {
			t.Fatalf("%s: an object was stored", name)
		}
	}
}

func TestOnlyFolders(t *testing.T) {
	t.Parallel()
	if _, err := objects.New(blob.Config{URL: "gs://x"}); err == nil {
		t.Error("links of Google Cloud Storage are served")
	}
	if _, err := objects.New(blob.Config{URL: "file:///x"}); err == nil {
		t.Error("a folder without a key was taken")
	}
}
