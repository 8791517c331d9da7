// Package hop is the router's signature on a request it passes on: proof, for
// the function that gets it, of who called the router and that it was the
// router that called.
//
// The header is
//
//	X-Coditect-Hop: v1.<unix seconds>.<client ip>.<request id>.<signature>
//
// with the address as base64url of its 4 or 16 bytes (nothing where there is no
// client), and the signature as base64url of HMAC-SHA256 over those, the method
// and the path. It holds for [Window]. It says nothing about who the person is:
// that is the token's to say.
package hop

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/shared/secrets"
)

// Header carries the signature.
const Header = "X-Coditect-Hop"

// Outbox is set by a function on its response when messages wait for the relay.
const Outbox = "X-Coditect-Outbox"

// Window is how far a hop's time may be from now, either way.
const Window = 60 * time.Second

const maxRequestID = 128

// Hop is what a valid signature vouches for.
type Hop struct {
	// ClientIP is zero when the request began inside the platform.
	ClientIP  netip.Addr
	RequestID string
	At        time.Time
}

// ErrInvalid is the one error for a header that does not hold, for whatever
// reason.
var ErrInvalid = errors.New("hop: no valid signature")

// Keys signs and verifies with a ring of keys: the newest signs, every one
// verifies.
type Keys struct {
	ring secrets.KeyRing
	now  func() time.Time
}

// New makes a Keys over secrets.Parse(store, secrets.HopKey, secrets.ParseRing).
func New(ring secrets.KeyRing) *Keys { return &Keys{ring: ring, now: time.Now} }

// Sign gives the header's value for a request with that method and escaped
// path. It fails with kind errs.Unavailable when the key is not to be had, and
// plainly when requestID is not 1–128 letters, digits, '-', '_' or '.'.
func (k *Keys) Sign(ctx context.Context, method, path string, client netip.Addr, requestID string) (string, error) {
	if !ValidRequestID(requestID) {
		return "", errors.New("hop: the request id has characters that it must not have")
	}
	ring, err := k.ring.Get(ctx)
	if err != nil {
		return "", err
	}
	now := k.now()
	at := strconv.FormatInt(now.Unix(), 10)
	ip := base64.RawURLEncoding.EncodeToString(client.Unmap().AsSlice())
	mac := sum(ring.Current(now).Bytes, method, path, at, ip, requestID)
	return "v1." + at + "." + ip + "." + requestID + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

// Verify checks the header's value against the method and escaped path of the
// request it came with. Every fault is [ErrInvalid]; not having a key is kind
// errs.Unavailable.
func (k *Keys) Verify(ctx context.Context, header, method, path string) (Hop, error) {
	rest, ok := strings.CutPrefix(header, "v1.")
	cut := strings.LastIndexByte(rest, '.')
	if !ok || cut < 0 || len(header) > 512 {
		return Hop{}, ErrInvalid
	}
	fields, signature := strings.SplitN(rest[:cut], ".", 3), rest[cut+1:]
	if len(fields) != 3 || !ValidRequestID(fields[2]) {
		return Hop{}, ErrInvalid
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || len(mac) != sha256.Size {
		return Hop{}, ErrInvalid
	}
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || strconv.FormatInt(at, 10) != fields[0] {
		return Hop{}, ErrInvalid
	}
	hop := Hop{RequestID: fields[2], At: time.Unix(at, 0).UTC()}
	if fields[1] != "" {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(fields[1])
		if hop.ClientIP, ok = netip.AddrFromSlice(raw); err != nil || !ok {
			return Hop{}, ErrInvalid
		}
	}

	ring, err := k.ring.Get(ctx)
	if err != nil {
		return Hop{}, err
	}
	signed := false
	for _, key := range ring.Keys() {
		if hmac.Equal(mac, sum(key.Bytes, method, path, fields[0], fields[1], fields[2])) {
			signed = true
		}
	}
	if age := k.now().Sub(hop.At); !signed || age > Window || age < -Window {
		return Hop{}, ErrInvalid
	}
	return hop, nil
}

// sum writes each part with its length, so that no two requests have one text.
func sum(key []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("coditect hop 1"))
	var n [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		mac.Write(n[:])
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

// ValidRequestID reports whether id may be a request id: 1–128 letters, digits,
// '-', '_' or '.'. Such an id is safe in headers, logs and queries alike.
func ValidRequestID(id string) bool {
	if len(id) < 1 || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

const internalPrefix = "x-coditect-"

// spoofable are headers by which one hop tells another who is calling or what
// was asked for. From a client they are lies, and no part of the platform reads
// them: they are dropped so that no later one is tempted to.
var spoofable = map[string]bool{
	"x-serverless-authorization": true, "x-user-id": true, "x-user-email": true, "x-user-roles": true, "x-roles": true,
	"x-auth-request-user": true, "x-auth-request-email": true, "x-forwarded-user": true, "x-forwarded-email": true,
	"x-forwarded-groups": true, "x-remote-user": true, "x-goog-iap-jwt-assertion": true,
	"x-goog-authenticated-user-id": true, "x-goog-authenticated-user-email": true,
	"x-original-url": true, "x-rewrite-url": true, "x-original-uri": true, "x-http-method-override": true,
	"x-http-method": true, "x-method-override": true,
}

// StripRequest removes from a client's request every header that only the
// platform may set.
func StripRequest(h http.Header) {
	for name := range h {
		if n := fold(name); strings.HasPrefix(n, internalPrefix) || spoofable[n] {
			delete(h, name)
		}
	}
}

// StripResponse removes from a function's response what is between it and the
// router.
func StripResponse(h http.Header) {
	for name := range h {
		if strings.HasPrefix(fold(name), internalPrefix) {
			delete(h, name)
		}
	}
}

// fold takes '_' for '-', as gateways that turn headers into variables do.
func fold(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
