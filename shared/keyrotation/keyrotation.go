// Package keyrotation makes the next version of a key secret from the present
// one, for schedulers/rotation, which does it by the clock, and for the command
// rotate-keys, which does it by hand. A new kind of secret needs a line in
// kinds.
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
	keeps time.Duration
	// every is how old the newest key gets before the next is made, as planned,
	// and drops how long replaced ones then stay; 0 is for ever.
	every, drops time.Duration
	rotate       func(data []byte, now time.Time, keep time.Duration) (json.Marshaler, error)
}

const month = 30 * 24 * time.Hour

var kinds = map[string]kind{
	secrets.SigningKeys:  {identity.KeyLead, 2 * time.Hour, month, 24 * time.Hour, signing},
	secrets.HopKey:       {secrets.Lead, time.Hour, month, 24 * time.Hour, ring},
	secrets.CursorKey:    {secrets.Lead, time.Hour, 3 * month, month, ring},
	secrets.EnvelopeKeys: {secrets.Lead, -1, 3 * month, 0, ring},
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
	k, err := kindOf(secret)
	if err != nil {
		return nil, err
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

// Secrets lists the names of the key secrets.
func Secrets() []string { return slices.Sorted(maps.Keys(kinds)) }

func kindOf(secret string) (kind, error) {
	k, ok := kinds[secret]
	if !ok {
		return k, fmt.Errorf("there is no secret %q: %s", secret, strings.Join(Secrets(), ", "))
	}
	return k, nil
}

// Planned is the next version of a secret whose newest key has reached its age,
// with the keys that were replaced long enough ago dropped; nil when it has not,
// or when a key that is to come has been made already.
func Planned(secret string, data []byte, now time.Time) ([]byte, error) {
	k, err := kindOf(secret)
	if err != nil {
		return nil, err
	}
	// Parsed as what it is, so that no version follows from one that nobody can
	// read.
	if _, err := k.rotate(data, now, 0); err != nil {
		return nil, err
	}
	all, err := parse(data)
	if err != nil {
		return nil, err
	}
	newest := slices.MaxFunc(all.Keys, func(a, b entry) int { return a.notBefore().Compare(b.notBefore()) })
	if newest.notBefore().Add(k.every).After(now) {
		return nil, nil
	}
	return Next(secret, data, now, k.drops, false)
}

// Merge is the first version with the keys of the others that it lacks: what is
// made of versions that were added at the same time, so that no key is lost.
func Merge(secret string, first []byte, others ...[]byte) ([]byte, error) {
	k, err := kindOf(secret)
	if err != nil {
		return nil, err
	}
	all, err := parse(first)
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		more, err := parse(other)
		if err != nil {
			return nil, err
		}
		for _, key := range more.Keys {
			if !slices.ContainsFunc(all.Keys, func(e entry) bool { return e["kid"] == key["kid"] }) {
				all.Keys = append(all.Keys, key)
			}
		}
	}
	merged, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	_, err = k.rotate(merged, time.Now(), 0)
	return merged, err
}

// Both forms of key secrets are a list of keys with an id and a time.
type (
	set struct {
		Keys []entry `json:"keys"`
	}
	entry map[string]string
)

func parse(data []byte) (set, error) {
	var s set
	if err := json.Unmarshal(data, &s); err != nil || len(s.Keys) == 0 {
		return s, errors.New("not a set of keys") // the parser's error may quote a key
	}
	return s, nil
}

func (e entry) notBefore() time.Time {
	at, _ := time.Parse(time.RFC3339, e["not_before"]) // the set was parsed as what it is before
	return at
}
