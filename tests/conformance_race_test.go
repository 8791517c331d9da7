//go:build race

package tests

// conformanceDefault is fewer under the race detector, which makes each request
// several times as long: `make conformance` makes all of them without.
const conformanceDefault = 2_000
