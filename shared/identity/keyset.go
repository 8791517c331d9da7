package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KeyLead is how long before its first use a new signing key is published. It
// covers the refresh of the secret, of the verifiers' key caches and of what
// HTTP caches hold of the JWKS document, one after the other.
const KeyLead = 15 * time.Minute

// A SigningKey is one P-256 key of a KeySet.
type SigningKey struct {
	// ID is the key's RFC 7638 thumbprint, and the kid of its tokens.
	ID string
	// NotBefore is when the key may first sign.
	NotBefore time.Time

	private *ecdsa.PrivateKey
}

// A KeySet holds the keys that sign access tokens: the newest one whose time has
// come signs; all of them verify and are in the public document. Its JSON form,
// the secret itself, is
//
//	{"keys":[{"kty":"EC","crv":"P-256","kid":"…","not_before":"2026-01-02T15:04:05Z","d":"…","x":"…","y":"…"}]}
type KeySet struct{ keys []SigningKey } // newest first

type jsonSigningKey struct {
	Kty       string    `json:"kty"`
	Crv       string    `json:"crv"`
	Kid       string    `json:"kid"`
	NotBefore time.Time `json:"not_before"`
	D         string    `json:"d"`
	X         string    `json:"x"`
	Y         string    `json:"y"`
}

var b64 = base64.RawURLEncoding.Strict()

// ParseKeySet reads the JSON form. It refuses an empty set, repeated ids, other
// curves and keys whose public half is not their private half's; its errors
// quote no key.
func ParseKeySet(data []byte) (*KeySet, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var in struct {
		Keys []jsonSigningKey `json:"keys"`
	}
	if dec.Decode(&in) != nil || dec.More() {
		return nil, errors.New("signing keys: not the JSON of a key set")
	}
	if len(in.Keys) == 0 {
		return nil, errors.New("signing keys: no keys")
	}
	set := &KeySet{}
	for i, k := range in.Keys {
		key, err := k.parse()
		if err != nil {
			return nil, fmt.Errorf("signing keys: key %d: %w", i, err)
		}
		if _, ok := set.find(key.ID); ok {
			return nil, fmt.Errorf("signing keys: key %d is there twice", i)
		}
		set.keys = append(set.keys, key)
	}
	slices.SortStableFunc(set.keys, func(a, b SigningKey) int { return b.NotBefore.Compare(a.NotBefore) })
	return set, nil
}

func (k jsonSigningKey) parse() (SigningKey, error) {
	if k.Kty != "EC" || k.Crv != "P-256" {
		return SigningKey{}, errors.New("not a P-256 key")
	}
	d, err := b64.DecodeString(k.D)
	if err != nil {
		return SigningKey{}, errors.New("d is not base64url")
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return SigningKey{}, errors.New("d is not a private key")
	}
	x, y := coordinates(&private.PublicKey)
	if k.X != x || k.Y != y {
		return SigningKey{}, errors.New("x and y are not d's")
	}
	if k.Kid != thumbprint(x, y) {
		return SigningKey{}, errors.New("kid is not the key's thumbprint")
	}
	return SigningKey{ID: k.Kid, NotBefore: k.NotBefore, private: private}, nil
}

// GenerateKeySet makes a KeySet of one fresh key that signs from now on.
func GenerateKeySet(now time.Time) *KeySet { return &KeySet{keys: []SigningKey{newSigningKey(now)}} }

func newSigningKey(notBefore time.Time) SigningKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("identity: no randomness: " + err.Error())
	}
	return SigningKey{ID: thumbprint(coordinates(&private.PublicKey)), NotBefore: notBefore.UTC().Truncate(time.Second), private: private}
}

// Rotate adds a fresh key that takes over after [KeyLead] and drops keys that
// were replaced more than keep ago. A dropped key's tokens are refused, so keep
// is longer than any access token lives.
func (s *KeySet) Rotate(now time.Time, keep time.Duration) *KeySet {
	keys := append([]SigningKey{newSigningKey(now.Add(KeyLead))}, s.keys...)
	for i := 1; i < len(keys); i++ {
		if keys[i-1].NotBefore.Before(now.Add(-keep)) {
			keys = keys[:i]
			break
		}
	}
	return &KeySet{keys: keys}
}

// Current is the newest key whose time has come; while none has, the oldest.
func (s *KeySet) Current(now time.Time) SigningKey {
	for _, k := range s.keys {
		if !k.NotBefore.After(now) {
			return k
		}
	}
	return s.keys[len(s.keys)-1]
}

func (s *KeySet) find(kid string) (SigningKey, bool) {
	for _, k := range s.keys {
		if k.ID == kid {
			return k, true
		}
	}
	return SigningKey{}, false
}

// Public is the document for /.well-known/jwks.json: the coming key, the present
// one and those before it.
func (s *KeySet) Public() JWKS {
	out := JWKS{Keys: make([]JWK, 0, len(s.keys))}
	for _, k := range s.keys {
		x, y := coordinates(&k.private.PublicKey)
		out.Keys = append(out.Keys, JWK{Kty: "EC", Crv: "P-256", Alg: algES256, Use: "sig", Kid: k.ID, X: x, Y: y})
	}
	return out
}

// MarshalJSON writes the form that ParseKeySet reads: the secret itself.
func (s *KeySet) MarshalJSON() ([]byte, error) {
	out := struct {
		Keys []jsonSigningKey `json:"keys"`
	}{}
	for _, k := range s.keys {
		d, err := k.private.Bytes()
		if err != nil {
			return nil, err
		}
		x, y := coordinates(&k.private.PublicKey)
		out.Keys = append(out.Keys, jsonSigningKey{"EC", "P-256", k.ID, k.NotBefore, b64.EncodeToString(d), x, y})
	}
	return json.Marshal(out)
}

// String hides the keys from %v.
func (s *KeySet) String() string { return fmt.Sprintf("set of %d signing keys", len(s.keys)) }

// GoString hides the keys from %#v.
func (s *KeySet) GoString() string { return s.String() }

func coordinates(k *ecdsa.PublicKey) (x, y string) {
	point, err := k.Bytes() // 4 | x | y
	if err != nil {
		panic("identity: not a point of P-256: " + err.Error())
	}
	return b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
}

// thumbprint is RFC 7638's name of an EC key.
func thumbprint(x, y string) string {
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return b64.EncodeToString(sum[:])
}
