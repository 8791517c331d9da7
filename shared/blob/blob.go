// Package blob keeps objects: attachments, reports and exports.
//
// A [Store] streams to and from one bucket and makes links that let a client
// read or write one object directly. The bucket is Google Cloud Storage, S3 or
// a folder, through gocloud.dev/blob. Which of them a build can open is decided
// by build tags, as each client is large: GCS by default, S3 with the tag aws
// instead, folders always. To add a store, write its driver beside the others
// and add it to a drivers_*.go file.
//
// Every key begins with tenants/<tenant id>/: see package key.
package blob

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/coditect/platform/shared/blob/key"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// driver is what differs between stores.
type driver interface {
	// signGet and signPut make a link. The bucket is open.
	signGet(ctx context.Context, key string, d Download) (string, error)
	signPut(ctx context.Context, key string, u Upload) (address string, headers map[string]string, err error)
	close() error
}

// opener opens a bucket and may dial.
type opener func(ctx context.Context, u *url.URL, cfg Config) (*blob.Bucket, driver, error)

const schemeFile = "file"

func schemes() []string {
	out := slices.Sorted(maps.Keys(drivers))
	for i, s := range out {
		out[i] = s + "://…"
	}
	return out
}

// Store is one bucket. It is opened when it is first used, and again after a
// failure: nothing is remembered as broken.
type Store struct {
	cfg Config
	url *url.URL

	mu     sync.Mutex
	bucket *blob.Bucket
	driver driver
}

// Open checks cfg and dials nothing.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Store{cfg: cfg, url: u}, nil
}

// Close gives back what the store holds.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bucket == nil {
		return nil
	}
	err := errors.Join(s.bucket.Close(), s.driver.close())
	s.bucket, s.driver = nil, nil
	return err
}

func (s *Store) open(ctx context.Context) (*blob.Bucket, driver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bucket != nil {
		return s.bucket, s.driver, nil
	}
	// What is opened outlives the request that opens it.
	b, d, err := drivers[s.url.Scheme](context.WithoutCancel(ctx), s.url, s.cfg)
	if err != nil {
		return nil, nil, unavailable.WithCause(fmt.Errorf("blob: open: %w", err))
	}
	s.bucket, s.driver = b, d
	return b, d, nil
}

// Key makes the key of a tenant's object: see [key.Of].
func Key(tenant ids.ID, parts ...string) string { return key.Of(tenant, parts...) }

// Prefix makes the prefix of a tenant's objects, for [Store.DeletePrefix].
func Prefix(tenant ids.ID, parts ...string) string { return key.Prefix(tenant, parts...) }

func checkKey(name string) error {
	if !key.Valid(name) {
		return fmt.Errorf("blob: %q is no key of a tenant's object", name)
	}
	return nil
}

var unavailable = errs.New(errs.Unavailable, "unavailable", "The service cannot reach its object storage. Try again shortly.").WithRetry(2 * time.Second)

// classify says what a store's error means: absent, down, or a fault of ours.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	cause := fmt.Errorf("blob: %s: %w", what, err)
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return errs.ErrNotFound.WithCause(cause)
	case gcerrors.InvalidArgument, gcerrors.PermissionDenied, gcerrors.FailedPrecondition, gcerrors.Unimplemented, gcerrors.AlreadyExists:
		return cause
	default: // what no store names: a connection that broke, a disk that is full
		return unavailable.WithCause(cause)
	}
}
