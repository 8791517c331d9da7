package secrets

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KeySize is the length of every symmetric key, in bytes.
const KeySize = 32

// Lead is how long before its first use a new key is published. It is longer
// than a Store's refresh, so that every instance can read what the first one to
// use the key writes.
const Lead = 10 * time.Minute

// A Key is one symmetric key of a Ring.
type Key struct {
	// ID names the key inside what was made with it: 1–32 of A–Z, a–z, 0–9,
	// '-' and '_'.
	ID string
	// NotBefore is when the key may first be used to make something.
	NotBefore time.Time
	Bytes     []byte
}

// A Ring is a set of symmetric keys: the newest one whose time has come makes
// things, all of them read things. Its JSON form is
//
//	{"keys":[{"kid":"…","not_before":"2026-01-02T15:04:05Z","k":"<base64url of 32 bytes>"}]}
type Ring struct{ keys []Key } // newest first

type jsonRing struct {
	Keys []jsonKey `json:"keys"`
}

type jsonKey struct {
	ID        string    `json:"kid"`
	NotBefore time.Time `json:"not_before"`
	K         string    `json:"k"`
}

// ParseRing reads the JSON form. It refuses an empty set, repeated ids, keys of
// another length and unknown fields; its errors quote no key.
func ParseRing(data []byte) (*Ring, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var in jsonRing
	if err := dec.Decode(&in); err != nil {
		return nil, errors.New("key ring: not the JSON of a key set")
	}
	if dec.More() {
		return nil, errors.New("key ring: more than one JSON value")
	}
	keys := make([]Key, 0, len(in.Keys))
	for i, k := range in.Keys {
		raw, err := base64.RawURLEncoding.DecodeString(k.K)
		switch {
		case !validKeyID(k.ID):
			return nil, fmt.Errorf("key ring: key %d has no usable kid", i)
		case err != nil || len(raw) != KeySize:
			return nil, fmt.Errorf("key ring: key %q is not %d bytes of base64url", k.ID, KeySize)
		}
		keys = append(keys, Key{ID: k.ID, NotBefore: k.NotBefore, Bytes: raw})
	}
	return NewRing(keys...)
}

// NewRing makes a Ring of at least one key.
func NewRing(keys ...Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("key ring: no keys")
	}
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if !validKeyID(k.ID) || len(k.Bytes) != KeySize || seen[k.ID] {
			return nil, fmt.Errorf("key ring: key %q is not usable, or twice there", k.ID)
		}
		seen[k.ID] = true
	}
	sorted := slices.Clone(keys)
	slices.SortStableFunc(sorted, func(a, b Key) int { return b.NotBefore.Compare(a.NotBefore) })
	return &Ring{keys: sorted}, nil
}

// GenerateRing makes a Ring of one fresh key, in use from now on.
func GenerateRing(now time.Time) *Ring { return &Ring{keys: []Key{newKey(now)}} }

// Current is the newest key whose time has come. While none has, which only a
// wrong clock can bring about, it is the oldest.
func (r *Ring) Current(now time.Time) Key {
	for _, k := range r.keys {
		if !k.NotBefore.After(now) {
			return k
		}
	}
	return r.keys[len(r.keys)-1]
}

// Key finds a key by its id.
func (r *Ring) Key(id string) (Key, bool) {
	for _, k := range r.keys {
		if k.ID == id {
			return k, true
		}
	}
	return Key{}, false
}

// Keys lists the keys, newest first.
func (r *Ring) Keys() []Key { return slices.Clone(r.keys) }

// Rotate adds a fresh key that takes over after [Lead], and drops keys that
// were replaced more than keep ago. Whatever a dropped key made is lost: keep is
// longer than anything made with this ring lives, or 0 to drop nothing.
func (r *Ring) Rotate(now time.Time, keep time.Duration) *Ring {
	keys := append([]Key{newKey(now.Add(Lead))}, r.keys...)
	if keep > 0 {
		for i := 1; i < len(keys); i++ {
			if replaced := keys[i-1].NotBefore; replaced.Before(now.Add(-keep)) {
				keys = keys[:i]
				break
			}
		}
	}
	return &Ring{keys: keys}
}

// MarshalJSON writes the form that ParseRing reads. It is the secret itself: it
// belongs in Secret Manager and nowhere else.
func (r *Ring) MarshalJSON() ([]byte, error) {
	var out jsonRing
	for _, k := range r.keys {
		out.Keys = append(out.Keys, jsonKey{k.ID, k.NotBefore.UTC(), base64.RawURLEncoding.EncodeToString(k.Bytes)})
	}
	return json.Marshal(out)
}

// String hides the keys from %v.
func (r *Ring) String() string { return fmt.Sprintf("ring of %d keys", len(r.keys)) }

// GoString hides the keys from %#v.
func (r *Ring) GoString() string { return r.String() }

func newKey(notBefore time.Time) Key {
	var id [6]byte
	raw := make([]byte, KeySize)
	rand.Read(id[:])
	rand.Read(raw)
	return Key{
		ID:        notBefore.UTC().Format("20060102") + "-" + base64.RawURLEncoding.EncodeToString(id[:]),
		NotBefore: notBefore.UTC().Truncate(time.Second),
		Bytes:     raw,
	}
}

func validKeyID(id string) bool {
	if len(id) == 0 || len(id) > 32 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
