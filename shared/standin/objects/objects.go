// Package objects serves the links of a file:// bucket on a laptop, as Google
// Cloud Storage serves signed URLs: a link allows one method on one object
// until it expires, an upload is of the type and size that were signed, and a
// download is an attachment that no browser renders.
//
// The local runner mounts [New] where OBJECTS_PUBLIC_URL leads. What the links
// are signed with is shared/blob's business.
package objects

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/errs"
)

// MaxUpload bounds what one link may write, in bytes: what S3 takes in one
// request.
const MaxUpload = 5 << 30

type server struct {
	store *blob.Store
	links *blob.Links
}

// New serves the links of the bucket that cfg names. The handler looks at the
// query alone, so it can be mounted at any path.
func New(cfg blob.Config) (http.Handler, error) {
	if !strings.HasPrefix(cfg.URL, "file:") {
		return nil, errors.New("objects: only the links of a file:// bucket are served here")
	}
	store, err := blob.Open(cfg)
	if err != nil {
		return nil, err
	}
	links, err := blob.NewLinks(cfg)
	if err != nil {
		return nil, err
	}
	return &server{store, links}, nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Whoever has the link may use it, from any page: it is the credential.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT")
		h.Set("Access-Control-Allow-Headers", "Content-Type, Range")
		h.Set("Access-Control-Max-Age", "3600")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	grant, ok := s.links.Verify(r.URL, time.Now())
	if !ok || !allowed(grant.Method, r.Method) {
		refuse(w, http.StatusForbidden, "the link is not valid for this, or has expired")
		return
	}
	if grant.Method == http.MethodPut {
		s.put(w, r, grant)
		return
	}
	s.get(w, r, grant)
}

// allowed reports whether a link for one method serves a request of another.
func allowed(granted, asked string) bool {
	return granted == asked || granted == http.MethodGet && asked == http.MethodHead
}

func refuse(w http.ResponseWriter, status int, reason string) { http.Error(w, reason, status) }

func (s *server) put(w http.ResponseWriter, r *http.Request, g blob.Grant) {
	given, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	want, _, wantErr := mime.ParseMediaType(g.ContentType)
	switch {
	case err != nil || wantErr != nil || given != want:
		refuse(w, http.StatusForbidden, "Content-Type is not the one that was signed")
		return
	case g.Size > MaxUpload:
		refuse(w, http.StatusRequestEntityTooLarge, "the object is too large")
		return
	case r.ContentLength >= 0 && r.ContentLength != g.Size:
		refuse(w, http.StatusBadRequest, "the size is not the one that was signed")
		return
	}
	object, err := s.store.Create(r.Context(), g.Key, g.ContentType)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer object.Abort()
	n, err := io.Copy(object, http.MaxBytesReader(w, r.Body, g.Size))
	var over *http.MaxBytesError
	if errors.As(err, &over) || err == nil && n != g.Size {
		refuse(w, http.StatusBadRequest, "the size is not the one that was signed")
		return
	}
	if err == nil {
		err = object.Commit()
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request, g blob.Grant) {
	object, err := s.store.Read(r.Context(), g.Key)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer object.Close()
	h := w.Header()
	h.Set("Content-Type", g.ContentType)
	h.Set("Content-Disposition", blob.Disposition(g.Filename))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	content, seeks := object.ReadCloser.(io.ReadSeeker)
	if !seeks {
		h.Set("Content-Length", strconv.FormatInt(object.Size, 10))
		_, _ = io.Copy(w, object)
		return
	}
	http.ServeContent(w, r, "", object.ModTime, content) // ranges, conditions, HEAD
}

func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errs.KindOf(err) == errs.NotFound {
		refuse(w, http.StatusNotFound, "there is no such object")
		return
	}
	if r.Context().Err() == nil {
		slog.ErrorContext(r.Context(), "object was not served", "error", err)
	}
	refuse(w, http.StatusServiceUnavailable, "the object cannot be served at the moment")
}
