package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokens checks access tokens as plainly as it can be done without giving
// security away: ES256 by golang-jwt once per token, then a map under a lock,
// by the token's SHA-256, until it expires. It is not bounded: a benchmark's
// tokens are few.
type tokens struct {
	keys map[string]*ecdsa.PublicKey

	mu    sync.RWMutex
	known map[[sha256.Size]byte]*holder
}

// holder is what a token says.
type holder struct {
	jwt.RegisteredClaims

	Tenant string `json:"tenant_id"`
}

var errToken = errors.New("the token is not valid")

// newTokens reads the public keys at address.
func newTokens(ctx context.Context, address string) (*tokens, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("read the keys at %s: %w", address, err)
	}
	t := &tokens{keys: map[string]*ecdsa.PublicKey{}, known: map[[sha256.Size]byte]*holder{}}
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		// The point in its uncompressed form (SEC 1, 2.3.3).
		if t.keys[k.Kid], err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
			return nil, fmt.Errorf("the key %s: %w", k.Kid, err)
		}
	}
	return t, nil
}

// check gives whom the Authorization header names.
func (t *tokens) check(authorization string) (*holder, error) {
	raw, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return nil, errToken
	}
	name := sha256.Sum256([]byte(raw))
	t.mu.RLock()
	who := t.known[name]
	t.mu.RUnlock()
	if who != nil {
		if time.Now().After(who.ExpiresAt.Time) {
			return nil, errToken
		}
		return who, nil
	}
	who = &holder{}
	_, err := jwt.ParseWithClaims(raw, who, func(j *jwt.Token) (any, error) {
		if kid, _ := j.Header["kid"].(string); t.keys[kid] != nil {
			return t.keys[kid], nil
		}
		return nil, errToken
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired())
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.known[name] = who
	t.mu.Unlock()
	return who, nil
}
