package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

const (
	algES256 = "ES256"
	algRS256 = "RS256"
)

// JWKS is a set of public keys (RFC 7517).
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK is one public key.
type JWK struct {
	Kty string `json:"kty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// A PublicKey verifies tokens of one algorithm and no other: the key, never the
// token, says which.
type PublicKey struct {
	Algorithm string
	Key       crypto.PublicKey
}

// ErrUnknownKey is what PublicKeys answers for a kid it does not have.
var ErrUnknownKey = errors.New("identity: no such key")

// PublicKeys finds the key that a token names. An unknown kid is
// [ErrUnknownKey]; not being able to tell is an error of kind errs.Unavailable.
type PublicKeys interface {
	PublicKey(ctx context.Context, kid string) (PublicKey, error)
}

// maxKid is the longest kid that is looked up, in bytes.
const maxKid = 256

// parse gives the key, or an error for a key that we do not verify with.
func (k JWK) parse() (PublicKey, error) {
	if k.Kid == "" || len(k.Kid) > maxKid || k.Use != "" && k.Use != "sig" {
		return PublicKey{}, errors.New("not a signing key with a kid")
	}
	switch {
	case k.Kty == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == algES256):
		x, errX := b64.DecodeString(k.X)
		y, errY := b64.DecodeString(k.Y)
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			return PublicKey{}, errors.New("not coordinates of P-256")
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		return PublicKey{algES256, key}, err
	case k.Kty == "RSA" && (k.Alg == "" || k.Alg == algRS256):
		n, errN := b64.DecodeString(k.N)
		e, errE := b64.DecodeString(k.E)
		if errN != nil || errE != nil || len(e) == 0 || len(e) > 4 || len(n) < 256 || len(n) > 1024 {
			return PublicKey{}, errors.New("not an RSA key of 2048 to 8192 bits")
		}
		exponent := binary.BigEndian.Uint32(append(make([]byte, 4-len(e)), e...))
		if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
			return PublicKey{}, errors.New("not an RSA exponent")
		}
		return PublicKey{algRS256, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}}, nil
	}
	return PublicKey{}, fmt.Errorf("keys of type %.16q are not used", k.Kty)
}

// index takes the keys that we can use; a set may hold others, for others.
func (s JWKS) index() map[string]PublicKey {
	out := make(map[string]PublicKey, len(s.Keys))
	for _, k := range s.Keys {
		if key, err := k.parse(); err == nil {
			out[k.Kid] = key
		}
	}
	return out
}

// StaticKeys is PublicKeys over a fixed set.
func StaticKeys(set JWKS) PublicKeys { return staticKeys(set.index()) }

type staticKeys map[string]PublicKey

func (s staticKeys) PublicKey(_ context.Context, kid string) (PublicKey, error) {
	if key, ok := s[kid]; ok {
		return key, nil
	}
	return PublicKey{}, ErrUnknownKey
}

// KeySource gives the signing keys of the moment. *secrets.Cached of a *KeySet
// is one: secrets.Parse(store, secrets.SigningKeys, identity.ParseKeySet).
type KeySource interface {
	Get(ctx context.Context) (*KeySet, error)
}

// OwnKeys is PublicKeys over the signing keys, for programs that hold them.
func OwnKeys(keys KeySource) PublicKeys { return ownKeys{keys} }

type ownKeys struct{ KeySource }

func (o ownKeys) PublicKey(ctx context.Context, kid string) (PublicKey, error) {
	set, err := o.Get(ctx)
	if err != nil {
		return PublicKey{}, err
	}
	key, ok := set.find(kid)
	if !ok {
		return PublicKey{}, ErrUnknownKey
	}
	return PublicKey{algES256, &key.private.PublicKey}, nil
}
