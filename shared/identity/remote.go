package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coditect/platform/shared/errs"
)

// The rhythm of RemoteKeys.
const (
	remoteFresh   = 5 * time.Minute  // age at which the set is fetched anew
	remoteCool    = 10 * time.Second // least time between two fetches
	remoteRetry   = time.Second      // the same, while no fetch has succeeded yet
	remoteStale   = 24 * time.Hour   // age at which a set that cannot be refreshed is given up
	remoteTimeout = 3 * time.Second  // one fetch, discovery included
	remoteBody    = 256 << 10        // bytes of one document
)

// RemoteKeys is PublicKeys over a JWKS document on another server. It fetches
// on use: when the set is old, and when a kid is unknown, but never twice within
// ten seconds, so that a flood of invented kids costs the other server nothing.
// While a fetch fails the keys already known go on serving for a day.
type RemoteKeys struct {
	locate func(ctx context.Context) (string, error)
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	keys    map[string]PublicKey
	fetched time.Time     // when keys was fetched
	tried   time.Time     // when a fetch was last begun
	failure error         // of the last fetch, nil if it went well
	flight  chan struct{} // closed at the end of the running fetch; nil when none runs
}

var _ PublicKeys = (*RemoteKeys)(nil)

// NewRemoteKeys reads the JWKS document at address. A nil transport is
// http.DefaultTransport's.
func NewRemoteKeys(address string, transport http.RoundTripper) *RemoteKeys {
	r := newRemote(transport)
	r.locate = func(context.Context) (string, error) { return address, nil }
	return r
}

// NewIssuerKeys reads the JWKS document of an OpenID provider, found by OpenID
// Connect Discovery 1.0 at each fetch.
func NewIssuerKeys(issuer string, transport http.RoundTripper) *RemoteKeys {
	r := newRemote(transport)
	r.locate = func(ctx context.Context) (string, error) { return r.discover(ctx, issuer) }
	return r
}

func newRemote(transport http.RoundTripper) *RemoteKeys {
	return &RemoteKeys{now: time.Now, client: &http.Client{
		Transport: transport, Timeout: remoteTimeout,
		// A redirect would let the issuer's host choose where we connect to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
	}}
}

// PublicKey finds a key. It waits for a fetch only when it knows no key of that
// name.
func (r *RemoteKeys) PublicKey(ctx context.Context, kid string) (PublicKey, error) {
	if kid == "" || len(kid) > maxKid {
		return PublicKey{}, ErrUnknownKey
	}
	for {
		r.mu.Lock()
		now := r.now()
		key, known := r.keys[kid]
		age := now.Sub(r.fetched)
		cool := remoteCool
		if r.keys == nil {
			cool = remoteRetry
		}
		usable := known && age < remoteStale
		due := !known || age >= remoteFresh
		switch {
		case usable && (!due || r.flight != nil || now.Sub(r.tried) < cool):
			r.mu.Unlock()
			return key, nil
		case r.flight != nil:
			running := r.flight
			r.mu.Unlock()
			select {
			case <-running:
				continue
			case <-ctx.Done():
				return PublicKey{}, keysUnavailable(ctx.Err())
			}
		case now.Sub(r.tried) < cool:
			failure, never := r.failure, r.keys == nil || age >= remoteStale
			r.mu.Unlock()
			if never {
				return PublicKey{}, keysUnavailable(failure)
			}
			return PublicKey{}, ErrUnknownKey
		}
		r.tried = now
		flight := make(chan struct{})
		r.flight = flight
		r.mu.Unlock()
		r.refresh(ctx, flight)
	}
}

// refresh goes on when its caller gives up, bounded by the client's timeout,
// because others wait for it.
func (r *RemoteKeys) refresh(ctx context.Context, flight chan struct{}) {
	keys, err := map[string]PublicKey(nil), errors.New("the fetch did not return")
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failure = err
		if err == nil {
			r.keys, r.fetched = keys, r.now()
		}
		r.flight = nil
		close(flight)
	}()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), remoteTimeout)
	defer cancel()
	keys, err = r.fetch(bounded)
}

func (r *RemoteKeys) fetch(ctx context.Context) (map[string]PublicKey, error) {
	address, err := r.locate(ctx)
	if err != nil {
		return nil, err
	}
	var set JWKS
	if err := r.get(ctx, address, &set); err != nil {
		return nil, err
	}
	keys := set.index()
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key that can be used", address)
	}
	return keys, nil
}

func (r *RemoteKeys) discover(ctx context.Context, issuer string) (string, error) {
	var doc struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := r.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &doc); err != nil {
		return "", err
	}
	if doc.Issuer != issuer {
		return "", fmt.Errorf("the provider at %s says it is another issuer", issuer)
	}
	at, err := url.Parse(doc.JWKS)
	if err != nil || at.Host == "" || at.Scheme != "https" && !(at.Scheme == "http" && strings.HasPrefix(issuer, "http://")) {
		return "", fmt.Errorf("the provider at %s names no usable jwks_uri", issuer)
	}
	return doc.JWKS, nil
}

func (r *RemoteKeys) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", address, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, remoteBody+1))
	if err != nil {
		return err
	}
	if len(body) > remoteBody {
		return fmt.Errorf("%s is over %d bytes", address, remoteBody)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s is not the JSON expected: %w", address, err)
	}
	return nil
}

func keysUnavailable(cause error) error {
	if cause == nil {
		cause = errors.New("never fetched")
	}
	return errs.Wrap(fmt.Errorf("verification keys: %w", cause), errs.Unavailable, "keys_unavailable",
		"Sign-in cannot be checked at the moment. Try again shortly.").WithRetry(remoteCool)
}
