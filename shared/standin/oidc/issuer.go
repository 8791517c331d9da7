// Package oidc stands in for the issuer that signs the tokens of Cloud Tasks and
// Pub/Sub push requests (accounts.google.com): it has an RSA key of its own,
// made at the start, and serves its public half. Whoever trusts its key set
// trusts it, so nothing but a local run or a test names it as PUSH_JWKS_URL.
package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Lifetime is how long a token is valid, as Google's are.
const Lifetime = time.Hour

// renewal is the age at which a token is not handed out again. The services
// reuse tokens too, and an RSA signature takes most of a millisecond.
const renewal = Lifetime / 2

// maxRemembered bounds the tokens kept for reuse.
const maxRemembered = 1000

// Paths of the documents.
const (
	KeysPath      = "/oauth2/v3/certs"
	DiscoveryPath = "/.well-known/openid-configuration"
)

// Issuer signs ID tokens for service accounts. It is safe for concurrent use.
type Issuer struct {
	name string
	kid  string
	key  *rsa.PrivateKey
	now  func() time.Time

	mu     sync.Mutex
	tokens map[subject]signed
}

type subject struct{ email, audience string }

type signed struct {
	token string
	until time.Time
}

// New makes an issuer with a fresh key. The name is the "iss" of its tokens and,
// if the discovery document is to be found, the address where Handler is served.
func New(name string) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("oidc stand-in: %w", err)
	}
	sum := sha256.Sum256(key.N.Bytes())
	return &Issuer{name: name, kid: b64(sum[:8]), key: key, now: time.Now, tokens: map[subject]signed{}}, nil
}

// Name is the "iss" of the tokens.
func (i *Issuer) Name() string { return i.name }

// Token is an ID token that says that the caller is the service account with
// this e-mail address, and is for this audience.
func (i *Issuer) Token(email, audience string) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	who := subject{email, audience}
	if known, ok := i.tokens[who]; ok && now.Before(known.until) {
		return known.token, nil
	}
	id := sha256.Sum256([]byte(email))
	token, err := i.Sign(jwt.MapClaims{
		"iss": i.name, "aud": audience, "sub": new(big.Int).SetBytes(id[:8]).String(), "azp": email,
		"email": email, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(Lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	if len(i.tokens) >= maxRemembered {
		clear(i.tokens)
	}
	i.tokens[who] = signed{token, now.Add(renewal)}
	return token, nil
}

// Sign signs any claims, right or wrong, with the issuer's key.
func (i *Issuer) Sign(claims jwt.MapClaims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = i.kid
	return t.SignedString(i.key)
}

// KeyID is the "kid" of the tokens.
func (i *Issuer) KeyID() string { return i.kid }

// PublicKey is what the tokens are verified with.
func (i *Issuer) PublicKey() *rsa.PublicKey { return &i.key.PublicKey }

// Handler serves the key set ([KeysPath]) and the discovery document
// ([DiscoveryPath]).
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+KeysPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": i.kid,
			"n": b64(i.key.N.Bytes()), "e": b64(big.NewInt(int64(i.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("GET "+DiscoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.name, "jwks_uri": strings.TrimSuffix(i.name, "/") + KeysPath,
			"id_token_signing_alg_values_supported": []string{"RS256"},
			"response_types_supported":              []string{"id_token"}, "subject_types_supported": []string{"public"},
		})
	})
	return mux
}

func answer(w http.ResponseWriter, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	// The client went away, at worst.
	_ = json.NewEncoder(w).Encode(doc)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
