package blob

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Download is what a link to read an object grants.
type Download struct {
	// Filename is what the browser saves it as. It may be anything a person
	// chose.
	Filename string
	// ContentType is what the object is served as, whatever was stored: a link
	// never shows HTML or SVG in the browser, as it always says attachment.
	ContentType string
	// For is how long the link holds.
	For time.Duration
}

// Upload is what a link to write an object grants: one object of this type
// and, to the byte or at most (as the store can), of this size.
type Upload struct {
	ContentType string
	Size        int64 // bytes
	For         time.Duration
}

// Link lets whoever holds it do one thing with one object.
type Link struct {
	Method string
	URL    string
	// Headers have to be sent with it.
	Headers   map[string]string
	ExpiresAt time.Time
}

// The longest that links of Google Cloud Storage and S3 can hold.
const maxLink = 7 * 24 * time.Hour

var errLink = errors.New("blob: a link holds for at most seven days, and an upload has a type and a size")

// DownloadURL makes a link to read an object. Whether it is there is not asked.
func (s *Store) DownloadURL(ctx context.Context, key string, d Download) (Link, error) {
	if err := checkKey(key); err != nil {
		return Link{}, err
	}
	if d.For <= 0 || d.For > maxLink {
		return Link{}, errLink
	}
	if d.ContentType == "" {
		d.ContentType = "application/octet-stream"
	}
	_, driver, err := s.open(ctx)
	if err != nil {
		return Link{}, err
	}
	ctx, stop := context.WithTimeout(ctx, s.cfg.Timeout)
	defer stop()
	expires := time.Now().Add(d.For)
	address, err := driver.signGet(ctx, key, d)
	if err != nil {
		return Link{}, classify("sign", err)
	}
	return Link{Method: http.MethodGet, URL: address, ExpiresAt: expires.UTC().Truncate(time.Second)}, nil
}

// UploadURL makes a link to write an object. [Store.Stat] afterwards: it tells
// what arrived.
func (s *Store) UploadURL(ctx context.Context, key string, u Upload) (Link, error) {
	if err := checkKey(key); err != nil {
		return Link{}, err
	}
	if u.For <= 0 || u.For > maxLink || u.Size <= 0 || u.ContentType == "" {
		return Link{}, errLink
	}
	_, driver, err := s.open(ctx)
	if err != nil {
		return Link{}, err
	}
	ctx, stop := context.WithTimeout(ctx, s.cfg.Timeout)
	defer stop()
	expires := time.Now().Add(u.For)
	address, headers, err := driver.signPut(ctx, key, u)
	if err != nil {
		return Link{}, classify("sign", err)
	}
	return Link{Method: http.MethodPut, URL: address, Headers: headers, ExpiresAt: expires.UTC().Truncate(time.Second)}, nil
}

// Disposition is a Content-Disposition header that saves as filename (RFC 6266,
// RFC 8187 for what is not ASCII). Nothing in the name can end the header, leave
// the folder or hide the ending.
func Disposition(filename string) string {
	name := strings.Map(func(r rune) rune {
		// Format characters (Cf) reverse or hide what is beside them.
		if r == '/' || r == '\\' || r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, filename)
	name = strings.Trim(name, " .")
	if name == "" {
		name = "file"
	}
	if v := mime.FormatMediaType("attachment", map[string]string{"filename": name}); v != "" {
		return v
	}
	return "attachment"
}
