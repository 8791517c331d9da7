//go:build !race

package tests

const conformanceDefault = 20_000
