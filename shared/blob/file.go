package blob

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
)

// openFile opens a folder: for laptops and tests.
func openFile(_ context.Context, u *url.URL, cfg Config) (*blob.Bucket, driver, error) {
	bucket, err := fileblob.OpenBucket(u.Path, &fileblob.Options{
		CreateDir:   true,
		NoTempDir:   true, // a rename across file systems would fail
		DirFileMode: 0o700,
	})
	if err != nil {
		return nil, nil, err
	}
	links, err := NewLinks(cfg)
	return bucket, links, err
}

// Links makes and reads the links to a folder. Google Cloud Storage and S3 have
// their own; fileblob's signer covers neither size nor file name.
type Links struct {
	base *url.URL
	key  []byte
}

// NewLinks makes the links of the store that cfg names.
func NewLinks(cfg Config) (*Links, error) {
	base, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	return &Links{base: base, key: []byte(cfg.SigningKey.Reveal())}, nil
}

// Grant is what a link to a folder allows.
type Grant struct {
	Method, Key string
	ContentType string
	Size        int64  // of an upload, exactly
	Filename    string // of a download
}

func (l *Links) signGet(_ context.Context, key string, d Download) (string, error) {
	return l.Sign(Grant{Method: http.MethodGet, Key: key, ContentType: d.ContentType, Filename: d.Filename}, time.Now().Add(d.For)), nil
}

func (l *Links) signPut(_ context.Context, key string, u Upload) (string, map[string]string, error) {
	g := Grant{Method: http.MethodPut, Key: key, ContentType: u.ContentType, Size: u.Size}
	return l.Sign(g, time.Now().Add(u.For)), map[string]string{"Content-Type": u.ContentType}, nil
}

func (*Links) close() error { return nil }

// Sign makes a link that holds until expires.
func (l *Links) Sign(g Grant, expires time.Time) string {
	q := url.Values{}
	q.Set("method", g.Method)
	q.Set("key", g.Key)
	q.Set("type", g.ContentType)
	q.Set("size", strconv.FormatInt(g.Size, 10))
	q.Set("filename", g.Filename)
	q.Set("expires", strconv.FormatInt(expires.Unix(), 10))
	q.Set("signature", l.mac(q))
	u := *l.base
	u.RawQuery = q.Encode()
	return u.String()
}

// Verify reads a link. It is false for one that we did not make, that was
// changed or that has expired.
func (l *Links) Verify(u *url.URL, now time.Time) (Grant, bool) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(l.key) < minKey {
		return Grant{}, false
	}
	for _, values := range q {
		if len(values) != 1 {
			return Grant{}, false
		}
	}
	given := q.Get("signature")
	q.Del("signature")
	if !hmac.Equal([]byte(given), []byte(l.mac(q))) {
		return Grant{}, false
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	if err != nil || now.Unix() >= expires {
		return Grant{}, false
	}
	size, err := strconv.ParseInt(q.Get("size"), 10, 64)
	if err != nil || checkKey(q.Get("key")) != nil {
		return Grant{}, false
	}
	return Grant{Method: q.Get("method"), Key: q.Get("key"), ContentType: q.Get("type"), Size: size, Filename: q.Get("filename")}, true
}

// mac covers every parameter, in the order of their names.
func (l *Links) mac(q url.Values) string {
	h := hmac.New(sha256.New, l.key)
	h.Write([]byte("object-link\n" + q.Encode()))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
