package page

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// MaxAge is how long a cursor leads anywhere. A client that pages does so
// within minutes; a bookmarked page of yesterday is better begun anew.
const MaxAge = 24 * time.Hour

// ErrCursor is the one answer to a cursor that was altered, belongs to another
// list or tenant, or is too old: which of them it was is nobody's business.
var ErrCursor = &errs.Error{
	Kind: errs.Malformed, Code: "invalid_cursor", Detail: "The cursor is not valid here, or is too old. Start again without one.",
	Fields: []errs.Field{{Location: "query.cursor", Message: "is not valid"}},
}

// Key signs cursors. The bytes may serve other purposes too: the signature is
// over a text that only cursors begin with.
type Key struct {
	ID     string
	Secret []byte
}

// Keys gives the keys of the moment, the one to sign with first. The others are
// accepted, so that a rotation breaks no client.
type Keys interface {
	CursorKeys(ctx context.Context) ([]Key, error)
}

// FixedKeys are keys that do not change, for tests and tools.
type FixedKeys []Key

// CursorKeys implements [Keys].
func (k FixedKeys) CursorKeys(context.Context) ([]Key, error) { return k, nil }

// Binding is the one list that a cursor belongs to.
type Binding struct {
	// Tenant is zero for lists of a person.
	Tenant ids.ID
	User   ids.ID
	// Operation is the operation's id.
	Operation string
	// Filters is everything else in the request that chooses rows or sorts
	// them: the path and the query without cursor and page size.
	Filters string
}

// Codec turns cursors into text and back.
//
// The text is base64url of: version (1 byte), hint of the key (1), flags (1:
// bits 0–1 order, 2 backward, 3 inclusive), seconds of issue (4), microseconds
// of the row (8), id (16), and the first 16 bytes of an HMAC-SHA256 over the
// binding and all of it (RFC 2104 §5 allows truncation to half).
type Codec struct {
	keys Keys
	now  func() time.Time
}

// NewCodec makes a codec; now is nil for the clock.
func NewCodec(keys Keys, now func() time.Time) *Codec {
	if now == nil {
		now = time.Now
	}
	return &Codec{keys: keys, now: now}
}

const (
	version  = 1
	bodySize = 1 + 1 + 1 + 4 + 8 + 16
	macSize  = 16
	backward = 1 << 2
	included = 1 << 3
)

var errNoKey = errors.New("page: no key to sign a cursor with")

// Encode signs c for the list b.
func (c *Codec) Encode(ctx context.Context, b Binding, at Cursor) (string, error) {
	keys, err := c.keys.CursorKeys(ctx)
	if err != nil {
		return "", err
	}
	if len(keys) == 0 || len(keys[0].Secret) == 0 {
		return "", errNoKey
	}
	raw := make([]byte, bodySize, bodySize+macSize)
	raw[0], raw[1], raw[2] = version, hint(keys[0].ID), at.Order.code()
	if at.Backward {
		raw[2] |= backward
	}
	if at.Inclusive {
		raw[2] |= included
	}
	binary.BigEndian.PutUint32(raw[3:], uint32(c.now().Unix()))
	binary.BigEndian.PutUint64(raw[7:], uint64(at.Time.UnixMicro()))
	copy(raw[15:], at.ID[:])
	return base64.RawURLEncoding.EncodeToString(append(raw, sign(keys[0], b, raw)...)), nil
}

// Decode reads a cursor of the list b, or fails with [ErrCursor].
func (c *Codec) Decode(ctx context.Context, b Binding, text string) (Cursor, error) {
	var none Cursor
	if base64.RawURLEncoding.DecodedLen(len(text)) != bodySize+macSize {
		return none, ErrCursor
	}
	// Strict: the unused bits of the last character must be zero, so that a
	// cursor has one spelling.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != bodySize+macSize || raw[0] != version {
		return none, ErrCursor
	}
	keys, err := c.keys.CursorKeys(ctx)
	if err != nil {
		return none, err
	}
	body, mac := raw[:bodySize], raw[bodySize:]
	genuine := false
	for _, k := range keys {
		if len(k.Secret) > 0 && hint(k.ID) == body[1] && hmac.Equal(mac, sign(k, b, body)) {
			genuine = true
			break
		}
	}
	order, known := orderOf(body[2] & 3)
	if !genuine || !known {
		return none, ErrCursor
	}
	age := c.now().Sub(time.Unix(int64(binary.BigEndian.Uint32(body[3:])), 0))
	if age > MaxAge || age < -time.Minute { // a minute of grace for clocks of other instances
		return none, ErrCursor
	}
	out := Cursor{
		Order: order, Backward: body[2]&backward != 0, Inclusive: body[2]&included != 0,
		Time: time.UnixMicro(int64(binary.BigEndian.Uint64(body[7:]))).UTC(),
	}
	copy(out.ID[:], body[15:])
	return out, nil
}

func hint(id string) byte {
	sum := sha256.Sum256([]byte(id))
	return sum[0]
}

func sign(k Key, b Binding, body []byte) []byte {
	h := hmac.New(sha256.New, k.Secret)
	buf := make([]byte, 0, 256)
	buf = append(buf, "page cursor v1\x00"...)
	buf = append(buf, b.Tenant[:]...)
	buf = append(buf, b.User[:]...)
	// Lengths keep (operation, filters) from being split in two ways.
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(b.Operation)))
	buf = append(buf, b.Operation...)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(b.Filters)))
	buf = append(buf, b.Filters...)
	buf = append(buf, body...)
	h.Write(buf)
	return h.Sum(nil)[:macSize]
}
