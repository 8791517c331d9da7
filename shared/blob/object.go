package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/coditect/platform/shared/errs"
)

// Object is what a store knows about an object.
type Object struct {
	Size        int64 // bytes
	ContentType string
	ModTime     time.Time
}

// chunk is how much a writer keeps in memory before it sends it, in bytes. S3
// takes ten thousand parts: objects may have 80 GB.
const chunk = 8 << 20

// Writer streams one object. Nothing of it can be read before [Writer.Commit].
type Writer struct {
	w       *blob.Writer
	abandon context.CancelFunc
	size    int64
	ended   bool
}

// Create begins an object, in place of one that is there. End it with Commit,
// or with Abort, which may be deferred.
func (s *Store) Create(ctx context.Context, key, contentType string) (*Writer, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	bucket, _, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	ctx, abandon := context.WithCancel(ctx)
	w, err := bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: contentType, DisableContentTypeDetection: true, BufferSize: chunk, MaxConcurrency: 1,
	})
	if err != nil {
		abandon()
		return nil, classify("create", err)
	}
	return &Writer{w: w, abandon: abandon}, nil
}

// Write appends to the object.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.size += int64(n)
	return n, classify("write", err)
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.size }

// Commit makes the object readable, whole.
func (w *Writer) Commit() error {
	w.ended = true
	err := w.w.Close()
	w.abandon()
	return classify("commit", err)
}

// Abort leaves what was there before. After Commit it does nothing.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	w.abandon() // A closed writer whose context is canceled discards the object.
	_ = w.w.Close()
}

// Reader streams an object.
type Reader struct {
	io.ReadCloser
	Object
}

type reading struct{ *blob.Reader }

func (r reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, classify("read", err)
}

// Read opens an object. An absent one is [errs.ErrNotFound].
func (s *Store) Read(ctx context.Context, key string) (*Reader, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	bucket, _, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	r, err := bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, classify("read", err)
	}
	return &Reader{reading{r}, Object{r.Size(), r.ContentType(), r.ModTime()}}, nil
}

// Stat describes an object. An absent one is [errs.ErrNotFound].
func (s *Store) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	bucket, _, err := s.open(ctx)
	if err != nil {
		return Object{}, err
	}
	ctx, stop := context.WithTimeout(ctx, s.cfg.Timeout)
	defer stop()
	a, err := bucket.Attributes(ctx, key)
	if err != nil {
		return Object{}, classify("stat", err)
	}
	return Object{a.Size, a.ContentType, a.ModTime}, nil
}

// Delete removes an object. An absent one is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	bucket, _, err := s.open(ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, s.cfg.Timeout)
	defer stop()
	if err := classify("delete", bucket.Delete(ctx, key)); errs.KindOf(err) != errs.NotFound {
		return err
	}
	return nil
}

// deleters is how many objects are deleted at a time.
const deleters = 8

// DeletePrefix removes every object whose key begins with prefix, one that
// [Prefix] made, and says how many there were. What it removed stays removed
// when it fails: call it again.
func (s *Store) DeletePrefix(ctx context.Context, prefix string) (int, error) {
	if len(prefix) == 0 || prefix[len(prefix)-1] != '/' || checkKey(prefix+"x") != nil {
		return 0, fmt.Errorf("blob: %q is no prefix of a tenant's objects", prefix)
	}
	bucket, _, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	list := bucket.List(&blob.ListOptions{Prefix: prefix})
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(deleters)
	for {
		o, err := list.Next(within)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			// The deletion that failed is the reason, if one did.
			if failed := group.Wait(); failed != nil {
				return n, failed
			}
			return n, classify("list", err)
		}
		n++
		group.Go(func() error { return s.Delete(within, o.Key) })
	}
	return n, group.Wait()
}
