package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/coditect/platform/shared/errs"
)

// argonParams are the costs of one Argon2id hash (RFC 9106).
type argonParams struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// present is the second choice of OWASP's password storage cheat sheet: 19 MiB,
// two passes, one lane. To raise it, change it here: older hashes go on working
// and are hashed anew at the next sign-in (see Hasher.Verify).
var present = argonParams{memory: 19 * 1024, time: 2, threads: 1}

// The most that a stored hash may ask for. A row is not trusted to decide how
// much memory a sign-in takes.
var ceiling = argonParams{memory: 64 * 1024, time: 8, threads: 4}

const (
	saltLen = 16
	tagLen  = 32
)

// A Hasher hashes and checks passwords. It runs no more hashes at once than it
// was made for, so that a burst of sign-ins waits in line rather than taking
// 19 MiB each; who waits can give up by its context.
type Hasher struct {
	turns chan struct{}
	dummy string
}

// NewHasher makes a Hasher that runs at most concurrent hashes at once; 0 means
// one per core.
func NewHasher(concurrent int) *Hasher {
	if concurrent <= 0 {
		concurrent = runtime.GOMAXPROCS(0)
	}
	// The dummy's tag is random rather than the hash of something, so that no
	// password matches it, and it costs nothing to make.
	return &Hasher{turns: make(chan struct{}, concurrent), dummy: encodePHC(present, random(saltLen), random(tagLen))}
}

// Hash gives the PHC string of password with the present parameters. Its only
// error is of kind errs.Unavailable, when ctx ends before the hash's turn.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := random(saltLen)
	return encodePHC(present, salt, argon(present, password, salt, tagLen)), nil
}

// Verify reports whether password is the one that encoded was made from, and
// whether encoded should be replaced by a new hash since its parameters are not
// the present ones. The error is of kind errs.Unavailable when ctx ends before
// the hash's turn, and plain when encoded is not a hash of ours.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (match, rehash bool, err error) {
	p, salt, want, err := decodePHC(encoded)
	if err != nil {
		return false, false, err
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	got := argon(p, password, salt, uint32(len(want)))
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return false, false, nil
	}
	return true, NeedsRehash(encoded), nil
}

// Dummy does the work of Verify for an account that does not exist, so that the
// time of the answer does not tell. It never matches.
func (h *Hasher) Dummy(ctx context.Context, password string) error {
	_, _, err := h.Verify(ctx, h.dummy, password)
	return err
}

// NeedsRehash reports whether encoded was made with other parameters than the
// present ones, or cannot be read.
func NeedsRehash(encoded string) bool {
	p, salt, tag, err := decodePHC(encoded)
	return err != nil || p != present || len(salt) != saltLen || len(tag) != tagLen
}

func (h *Hasher) turn(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, busy(err)
	}
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, busy(ctx.Err())
	}
}

// retryBusy is some dozens of hashes: long enough for a line to shorten.
const retryBusy = 2 * time.Second

func busy(cause error) error {
	return errs.Wrap(cause, errs.Unavailable, "busy", "The service is busy. Try again shortly.").WithRetry(retryBusy)
}

// argon normalises first: the same accented letter is one code point on one
// keyboard and two on another (NIST SP 800-63B, 5.1.1.2).
func argon(p argonParams, password string, salt []byte, size uint32) []byte {
	return argon2.IDKey(norm.NFKC.Bytes([]byte(password)), salt, p.time, p.memory, p.threads, size)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

var phc64 = base64.RawStdEncoding.Strict()

func encodePHC(p argonParams, salt, tag []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		phc64.EncodeToString(salt), phc64.EncodeToString(tag))
}

var errPHC = errors.New("identity: stored password is not an Argon2id hash within our limits")

func decodePHC(s string) (p argonParams, salt, tag []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errPHC
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); n != 3 || err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.threads) {
		return p, nil, nil, errPHC
	}
	if p.time < 1 || p.threads < 1 || p.memory < 8*uint32(p.threads) ||
		p.memory > ceiling.memory || p.time > ceiling.time || p.threads > ceiling.threads {
		return p, nil, nil, errPHC
	}
	if salt, err = phc64.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return p, nil, nil, errPHC
	}
	if tag, err = phc64.DecodeString(parts[5]); err != nil || len(tag) < 16 || len(tag) > 64 {
		return p, nil, nil, errPHC
	}
	return p, salt, tag, nil
}
