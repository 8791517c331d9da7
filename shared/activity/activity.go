// Package activity describes what a write did: the row that commits with it
// and that GET /api/v1/activity/ shows. shared/db writes the rows; a tenant
// write that records none does not commit.
package activity

import (
	"encoding/json"
	"reflect"

	"github.com/coditect/platform/shared/ids"
)

// The actions of the contract.
const (
	ActionCreated  = "created"
	ActionUpdated  = "updated"
	ActionDeleted  = "deleted"
	ActionRestored = "restored"
)

// Change is one field's value before and after.
type Change struct {
	Old any `json:"old"`
	New any `json:"new"`
}

// Changes maps a field's name to what became of it. It never holds a secret:
// what a client may not read back is recorded as [Hidden].
type Changes map[string]Change

// Hidden stands for a value that must not be kept in clear.
const Hidden = "[hidden]"

// Entry is one act on one object.
type Entry struct {
	Action   string
	Model    string // Project, Task, Organization …
	ObjectID ids.ID
	Changes  Changes
}

// Created records a new object with its first values.
func Created(model string, id ids.ID, values map[string]any) Entry {
	c := make(Changes, len(values))
	for k, v := range values {
		c[k] = Change{Old: nil, New: v}
	}
	return Entry{Action: ActionCreated, Model: model, ObjectID: id, Changes: c}
}

// Updated records what changed. See [Diff].
func Updated(model string, id ids.ID, changes Changes) Entry {
	return Entry{Action: ActionUpdated, Model: model, ObjectID: id, Changes: changes}
}

// Deleted records a deletion, with the state that ended.
func Deleted(model string, id ids.ID, changes Changes) Entry {
	return Entry{Action: ActionDeleted, Model: model, ObjectID: id, Changes: changes}
}

// Restored records that a deletion was undone.
func Restored(model string, id ids.ID, changes Changes) Entry {
	return Entry{Action: ActionRestored, Model: model, ObjectID: id, Changes: changes}
}

// Diff compares two states of an object field by field and keeps what differs.
func Diff(before, after map[string]any) Changes {
	c := Changes{}
	for k, n := range after {
		if o, ok := before[k]; !ok || !reflect.DeepEqual(o, n) {
			c[k] = Change{Old: before[k], New: n}
		}
	}
	for k, o := range before {
		if _, ok := after[k]; !ok {
			c[k] = Change{Old: o, New: nil}
		}
	}
	return c
}

// JSON encodes the changes; no change is an empty object.
func (c Changes) JSON() (string, error) {
	if len(c) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(c)
	return string(b), err
}
