package api

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Optional is a member of a PATCH body that may be left out (RFC 7396): Set
// tells absent from present. null is refused with 422. Tag the field
// `json:"name,omitzero"`; limits on it apply to the value.
type Optional[T any] struct {
	Set bool
	V   T
}

// Some is a member that is present.
func Some[T any](v T) Optional[T] { return Optional[T]{Set: true, V: v} }

// Or gives the value sent, or present when none was.
func (o Optional[T]) Or(present T) T {
	if o.Set {
		return o.V
	}
	return present
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	return json.Unmarshal(b, &o.V)
}

// MarshalJSON implements json.Marshaler.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.V) }

// IsZero lets omitzero leave out what is not set.
func (o Optional[T]) IsZero() bool { return !o.Set }

// Schema is the schema of T.
func (o Optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), true, "") // a copy: the field's tags go into it
	return &s
}

// Nullable is a member of a PATCH body that may be left out, or be null to
// clear what is there.
type Nullable[T any] struct {
	Set, Null bool
	V         T
}

// Present is a member that is there, and not null.
func Present[T any](v T) Nullable[T] { return Nullable[T]{Set: true, V: v} }

// Null is a member that clears.
func Null[T any]() Nullable[T] { return Nullable[T]{Set: true, Null: true} }

// Or gives the value sent (nil for null), or present when none was.
func (o Nullable[T]) Or(present *T) *T {
	switch {
	case !o.Set:
		return present
	case o.Null:
		return nil
	}
	return &o.V
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Nullable[T]) UnmarshalJSON(b []byte) error {
	o.Set, o.Null = true, bytes.Equal(b, []byte("null"))
	if o.Null {
		return nil
	}
	return json.Unmarshal(b, &o.V)
}

// MarshalJSON implements json.Marshaler.
func (o Nullable[T]) MarshalJSON() ([]byte, error) {
	if o.Null || !o.Set {
		return []byte("null"), nil
	}
	return json.Marshal(o.V)
}

// IsZero lets omitzero leave out what is not set.
func (o Nullable[T]) IsZero() bool { return !o.Set }

// Schema is the schema of T, or null.
func (o Nullable[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), true, "")
	orNull(&s)
	return &s
}
