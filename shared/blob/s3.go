//go:build aws

package blob

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// awsS3 signs with the credentials of the process.
type awsS3 struct {
	client *s3.Client
	bucket string
}

// openS3 opens a bucket of S3, or of a service that speaks its API:
// s3://bucket?region=eu-west-1&endpoint=https://…&use_path_style=true
func openS3(ctx context.Context, u *url.URL, _ Config) (*blob.Bucket, driver, error) {
	bucket, err := new(s3blob.URLOpener).OpenBucketURL(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	d := &awsS3{bucket: u.Host}
	bucket.As(&d.client)
	return bucket, d, nil
}

func (a *awsS3) signGet(ctx context.Context, key string, d Download) (string, error) {
	p, err := s3.NewPresignClient(a.client, s3.WithPresignExpires(d.For)).PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: &a.bucket, Key: &key,
		ResponseContentDisposition: aws.String(Disposition(d.Filename)), ResponseContentType: &d.ContentType,
	})
	if err != nil {
		return "", err
	}
	return p.URL, nil
}

// signPut signs the length. Which headers are bound is said by the link itself
// (X-Amz-SignedHeaders); all of them are handed to the client.
func (a *awsS3) signPut(ctx context.Context, key string, u Upload) (string, map[string]string, error) {
	p, err := s3.NewPresignClient(a.client, s3.WithPresignExpires(u.For)).PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.bucket, Key: &key, ContentType: &u.ContentType, ContentLength: &u.Size,
	})
	if err != nil {
		return "", nil, err
	}
	headers := map[string]string{"Content-Type": u.ContentType, "Content-Length": strconv.FormatInt(u.Size, 10)}
	for name, values := range p.SignedHeader {
		if name = http.CanonicalHeaderKey(name); name != "Host" && len(values) == 1 {
			headers[name] = values[0]
		}
	}
	return p.URL, headers, nil
}

func (*awsS3) close() error { return nil }
