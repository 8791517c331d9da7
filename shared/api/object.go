package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"

	"github.com/danielgtaylor/huma/v2"
)

// Object is a JSON object whose members are the client's own. Numbers stay as
// they were written.
type Object map[string]any

var errObject = errors.New("must be an object")

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return err
	}
	if m == nil {
		return errObject
	}
	*o = m
	return nil
}

// MarshalJSON implements json.Marshaler: no object is an empty one.
func (o Object) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]any(o))
}

// Schema is that of any object.
func (Object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// Merge gives the object that a merge patch makes of o (RFC 7396 §2). Neither is
// changed.
func (o Object) Merge(patch Object) Object { return merge(o, patch) }

func merge(target, patch map[string]any) map[string]any {
	out := maps.Clone(target)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			present, _ := out[name].(map[string]any)
			out[name] = merge(present, value)
		default:
			out[name] = value
		}
	}
	return out
}
