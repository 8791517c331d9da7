// Package ids makes and parses the identifiers of the platform: UUIDs, version
// 7 where we make them (RFC 9562), so that rows created together lie together
// in an index and an id tells nothing but its time.
package ids

import (
	"errors"

	"github.com/google/uuid"
)

// ID names a row. Its zero value names none.
type ID = uuid.UUID

// Nil is the ID that names nothing.
var Nil = uuid.Nil

// New makes a fresh version 7 id. It panics when the system has no randomness
// left to give, as nothing safe can be done then.
func New() ID { return uuid.Must(uuid.NewV7()) }

var errForm = errors.New("ids: not a UUID in its canonical form")

// Parse reads the canonical 36 character form only. The braces, urn: prefix and
// bare hexadecimal that uuid.Parse takes would give one row several names, and
// so several cache keys.
func Parse(s string) (ID, error) {
	if len(s) != 36 {
		return Nil, errForm
	}
	return uuid.Parse(s)
}

// Must parses an id that is written in code, such as an example's.
func Must(s string) ID {
	id, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return id
}
