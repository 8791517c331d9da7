//go:build !aws

package blob

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
)

// gcs signs with the key of the service account or, where there is none (on
// Cloud Run), by the IAM API: the account needs the right to sign as itself,
// roles/iam.serviceAccountTokenCreator.
type gcs struct {
	client *storage.Client
	bucket string
}

// openGCS opens a bucket of Google Cloud Storage with the default credentials.
// gcsblob's own opener by URL would remember a failure for ever.
func openGCS(ctx context.Context, u *url.URL, _ Config) (*blob.Bucket, driver, error) {
	client, err := storage.NewClient(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Writes go to keys of our own, and repeating one gives the same object.
	client.SetRetry(storage.WithPolicy(storage.RetryAlways))
	bucket, err := gcsblob.OpenBucket(ctx, nil, u.Host, &gcsblob.Options{Client: client})
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return bucket, &gcs{client, u.Host}, nil
}

func (g *gcs) signGet(_ context.Context, key string, d Download) (string, error) {
	return g.client.Bucket(g.bucket).SignedURL(key, &storage.SignedURLOptions{
		Scheme: storage.SigningSchemeV4, Method: http.MethodGet, Expires: time.Now().Add(d.For),
		QueryParameters: url.Values{
			"response-content-disposition": {Disposition(d.Filename)},
			"response-content-type":        {d.ContentType},
		},
	})
}

// signPut bounds the size by an extension header that has to be sent as it was
// signed (cloud.google.com/storage/docs/xml-api/reference-headers).
func (g *gcs) signPut(_ context.Context, key string, u Upload) (string, map[string]string, error) {
	const bound = "X-Goog-Content-Length-Range"
	size := strconv.FormatInt(u.Size, 10)
	headers := map[string]string{"Content-Type": u.ContentType, bound: size + "," + size}
	address, err := g.client.Bucket(g.bucket).SignedURL(key, &storage.SignedURLOptions{
		Scheme: storage.SigningSchemeV4, Method: http.MethodPut, Expires: time.Now().Add(u.For),
		ContentType: u.ContentType, Headers: []string{bound + ":" + headers[bound]},
	})
	return address, headers, err
}

func (g *gcs) close() error { return g.client.Close() }
