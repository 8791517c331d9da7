package peer

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// reverse is the proxy that everything at the edge is measured against.
func reverse(upstream string) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	return p
}

func runProxy(ctx context.Context, set settings, _ string) error {
	return listen(ctx, set, reverse(set.Upstream))
}

// runChecked is the proxy with what any edge of ours has to do at the least:
// know the token, and count the request in Redis.
func runChecked(ctx context.Context, set settings, _ string) error {
	options, err := redis.ParseURL(set.Redis)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close() //nolint:errcheck // The process ends.
	tokens, err := newTokens(ctx, set.JWKS)
	if err != nil {
		return err
	}
	next := reverse(set.Upstream)
	return listen(ctx, set, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := tokens.check(r.Header.Get("Authorization"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if err := client.Incr(r.Context(), "bench:"+who.Subject).Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// runBackend answers everything with 1 KB of JSON.
func runBackend(ctx context.Context, set settings, _ string) error {
	body := []byte(`{"data":"` + strings.Repeat("x", 1024-len(`{"data":""}`)) + `"}`)
	return listen(ctx, set, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = bytes.NewReader(body).WriteTo(w)
	}))
}
