// Package gcp lets the router call functions that Cloud Run guards by IAM: each
// request carries an ID token of the router's own service account, for the
// function's address as audience, in X-Serverless-Authorization, which leaves
// Authorization to the person's token
// (cloud.google.com/run/docs/authenticating/service-to-service).
//
// Only the router's command imports it; elsewhere there is no metadata server.
package gcp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/compute/metadata"

	"github.com/coditect/platform/shared/cache"
)

const (
	header = "X-Serverless-Authorization"
	// early is how long before its end a token is replaced.
	early = 5 * time.Minute
	// fetchTimeout bounds one question to the metadata server.
	fetchTimeout = 5 * time.Second
)

// OnCloudRun reports whether the process runs where there are such tokens.
func OnCloudRun(lookup func(string) (string, bool)) bool {
	_, service := lookup("K_SERVICE")
	return service
}

// A Source gives an ID token for an audience; [Metadata] is one.
type Source func(ctx context.Context, audience string) (string, error)

// Metadata asks the metadata server.
func Metadata(ctx context.Context, audience string) (string, error) {
	return metadata.GetWithContext(ctx, "instance/service-accounts/default/identity?format=full&audience="+url.QueryEscape(audience))
}

// Transport adds the tokens to what base sends.
func Transport(base http.RoundTripper, source Source) http.RoundTripper {
	return &transport{base: base, source: source, now: time.Now, tokens: cache.NewLocal[string, string](cache.LocalConfig{Size: 256, KeepStale: early})}
}

type transport struct {
	base   http.RoundTripper
	source Source
	tokens *cache.Local[string, string]
	now    func() time.Time
}

// RoundTrip does not change the request it was given.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	audience := r.URL.Scheme + "://" + r.URL.Host
	token, err := t.tokens.Get(r.Context(), audience, func(ctx context.Context) (string, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		token, err := t.source(ctx, audience)
		if err != nil {
			return "", 0, err
		}
		ends, err := expiry(token)
		if err != nil {
			return "", 0, err
		}
		return "Bearer " + token, ends.Sub(t.now()) - early, nil
	})
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("gcp: an ID token for %s: %w", audience, err)
	}
	signed := *r
	signed.Header = make(http.Header, len(r.Header)+1)
	maps.Copy(signed.Header, r.Header)
	signed.Header[header] = []string{token}
	return t.base.RoundTrip(&signed)
}

// CloseIdleConnections is forwarded to the transport below.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// expiry reads a token's exp. The token comes from the metadata server and is
// checked by who receives it, so nothing is verified here.
func expiry(token string) (time.Time, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, errors.New("not a token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, errors.New("not a token")
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp == 0 {
		return time.Time{}, errors.New("a token without an end")
	}
	return time.Unix(claims.Exp, 0), nil
}
