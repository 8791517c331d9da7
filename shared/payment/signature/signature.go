// Package signature tells whether a webhook is Stripe's: the header
// Stripe-Signature holds a time and, by the scheme v1, an HMAC-SHA256 over that
// time and the body as it was sent (docs.stripe.com/webhooks/signatures). It is
// apart from Stripe's client, which weighs more than the function that needs
// it.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/shared/errs"
)

// Tolerance is how far a signature's time may be from ours, either way: an old
// one is perhaps somebody's who recorded it.
const Tolerance = 300 * time.Second

const (
	maxHeader     = 4096
	maxSignatures = 16
)

// Err is the answer to whatever is not Stripe's. It does not say why.
var Err = errs.New(errs.Malformed, "invalid_signature", "The signature of the webhook does not hold.")

// Verify refuses a body that none of the secrets signed at about now.
func Verify(body []byte, header string, secrets []string, now time.Time) error {
	at, given, ok := parse(header)
	if !ok {
		return Err
	}
	if d := now.Sub(time.Unix(at, 0)); d > Tolerance || d < -Tolerance {
		return Err
	}
	found := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(strconv.FormatInt(at, 10)))
		mac.Write([]byte{'.'})
		mac.Write(body)
		want := mac.Sum(nil)
		for _, got := range given {
			// Each is compared, whatever came of the ones before.
			found = hmac.Equal(want, got) && secret != "" || found
		}
	}
	if !found {
		return Err
	}
	return nil
}

// parse reads a header. The time is written one way only, as it is part of what
// is signed.
func parse(header string) (at int64, signatures [][]byte, ok bool) {
	if len(header) > maxHeader {
		return 0, nil, false
	}
	seen := false
	for part := range strings.SplitSeq(header, ",") {
		name, value, found := strings.Cut(part, "=")
		if !found {
			return 0, nil, false
		}
		switch name {
		case "t":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || seen || n <= 0 || strconv.FormatInt(n, 10) != value {
				return 0, nil, false
			}
			at, seen = n, true
		case "v1":
			sum, err := hex.DecodeString(value)
			if err != nil || len(sum) != sha256.Size {
				continue
			}
			signatures = append(signatures, sum)
		}
	}
	return at, signatures, seen && len(signatures) > 0 && len(signatures) <= maxSignatures
}

// ParseSecrets reads the secret stripe-webhook-secrets: one secret or, while
// they are being rotated, several, by spaces or lines.
func ParseSecrets(data []byte) ([]string, error) {
	all := strings.Fields(string(data))
	for _, s := range all {
		if len(s) < 16 {
			return nil, errs.New(errs.Internal, "internal", "A webhook secret is too short to be one.")
		}
	}
	if len(all) == 0 {
		return nil, errs.New(errs.Internal, "internal", "There is no webhook secret.")
	}
	return all, nil
}
