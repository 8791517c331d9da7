package sqs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sign signs a POST to the root of a host by AWS's Signature Version 4. The SDK's
// signer would have every relay link thirty packages, on Google Cloud too; the tests
// compare with it.
// Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
func (c Config) sign(r *http.Request, body []byte, at time.Time) {
	const algorithm = "AWS4-HMAC-SHA256"
	stamp := at.UTC().Format("20060102T150405Z")
	day := stamp[:len("20060102")]
	r.Header.Set("X-Amz-Date", stamp)
	headers := [][2]string{ // in the order of their names
		{"content-length", strconv.Itoa(len(body))},
		{"content-type", r.Header.Get("Content-Type")},
		{"host", r.URL.Host},
		{"x-amz-date", stamp},
	}
	if c.Session.IsSet() {
		r.Header.Set("X-Amz-Security-Token", c.Session.Reveal())
		headers = append(headers, [2]string{"x-amz-security-token", c.Session.Reveal()})
	}
	headers = append(headers, [2]string{"x-amz-target", r.Header.Get("X-Amz-Target")})

	var canonical, names strings.Builder
	canonical.WriteString(r.Method + "\n/\n\n")
	for i, h := range headers {
		canonical.WriteString(h[0] + ":" + h[1] + "\n")
		if i > 0 {
			names.WriteByte(';')
		}
		names.WriteString(h[0])
	}
	canonical.WriteString("\n" + names.String() + "\n" + digest(body))

	scope := day + "/" + c.Region + "/sqs/aws4_request"
	key := []byte("AWS4" + c.Secret.Reveal())
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	signature := mac(key, algorithm+"\n"+stamp+"\n"+scope+"\n"+digest([]byte(canonical.String())))
	r.Header.Set("Authorization", algorithm+" Credential="+c.Key.Reveal()+"/"+scope+", SignedHeaders="+names.String()+", Signature="+hex.EncodeToString(signature))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
