package keys

import (
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
)

// generators makes the first version of each secret.
var generators = map[string]func(now time.Time) ([]byte, error){
	secrets.SigningKeys:  func(now time.Time) ([]byte, error) { return identity.GenerateKeySet(now).MarshalJSON() },
	secrets.EnvelopeKeys: ring,
	secrets.HopKey:       ring,
	"cursor-key":         ring,
}

func ring(now time.Time) ([]byte, error) { return secrets.GenerateRing(now).MarshalJSON() }
