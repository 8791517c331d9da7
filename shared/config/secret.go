package config

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a setting that must not be seen: every way of printing,
// marshalling or logging it shows a placeholder. [Secret.Reveal] is the only
// way to the text, so that a search for it finds every use.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s != "" }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format covers every verb, %x and %q included.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText covers JSON, YAML and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue covers slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
