package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"strings"

	"github.com/coditect/platform/shared/ids"
)

// A Kind is the prefix of an opaque token. It keeps a token of one use from
// being taken for another, and lets scanners of leaked secrets find ours.
type Kind string

// The kinds, with what Owner and ID are.
const (
	RefreshToken    Kind = "rt"  // user, session
	PasswordToken   Kind = "pw"  // user, row of the reset
	EmailToken      Kind = "ev"  // user, row of the verification
	InvitationToken Kind = "inv" // tenant, invitation
)

const secretLen = 32

// Opaque is a bearer secret that only the database can judge: refresh tokens,
// password resets, verifications, invitations. Its text is
//
//	<kind>_<owner>.<id>.<secret>
//
// with the 16, 16 and 32 bytes in base64url without padding. The owner is in
// the text because rows are found by it: it is their distribution column. The
// secret has 256 bits, so that a plain SHA-256 of it is stored, no slow hash.
type Opaque struct {
	Kind  Kind
	Owner ids.ID
	ID    ids.ID

	secret [secretLen]byte
}

// ErrOpaque is the one error of ParseOpaque.
var ErrOpaque = errors.New("identity: not a token of that kind")

// NewOpaque makes a token with a fresh secret.
func NewOpaque(kind Kind, owner, id ids.ID) Opaque {
	return Opaque{Kind: kind, Owner: owner, ID: id, secret: [secretLen]byte(random(secretLen))}
}

// ParseOpaque reads the text of a token of that kind. There is exactly one text
// for each token: everything else is ErrOpaque.
func ParseOpaque(kind Kind, text string) (Opaque, error) {
	const id, secret = 22, 43 // characters of 16 and 32 bytes
	body, ok := strings.CutPrefix(text, string(kind)+"_")
	if !ok || len(body) != id+1+id+1+secret || body[id] != '.' || body[2*id+1] != '.' {
		return Opaque{}, ErrOpaque
	}
	o := Opaque{Kind: kind}
	for _, part := range []struct {
		into []byte
		text string
	}{{o.Owner[:], body[:id]}, {o.ID[:], body[id+1 : 2*id+1]}, {o.secret[:], body[2*id+2:]}} {
		if strings.ContainsAny(part.text, "\r\n") { // which base64 skips
			return Opaque{}, ErrOpaque
		}
		if n, err := b64.Decode(part.into, []byte(part.text)); err != nil || n != len(part.into) {
			return Opaque{}, ErrOpaque
		}
	}
	if o.Owner == ids.Nil || o.ID == ids.Nil {
		return Opaque{}, ErrOpaque
	}
	return o, nil
}

// Reveal is the text, for the one who is to hold it.
func (o Opaque) Reveal() string {
	return string(o.Kind) + "_" + b64.EncodeToString(o.Owner[:]) + "." + b64.EncodeToString(o.ID[:]) + "." + b64.EncodeToString(o.secret[:])
}

// Hash is what the database keeps, 32 bytes. It covers kind and ids, so that a
// hash moved to another row matches nothing.
func (o Opaque) Hash() []byte {
	h := sha256.New()
	o.write(h)
	return h.Sum(nil)
}

// Matches compares with a stored hash in constant time.
func (o Opaque) Matches(hash []byte) bool { return subtle.ConstantTimeCompare(o.Hash(), hash) == 1 }

// Successor is the token that replaces o. It is derived, HMAC-SHA256 under a
// server's key: however many requests spend o at once, they all get the same
// one, and neither the stored hashes nor o alone yield it. With several keys in
// a ring, the one whose Successor matches the stored hash is the one that was
// used.
func (o Opaque) Successor(key []byte) Opaque {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("coditect successor 1\x00"))
	o.write(mac)
	next := o
	copy(next.secret[:], mac.Sum(nil))
	return next
}

func (o Opaque) write(to interface{ Write([]byte) (int, error) }) {
	// Neither a hash nor a MAC returns an error; only the kind varies in length.
	_, _ = to.Write([]byte(o.Kind))
	_, _ = to.Write([]byte{0})
	_, _ = to.Write(o.Owner[:])
	_, _ = to.Write(o.ID[:])
	_, _ = to.Write(o.secret[:])
}

// String leaves the secret out.
func (o Opaque) String() string { return string(o.Kind) + "_[redacted]" }

// GoString leaves the secret out.
func (o Opaque) GoString() string { return o.String() }

// LogValue leaves the secret out.
func (o Opaque) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalText leaves the secret out: what goes to a client is Reveal.
func (o Opaque) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
