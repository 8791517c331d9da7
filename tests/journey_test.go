package tests

import (
	"testing"

	"github.com/coditect/platform/tests/platform"
)

// TestJourney is the README's journey through a whole platform in one process.
func TestJourney(t *testing.T) {
	t.Parallel()
	platform.Start(t, nil).Journey(t)
}
