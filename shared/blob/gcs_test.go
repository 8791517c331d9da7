//go:build !aws

package blob_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/blob"
	"github.com/coditect/platform/shared/ids"
)

// TestGoogleLinks verifies our links as Google does: by the canonical request
// of the V4 signing process (cloud.google.com/storage/docs/authentication/canonical-requests).
func TestGoogleLinks(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "client_email": "jobs@p.iam.gserviceaccount.com", "client_id": "1", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "http://127.0.0.1:1/",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)

	s := open(t, blob.Config{URL: "gs://objects"})
	at := blob.Key(ids.New(), "x")
	verify := func(l blob.Link) (url.Values, bool) {
		u, err := url.Parse(l.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		signature, err := hex.DecodeString(q.Get("X-Goog-Signature"))
		if err != nil {
			t.Fatal(err)
		}
		_, scope, _ := strings.Cut(q.Get("X-Goog-Credential"), "/")
		signed := u.Query()
		signed.Del("X-Goog-Signature")
		headers := &strings.Builder{}
		for _, name := range strings.Split(q.Get("X-Goog-SignedHeaders"), ";") {
			value := u.Host
			if name != "host" {
				value = l.Headers[http.CanonicalHeaderKey(name)]
			}
			fmt.Fprintf(headers, "%s:%s\n", name, value)
		}
		query := strings.ReplaceAll(signed.Encode(), "+", "%20")
		canonical := strings.Join([]string{l.Method, u.EscapedPath(), query, headers.String(), q.Get("X-Goog-SignedHeaders"), "UNSIGNED-PAYLOAD"}, "\n")
		hash := sha256.Sum256([]byte(canonical))
		message := sha256.Sum256([]byte(strings.Join([]string{"GOOG4-RSA-SHA256", q.Get("X-Goog-Date"), scope, hex.EncodeToString(hash[:])}, "\n")))
		return q, rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, message[:], signature) == nil
	}

	down, err := s.DownloadURL(t.Context(), at, blob.Download{Filename: "my report.csv", ContentType: "text/csv", For: 15 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	q, ok := verify(down)
	if !ok || q.Get("X-Goog-Expires") != "900" && q.Get("X-Goog-Expires") != "899" || q.Get("response-content-type") != "text/csv" ||
		q.Get("response-content-disposition") != `attachment; filename="my report.csv"` || !strings.Contains(down.URL, "/objects/"+at+"?") {
		t.Errorf("download %v: %s", ok, down.URL)
	}
	up, err := s.UploadURL(t.Context(), at, blob.Upload{ContentType: "image/png", Size: 5, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	q, ok = verify(up)
	if !ok || q.Get("X-Goog-SignedHeaders") != "content-type;host;x-goog-content-length-range" || up.Headers["X-Goog-Content-Length-Range"] != "5,5" {
		t.Errorf("upload %v: %+v", ok, up)
	}
	up.Headers["X-Goog-Content-Length-Range"] = "5,500"
	if _, ok = verify(up); ok {
		t.Error("another size is signed too")
	}
}
