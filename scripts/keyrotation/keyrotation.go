// Package keyrotation makes the next version of a key secret from the present
// one. A new kind of secret needs a line in kinds.
package keyrotation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
)

// kind says how a secret rotates.
type kind struct {
	lead time.Duration
	// keeps is how long a replaced key must stay at least. A secret whose keys
	// may never go has a negative one.
	keeps  time.Duration
	rotate func(data []byte, now time.Time, keep time.Duration) (json.Marshaler, error)
}

var kinds = map[string]kind{
	secrets.SigningKeys:  {identity.KeyLead, 2 * time.Hour, signing},
	secrets.HopKey:       {secrets.Lead, time.Hour, ring},
	secrets.CursorKey:    {secrets.Lead, time.Hour, ring},
	secrets.EnvelopeKeys: {secrets.Lead, -1, ring},
}

func signing(data []byte, now time.Time, keep time.Duration) (json.Marshaler, error) {
	set, err := identity.ParseKeySet(data)
	if err != nil {
		return nil, err
	}
	if keep == 0 {
		keep = now.Sub(time.Time{}) // its Rotate drops every replaced key otherwise
	}
	return set.Rotate(now, keep), nil
}

func ring(data []byte, now time.Time, keep time.Duration) (json.Marshaler, error) {
	r, err := secrets.ParseRing(data)
	if err != nil {
		return nil, err
	}
	return r.Rotate(now, keep), nil
}

// Next is the secret with one more key, which counts after its lead, or at once.
// Keys that were replaced longer than keep ago are dropped; 0 drops none. It
// refuses a keep that would drop what is still needed.
func Next(secret string, data []byte, now time.Time, keep time.Duration, atOnce bool) ([]byte, error) {
	k, ok := kinds[secret]
	if !ok {
		return nil, fmt.Errorf("there is no secret %q: %s", secret, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	switch {
	case keep < 0:
		return nil, errors.New("keep is a time to keep keys for, or 0 to drop none")
	case keep > 0 && k.keeps < 0:
		return nil, fmt.Errorf("values sealed with old keys of %s may be there for ever: none is dropped", secret)
	case keep > 0 && keep < k.keeps:
		return nil, fmt.Errorf("%s needs replaced keys for %s", secret, k.keeps)
	}
	if atOnce {
		now = now.Add(-k.lead)
	}
	next, err := k.rotate(data, now, keep)
	if err != nil {
		return nil, err
	}
	return next.MarshalJSON()
}
