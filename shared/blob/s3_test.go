//go:build aws

package blob_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/ids"
)

// TestAmazonLinks holds what the links to S3 bind.
func TestAmazonLinks(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s := open(t, blob.Config{URL: "s3://objects?region=eu-west-1"})
	at := blob.Key(ids.New(), "x")
	down, err := s.DownloadURL(t.Context(), at, blob.Download{Filename: "my report.csv", ContentType: "text/csv", For: 15 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(down.URL)
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("X-Amz-Expires") != "900" || q.Get("response-content-type") != "text/csv" || q.Get("response-content-disposition") != `attachment; filename="my report.csv"` {
		t.Errorf("download %s", down.URL)
	}
	up, err := s.UploadURL(t.Context(), at, blob.Upload{ContentType: "image/png", Size: 5, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	u, err = url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	if signed := u.Query().Get("X-Amz-SignedHeaders"); !strings.Contains(signed, "content-length") || up.Headers["Content-Length"] != "5" || up.Headers["Content-Type"] != "image/png" {
		t.Errorf("upload binds %s: %+v", signed, up)
	}
}
