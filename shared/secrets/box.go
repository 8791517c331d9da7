package secrets

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// A Binding says what a sealed value is and whose. A value opens only under the
// Binding it was sealed with, so a row copied to another tenant, user or column
// does not open there.
type Binding struct {
	// Purpose names the use, such as "oidc-refresh-token". It never changes
	// once values exist.
	Purpose string
	Tenant  ids.ID
	User    ids.ID
}

// SSOClientSecret is the purpose of our secret at an organization's identity
// provider: one function seals it, another opens it.
const SSOClientSecret = "sso-client-secret"

// ErrSealed is the one error of Open for bytes that are damaged, sealed under
// another Binding, or sealed with a key that is no longer there.
var ErrSealed = errors.New("secrets: sealed value does not open")

// A KeyRing gives the ring of the moment; *[Cached] of a *[Ring] is one.
type KeyRing interface {
	Get(ctx context.Context) (*Ring, error)
}

// A Box seals small values at rest with AES-256-GCM. The form is
//
//	1 (version) | length of kid | kid | salt (16) | nonce (12) | ciphertext | tag (16)
//
// Each value has a key of its own, derived from the ring's by HKDF-SHA256 (RFC
// 5869) with the salt, so that the bound of 2^32 random nonces per key (NIST SP
// 800-38D, 8.3) is out of reach. Everything before the ciphertext is
// authenticated along with the Binding.
type Box struct {
	ring KeyRing
	now  func() time.Time
}

const (
	sealedVersion = 1
	saltSize      = 16
	nonceSize     = 12
	tagSize       = 16
)

// NewBox makes a Box over a ring.
func NewBox(ring KeyRing) *Box { return &Box{ring: ring, now: time.Now} }

// Seal encrypts plain with the newest key.
func (b *Box) Seal(ctx context.Context, plain []byte, to Binding) ([]byte, error) {
	ring, err := b.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	key := ring.Current(b.now())
	out := make([]byte, 0, 2+len(key.ID)+saltSize+nonceSize+len(plain)+tagSize)
	out = append(out, sealedVersion, byte(len(key.ID)))
	out = append(out, key.ID...)
	random := len(out)
	out = out[:random+saltSize+nonceSize]
	rand.Read(out[random:])

	aead, err := derive(key, out[random:random+saltSize])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, out[random+saltSize:], plain, to.authenticated(out)), nil
}

// Open decrypts what Seal made, with whichever key of the ring made it.
func (b *Box) Open(ctx context.Context, sealed []byte, from Binding) ([]byte, error) {
	if len(sealed) < 2 || sealed[0] != sealedVersion {
		return nil, ErrSealed
	}
	random := 2 + int(sealed[1])
	body := random + saltSize + nonceSize
	if len(sealed) < body+tagSize {
		return nil, ErrSealed
	}
	ring, err := b.ring.Get(ctx)
	if err != nil {
		return nil, err
	}
	key, ok := ring.Key(string(sealed[2:random]))
	if !ok {
		return nil, fmt.Errorf("%w: its key is not in the ring", ErrSealed)
	}
	aead, err := derive(key, sealed[random:random+saltSize])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed[random+saltSize:body], sealed[body:], from.authenticated(sealed[:body]))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Stale reports whether sealed was made with a key other than the newest, so
// that a job can seal it again before the old key goes.
func (b *Box) Stale(ctx context.Context, sealed []byte) (bool, error) {
	ring, err := b.ring.Get(ctx)
	if err != nil {
		return false, err
	}
	if len(sealed) < 2 || len(sealed) < 2+int(sealed[1]) {
		return false, ErrSealed
	}
	return string(sealed[2:2+int(sealed[1])]) != ring.Current(b.now()).ID, nil
}

func derive(key Key, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key.Bytes, salt, "coditect sealed value 1", KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// authenticated joins header and binding without ambiguity: every part has a
// fixed length or carries it.
func (b Binding) authenticated(header []byte) []byte {
	out := make([]byte, 0, len(header)+len(b.Purpose)+2*16+8)
	out = binary.BigEndian.AppendUint32(out, uint32(len(header)))
	out = append(out, header...)
	out = append(out, b.Tenant[:]...)
	out = append(out, b.User[:]...)
	return append(out, b.Purpose...)
}
