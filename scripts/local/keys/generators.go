package keys

import (
	"time"

	"github.com/coditect/platform/shared/secrets"
)

// generators makes the first version of each secret.
var generators = map[string]func(now time.Time) ([]byte, error){
	secrets.EnvelopeKeys: ring,
	secrets.HopKey:       ring,
	"cursor-key":         ring,
}

func ring(now time.Time) ([]byte, error) { return secrets.GenerateRing(now).MarshalJSON() }
