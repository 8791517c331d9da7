package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

const key = "0123456789abcdef0123456789abcdef"

func folder(t *testing.T) (blob.Config, string) {
	t.Helper()
	dir := t.TempDir()
	return blob.Config{URL: "file://" + dir, PublicURL: "http://localhost:8080/_local/objects/", SigningKey: key}, dir
}

func open(t *testing.T, cfg blob.Config) *blob.Store {
	t.Helper()
	s, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s *blob.Store, key, content string) {
	t.Helper()
	w, err := s.Create(t.Context(), key, "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(len(content)) {
		t.Errorf("wrote %d bytes, says %d", len(content), w.Size())
	}
}

func get(t *testing.T, s *blob.Store, key string) string {
	t.Helper()
	r, err := s.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.Size != int64(len(b)) {
		t.Errorf("%d bytes, says %d", len(b), r.Size)
	}
	return string(b)
}

func TestObjects(t *testing.T) {
	t.Parallel()
	cfg, _ := folder(t)
	s := open(t, cfg)
	mine, theirs := ids.New(), ids.New()
	at := blob.Key(mine, "jobs", "a", "report.csv")
	if _, err := s.Stat(t.Context(), at); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("an absent object: %v", err)
	}
	if _, err := s.Read(t.Context(), at); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("an absent object is read: %v", err)
	}
	put(t, s, at, "first")
	put(t, s, at, "second")
	if got := get(t, s, at); got != "second" {
		t.Errorf("read %q", got)
	}
	o, err := s.Stat(t.Context(), at)
	if err != nil || o.Size != 6 || o.ContentType != "text/plain" || time.Since(o.ModTime) > time.Minute {
		t.Errorf("stat %+v, %v", o, err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), at); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	for _, k := range []string{blob.Key(mine, "jobs", "a", "1"), blob.Key(mine, "jobs", "a", "2"), blob.Key(mine, "jobs", "ab", "3"), blob.Key(theirs, "jobs", "a", "4")} {
		put(t, s, k, "x")
	}
	if n, err := s.DeletePrefix(t.Context(), blob.Prefix(mine, "jobs", "a")); n != 2 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if n, err := s.DeletePrefix(t.Context(), blob.Prefix(mine)); n != 1 || err != nil {
		t.Errorf("deleted %d of the tenant, %v", n, err)
	}
	if got := get(t, s, blob.Key(theirs, "jobs", "a", "4")); got != "x" {
		t.Error("another tenant's object went too")
	}
}

// TestAbort holds that an object is whole or not there.
func TestAbort(t *testing.T) {
	t.Parallel()
	cfg, dir := folder(t)
	s := open(t, cfg)
	at := blob.Key(ids.New(), "x")
	put(t, s, at, "before")
	for name, end := range map[string]func(w *blob.Writer, stop func()) error{
		"aborted":  func(w *blob.Writer, _ func()) error { w.Abort(); w.Abort(); return nil },
		"canceled": func(w *blob.Writer, stop func()) error { stop(); return w.Commit() },
	} {
		ctx, stop := context.WithCancel(t.Context())
		w, err := s.Create(ctx, at, "text/plain")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, "half")
		if err := end(w, stop); name == "canceled" && err == nil {
			t.Error("a canceled object was committed")
		}
		stop()
		if got := get(t, s, at); got != "before" {
			t.Errorf("%s: %q is there", name, got)
		}
	}
	left := 0
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, _ error) error {
		if !d.IsDir() && !strings.HasSuffix(d.Name(), ".attrs") {
			left++
		}
		return nil
	})
	if left != 1 {
		t.Errorf("%d files are left", left)
	}
}

// TestKeys holds that nothing leaves the tenant's own part of the bucket.
func TestKeys(t *testing.T) {
	t.Parallel()
	cfg, _ := folder(t)
	s := open(t, cfg)
	id := ids.New()
	for _, k := range []string{
		"", "x", "tenants/", "tenants/" + id.String(), blob.Key(id), blob.Key(id, ".."), blob.Key(id, "a", "..", "..", "b"), blob.Key(id, "a b"),
		blob.Key(id, ".hidden"), "/" + blob.Key(id, "x"), blob.Key(id, "x", ""), blob.Key(id, "x\ny"), blob.Key(id, strings.Repeat("x", 1024)),
		"other/" + blob.Key(id, "x"), blob.Key(id, "é"),
	} {
		if _, err := s.Create(t.Context(), k, "text/plain"); err == nil {
			t.Errorf("%q was created", k)
		}
		if _, err := s.Read(t.Context(), k); err == nil || errors.Is(err, errs.ErrNotFound) {
			t.Errorf("%q was looked for", k)
		}
		if _, err := s.Stat(t.Context(), k); err == nil || errors.Is(err, errs.ErrNotFound) {
			t.Errorf("%q was looked for", k)
		}
		if s.Delete(t.Context(), k) == nil {
			t.Errorf("%q was deleted", k)
		}
		if _, err := s.DownloadURL(t.Context(), k, blob.Download{For: time.Minute}); err == nil {
			t.Errorf("%q has a link", k)
		}
		if _, err := s.UploadURL(t.Context(), k, blob.Upload{ContentType: "a/b", Size: 1, For: time.Minute}); err == nil {
			t.Errorf("%q has a link", k)
		}
	}
	for _, p := range []string{"", "/", "tenants/", "tenants", blob.Key(id, "x"), "tenants/" + id.String()} {
		if _, err := s.DeletePrefix(t.Context(), p); err == nil {
			t.Errorf("everything under %q was deleted", p)
		}
	}
}

func TestLinkLimits(t *testing.T) {
	t.Parallel()
	cfg, _ := folder(t)
	s := open(t, cfg)
	at := blob.Key(ids.New(), "x")
	for _, d := range []time.Duration{0, -1, 8 * 24 * time.Hour} {
		if _, err := s.DownloadURL(t.Context(), at, blob.Download{For: d}); err == nil {
			t.Errorf("a link for %v", d)
		}
		if _, err := s.UploadURL(t.Context(), at, blob.Upload{ContentType: "a/b", Size: 1, For: d}); err == nil {
			t.Errorf("a link for %v", d)
		}
	}
	if _, err := s.UploadURL(t.Context(), at, blob.Upload{Size: 1, For: time.Minute}); err == nil {
		t.Error("an upload of any type")
	}
	if _, err := s.UploadURL(t.Context(), at, blob.Upload{ContentType: "a/b", For: time.Minute}); err == nil {
		t.Error("an upload of any size")
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	cfg, _ := folder(t)
	links, err := blob.NewLinks(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want := blob.Grant{Method: "PUT", Key: blob.Key(ids.New(), "x"), ContentType: "image/png", Size: 5, Filename: "a&b=c.png"}
	good, err := url.Parse(links.Sign(want, now.Add(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := links.Verify(good, now); !ok || got != want {
		t.Errorf("read %+v, %v", got, ok)
	}
	if _, ok := links.Verify(good, now.Add(time.Minute)); ok {
		t.Error("an expired link holds")
	}
	for name, other := range map[string]string{
		"method": "GET", "key": blob.Key(ids.New(), "x"), "type": "text/html", "size": "6", "filename": "x", "expires": "99999999999", "signature": "x", "more": "x",
	} {
		u, q := *good, good.Query()
		q.Set(name, other)
		u.RawQuery = q.Encode()
		if _, ok := links.Verify(&u, now); ok {
			t.Errorf("a link with another %s holds", name)
		}
		u.RawQuery = good.RawQuery + "&" + url.Values{name: {other}}.Encode()
		if _, ok := links.Verify(&u, now); ok {
			t.Errorf("a link with a second %s holds", name)
		}
	}
	cfg.SigningKey = config.Secret(strings.Repeat("y", 32))
	if others, _ := blob.NewLinks(cfg); others != nil {
		if _, ok := others.Verify(good, now); ok {
			t.Error("a link of another key holds")
		}
	}
	if none, _ := blob.NewLinks(blob.Config{}); none != nil {
		if _, ok := none.Verify(good, now); ok {
			t.Error("a link holds without a key")
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]blob.Config{
		"nothing":          {},
		"unknown store":    {URL: "ftp://x"},
		"no bucket":        {URL: "gs://"},
		"relative folder":  {URL: "file://x/y", PublicURL: "http://x/", SigningKey: key},
		"no public":        {URL: "file:///x", SigningKey: key},
		"public no url":    {URL: "file:///x", PublicURL: "x", SigningKey: key},
		"no key":           {URL: "file:///x", PublicURL: "http://x/"},
		"a short key":      {URL: "file:///x", PublicURL: "http://x/", SigningKey: "short"},
		"not even a URL":   {URL: "file://%zz"},
		"a public non-URL": {URL: "file:///x", PublicURL: "http://%zz", SigningKey: key},
	} {
		if _, err := blob.Open(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestUnavailable holds that a store that cannot be reached is said to be, and
// is tried again.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, "objects")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, blob.Config{URL: "file://" + blocked, PublicURL: "http://x/", SigningKey: key})
	at := blob.Key(ids.New(), "x")
	if _, err := s.Stat(t.Context(), at); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("stat: %v", err)
	}
	if _, err := s.Create(t.Context(), at, "a/b"); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("create: %v", err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	put(t, s, at, "x")
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"report.csv":              `attachment; filename=report.csv`,
		"my report.csv":           `attachment; filename="my report.csv"`,
		"":                        `attachment; filename=file`,
		"..":                      `attachment; filename=file`,
		"../../etc/passwd":        `attachment; filename=etcpasswd`,
		"a\r\nSet-Cookie: x":      `attachment; filename="aSet-Cookie: x"`,
		`a"b.txt`:                 `attachment; filename="a\"b.txt"`,
		"éa.txt":                  `attachment; filename*=utf-8''%C3%A9a.txt`,
		"ev\u202etxt.exe":         `attachment; filename=evtxt.exe`,
		"bad\xff.txt":             `attachment; filename=bad.txt`,
		"\u65e5\u672c.csv":        `attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC.csv`,
		string([]byte{0, 1, 'x'}): `attachment; filename=x`,
	} {
		if got := blob.Disposition(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestLargeObject(t *testing.T) {
	t.Parallel()
	cfg, _ := folder(t)
	s := open(t, cfg)
	at := blob.Key(ids.New(), "large")
	w, err := s.Create(t.Context(), at, "application/octet-stream")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 20 {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Stat(t.Context(), at); err != nil || o.Size != 20<<20 {
		t.Errorf("%+v, %v", o, err)
	}
}
