package nudge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// tokenHeader is read by Cloud Run before Authorization, and taken away.
	// Source: docs.cloud.google.com/run/docs/authenticating/service-to-service.
	tokenHeader = "X-Serverless-Authorization"
	// early is how long before its end a token is replaced.
	early = 5 * time.Minute
	// longest bounds what is read of an answer that should be a token.
	longest = 1 << 16
)

// tokens keeps an ID token of the process's account for one audience. Asking is
// one request to the metadata server beside the process, so that the client
// libraries, which every function would have to link, are not needed.
type tokens struct {
	client         *http.Client
	host, audience string
	now            func() time.Time

	mu    sync.Mutex
	token string
	until time.Time
}

// get gives the token, a new one when the last is about to end. Whoever waits for
// one that is being fetched waits no longer than for its own nudge.
func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Before(t.until) {
		return t.token, nil
	}
	token, err := t.fetch(ctx)
	if err != nil {
		return "", fmt.Errorf("nudge: a token for the relay: %w", err)
	}
	ends, err := expiry(token)
	if err != nil {
		return "", fmt.Errorf("nudge: the metadata server gave %w", err)
	}
	t.token, t.until = token, ends.Add(-early)
	return token, nil
}

func (t *tokens) fetch(ctx context.Context) (string, error) {
	address := "http://" + t.host + "/computeMetadata/v1/instance/service-accounts/default/identity?" +
		url.Values{"audience": {t.audience}, "format": {"full"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	resp, err := t.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, longest))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the metadata server answered %s", resp.Status)
	}
	return strings.TrimSpace(string(body)), nil
}

// expiry reads a token's exp. Who receives it checks it; nothing is verified here.
func expiry(token string) (time.Time, error) {
	_, rest, _ := strings.Cut(token, ".")
	claims, _, signed := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil || !signed {
		return time.Time{}, errors.New("what is no token")
	}
	var read struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &read); err != nil || read.Exp == 0 {
		return time.Time{}, errors.New("a token without an end")
	}
	return time.Unix(read.Exp, 0), nil
}
